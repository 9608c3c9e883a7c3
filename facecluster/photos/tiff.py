"""TIFF through Pillow, with the kinds that Pillow 13 reads wrongly put right or refused.

Found by a matrix of 1,900 kinds (bits, sample format, photometric, planes, compression, predictor, byte order, tiles) against tifffile:
uncompressed planes of 16 bits came out as noise, min-is-white of 16 bits and of floats as negatives, compressed big-endian floats as
noise, unsigned 32 bits with the upper half negative, planes of grey with alpha shifted. What Pillow does not know (colours of
floats or of 32 bits) is refused in one line that names the kind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from facecluster.errors import PhotoError

_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR, _FORMAT = 258, 259, 262, 277, 284, 339
_NONE, _DEFLATE = 1, 8  # compressions
_MIN_IS_WHITE, _MIN_IS_BLACK = 0, 1  # photometric
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3  # sample formats


def _refusal(found: str) -> PhotoError:
    return PhotoError(f"expected a kind of TIFF that can be read, found {found}: save it as a classic TIFF of 8 or 16 bits, or as PNG")


class TiffPhotoFile(TiffImageFile):
    """The first picture of a TIFF."""

    _negative = False
    _white = 0
    _unsigned_32 = False

    def _open(self) -> None:
        assert self.fp is not None
        head = self.fp.read(4)
        self.fp.seek(0)
        if head == b"MM\0+":
            raise _refusal("a big-endian BigTIFF")
        super()._open()

    def _setup(self) -> None:
        tags = self.tag_v2
        bits, kind = tuple(tags.get(_BITS, (1,))), tuple(tags.get(_FORMAT, (_UNSIGNED,)))[0]
        photometric, samples = tags.get(_PHOTOMETRIC, _MIN_IS_WHITE), tags.get(_SAMPLES, 1)
        grey = photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK)
        planes = tags.get(_PLANAR, 1) == 2 and samples > 1
        if (grey and planes) or (kind == _SIGNED and (bits[0] == 8 or photometric == _MIN_IS_WHITE)):
            raise _refusal(f"{samples} planes of grey" if planes else "signed samples")
        if planes and tags.get(_COMPRESSION, _NONE) == _NONE:
            tags[_COMPRESSION] = _DEFLATE  # libtiff, which reads the file's own tags, puts planes together; Pillow's own reader does not
        if photometric == _MIN_IS_WHITE and (bits[0] > 8 or kind == _FLOAT):
            tags[_PHOTOMETRIC] = _MIN_IS_BLACK  # Pillow reads it as it is stored
            self._negative, self._white = True, 2 ** (16 if kind == _FLOAT else bits[0]) - 1
        self._unsigned_32 = bits == (32,) and kind == _UNSIGNED
        try:
            super()._setup()
        except SyntaxError as e:
            found = f"{samples} samples of {bits[0]} bits, photometric interpretation {photometric}{', floats' * (kind == _FLOAT)}"
            raise _refusal(f"{found} ({e})") from e
        if self.mode == "F" and self.use_load_libtiff and bits == (32,):
            rest = self.tile[0].args[1:] if isinstance(self.tile[0].args, tuple) else ()
            self.tile = [self.tile[0]._replace(args=("F;32NF", *rest))]  # libtiff gives the machine's order

    def load(self) -> Any:
        super().load()
        negative, unsigned_32 = self._negative, self._unsigned_32
        self._negative = self._unsigned_32 = False
        if negative or unsigned_32:
            values: Any = np.asarray(self)
            values = values.view(np.uint32) if unsigned_32 else values
            if negative:
                values = (self._white if values.dtype.kind == "u" or values.max() > 1 else 1) - values
            picture = Image.fromarray(values if values.dtype == np.uint16 else values.astype(np.float32))
            self._mode, self.im = picture.mode, picture.im
        return Image.Image.load(self)
