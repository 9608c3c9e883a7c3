"""A reader with a planted fault, which shows whether fuzzing is really led by coverage. For `fuzz.py --planted`.

The fault lies behind four conditions, each seen only by an input that fulfils those before it. Changes that keep no input find it by luck:
one in some billions. Changes of inputs that reached a new branch find one condition after another.
"""

from __future__ import annotations

from pathlib import Path

from facecluster.errors import InputError

SEED = b"a small input of no worth"


class PlantedError(Exception):
    """What is to be found."""


def read_planted(data: bytes, folder: Path) -> None:
    """Raise PlantedError for some inputs, and the user's line for most."""
    if len(data) > 3 and data[0] * 3 + 7 == 262:
        if data[1] ^ 0x5A == 0x11:
            if (data[2] + data[0]) % 251 == 99:
                if data[3] % 128 == 77:
                    raise PlantedError("found")
    raise InputError("expected another input, found this one")
