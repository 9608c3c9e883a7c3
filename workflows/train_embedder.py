"""Train the bundled embedder: `facecluster train --recipe bundled` on the faces that it learns from.

    facecluster models add mobilefacenet.onnx --colour RGB --mean 123.675 116.28 103.53 --std 58.395 57.12 57.375 --licence Apache-2.0
    python workflows/train_embedder.py --faces faces_train.parquet --more faces_more.parquet --photos photos_detect.parquet \
        --out runs/embedder --teacher mobilefacenet --minutes 120

Options that are not named below go to `facecluster train`, as --init bundled. The recipe is facecluster/training/recipes/bundled.toml; a
copy that was changed goes in by --recipe, as with `depth = 8` or `replay = 16000`. A training that goes on for days holds its rate
(`fall = 0`): the mean of the weights over the last steps stands in for the fall, so the same command with fewer --minutes than were spent
makes a model of it at any time.

The data set is written beside the training, in OUT-faces. The evaluation file is never opened here.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from embedder_faces import write_data_set


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="further files of faces, of which none is held out")
    parser.add_argument("--photos", type=Path, help="loose photos with boxes and landmarks, for further faces")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="bundled")
    args, rest = parser.parse_known_args()
    data = args.out.with_name(f"{args.out.name}-faces")
    write_data_set(data, args.faces, args.more, args.photos)
    command = [sys.executable, "-m", "facecluster", "train", str(data), "-o", str(args.out), "--recipe", args.recipe]
    sys.stdout.flush()
    os.execv(sys.executable, [*command, "--licence", "Apache-2.0", *rest])  # Ctrl-C reaches the training alone


if __name__ == "__main__":
    main()
