"""Make trained detector weights the bundled ones: copy them beside their card, and stamp the card.

    python workflows/publish_detector.py --weights runs/detector/detector.safetensors --threshold 0.55 \
        --card facecluster/models/weights/detector.toml
"""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path

from safetensors.torch import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True, help="float16 safetensors written by train_detector.py")
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--threshold", type=float, required=True, help="default score, chosen on held-out photos")
    options = parser.parse_args()
    data = options.weights.read_bytes()
    options.card.with_suffix(".safetensors").write_bytes(data)
    card = options.card.read_text(encoding="utf-8")
    card = re.sub(r'(?m)^sha256 = "\w*"', f'sha256 = "{hashlib.sha256(data).hexdigest()}"', card)
    card = re.sub(r"(?m)^parameters = \d+", f"parameters = {sum(v.numel() for v in load(data).values())}", card)
    card = re.sub(r"(?m)^threshold = [\d.]+", f"threshold = {options.threshold}", card)
    options.card.write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()
