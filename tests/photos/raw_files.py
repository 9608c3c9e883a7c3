"""DNG files for tests, written by hand: a colour filter array of 16 bits, and a JPEG preview if wanted."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_TYPES = {"B": (1, 1), "s": (2, 1), "H": (3, 2), "I": (4, 4), "R": (5, 8), "r": (10, 8)}


def dng(
    picture: NDArray[np.uint8], *, preview: Image.Image | None = None, orientation: int = 1, taken: str = "2024:05:06 07:08:09"
) -> bytes:
    """A DNG whose sensor saw `picture` (h, w, 3) sRGB, sides even, before it is turned by `orientation`."""
    linear = (np.asarray(picture, np.float64) / 255) ** 2.2
    mosaic = linear[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = linear[::2, ::2, 0], linear[1::2, 1::2, 2]  # RGGB
    sensor = np.rint(mosaic * 60000).astype("<u2")
    height, width = sensor.shape
    # XYZ (D50) to camera: a camera whose primaries are those of linear sRGB
    matrix = [3.1339, -1.6169, -0.4906, -0.9785, 1.9160, 0.0333, 0.0720, -0.2290, 1.4057]
    main: dict[int, tuple[str, Any]] = {
        254: ("I", [0]), 256: ("I", [width]), 257: ("I", [height]), 258: ("H", [16]), 259: ("H", [1]), 262: ("H", [32803]),
        271: ("s", b"Test\0"), 272: ("s", b"Drawn\0"), 274: ("H", [orientation]), 277: ("H", [1]), 278: ("I", [height]),
        279: ("I", [sensor.nbytes]), 306: ("s", taken.encode() + b"\0"), 33421: ("H", [2, 2]), 33422: ("B", [0, 1, 1, 2]),
        50706: ("B", [1, 4, 0, 0]), 50707: ("B", [1, 1, 0, 0]), 50708: ("s", b"Test Drawn\0"), 50717: ("I", [60000]),
        50721: ("r", [(round(v * 10000), 10000) for v in matrix]), 50728: ("R", [(1, 1)] * 3), 50778: ("H", [23]),
    }  # fmt: skip
    out = bytearray(b"II*\0" + bytes(4))
    main[273] = ("I", [_append(out, sensor.tobytes())])
    if preview is not None:
        coded = io.BytesIO()
        preview.save(coded, "JPEG", quality=95)
        inner: dict[int, tuple[str, Any]] = {
            254: ("I", [1]), 256: ("I", [preview.width]), 257: ("I", [preview.height]), 258: ("H", [8, 8, 8]), 259: ("H", [7]),
            262: ("H", [6]), 273: ("I", [_append(out, coded.getvalue())]), 277: ("H", [3]), 278: ("I", [preview.height]),
            279: ("I", [len(coded.getvalue())]),
        }  # fmt: skip
        main[330] = ("I", [_directory(out, inner)])
    out[4:8] = struct.pack("<I", _directory(out, main))
    return bytes(out)


def _append(out: bytearray, data: bytes) -> int:
    """Append data at an even offset, and return it."""
    out += bytes(len(out) % 2)
    out += data
    return len(out) - len(data)


def _directory(out: bytearray, tags: dict[int, tuple[str, Any]]) -> int:
    """Append a TIFF directory, and return its offset."""
    rows = b""
    for tag, (kind, values) in sorted(tags.items()):
        number, size = _TYPES[kind]
        if kind in "Rr":
            data = b"".join(struct.pack("<" + ("II" if kind == "R" else "ii"), *v) for v in values)
        else:
            data = bytes(values) if kind in "sB" else struct.pack(f"<{len(values)}{kind}", *values)
        value = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", _append(out, data))
        rows += struct.pack("<HHI", tag, number, len(data) // size) + value
    return _append(out, struct.pack("<H", len(tags)) + rows + bytes(4))
