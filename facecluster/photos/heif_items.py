"""The items of a HEIC or AVIF file that its decoders do not hand on: orientation, EXIF, XMP and how its colours are meant.

Read are the boxes of ISO/IEC 14496-12 (`meta`, `pitm`, `iinf`, `iloc`, `iref`, `idat`) and ISO/IEC 23008-12 (`iprp`: `irot`, `imir`,
`ispe`, `clap`, `colr`). Nothing is decoded here, and only plain bytes are read, so damage gives fewer facts and never an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_MAX_ITEMS = 100_000
# what `irot` by 90 degrees anticlockwise and the two kinds of `imir` make of a turn that EXIF calls by the index (EXIF 2.32, 4.6.4)
_TURNED_LEFT = (0, 8, 5, 6, 7, 4, 1, 2, 3)
_TOP_BOTTOM = (0, 4, 3, 2, 1, 8, 7, 6, 5)
_LEFT_RIGHT = (0, 2, 1, 4, 3, 6, 5, 8, 7)


@dataclass(slots=True)
class HeifFacts:
    """What the items say about the primary picture."""

    orientation: int | None = None  # EXIF's number of what `irot` and `imir` do, 1 to 8; None: the file has neither
    exif: bytes | None = None  # from the TIFF header on
    xmp: bytes | None = None
    icc: bytes | None = None
    nclx: tuple[int, int] | None = None  # colour primaries and transfer characteristics of ITU-T H.273
    size: tuple[int, int] | None = None  # width and height that `ispe` states, px: before it is cut and turned
    aperture: bytes | None = None  # the content of `clap`


@dataclass(slots=True)
class _Meta:
    """The tables of a `meta` box."""

    primary: int = 0
    kinds: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)  # item: its type, its content type
    places: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)  # item: (method, offset, length) of each part
    refs: list[tuple[bytes, int, list[int]]] = field(default_factory=list)  # (type, from, to)
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)  # (type, content)
    used: dict[int, list[int]] = field(default_factory=dict)  # item: its properties, as indices from 0, in order
    idat: bytes = b""


class _Reader:
    """Takes numbers and text from bytes. Raises ValueError at their end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise ValueError("end of the box")
        self.at += size
        return self.data[self.at - size : self.at]

    def text(self) -> bytes:
        end = self.data.find(b"\0", self.at)
        end = len(self.data) if end < 0 else end
        found = self.data[self.at : end]
        self.at = min(end + 1, len(self.data))
        return found


