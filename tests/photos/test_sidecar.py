"""The orientation stated by XMP sidecars: attribute or element, both names of a sidecar, encodings, and files that say nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from facecluster.photos.sidecar import MAX_BYTES, sidecar_orientation

ATTRIBUTE = '<x:xmpmeta><rdf:Description xmp:Rating="3" tiff:Orientation="6" tiff:Make="x"/></x:xmpmeta>'
ELEMENT = "<rdf:Description><tiff:Orientation>8</tiff:Orientation></rdf:Description>"


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.xmp"])
@pytest.mark.parametrize(("text", "expected"), [(ATTRIBUTE, 6), (ELEMENT, 8), ("<x/>", None), ('tiff:Orientation="9"', None), ("", None)])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_both_forms_and_names(tmp_path: Path, name: str, text: str, expected: int | None, encoding: str) -> None:
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert sidecar_orientation(str(tmp_path / "a.jpg")) == expected


def test_nothing_beside_a_photo_or_nothing_usable(tmp_path: Path) -> None:
    photo = str(tmp_path / "a.jpg")
    assert sidecar_orientation(photo) is None
    os.mkfifo(tmp_path / "a.xmp")
    assert sidecar_orientation(photo) is None
    (tmp_path / "a.jpg.xmp").mkdir()
    assert sidecar_orientation(photo) is None
    (tmp_path / "b.xmp").write_bytes(ATTRIBUTE.encode() + b" " * MAX_BYTES)
    assert sidecar_orientation(str(tmp_path / "b.jpg")) is None
