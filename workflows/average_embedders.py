"""Average the weights of two embedders that come from the same training: often better than either (Wortsman et al., 2022, "model soups").

    python workflows/average_embedders.py --first a.safetensors --second b.safetensors --share 0.35 --out c.safetensors

The second may be deeper, if it was grown from the first by `facecluster train` with a `depth`: the blocks that it got then are left out.
Compare the result on held-out faces before you take it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors.torch import load_file, save_file

from facecluster.training.averaging import average


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("first", "second", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.5, help="of the second, 0 to 1")
    options = parser.parse_args()
    save_file(average(load_file(options.first), load_file(options.second), options.share), options.out)


if __name__ == "__main__":
    main()
