"""Zip and Parquet: what others write is read, byte for byte; what is damaged or hostile is named, and ends nothing."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archive_files import (
    contents,
    found,
    picture,
    pictures,
    write_zip,
)

from facecluster.errors import PhotoError
from facecluster.photos.archives.uris import split_member
from facecluster.photos.images import read_file
from facecluster.photos.listing import find_files
from facecluster.photos.passed_over import PassedOver


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


def test_zip_with_backslashes(tmp_path: Path) -> None:
    """As Compress-Archive of Windows writes: keys stay as they are, hidden folders are hidden."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as z:
        for number, name in enumerate([r"all\Ada\1.jpg", r"all\.thumbnails\1.jpg"]):
            info = zipfile.ZipInfo("x")
            info.filename = name
            z.writestr(info, picture(number))
    assert contents(path) == {r"all\Ada\1.jpg": picture(0)}


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


LABELS = {
    "category": ({"person": pa.array(["Ada", None, "Bo"]).dictionary_encode()}, ["Ada", None, "Bo"]),
    "numbers of pandas": ({"label": pa.array([7.0, float("nan"), 0.5])}, ["7", None, None]),
    "none in ClassLabel": ({"label": pa.array([-1, 1, None])}, [None, "Bo", None]),
    "beyond ClassLabel": ({"label": pa.array([0, 2, 1])}, ["Ada", "2", "Bo"]),
    "several": ({"name": pa.array(["1.jpg"] * 3), "Identity": pa.array([3, -1, 5])}, ["3", "-1", "5"]),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_of_parquet(case: str, tmp_path: Path) -> None:
    columns, wanted = LABELS[case]
    said = b'{"info": {"features": {"label": {"names": ["Ada", "Bo"]}}}}' if "ClassLabel" in case else None
    images = pa.array([picture(i) for i in range(3)])
    path = write_parquet(tmp_path / "x.parquet", {**columns, "image": images}, metadata=said, rows=2)
    assert [f.label for f in find_files([str(path)])] == wanted


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
    for f in found(path)[0].values():
        try:
            fine += read_file(f.uri) == picture(int(f.uri.rsplit("/", 1)[1]))
        except PhotoError:
            failed += 1
    assert fine >= 7 and failed >= 1
