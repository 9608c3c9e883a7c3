"""RecordIO and LMDB: what others write is read, byte for byte; what is damaged is named, and ends nothing."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from archive_files import (
    MARK,
    contents,
    found,
    image_record,
    insightface_records,
    picture,
    record,
    write_rec,
)
from conftest import needs

from facecluster.photos.archives.lmdb import LmdbArchive
from facecluster.photos.archives.uris import split_member
from facecluster.photos.images import read_file
from facecluster.photos.listing import find_files
from facecluster.photos.passed_over import PassedOver


def test_the_bytes_of_a_record() -> None:
    """A record by hand, from dmlc-core's recordio.h and MXNet's IRHeader."""
    made = image_record(b"JPEG.", [7.0, 8.0], 5)
    assert made.hex() == (
        "0a23d7ce" "25000000"  # the mark; a whole record of 37 bytes
        "02000000" "00000000" "0500000000000000" "0000000000000000"  # two labels; 0.0; id 5; id2
        "0000e040" "00000041" "4a5045472e" "000000"  # 7.0, 8.0, the image, filled up
    )  # fmt: skip


def test_insightface(tmp_path: Path) -> None:
    people = [[picture(10 * who + i) for i in range(3)] for who in range(4)]
    path = write_rec(tmp_path / "train.rec", insightface_records(people))
    files = list(find_files([str(path)]))
    assert [split_member(f.uri)[2] for f in files] == [str(i) for i in range(1, 13)]  # type: ignore[index]
    assert [read_file(f.uri) for f in files] == [data for photos in people for data in photos]
    assert [f.label for f in files] == [str(who) for who in range(4) for _ in range(3)]


def test_what_mxnet_wrote() -> None:
    """data/mxnet.rec is by mxnet 1.9.1 (MXIndexedRecordIO): an index as insightface's, and five images, some of which hold the mark."""
    path = Path(__file__).parent / "data" / "mxnet.rec"
    wanted = {str(i): b"\xff\xd8\xff" + bytes(range(20 + i)) + MARK + bytes(range(i)) + MARK * (i % 3) for i in range(1, 6)}
    assert contents(path) == wanted
    assert [f.label for f in found(path)[0].values()] == ["0", "1", "1", "2", "2"]
    ours = {i: image_record(wanted[str(i)], i // 2 if i % 2 else [i // 2, 1], i) for i in range(1, 6)}
    ours = {0: image_record(b"", [6, 8], 0), **ours, 6: image_record(b"", [1, 4], 6), 7: image_record(b"", [1, 4], 7)}
    assert b"".join(ours.values()) == path.read_bytes()  # what the other tests write is what mxnet writes


def test_a_record_that_holds_the_mark(tmp_path: Path) -> None:
    for data in (b"ab" + MARK + b"cdefgh" + MARK + MARK + b"ij", MARK, MARK * 3, b"abcd" + MARK):
        for index in (True, False):
            path = write_rec(tmp_path / "x.rec", {1: image_record(picture(1), 3.0, 1), 2: image_record(data, 4.0, 2)}, index=index)
            assert list(contents(path).values()) == [picture(1), data]
            (tmp_path / "x.idx").unlink(missing_ok=True)


def test_damaged_records(tmp_path: Path) -> None:
    records = {i: image_record(picture(i), float(i), i) for i in range(8)}
    for index in (True, False):
        path = write_rec(tmp_path / f"{index}.rec", records, index=index)
        data = bytearray(path.read_bytes())
        at = sum(len(records[i]) for i in range(3))
        data[at] ^= 1
        path.write_bytes(data)
        photos, errors = found(path)
        assert [read_file(f.uri) for f in photos.values()] == [picture(i) for i in range(8) if i != 3]
        assert errors == [f"expected a whole rec archive, found that the record at byte {at:,} is damaged"]
        path.write_bytes(data[: -len(records[7]) - 10])
        photos, errors = found(path)
        assert len(photos) == 5 and "more" in errors[0] or not index
    short = write_rec(tmp_path / "short.rec", {0: records[0], 1: record(b"no header"), 2: record(struct.pack("<IfQQ", 99, 0, 0, 0))})
    photos, errors = found(short)
    assert len(photos) == 1 and "(and 1 more)" in errors[0]


def test_lmdb(tmp_path: Path) -> None:
    lmdb = needs("lmdb")
    wanted = {b"256-00001": picture(1), b"\xff\0": picture(2), "ä".encode(): picture(3), b"0x12": picture(4), b"../a": picture(5)}
    for path, subdir in ((tmp_path / "folder.lmdb", True), (tmp_path / "file.lmdb", False)):
        with lmdb.open(str(path), subdir=subdir, map_size=1 << 20) as env, env.begin(write=True) as t:
            for key, value in wanted.items():
                t.put(key, value)
            t.put(b"length", b"5")
        passed = PassedOver()
        files = list(find_files([str(path)], passed))
        assert {split_member(f.uri)[2]: read_file(f.uri) for f in files} == {  # type: ignore[index]
            "256-00001": picture(1), "0xff00": picture(2), "ä": picture(3), "0x30783132": picture(4), "../a": picture(5),
        }  # fmt: skip
        assert passed.inside == {"values that are no photos": 1}


def test_an_lmdb_that_is_replaced_or_grows_while_it_is_open(tmp_path: Path) -> None:
    needs("lmdb")
    write = "import lmdb, sys; env = lmdb.open(sys.argv[1], subdir=False, lock=False, map_size=int(sys.argv[2]))\n"
    write += "with env.begin(write=True) as t: [t.put(a.encode(), open(f, 'rb').read()) for a, f in zip(*[iter(sys.argv[3:])] * 2)]"

    def put(path: Path, values: dict[str, bytes], size: int = 1 << 20) -> None:  # in another process, as another program does
        pairs = []
        for key, data in values.items():
            (tmp_path / f"{len(pairs)}.jpg").write_bytes(data)
            pairs += [key, str(tmp_path / f"{len(pairs)}.jpg")]
        subprocess.run([sys.executable, "-c", write, str(path), str(size), *pairs], check=True)

    path = tmp_path / "x.lmdb"
    put(path, {"a": picture(1), "b": picture(2)})
    assert contents(path) == {"a": picture(1), "b": picture(2)}
    put(tmp_path / "new", {"a": picture(3), "c": picture(4)})
    os.replace(tmp_path / "new", path)
    assert contents(path) == {"a": picture(3), "c": picture(4)}
    large = {f"{i}": picture(i, 400) for i in range(10, 22)}  # more than the first map
    put(path, large, 1 << 24)
    assert path.stat().st_size > 1 << 20 and contents(path) == {"a": picture(3), "c": picture(4), **large}


def test_a_sparse_lmdb_is_opened_once_whoever_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As LMDB makes it with `writemap`: the file is as large as its map, which is larger than what a reader maps."""
    lmdb = needs("lmdb")
    path, calls, real = tmp_path / "x.lmdb", [], lmdb.open
    with lmdb.open(str(path), subdir=False, map_size=1 << 26, writemap=True) as env, env.begin(write=True) as t:
        for i in range(6):
            t.put(b"%d" % i, picture(i))
    os.symlink(path, tmp_path / "same.lmdb")
    monkeypatch.setattr(lmdb, "open", lambda *args, **options: calls.append(args) or real(*args, **options))
    size = path.stat().st_size
    one, two = LmdbArchive(str(path), size), LmdbArchive(str(tmp_path / "same.lmdb"), size)
    assert size == 1 << 26 and [a.read(str(i), None) for i in range(6) for a in (one, two)] == [picture(i) for i in range(6) for _ in "ab"]
    assert len(calls) == 1
    os.replace(shutil.copy(path, tmp_path / "copy"), path)  # another file: who holds the old one goes on with the new one
    three = LmdbArchive(str(path), size)
    assert [a.read("3", None) for a in (one, two, three)] == [picture(3)] * 3 and len(calls) == 2


def test_a_damaged_lmdb_does_not_end_the_process(tmp_path: Path) -> None:
    lmdb = needs("lmdb")
    path = tmp_path / "x.lmdb"
    with lmdb.open(str(path), subdir=False, map_size=1 << 24) as env, env.begin(write=True) as t:
        for i in range(200):
            t.put(b"%06d" % i, picture(i))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "truncated" in found(path)[1][0]
    noise = np.random.default_rng(0)
    for trial in range(3):
        other = tmp_path / f"{trial}.lmdb"
        other.write_bytes(whole[:8192] + noise.bytes(len(whole) - 8192))
        photos, errors = found(other)
        assert not photos and len(errors) == 1
