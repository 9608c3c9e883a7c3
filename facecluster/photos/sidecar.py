"""The orientation that an XMP sidecar beside a photo states: a photo program that turns a photo may write it there only.

Sidecars are called photo.jpg.xmp or photo.xmp. One that is missing, damaged, no plain file or larger than MAX_BYTES says nothing. XMP is
UTF-8, UTF-16 or UTF-32 (the XMP specification allows all three), with or without a byte order mark.
"""

from __future__ import annotations

import codecs
import os
import re
import stat

MAX_BYTES = 1 << 20
_PREFIX = re.compile(r"""xmlns:([\w.-]+)\s*=\s*["']http://ns\.adobe\.com/tiff/1\.0/["']""")
# tiff:Orientation as an attribute or an element; XMP specification, part 2, section 3.3 (TIFF properties: as in EXIF, 1 to 8)
_ORIENTATION = re.compile(r"""([\w.-]+):Orientation(?:\s*=\s*["']|[^>]*>)\s*([1-8])\s*["'<]""")
_MARKS = (  # the longest first: UTF-32's mark starts with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"), (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
# without a mark: XML starts with an ASCII character, whose zero bytes tell the encoding (XML 1.0, appendix F)
_ZEROS = {b"\1\0\0\0": "utf-32-le", b"\0\0\0\1": "utf-32-be", b"\1\0": "utf-16-le", b"\0\1": "utf-16-be"}
_DECLARED = re.compile(rb"""\s*<\?xml\s[^>]*encoding\s*=\s*["'](iso-8859-(?:[1-9]|1[013456])|windows-125[0-8]|us-ascii)["']""", re.I)


def sidecar_orientation(path: str) -> int | None:
    """The EXIF orientation, 1 to 8, stated by the sidecar of a photo at a local path; None if there is none."""
    for name in (f"{path}.xmp", f"{os.path.splitext(path)[0]}.xmp"):
        data = _read(name)
        if data is not None:
            packet = data.decode(encoding_of(data), "replace")
            prefixes = {"tiff", *_PREFIX.findall(packet)}
            return next((int(number) for prefix, number in _ORIENTATION.findall(packet) if prefix in prefixes), None)
    return None


def _read(path: str) -> bytes | None:
    """The bytes of a small plain file."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would block
            return None
        with open(path, "rb") as f:
            data = f.read(MAX_BYTES + 1)
        return data if len(data) <= MAX_BYTES else None
    except (OSError, ValueError):
        return None


def encoding_of(data: bytes) -> str:
    """The encoding of a packet: by its mark, its zero bytes or its XML declaration, else UTF-8."""
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    zeros = bytes(b > 0 for b in data[:4])
    declared = _DECLARED.match(data[:200])
    return marked or _ZEROS.get(zeros) or _ZEROS.get(zeros[:2]) or (declared[1].decode() if declared else "utf-8")
