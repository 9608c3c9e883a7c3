"""Writes archives of small pictures with independent programs: tarfile, zipfile, pyarrow, lmdb; RecordIO by its description."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from facecluster.photos.archives.uris import split_member
from facecluster.photos.found_file import FoundFile
from facecluster.photos.images import read_file
from facecluster.photos.listing import find_files

MARK = struct.pack("<I", 0xCED7230A)


def picture(seed: int, side: int = 24, kind: str = "JPEG") -> bytes:
    """A picture of noise."""
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)).save(out, kind)
    return out.getvalue()


def pictures(n: int, first: int = 0) -> dict[str, bytes]:
    """Pictures by a name like WebDataset's."""
    return {f"{i:06d}.jpg": picture(i) for i in range(first, first + n)}


def write_tar(path: Path, members: Mapping[str, bytes], *, mode: str = "w", kind: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, mode, format=kind) as tar:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def write_zip(path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as z:
        for name, data in members.items():
            z.writestr(name, data)
    return path


def record(data: bytes) -> bytes:
    """A record of RecordIO; the mark at multiples of 4 in its bytes cuts it into parts (dmlc-core, recordio.cc, WriteRecord)."""
    parts, begin = [], 0
    for at in range(0, len(data) // 4 * 4, 4):
        if data[at : at + 4] == MARK:
            parts.append(data[begin:at])
            begin = at + 4
    parts.append(data[begin:])
    kinds = [0] if len(parts) == 1 else [1, *[2] * (len(parts) - 2), 3]
    return b"".join(
        MARK + struct.pack("<I", kind << 29 | len(part)) + part + bytes(-len(part) % 4) for kind, part in zip(kinds, parts, strict=True)
    )


def image_record(data: bytes, label: float | Sequence[float], number: int) -> bytes:
    """IRHeader of MXNet (flag, label, id, id2), further labels, and the image."""
    labels = [] if isinstance(label, (int, float)) else list(label)
    one = float(label) if isinstance(label, (int, float)) else 0.0
    return record(struct.pack("<IfQQ", len(labels), one, number, 0) + np.array(labels, "<f4").tobytes() + data)


def write_rec(path: Path, records: Mapping[int, bytes], *, index: bool = True) -> Path:
    """NAME.rec of whole records, and NAME.idx."""
    lines, at = [], 0
    with path.open("wb") as file:
        for key, data in records.items():
            lines.append(f"{key}\t{at}\n")
            at += file.write(data)
    if index:
        path.with_suffix(".idx").write_text("".join(lines))
    return path


def insightface_records(people: Sequence[Sequence[bytes]]) -> dict[int, bytes]:
    """As insightface writes them: record 0 says where the index of people begins, which follows the images, a range of keys for each."""
    images = [(data, who) for who, photos in enumerate(people) for data in photos]
    first = len(images) + 1
    records = {0: image_record(b"", [first, first + len(people)], 0)}
    records |= {i: image_record(data, [who, who], i) for i, (data, who) in enumerate(images, 1)}
    begin = 1
    for who, photos in enumerate(people):
        records[first + who] = image_record(b"", [begin, begin + len(photos)], first + who)
        begin += len(photos)
    return records


def found(*sources: Path | str) -> tuple[dict[str, FoundFile], list[str]]:
    """Photos by key, and the errors."""
    files = list(find_files(map(str, sources)))
    return {split_member(f.uri)[2]: f for f in files if f.error is None and split_member(f.uri)}, [f.error for f in files if f.error]  # type: ignore[index]


def contents(*sources: Path | str) -> dict[str, bytes]:
    return {key: read_file(f.uri) for key, f in found(*sources)[0].items()}
