"""JPEG 2000 for Pillow's decoder, with what Pillow leaves out: the colour profile, EXIF, and how often the picture can be halved."""

from __future__ import annotations

import math
import re

from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

_HEADER = 1 << 20  # bytes in which all of this is looked for; the pixels come after
# box "colr" of method 2 or 3: an ICC profile, which starts with its length (ISO/IEC 15444-1, I.5.3.3)
_PROFILE = re.compile(rb"colr[\2\3][\s\S]{2}(?=([\s\S]{4})[\s\S]{32}acsp)")
_EXIF = re.compile(rb"uuidJpgTiffExif->JP2(?=II\*\0|MM\0\*)")
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
        profile, exif = _PROFILE.search(head), _EXIF.search(head)
        if profile:
            self.info["icc_profile"] = head[profile.end() : profile.end() + int.from_bytes(profile[1])]
        if exif:
            self.info["exif"] = b"Exif\0\0" + head[exif.end() : exif.end() + 2**16]

    def reduce_to(self, max_side: int) -> None:
        """Have the picture decoded at a half, a quarter, ... of its sides, but no smaller than `max_side`."""
        self.reduce = min(self._levels, int(math.log2(max(1.0, max(self.size) / max_side))))
