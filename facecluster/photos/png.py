"""PNG with its cICP chunk, which Pillow does not read (PNG, third edition, section 11.3.2.6)."""

from __future__ import annotations

import io
import re

from PIL.PngImagePlugin import PngImageFile


class PngPhotoFile(PngImageFile):
    """A PNG; `info["cicp"]` are its colour primaries and transfer characteristics (ITU-T H.273), if it states them."""

    def _open(self) -> None:
        assert self.fp is not None
        data = self.fp.read()
        self.fp = io.BytesIO(data)
        super()._open()
        found = re.search(rb"\0\0\0\x04cICP([\s\S])([\s\S])\0", data[: data.find(b"IDAT")])
        if found:
            self.info["cicp"] = found[1][0], found[2][0]
