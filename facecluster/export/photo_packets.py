"""The XMP packets inside a photo, for reading."""

from __future__ import annotations

import mmap
import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from facecluster.errors import InputError
from facecluster.export.xmp_packet import MAX_BYTES
from facecluster.photos.heif_items import read_heif

MAX_PHOTO = 1 << 30  # bytes of a HEIC or AVIF file
_READ_BY_PILLOW = ("JPEG", "PNG", "WEBP", "TIFF")  # others (GIF, JPEG 2000, raw photos) are scanned
_END = b"</x:xmpmeta>"
_STANDARD = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"


def packets_in(path: Path) -> list[bytes]:
    """The packets in a photo: none, one, or several in a JPEG (of several programs; an extended one). Most are not read to their end.

    Raises:
        OSError: the file can't be read.
        InputError: it is no plain file.
    """
    if not path.is_file() and path.exists():  # opening a pipe would block
        raise InputError("expected a photo, found something that is not a file: leave it out")
    with open(path, "rb") as file:
        if file.read(8)[4:] == b"ftyp" and path.stat().st_size <= MAX_PHOTO:
            file.seek(0)
            found = read_heif(file.read()).xmp
            return [found] if found else []
        packets = _by_pillow(file)
        return _scan(file) if packets is None else packets


def _by_pillow(file: BinaryIO) -> list[bytes] | None:
    """The packets of a photo of one of the formats that Pillow knows well; None for others. Damaged ones have none."""
    known = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file.seek(0)
            image = Image.open(file)
            known = image.format in _READ_BY_PILLOW
            if image.format == "PNG" and "xmp" not in image.info:
                image.load()  # the packet may come after the pixels
            if isinstance(image, JpegImageFile):
                packets = [s[len(_STANDARD) :] for _, s in image.applist if s.startswith(_STANDARD)]
                packets.append(_extended(image, b"".join(packets)))
            else:
                packet = image.info.get("xmp") or _raw_profile(image.info.get("Raw profile type xmp"))
                packets = [packet.encode() if isinstance(packet, str) else packet]
    except Exception:  # noqa: BLE001  decoders raise nearly anything on damaged files
        packets = []
    return [p for p in dict.fromkeys(packets) if p] if known else None


def _raw_profile(text: object) -> bytes:
    """The content of a text chunk in which ImageMagick keeps a profile in PNG: its kind, its length and its bytes in hex."""
    return bytes.fromhex("".join(text.split()[2:])) if isinstance(text, str) else b""


def _scan(file: BinaryIO) -> list[bytes]:
    """The first packet among a file's bytes: how XMP is found in formats that are not known (XMP specification, part 1, section 7.3)."""
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            start = data.find(b"<x:xmpmeta")
            end = data.find(_END, max(start, 0))
            return [data[start : end + len(_END)]] if 0 <= start < end < start + MAX_BYTES else []
    except (OSError, ValueError):  # an empty file
        return []


def _extended(image: JpegImageFile, main: bytes) -> bytes:
    """The extended packet that the main one names by its digest; b'' without one (XMP specification, part 3, section 1.1.3.1)."""
    parts: dict[int, bytes] = {}
    whole = 0
    for _, segment in image.applist:
        body = segment[len(_EXTENSION) :]
        if segment.startswith(_EXTENSION) and len(body) > 40 and body[:32] in main:  # digest, length of the whole, offset of this part
            whole, at = int.from_bytes(body[32:36]), int.from_bytes(body[36:40])
            parts[at] = body[40:]
    joined = b"".join(parts[at] for at in sorted(parts))
    return joined if len(joined) == whole <= MAX_BYTES else b""
