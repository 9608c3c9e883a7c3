"""PNG with its cICP chunk (PNG, third edition, section 11.3.2.6), which Pillow does not read, and its transparent colour put right."""

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
        key, bits = self.info.get("transparency"), data[24]
        if isinstance(key, int) and bits in (2, 4):  # Pillow spreads these greys over 0 to 255, but not tRNS (section 11.3.1.1)
            self.info["transparency"] = key * 255 // (2**bits - 1)
        elif isinstance(key, tuple) and bits == 16:
            self.info["transparency"] = tuple(v >> 8 for v in key)
