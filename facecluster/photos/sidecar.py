"""The orientation that an XMP sidecar beside a photo states: a photo program that turns a photo may write it there only.

Sidecars are called photo.jpg.xmp or photo.xmp. One that is missing, damaged, no plain file or larger than MAX_BYTES says nothing.
"""

from __future__ import annotations

import codecs
import os
import re
import stat

MAX_BYTES = 1 << 20
# tiff:Orientation as an attribute or an element; XMP specification, part 2, section 3.3 (TIFF properties: as in EXIF, 1 to 8)
_ORIENTATION = re.compile(r"""tiff:Orientation(?:\s*=\s*["']|[^>]*>)\s*([1-8])\s*["'<]""")
_MARKS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def sidecar_orientation(path: str) -> int | None:
    """The EXIF orientation, 1 to 8, stated by the sidecar of a photo at a local path; None if there is none."""
    for name in (f"{path}.xmp", f"{os.path.splitext(path)[0]}.xmp"):
        data = _read(name)
        if data is not None:
            encoding = next((e for mark, e in _MARKS if data.startswith(mark)), "utf-8")
            found = _ORIENTATION.search(data.decode(encoding, "replace"))
            return int(found[1]) if found else None
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
