"""JPEG 2000 for Pillow's decoder, with what Pillow leaves out: the colour profile, EXIF, XMP, and how often the picture can be halved."""

from __future__ import annotations

import math
import re
from typing import IO

from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

_HEADER = 1 << 20  # bytes in which all of this is looked for; the pixels come after
# box "colr" of method 2 or 3: an ICC profile, which starts with its length (ISO/IEC 15444-1, I.5.3.3)
_PROFILE = re.compile(rb"colr[\2\3][\s\S]{2}(?=([\s\S]{4})[\s\S]{32}acsp)")
_EXIF, _XMP = b"JpgTiffExif->JP2", bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # of boxes "uuid": 16 bytes each
_MAX_BOXES = 1000  # of a file
_MAX_METADATA = 1 << 20  # bytes of a box that are read
_LEVELS = re.compile(rb"\xff\x52[\s\S]{7}([\0-\x20])")  # marker COD: the number of decomposition levels (A.6.1)


class Jpeg2000PhotoFile(Jpeg2KImageFile):
    """A JPEG 2000 picture: JP2, JPX or a bare codestream."""

    _levels = 0

    def _open(self) -> None:
        assert self.fp is not None
        head = self.fp.read(_HEADER)
        self.fp.seek(0)
        super()._open()
        levels = _LEVELS.search(head)
        self._levels = levels[1][0] if levels else 0
        profile, extra = _PROFILE.search(head), _uuid_boxes(self.fp)
        if profile:
            self.info["icc_profile"] = head[profile.end() : profile.end() + int.from_bytes(profile[1])]
        if extra.get(_EXIF, b"")[:4] in (b"II*\0", b"MM\0*"):
            self.info["exif"] = b"Exif\0\0" + extra[_EXIF]
        if _XMP in extra:
            self.info["xmp"] = extra[_XMP]  # has the orientation where EXIF does not state it

    def reduce_to(self, max_side: int) -> None:
        """Have the picture decoded at a half, a quarter, ... of its sides, but no smaller than `max_side`."""
        self.reduce = min(self._levels, int(math.log2(max(1.0, max(self.size) / max_side))))


def _uuid_boxes(file: IO[bytes]) -> dict[bytes, bytes]:
    """The first box of each kind of "uuid" in a file, by its 16 bytes (I.7.2); the place in the file is kept."""
    found: dict[bytes, bytes] = {}
    before, at = file.tell(), 0
    for _ in range(_MAX_BOXES):
        file.seek(at)
        head = file.read(16)
        size, inside = int.from_bytes(head[:4]), 8
        if size == 1:  # a length of 8 bytes follows
            size, inside = int.from_bytes(head[8:]), 16
        if len(head) < 8 or (size and size < inside):
            break
        if head[4:8] == b"uuid":
            file.seek(at + inside)
            data = file.read(min(size - inside, _MAX_METADATA) if size else _MAX_METADATA)
            found.setdefault(data[:16], data[16:])
        if not size:  # to the end of the file
            break
        at += size
    file.seek(before)
    return found
