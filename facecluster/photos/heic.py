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
import struct
from typing import Any

import _pi_heif
import numpy as np
import pi_heif  # noqa: F401  its wheel's libraries are found through it
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile

from facecluster.photos.exif import turn
from facecluster.photos.heif_items import HeifFacts, read_heif


def _set_facts(image: ImageFile.ImageFile, data: bytes) -> HeifFacts:
    """Put what a file's items say into `image.info`."""
    facts = read_heif(data)
    found = {
        "exif": facts.exif and b"Exif\0\0" + facts.exif, "xmp": facts.xmp, "icc_profile": facts.icc, "cicp": facts.nclx,
        "container_orientation": facts.orientation,
    }  # fmt: skip
    for name, value in found.items():
        image.info.pop(name, None)
        if value is not None:
            image.info[name] = value
    return facts


class HeicImageFile(ImageFile.ImageFile):
    """The primary picture of a HEIC file, turned as its container says by the decoder. Damaged files raise various errors."""

    format = "HEIF"
    format_description = "HEIC"
    _picture: Any = None
    _cut: tuple[int, int, int, int] | None = None

    def _open(self) -> None:
        assert self.fp is not None
        data = self.fp.read()
        facts = _set_facts(self, data)
        self.info["applied_orientation"] = facts.orientation or 1
        self._cut = _cut(facts, facts.size)
        if self._cut is not None and facts.size and facts.aperture:
            # libheif refuses a picture of which more than 64 px are cut: it is to cut nothing
            data = data.replace(b"clap" + facts.aperture, b"clap" + struct.pack(">8i", facts.size[0], 1, facts.size[1], 1, 0, 1, 0, 1))
        # (data, threads, 10 bits to 8, BGR, drop the stride, 10 bits to 16, decoder, no limits)
        found = [p for p in _pi_heif.load_file(data, 1, True, False, True, True, "", False) if p is not None]
        self._picture = next((p for p in found if p.primary), found[0])
        self._size, self._mode = self._picture.size_mode
        self.tile = []

    def load(self) -> Any:
        if self._picture is not None:
            pixels, stride = self._picture.data, self._picture.stride
            self._size = self._picture.size_mode[0]  # the decoded size may differ from that in the header
            picture = Image.frombytes(self.mode, self._size, pixels, "raw", self.mode, stride)
            if self._cut is not None:  # it is said of the stored picture
                turned = self.info["applied_orientation"]
                picture = turn(turn(picture, 1, turned=turned).crop(self._cut), turned)
            self._size, self.im, self._picture = picture.size, picture.im, None
        return super().load()


class AvifPhotoFile(AvifImageFile):
    """The primary picture of an AVIF file as it is stored, cut as its container says (libavif leaves that to its user)."""

    _cut: tuple[int, int, int, int] | None = None

    def _open(self) -> None:
        assert self.fp is not None
        data = self.fp.read()
        # libavif refuses a picture for an EXIF item whose offset is wrong: it is not to see that item
        self.fp = io.BytesIO(re.sub(rb"(infe[\2\3][\s\S]{7}(?:[\s\S]{2})?)Exif", rb"\1free", data))
        super()._open()
        self._cut = _cut(_set_facts(self, data), self.size)

    def load(self) -> Any:
        super().load()
        if self._cut is not None:
            self.im, self._cut = self.im.crop(self._cut), None
            self._size = self.im.size
        return Image.Image.load(self)


def _cut(facts: HeifFacts, size: tuple[int, int] | None) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom edge of a picture's clean aperture (ISO/IEC 14496-12, section 12.1.4); None if it has none."""
    if facts.aperture is None or size is None:
        return None
    pairs = np.frombuffer(facts.aperture, ">i4").reshape(4, 2).astype(float)
    if (pairs[:, 1] <= 0).any():
        return None
    width, height, x, y = pairs[:, 0] / pairs[:, 1]
    left, top = (size[0] - width) / 2 + x, (size[1] - height) / 2 + y
    cut = round(left), round(top), round(left + width), round(top + height)
    return cut if 0 <= cut[0] < cut[2] <= size[0] and 0 <= cut[1] < cut[3] <= size[1] else None
