"""The XMP packets inside a photo, for reading."""

from __future__ import annotations

import io
import warnings

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from facecluster.export.xmp_packet import MAX_BYTES
from facecluster.photos.heif_items import read_heif

_READ_BY_PILLOW = ("JPEG", "PNG", "WEBP", "TIFF")  # others (GIF, JPEG 2000, raw photos) are scanned
_END = b"</x:xmpmeta>"
_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"


def packets_in(data: bytes) -> list[bytes]:
    """The packets in a photo's bytes: none, one, or two if a JPEG has an extended one."""
    if data[4:8] == b"ftyp":
        found = read_heif(data).xmp
        return [found] if found else []
    known = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                known = image.format in _READ_BY_PILLOW
                if image.format == "PNG" and "xmp" not in image.info:
                    image.load()  # the packet may come after the pixels
                packet = image.info.get("xmp") or b""
                main = packet.encode() if isinstance(packet, str) else packet
                more = _extended(image, main) if isinstance(image, JpegImageFile) else b""
    except Exception:  # noqa: BLE001  decoders raise nearly anything on damaged files
        main = more = b""
    return [p for p in (main, more) if p] or ([] if known else _scan(data))


def _scan(data: bytes) -> list[bytes]:
    """The first packet among a file's bytes: how XMP is found in formats that are not known (XMP specification, part 1, section 7.3)."""
    start = data.find(b"<x:xmpmeta")
    end = data.find(_END, start)
    return [data[start : end + len(_END)]] if 0 <= start < end < start + MAX_BYTES else []


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
