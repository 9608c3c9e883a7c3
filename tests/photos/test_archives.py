"""Archives: how their photos are called, what is no archive, and lists of both."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from archive_files import (
    contents,
    found,
    picture,
    pictures,
    write_tar,
    write_zip,
)
from hypothesis import given
from hypothesis import strategies as st

from facecluster.errors import InputError
from facecluster.photos.archives import opened
from facecluster.photos.archives.uris import file_of, member_uri, split_member
from facecluster.photos.files import local_path
from facecluster.photos.found_file import SeenArchives
from facecluster.photos.listing import find_files
from facecluster.photos.passed_over import PassedOver


@given(st.sampled_from(["/a/b.tar", "s3://b/c!d.tar", "https://h/x.tar?q=1", "file:///%ff.tar"]), st.text())
def test_a_name_is_archive_and_key(archive: str, key: str) -> None:
    uri = member_uri("tar", archive, key)
    assert split_member(uri) == ("tar", archive, key)
    assert file_of(uri) == archive and local_path(uri) is None


@pytest.mark.parametrize("uri", ["/a/b.jpg", "/a!/b.jpg", "/tar:/a!/b", "s3://b/a!/k.jpg", "tar:a!/b", "file:///a!/b"])
def test_other_names_are_no_members(uri: str) -> None:
    assert split_member(uri) is None and file_of(uri) == uri


def test_odd_names_of_archives(tmp_path: Path) -> None:
    for name in (b"a!", b"a::b", b"\xff", "smile 😀 %41".encode()):
        folder = tmp_path / os.fsdecode(name)
        folder.mkdir()
        write_tar(folder / "x!.tar", pictures(2))
        assert contents(folder) == pictures(2) == contents(folder / "x!.tar")


@pytest.mark.parametrize("ending", ["zip", "parquet", "tar", "tar.xz", "rec", "lmdb"])
def test_what_is_no_archive(tmp_path: Path, ending: str) -> None:
    """Named outright it is an error; in a folder too, unless other programs use the ending as well."""
    path = tmp_path / f"x.{ending}"
    path.write_bytes(b"something else" * 100)
    (tmp_path / "a.jpg").write_bytes(picture(1))
    assert len(found(path)[1]) == 1
    passed = PassedOver()
    files = list(find_files([str(tmp_path)], passed))
    assert len([f for f in files if f.error]) == (ending not in ("rec", "lmdb")) and passed.others.total() == (ending in ("rec", "lmdb"))


def test_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_zip(tmp_path / "x.zip", pictures(3))
    for name in ("a.jpg", "b [1].jpg", "c.data", os.fsdecode(b"\xff.jpg")):
        (tmp_path / name).write_bytes(picture(1))
    lines = [b"a.jpg", b"", b"b [1].jpg\r", b"c.data", b"\xff.jpg", b"missing.jpg", b"x.zip", f"zip:{tmp_path}/x.zip!/000001.jpg".encode(),
             f"zip:{tmp_path}/x.zip!/none.jpg".encode(), b"https://example.invalid/photo?id=1", b"s3://bucket/never-asked.jpg",
             b"nothing://x/y.jpg", b"nothing://x/folder"]  # fmt: skip
    (tmp_path / "list.txt").write_bytes(b"\n".join(lines))
    files = list(find_files([], lists=["list.txt"]))
    names = [f.uri.removeprefix("zip:").replace(f"{tmp_path}/", "") for f in files]
    assert names == ["a.jpg", "b [1].jpg", "c.data", f"file://{tmp_path}/%FF.jpg", "missing.jpg", "x.zip!/000000.jpg", "x.zip!/000001.jpg",
                     "x.zip!/000002.jpg", "x.zip!/000001.jpg", "x.zip!/none.jpg", *(x.decode() for x in lines[-4:])] or names  # fmt: skip
    assert [bool(f.error) for f in files] == [False] * 4 + [True] + [False] * 4 + [True] + [False] * 3 + [True]
    with pytest.raises(InputError, match="expected a list"):
        list(find_files([], lists=["none.txt"]))


def test_unchanged_archives_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tar(tmp_path / "x.tar", pictures(3))
    seen = SeenArchives()
    assert len(list(find_files([str(path)], archives=seen))) == 3
    again = SeenArchives(known=seen.listed)
    monkeypatch.setattr(opened, "open_archive", None)
    assert list(find_files([str(path)], archives=again)) == [] and again.unchanged == {str(path)}
