"""ICC profiles written from numbers (ICC.1:2001-04), so that lcms is a judge of colours that this program has from elsewhere."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]  # light of encoded values 0 to 1
D65 = (0.3127, 0.3290)
SRGB = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *D65)
P3 = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, *D65)
BT2020 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *D65)
ADOBE = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *D65)
PROPHOTO = (0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001, 0.3457, 0.3585)
APPLE = (0.625, 0.340, 0.280, 0.595, 0.155, 0.070, *D65)
D50 = np.array([0.9642, 1, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def srgb_curve(v: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def bt709_curve(v: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(v < 0.081, v / 4.5, ((v + 0.099) / 1.099) ** (1 / 0.45))


def gamma(exponent: float) -> Curve:
    return lambda v: v**exponent


def rgb_profile(primaries: tuple[float, ...], curve: Curve, name: str = "a test") -> bytes:
    x, y = np.array(primaries[0::2]), np.array(primaries[1::2])
    xyz = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    scale = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ D50 / (BRADFORD @ xyz[:, 3])) @ BRADFORD
    columns = scale @ (xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3]))
    tags = {f"{c}XYZ": xyz_tag(columns[:, i]) for i, c in enumerate("rgb")} | {f"{c}TRC": curve_tag(curve) for c in "rgb"}
    return profile(b"RGB ", b"XYZ ", name, tags)


def grey_profile(curve: Curve, name: str = "a test") -> bytes:
    return profile(b"GRAY", b"XYZ ", name, {"kTRC": curve_tag(curve)})


def cmyk_profile(light: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> bytes:
    """A printer whose linear sRGB (n, 3) for inks (n, 4), 0 to 1, is `light`."""
    steps = 17
    inks = np.stack(np.meshgrid(*[np.linspace(0, 1, steps)] * 4, indexing="ij"), -1).reshape(-1, 4)
    x, y = np.array(SRGB[0::2]), np.array(SRGB[1::2])
    xyz = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    to_xyz = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ D50 / (BRADFORD @ xyz[:, 3])) @ BRADFORD @ (
        xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])
    )
    ratio = light(inks) @ to_xyz.T / D50
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * 841 / 108 + 4 / 29)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)
    coded = np.stack([lab[:, 0] * 652.8, (lab[:, 1] + 128) * 256, (lab[:, 2] + 128) * 256], 1).clip(0, 65535).round()
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    tables = struct.pack(">HH", 2, 2) + struct.pack(">HH", 0, 65535) * 4 + coded.astype(">u2").tobytes() + struct.pack(">HH", 0, 65535) * 3
    lut = b"mft2" + bytes(4) + bytes([4, 3, steps, 0]) + identity + tables
    return profile(b"CMYK", b"Lab ", "a printer", {"A2B0": lut}, kind=b"prtr")


def xyz_tag(v: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *np.rint(v * 65536).astype(int))


def curve_tag(curve: Curve) -> bytes:
    values = np.rint(curve(np.linspace(0, 1, 4096)).clip(0, 1) * 65535).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", len(values)) + values.tobytes()


def profile(space: bytes, connection: bytes, name: str, tags: dict[str, bytes], *, kind: bytes = b"mntr") -> bytes:
    text = name.encode() + b"\0"
    all_tags = {"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78), "wtpt": xyz_tag(D50),
                "cprt": b"text" + bytes(4) + b"none\0"} | tags  # fmt: skip
    at, table, body = 132 + 12 * len(all_tags), struct.pack(">I", len(all_tags)), b""
    for signature, content in all_tags.items():
        content += bytes(-len(content) % 4)
        table += signature.encode() + struct.pack(">II", at + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"lcms", 0x02400000, kind, space, connection)
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + struct.pack(">3i", *np.rint(D50 * 65536).astype(int))
    return head + bytes(128 - len(head)) + table + body
