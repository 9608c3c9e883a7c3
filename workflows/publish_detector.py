"""Make trained detector weights the bundled ones: copy them beside their card, and stamp the card.

    python workflows/publish_detector.py --weights runs/detector/detector.safetensors --verifier runs/verifier/verifier.safetensors \
        --threshold 0.55 --card facecluster/models/weights/detector.toml

Either of the two stages can be published alone.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load


def stamped(card: str, section: str, weights: Path, to: Path) -> str:
    """The card with hash and size of the weights in one of its sections; the weights are copied."""
    data = weights.read_bytes()
    to.write_bytes(data)
    before, after = card.split(f"\n[{section}]", 1)
    after = re.sub(r'(?m)^sha256 = "\w*"', f'sha256 = "{hashlib.sha256(data).hexdigest()}"', after, count=1)
    after = re.sub(r"(?m)^parameters = \d+", f"parameters = {sum(v.numel() for v in load(data).values())}", after, count=1)
    return f"{before}\n[{section}]{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="float16 safetensors written by train_detector.py")
    parser.add_argument("--verifier", type=Path, help="float16 safetensors written by train_verifier.py")
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--threshold", type=float, required=True, help="default score, chosen on held-out photos")
    options = parser.parse_args()
    card = options.card.read_text(encoding="utf-8")
    if options.weights:
        card = stamped(card, "model", options.weights, options.card.with_suffix(".safetensors"))
    if options.verifier:
        card = stamped(card, "verifier", options.verifier, options.card.with_name("verifier.safetensors"))
        with safe_open(options.verifier, "pt") as file:
            card = re.sub(r"(?m)^weights = .*", f"weights = {file.metadata()['weights']}", card)
    card = re.sub(r"(?m)^threshold = [\d.]+", f"threshold = {options.threshold}", card)
    options.card.write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()
