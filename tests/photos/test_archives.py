"""Archives: what other programs write is read, byte for byte; what is damaged, hostile or no photo is named, and ends nothing."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facecluster.errors import InputError, PhotoError
from facecluster.photos.archives import opened
from facecluster.photos.archives.uris import file_of, member_uri, split_member
from facecluster.photos.files import local_path
from facecluster.photos.found_file import FoundFile, SeenArchives
from facecluster.photos.images import open_file, read_file
from facecluster.photos.listing import find_files
from facecluster.photos.passed_over import PassedOver
from tests.conftest import needs
from tests.photos.archive_files import (
    MARK,
    image_record,
    insightface_records,
    picture,
    pictures,
    record,
    write_rec,
    write_tar,
    write_zip,
)


def found(*sources: Path | str) -> tuple[dict[str, FoundFile], list[str]]:
    """Photos by key, and the errors."""
    files = list(find_files(map(str, sources)))
    return {split_member(f.uri)[2]: f for f in files if f.error is None and split_member(f.uri)}, [f.error for f in files if f.error]  # type: ignore[index]


def contents(*sources: Path | str) -> dict[str, bytes]:
    return {key: read_file(f.uri) for key, f in found(*sources)[0].items()}


# -- names --------------------------------------------------------------------------------------------------------------------------


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


# -- tar ----------------------------------------------------------------------------------------------------------------------------

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


# -- zip ----------------------------------------------------------------------------------------------------------------------------


def test_zip(tmp_path: Path) -> None:
    wanted = pictures(3) | {"Ada L./ä 1.jpg": picture(5), "/abs.jpg": picture(6), "../up.jpg": picture(7)}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        path = write_zip(tmp_path / "x.zip", wanted | {"in.tar": b"", "__MACOSX/._a.jpg": b"", "a/": b""}, method)
        assert contents(path) == wanted
        path.unlink()


def test_members_of_a_zip_that_must_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facecluster.photos.archives.zip._ALWAYS_ALLOWED", 1 << 20)
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        link = zipfile.ZipInfo("link.jpg")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        z.writestr(link, "/etc/passwd")
        z.writestr("bomb.bmp", bytes(2 << 20))
        z.writestr("fine.jpg", picture(1))
        z.writestr("locked.jpg", picture(2))
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as z:
        data[z.getinfo("locked.jpg").header_offset + 6] |= 1
    at = data.index(b"locked.jpg", data.index(b"PK\x01\x02"))
    data[at - 46 + 8] |= 1
    path.write_bytes(data)
    passed = PassedOver()
    files = {split_member(f.uri)[2]: f for f in find_files([str(path)], passed)}  # type: ignore[index]
    assert passed.inside["links, devices and sparse files"] == 1
    assert "encrypted" in (files["locked.jpg"].error or "") and "unpack to 2,097,152" in (files["bomb.bmp"].error or "")
    assert read_file(files["fine.jpg"].uri) == picture(1)
    for name in ("locked.jpg", "bomb.bmp"):
        with pytest.raises(PhotoError):
            read_file(files[name].uri)


def test_a_zip_that_states_less_than_it_holds(tmp_path: Path) -> None:
    """The size in the directory bounds what is unpacked."""
    path = write_zip(tmp_path / "x.zip", {"a.jpg": bytes(1_000_000)})
    data = path.read_bytes().replace(struct.pack("<I", 1_000_000), struct.pack("<I", 1000))
    path.write_bytes(data)
    with pytest.raises(PhotoError, match="damaged"):
        read_file(next(f.uri for f in find_files([str(path)])))


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


# -- Parquet ------------------------------------------------------------------------------------------------------------------------


def write_parquet(path: Path, columns: Mapping[str, pa.Array], *, metadata: bytes | None = None, rows: int = 7) -> Path:
    table = pa.table(dict(columns))
    if metadata is not None:
        table = table.replace_schema_metadata({b"huggingface": metadata})
    pq.write_table(table, path, row_group_size=rows)
    return path


IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def test_parquet_of_hugging_face(tmp_path: Path) -> None:
    data = [picture(i) for i in range(40)]
    images = pa.array([{"bytes": d, "path": f"../{i}.jpg"} for i, d in enumerate(data)], IMAGE)
    said = b'{"info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["Ada", "Bo"], "_type": "ClassLabel"}}}}'
    path = write_parquet(tmp_path / "x.parquet", {"image": images, "label": pa.array([i % 2 for i in range(40)])}, metadata=said)
    files = list(find_files([str(path)]))
    assert [f.uri for f in files] == [f"parquet:{path}!/image/{i}" for i in range(40)]
    assert [f.label for f in files] == ["Ada", "Bo"] * 20
    assert [read_file(f.uri) for f in files] == data
    for i in (39, 0, 13, 12, 30, 6, 7):  # in any order
        assert read_file(files[i].uri) == data[i]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_parquet_of_plain_bytes(tmp_path: Path, kind: pa.DataType) -> None:
    data = [picture(i) for i in range(20)]
    columns = {
        "a": pa.array([None, *data[:9], None], kind), "b": pa.array(data[9:], kind), "sound": pa.array([b"RIFF0000WAVE"] * 11, kind),
        "n": pa.array(range(11)), "identity": pa.array([f"p{i}" for i in range(11)]),
    }  # fmt: skip
    path = write_parquet(tmp_path / "x.parquet", columns)
    passed = PassedOver()
    files = list(find_files([str(path)], passed))
    assert [read_file(f.uri) for f in files] == data and passed.inside["rows without an image"] == 2
    assert [split_member(f.uri)[2] for f in files][:10] == [f"a/{i}" for i in range(1, 10)] + ["b/0"]  # type: ignore[index]
    assert files[0].label == "p1"


def test_parquet_without_images(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"n": pa.array([1, 2]), "crop": pa.array([b"a", b"b"])})
    assert found(path)[1] == ["expected a column of images, found the columns n, crop"]
    (tmp_path / "a.jpg").write_bytes(picture(1))
    passed = PassedOver()
    assert len(list(find_files([str(tmp_path)], passed))) == 1 and passed.others == {"parquet": 1}


def test_damaged_parquet(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"image": pa.array([picture(i) for i in range(30)])})
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert "magic bytes" in found(path)[1][0]
    middle = bytearray(whole)
    middle[4000:6000] = os.urandom(2000)
    path.write_bytes(middle)
    fine, failed = 0, 0
    for f in find_all(path):
        try:
            fine += read_file(f.uri) == picture(int(f.uri.rsplit("/", 1)[1]))
        except PhotoError:
            failed += 1
    assert fine >= 7 and failed >= 1


# -- RecordIO -----------------------------------------------------------------------------------------------------------------------


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


# -- LMDB ---------------------------------------------------------------------------------------------------------------------------


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


# -- lists --------------------------------------------------------------------------------------------------------------------------


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
