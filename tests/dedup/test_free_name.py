"""Names for files that are moved to where their name is taken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from facecluster.dedup.files import free_name


@pytest.mark.parametrize("name", [
    "a.jpg", "a" * 251 + ".jpg", "ü" * 125 + ".jpg", "😀" * 62 + "cc.jpeg", "b" * 255, os.fsdecode(b"\xff" * 251 + b".jpg"),
])  # fmt: skip
def test_a_free_name_fits_and_keeps_its_ending(name: str, tmp_path: Path) -> None:
    taken = set()
    for _ in range(12):
        found = free_name(str(tmp_path / name))
        with open(found, "xb"):
            pass
        taken.add(found)
        assert os.path.splitext(found)[1] == os.path.splitext(name)[1]
    assert len(taken) == 12 and str(tmp_path / name) in taken
