"""Lists of photos as editors and shells write them."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from facecluster.errors import InputError
from facecluster.photos.lists import read_list

NAMES = ["a.jpg", "sub folder/\u00c5sa \U0001f469.jpg", " b.jpg"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [(b"", "utf-8"), (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")],
)
def test_lines_of_any_editor(mark: bytes, encoding: str, end: str, tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(mark + end.join([*NAMES[:1], "", "  \t", *NAMES[1:], ""]).encode(encoding))
    assert list(read_list(str(file))) == NAMES


def test_names_that_are_no_utf8_stay(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(b"caf\xe9.jpg\nlast.jpg")
    assert list(read_list(str(file))) == ["caf\udce9.jpg", "last.jpg"]


@pytest.mark.parametrize("content", [b"", codecs.BOM_UTF8, b"\r\n\r\n", b"a"])
def test_short_lists(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(content)
    assert list(read_list(str(file))) == (["a"] if content == b"a" else [])


def test_a_list_cut_within_a_letter_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(codecs.BOM_UTF16_LE + "a.jpg\nb".encode("utf-16-le")[:-1])
    with pytest.raises(InputError, match="expected a list of photos"):
        list(read_list(str(file)))
