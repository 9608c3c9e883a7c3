"""Tars: what others write is read, byte for byte; what is damaged or hostile is named, and ends nothing."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
from archive_files import (
    contents,
    found,
    picture,
    pictures,
    write_tar,
    write_zip,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from facecluster.errors import InputError, PhotoError
from facecluster.photos.archives import opened
from facecluster.photos.archives.uris import member_uri, split_member
from facecluster.photos.found_file import FoundFile
from facecluster.photos.images import open_file, read_file
from facecluster.photos.listing import find_files
from facecluster.photos.passed_over import PassedOver

LONG = "folder " * 30 + "/" + "ä" * 120 + ".jpg"


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_tar_as_python_writes_it(tmp_path: Path, kind: int, ending: str) -> None:
    wanted = pictures(5) | {"a/b c/d.png": picture(9, kind="PNG"), "./e.jpg": picture(10)}
    if kind != tarfile.USTAR_FORMAT:
        wanted[LONG] = picture(11)
    mode = {"tar": "w", "tgz": "w:gz"}.get(ending) or "w:" + ending[4:]
    path = write_tar(tmp_path / f"x.{ending}", wanted | {"0.cls": b"3", "0.json": b"{}"}, mode=mode, kind=kind)
    passed = PassedOver()
    files = list(find_files([str(path)], passed))
    wanted["e.jpg"] = wanted.pop("./e.jpg")
    assert {split_member(f.uri)[2]: read_file(f.uri) for f in files} == wanted  # type: ignore[index]
    assert passed.others == {"cls": 1, "json": 1}
    with tarfile.open(path) as tar:  # an independent reader gives the same places and sizes
        theirs = {m.name.removeprefix("./"): (m.offset_data, m.size) for m in tar if m.name.endswith(("jpg", "png"))}
    assert {split_member(f.uri)[2]: (f.offset, f.size) for f in files} == theirs  # type: ignore[index]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=150),
                          st.binary(max_size=1500)), max_size=8), st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))  # fmt: skip
def test_any_tar_is_read_as_tarfile_reads_it(tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, bytes]], kind: int) -> None:
    named = {f"{name}.jpg".removeprefix("./"): data for name, data in members}
    path = write_tar(tmp_path_factory.mktemp("tar") / "x.tar", named, kind=kind)
    index = {m.key: m for m in opened.list_members("tar", str(path), path.stat().st_size, lambda head: True, PassedOver().inside)}
    with tarfile.open(path) as tar:
        assert {key: (m.offset, m.size) for key, m in index.items()} == {
            m.name.removeprefix("./"): (m.offset_data, m.size) for m in tar
        }
    assert all(opened.read_member("tar", str(path), key) == tar_data(path, m.offset, m.size) for key, m in index.items())


def tar_data(path: Path, offset: int, size: int) -> bytes:
    return path.read_bytes()[offset : offset + size]


def test_members_of_a_tar_that_are_no_files(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo(f"{kind!r}.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        keys = ["/etc/absolute.jpg", "../../up.jpg", "a/../b.jpg"]
        for name in (*keys, ".hidden.jpg", "__MACOSX/._a.jpg", "in.zip", "in/b.tar.gz", "n.txt"):
            info = tarfile.TarInfo(name)
            info.size = len(picture(1))
            tar.addfile(info, io.BytesIO(picture(1)))
    passed = PassedOver()
    assert [split_member(f.uri)[2] for f in find_files([str(path)], passed)] == keys  # type: ignore[index]
    assert passed.inside == {"links, devices and sparse files": 5, "nested archives": 2} and passed.others == {"txt": 1}
    assert passed.lines()[-1] == "in archives: 5 links, devices and sparse files, 2 nested archives"
    assert os.listdir(tmp_path) == ["x.tar"]


def test_a_later_member_of_a_name_counts(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", pictures(3))
    with tarfile.open(path, "a") as tar:
        info = tarfile.TarInfo("000001.jpg")
        info.size = len(picture(77))
        tar.addfile(info, io.BytesIO(picture(77)))
    passed = PassedOver()
    files = list(find_files([str(path)], passed))
    assert len(files) == 3 and passed.inside["earlier members of the same name"] == 1
    assert contents(path) == pictures(3) | {"000001.jpg": picture(77)}


def test_tars_that_were_joined_by_cat(tmp_path: Path) -> None:
    a, b = write_tar(tmp_path / "a.tar", pictures(2)), write_tar(tmp_path / "b.tar", pictures(2, 2))
    (tmp_path / "c.tar").write_bytes(a.read_bytes() + b.read_bytes())
    assert contents(tmp_path / "c.tar") == pictures(4)


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_a_truncated_tar_gives_what_came_before(tmp_path: Path, ending: str) -> None:
    whole = write_tar(tmp_path / f"x.{ending}", pictures(40), mode="w" if ending == "tar" else "w:gz")
    data = whole.read_bytes()
    for share in (0.2, 0.5, 0.77):
        (tmp_path / f"cut.{ending}").write_bytes(data[: int(len(data) * share)])
        photos, errors = found(tmp_path / f"cut.{ending}")
        assert 40 * share - 5 < len(photos) < 40 * share + 5 and len(errors) == 1, errors
        assert {key: read_file(f.uri) for key, f in photos.items()} == dict(list(pictures(40).items())[: len(photos)])


def test_a_damaged_header_is_passed_over(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", pictures(10))
    data = bytearray(path.read_bytes())
    at = next(f.offset for f in find_files([str(path)]) if f.uri.endswith("000004.jpg")) - 512
    data[at + 3] ^= 0xFF
    path.write_bytes(data)
    photos, errors = found(path)
    assert sorted(photos) == sorted(set(pictures(10)) - {"000004.jpg"})
    assert errors == [f"expected a whole tar archive, found that the header at byte {at:,} is damaged"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10239), st.binary(min_size=1, max_size=20)), max_size=5), st.integers(0, 10240))
def test_no_tar_ends_the_search(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, bytes]], length: int) -> None:
    data = bytearray(WHOLE_TAR)
    for at, new in changes:
        data[at : at + len(new)] = new
    path = tmp_path_factory.mktemp("tar") / "x.tar"
    path.write_bytes(data[:length])
    for f in find_all(path):
        if f.error is None:
            assert len(read_file(f.uri)) == f.size


def find_all(path: Path) -> list[FoundFile]:
    try:
        return list(find_files([str(path)]))
    except InputError:  # there is no photo
        return []


def _whole_tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("a.jpg", LONG, "ü.jpg"):
            info = tarfile.TarInfo(name)
            info.size = 300
            tar.addfile(info, io.BytesIO(bytes(300)))
    return out.getvalue()


WHOLE_TAR = _whole_tar()


def test_sizes_that_can_not_be(tmp_path: Path) -> None:
    """A negative size would send a reader back for ever, and one of 8 EiB past the end."""
    for size in (b"\xff" * 12, b"\x80" + b"\x7f" * 11, b"77777777777\0"):
        head = bytearray(WHOLE_TAR[:512])
        head[124:136] = size
        head[148:156] = b"%06o\0 " % (sum(head) - sum(head[148:156]) + 256)
        path = tmp_path / "x.tar"
        path.write_bytes(bytes(head) + WHOLE_TAR[512:])
        assert len(found(path)[1]) == 1


def test_a_tar_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facecluster.photos.archives.random_file._ALWAYS_ALLOWED", 4 << 20)
    with gzip.open(tmp_path / "x.tar.gz", "wb") as file:
        file.write(write_tar(tmp_path / "a.tar", pictures(2)).read_bytes()[:4096])
        head = tarfile.TarInfo("b.jpg")
        head.size = 1 << 30
        file.write(head.tobuf())
        file.write(bytes(8 << 20))
    photos, errors = found(tmp_path / "x.tar.gz")
    assert "grows by more than 200 times" in errors[0]
    with pytest.raises(PhotoError, match="grows"):
        read_file(member_uri("tar", str(tmp_path / "x.tar.gz"), "b.jpg"))


def test_a_compressed_tar_is_read_in_any_order_by_several_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facecluster.photos.archives.random_file._CHUNK", 1 << 14)
    members = {f"{i}.jpg": np.random.default_rng(i).bytes(20_000) for i in range(60)}  # 1.2 MB: more than is kept
    path = write_tar(tmp_path / "x.tar.gz", members, mode="w:gz")
    uris = [f.uri for f in find_files([str(path)])]
    wrong = []

    def read(order: list[str]) -> None:
        wrong.extend(uri for uri in order if read_file(uri) != members[split_member(uri)[2]])  # type: ignore[index]

    threads = [threading.Thread(target=read, args=(order,)) for order in (uris[::2], uris[1::2], uris[::-20])]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_a_member_is_a_file_that_can_be_searched(tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(300_000)
    for path in (write_tar(tmp_path / "x.tar", {"a.jpg": b"a", "b.jpg": data}), write_zip(tmp_path / "x.zip", {"b.jpg": data})):
        uri = next(f.uri for f in find_files([str(path)]) if f.uri.endswith("b.jpg"))
        with open_file(uri) as file:
            assert file.seek(-1000, os.SEEK_END) == len(data) - 1000 and file.read() == data[-1000:]
            file.seek(5)
            assert file.read(7) == data[5:12] and file.tell() == 12 and file.read() == data[12:] and file.read() == b""