def read_heif(data: bytes) -> HeifFacts:
    """The facts of a file; those that are missing or damaged are None."""
    facts = HeifFacts()
    try:
        meta = _read_meta(next(body for kind, body in _boxes(data) if kind == b"meta"))
    except (ValueError, StopIteration):
        return facts
    _read_properties(meta, facts)
    for item, (kind, content) in meta.kinds.items():
        if kind == b"Exif" and (facts.exif is None or _describes_primary(meta, item)):
            # four bytes that say where the TIFF header begins, often the letters "Exif" and two zeros, then the header
            header = re.search(rb"II\*\0|MM\0\*", body := _content(data, meta, item))
            facts.exif = body[header.start() :] if header and header.start() < 256 else facts.exif
        elif kind == b"mime" and content.split(b";")[0].strip() == b"application/rdf+xml":
            if facts.xmp is None or _describes_primary(meta, item):
                facts.xmp = _content(data, meta, item) or facts.xmp
    return facts


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each box; the last may be cut off."""
    at = 0
    while at + 8 <= len(data):
        size, kind, head = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        end = len(data) if size == 0 else at + size
        if end < at + head:
            return
        yield kind, data[at + head : end]
        at = end


def _read_meta(data: bytes) -> _Meta:
    meta = _Meta()
    readers = {b"pitm": _read_pitm, b"iinf": _read_iinf, b"iloc": _read_iloc, b"iref": _read_iref, b"iprp": _read_iprp}
    for kind, body in _boxes(data[4:]):  # after version and flags
        try:
            if kind == b"idat":
                meta.idat = body
            elif kind in readers:
                readers[kind](meta, body)
        except ValueError:  # what was read before the damage counts
            continue
    return meta


def _read_pitm(meta: _Meta, body: bytes) -> None:
    meta.primary = int.from_bytes(body[4 : 6 if body[:1] == b"\0" else 8])


def _read_iinf(meta: _Meta, body: bytes) -> None:
    for kind, entry in _boxes(body[6 if body[:1] == b"\0" else 8 :]):
        if kind == b"infe" and entry[:1] in (b"\2", b"\3") and len(meta.kinds) < _MAX_ITEMS:
            r = _Reader(entry[4:])
            item, _ = r.number(2 if entry[0] == 2 else 4), r.number(2)
            item_type, _, content = r.take(4), r.text(), r.text()
            meta.kinds[item] = item_type, content


def _read_iloc(meta: _Meta, body: bytes) -> None:
    r = _Reader(body)
    version, _ = r.number(1), r.number(3)
    sizes = r.number(2)
    offset_size, length_size, base_size, index_size = (sizes >> s & 15 for s in (12, 8, 4, 0))
    for _ in range(min(r.number(2 if version < 2 else 4), _MAX_ITEMS)):
        item = r.number(2 if version < 2 else 4)
        method = r.number(2) & 15 if version in (1, 2) else 0
        r.take(2)  # data reference
        base = r.number(base_size)
        parts = meta.places.setdefault(item, [])
        for _ in range(r.number(2)):
            r.take(index_size if version in (1, 2) else 0)
            offset = base + r.number(offset_size)
            parts.append((method, offset, r.number(length_size)))


def _read_iref(meta: _Meta, body: bytes) -> None:
    size = 2 if body[:1] == b"\0" else 4
    for kind, entry in _boxes(body[4:]):
        r = _Reader(entry)
        source = r.number(size)
        meta.refs.append((kind, source, [r.number(size) for _ in range(r.number(2))]))


def _read_iprp(meta: _Meta, body: bytes) -> None:
    for kind, part in _boxes(body):
        if kind == b"ipco":
            meta.properties.extend(_boxes(part))
        elif kind == b"ipma":
            r = _Reader(part)
            version, flags = r.number(1), r.number(3)
            wide = flags & 1
            for _ in range(min(r.number(4), _MAX_ITEMS)):
                item = r.number(2 if version < 1 else 4)
                for _ in range(r.number(1)):
                    index = r.number(2) & 0x7FFF if wide else r.number(1) & 0x7F
                    meta.used.setdefault(item, []).append(index - 1)


def _read_properties(meta: _Meta, facts: HeifFacts) -> None:
    """Orientation and colours. A picture made of tiles may have its colours at the first tile only."""
    tiles = next((to for kind, source, to in meta.refs if kind == b"dimg" and source == meta.primary), [])
    for item in [meta.primary, *tiles[:1]]:
        for index in meta.used.get(item, []):
            kind, body = meta.properties[index] if 0 <= index < len(meta.properties) else (b"", b"")
            if item == meta.primary and kind in (b"irot", b"imir") and body:
                turned = facts.orientation or 1
                for _ in range(body[0] & 3 if kind == b"irot" else 0):
                    turned = _TURNED_LEFT[turned]
                if kind == b"imir":
                    turned = (_LEFT_RIGHT if body[0] & 1 else _TOP_BOTTOM)[turned]
                facts.orientation = turned
            elif item == meta.primary and kind == b"clap" and len(body) >= 32:
                facts.aperture = body[:32]
            elif item == meta.primary and kind == b"ispe" and len(body) >= 12:
                facts.size = int.from_bytes(body[4:8]), int.from_bytes(body[8:12])
            elif kind == b"colr" and body[:4] == b"nclx" and len(body) >= 10:
                facts.nclx = facts.nclx or (int.from_bytes(body[4:6]), int.from_bytes(body[6:8]))
            elif kind == b"colr" and body[:4] in (b"prof", b"rICC"):
                facts.icc = facts.icc or body[4:]


def _describes_primary(meta: _Meta, item: int) -> bool:
    return any(kind == b"cdsc" and source == item and meta.primary in to for kind, source, to in meta.refs)


def _content(data: bytes, meta: _Meta, item: int) -> bytes:
    """The bytes of an item; b"" if they lie in another item or file."""
    parts = []
    for method, offset, length in meta.places.get(item, []):
        whole = {0: data, 1: meta.idat}.get(method, b"")
        parts.append(whole[offset : offset + length if length else len(whole)])
    return b"".join(parts)
