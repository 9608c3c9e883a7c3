"""Make trained detector weights the bundled ones: copy them beside their card, and stamp the card.

    python workflows/publish_detector.py --weights runs/detector/detector.safetensors --verifier runs/verifier/verifier.safetensors \
        --threshold 0.55 --photos photos_detect.parquet --card facecluster/models/weights/detector.toml

Either of the two stages can be published alone. The highest outputs of their layers, which the arithmetic in 8-bit integers needs, are
measured on photos of the training: a hundred of them, spread over the file. All is made in a folder beside the card first; then weights
and card are put in place together.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import re
import shutil
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load

from facecluster.models.detector import Detector
from facecluster.models.int8_detector import maxima

PHOTOS = 100  # on which ranges are measured


def stamped(card: str, section: str, weights: Path, to: Path) -> str:
    """The card with hash and size of the weights in one of its sections; the weights are copied."""
    data = weights.read_bytes()
    to.write_bytes(data)
    before, after = card.split(f"\n[{section}]", 1)
    after = re.sub(r'(?m)^sha256 = "\w*"', f'sha256 = "{hashlib.sha256(data).hexdigest()}"', after, count=1)
    after = re.sub(r"(?m)^parameters = \d+", f"parameters = {sum(v.numel() for v in load(data).values())}", after, count=1)
    return f"{before}\n[{section}]{after}"


def photos_of(path: Path) -> list[NDArray[np.uint8]]:
    coded = pq.ParquetFile(path).read(columns=["image"])["image"].to_pylist()
    return [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in coded[:: max(1, len(coded) // PHOTOS)]]


def with_ranges(card: str, detector: Detector, photos: list[NDArray[np.uint8]]) -> str:
    """The card with the highest outputs of both stages' layers while these photos are searched; earlier ones are replaced."""
    assert detector.verifier is not None
    (own, end), (judged, end_judged) = maxima(detector.model), maxima(detector.verifier.network)
    for start in range(0, len(photos), 8):
        detector.search(photos[start : start + 8])
    end()
    end_judged()
    lines = ["[highest]  # outputs of the layers, on photos of the training: ranges of the arithmetic in 8-bit integers"]
    for stage, found in (("detector", own), ("verifier", judged)):
        lines += ["", f"[highest.{stage}]", *(f'"{name}" = {high:.3g}' for name, (_, high) in found.items())]
    new, old = "\n".join(lines) + "\n", r"(?m)^\[highest[\].][^\n]*\n(?:(?![\[#])[^\n]*\n)*"  # a section, up to the next one or a comment
    before, *after = re.split(old, card.rstrip("\n") + "\n")
    rest = "".join(after)
    return before.rstrip("\n") + "\n\n" + new + (f"\n{rest}" if rest else "")


def make(folder: Path, options: argparse.Namespace) -> list[Path]:
    """Write card and weights of both stages into `folder`; gives their paths there, the card last."""
    path = folder / options.card.name
    card = options.card.read_text(encoding="utf-8")
    own, judging = path.with_suffix(".safetensors"), folder / tomllib.loads(card)["verifier"]["file"]
    for section, weights, to in (("model", options.weights, own), ("verifier", options.verifier, judging)):
        if weights:
            card = stamped(card, section, weights, to)
        else:
            shutil.copyfile(options.card.with_name(to.name), to)
    if options.verifier:
        with safe_open(options.verifier, "pt") as file:
            card = re.sub(r"(?m)^weights = .*", f"weights = {file.metadata()['weights']}", card)
    card = re.sub(r"(?m)^threshold = [\d.]+", f"threshold = {options.threshold}", card)
    path.write_text(card, encoding="utf-8")
    detector = Detector.load(own, arithmetic="float32")
    path.write_text(with_ranges(card, detector, photos_of(options.photos)), encoding="utf-8")
    return [own, judging, path]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="float16 safetensors written by train_detector.py")
    parser.add_argument("--verifier", type=Path, help="float16 safetensors written by train_verifier.py")
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--threshold", type=float, required=True, help="default score, chosen on held-out photos")
    parser.add_argument("--photos", type=Path, required=True, help="Parquet with a column `image`: photos of the training")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.card.parent) as folder:
        for made in make(Path(folder), options):
            os.replace(made, options.card.with_name(made.name))


if __name__ == "__main__":
    main()
