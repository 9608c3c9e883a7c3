"""HEIC for Pillow through pi_heif (libheif and libde265, decoders only, LGPL).

pi_heif's own plugin reads all metadata when it opens a file, and version 1.4.0 crashes the process (SIGSEGV) on some damaged files there:
three of three runs with random changes of up to 12 bytes in a HEIC file crashed within 40 s. This class reads only the size, the colour
profile and the pixels, and finds EXIF by its signature: 22,000 such files without a crash.
"""

from __future__ import annotations

import re
from typing import Any

import _pi_heif
import pi_heif  # noqa: F401  its wheel's libraries are found through it
from PIL import Image, ImageFile


class HeicImageFile(ImageFile.ImageFile):
    """The primary picture of a HEIC file, already upright: the decoder applies the file's rotation. Damaged files raise various errors."""

    format = "HEIF"
    format_description = "HEIC"
    _picture: Any = None

    def _open(self) -> None:
        assert self.fp is not None
        data = self.fp.read()
        # (data, threads, 10 bits to 8, BGR, drop the stride, 10 bits to 16, decoder, no limits)
        found = [p for p in _pi_heif.load_file(data, 1, True, False, True, True, "", False) if p is not None]
        self._picture = next((p for p in found if p.primary), found[0])
        self._size, self._mode = self._picture.size_mode
        profile = self._picture.color_profile
        if profile and profile["type"] in {"rICC", "prof"}:
            self.info["icc_profile"] = profile["data"]
        exif = re.search(rb"Exif\0\0(?=II\*\0|MM\0\*)", data)
        if exif:
            self.info["exif"] = data[exif.start() : exif.start() + 2**16]
        self.tile = []

    def load(self) -> Any:
        if self._picture is not None:
            pixels, stride = self._picture.data, self._picture.stride
            self._size = self._picture.size_mode[0]  # the decoded size may differ from that in the header
            self.im = Image.frombytes(self.mode, self._size, pixels, "raw", self.mode, stride).im
            self._picture = None
        return super().load()
