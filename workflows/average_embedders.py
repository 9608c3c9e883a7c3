"""Average the weights of two embedders that come from the same training: often better than either (Wortsman et al., 2022, "model soups").

    python workflows/average_embedders.py --first a.safetensors --second b.safetensors --share 0.35 --out c.safetensors

The second may be deeper, if it was grown from the first by `train_embedder.py --depth`: the blocks that it got then are left out.
Compare the result on held-out faces before you take it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor
from train_embedder import kept_blocks

from facecluster.models.embedder import AttentionEmbedder


def average(first: dict[str, Tensor], second: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """(1 - share) of the first weights plus `share` of the second, as float16; the first network's depth."""
    depths = [int(AttentionEmbedder.from_weights(w).settings["depth"]) for w in (first, second)]  # type: ignore[call-overload]
    own = {at: i for i, at in enumerate(sorted(kept_blocks(*depths)))}
    matching = {}
    for name, value in second.items():
        parts = name.split(".")
        if parts[0] == "blocks":
            if int(parts[1]) not in own:
                continue
            parts[1] = str(own[int(parts[1])])
        matching[".".join(parts)] = value
    return {
        k: (v.float() * (1 - share) + matching[k].float() * share).half().contiguous() if v.is_floating_point() else v
        for k, v in first.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("first", "second", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.5, help="of the second, 0 to 1")
    options = parser.parse_args()
    save_file(average(load_file(options.first), load_file(options.second), options.share), options.out)


if __name__ == "__main__":
    main()
