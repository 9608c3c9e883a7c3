"""HEIC through pi_heif (libheif and libde265, decoders only, LGPL) and AVIF through Pillow; what their items say through `heif_items`.

pi_heif's own plugin reads all metadata when it opens a file, and version 1.4.0 crashes the process (SIGSEGV) on some damaged files there:
three of three runs with random changes of up to 12 bytes in a HEIC file crashed within 40 s. HeicImageFile takes only the size and the
pixels from it: 22,000 such files without a crash.

Where a file states its orientation in its container (`irot`, `imir`), EXIF's number is not used (ISO/IEC 23008-12, annex A). Where the
container says nothing, EXIF's number counts, as in digiKam and in Apple's Preview: some phones write it alone.
"""

from __future__ import annotations

import io
import re
from typing import Any

import _pi_heif
import pi_heif  # noqa: F401  its wheel's libraries are found through it
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile

from facecluster.photos.heif_items import read_heif


def _set_facts(image: ImageFile.ImageFile, data: bytes) -> int | None:
    """Put what a file's items say into `image.info`; returns the container's orientation."""
    facts = read_heif(data)
    found = {
        "exif": facts.exif and b"Exif\0\0" + facts.exif, "xmp": facts.xmp, "icc_profile": facts.icc, "cicp": facts.nclx,
        "container_orientation": facts.orientation,
    }  # fmt: skip
    for name, value in found.items():
        image.info.pop(name, None)
        if value is not None:
            image.info[name] = value
    return facts.orientation


class HeicImageFile(ImageFile.ImageFile):
    """The primary picture of a HEIC file, turned as its container says by the decoder. Damaged files raise various errors."""

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
        self.info["applied_orientation"] = _set_facts(self, data) or 1
        self.tile = []

    def load(self) -> Any:
        if self._picture is not None:
            pixels, stride = self._picture.data, self._picture.stride
            self._size = self._picture.size_mode[0]  # the decoded size may differ from that in the header
            self.im = Image.frombytes(self.mode, self._size, pixels, "raw", self.mode, stride).im
            self._picture = None
        return super().load()


class AvifPhotoFile(AvifImageFile):
    """The primary picture of an AVIF file as it is stored."""

    def _open(self) -> None:
        assert self.fp is not None
        data = self.fp.read()
        # libavif refuses a picture for an EXIF item whose offset is wrong: it is not to see that item
        self.fp = io.BytesIO(re.sub(rb"(infe[\2\3][\s\S]{7}(?:[\s\S]{2})?)Exif", rb"\1free", data))
        super()._open()
        _set_facts(self, data)
