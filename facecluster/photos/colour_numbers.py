"""Colours that a file states as numbers (primaries and transfer characteristics), converted to sRGB.

The numbers are those of ITU-T H.273, as in the `nclx` box of HEIC and AVIF and in the cICP chunk of PNG; PNG also states a gamma and
chromaticities, and EXIF a colour space. High dynamic range (PQ, HLG) is shown for an SDR screen: 203 cd/m2, the reference white of ITU-R
BT.2408, becomes white; if a photo has brighter parts, the upper half of the range is compressed so that they stay visible.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PQ, HLG = 16, 18  # transfer characteristics of high dynamic range
_D65 = (0.3127, 0.3290)
_WHITE = 203.0  # cd/m2
_KNEE = 0.5  # of the linear range, above which brighter parts than white are made room for
_ROWS = 128  # converted at a time

# H.273, table 2: x and y of red, green, blue and white
_PRIMARIES: dict[int, tuple[float, ...]] = {
    1: (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, *_D65),
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316),
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    8: (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, 0.310, 0.316),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    10: (1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1 / 3, 1 / 3),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),
    22: (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *_D65),
}
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@dataclass(frozen=True, slots=True)
class Colours:
    """How numbers of a file become light."""

    primaries: tuple[float, ...]  # CIE x and y of red, green, blue and white
    transfer: int = 13  # H.273, table 3
    gamma: float = 0.0  # the exponent of the light, in place of `transfer`; 0: none


ADOBE_RGB = Colours((0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *_D65), gamma=563 / 256)  # Adobe RGB (1998), section 4.3


def of_cicp(primaries: int, transfer: int) -> Colours:
    """The colours of H.273's numbers; those that are unknown or reserved count as sRGB's."""
    return Colours(_PRIMARIES.get(primaries, _PRIMARIES[1]), transfer)


def of_png(gamma: float, chromaticities: tuple[float, ...] | None) -> Colours:
    """The colours of PNG's gAMA (the exponent of the file's numbers) and cHRM (x and y of white, red, green, blue)."""
    xy = chromaticities if chromaticities and len(chromaticities) == 8 and all(0 < v < 1 for v in chromaticities) else ()
    return Colours((*xy[2:], *xy[:2]) if xy else _PRIMARIES[1], gamma=1 / gamma)


def convert(picture: Image.Image, colours: Colours) -> Image.Image:
    """A picture (RGB, 8 bits) of the given colours in sRGB."""
    values = np.asarray(picture)
    curve = _light(np.linspace(0, 1, 256), colours).astype(np.float32)
    matrix = (np.linalg.inv(_to_xyz(_PRIMARIES[1])) @ _to_xyz(colours.primaries)).astype(np.float32)
    hdr = colours.transfer in (PQ, HLG) and not colours.gamma
    peak = float(np.percentile(_srgb_light(curve[values[::4, ::4]], colours, matrix).max(axis=2), 99.9)) if hdr else 1.0
    encoded = np.rint(_encode(np.linspace(0, 1, 2**16)) * 255).astype(np.uint8)
    out = np.empty_like(values)
    for row in range(0, len(values), _ROWS):
        light = _compress(_srgb_light(curve[values[row : row + _ROWS]], colours, matrix), peak)
        out[row : row + _ROWS] = encoded[np.rint(light.clip(0, 1) * 65535).astype(np.uint16)]
    return Image.fromarray(out)


def _light(v: NDArray[np.float64], colours: Colours) -> NDArray[np.float64]:
    """Light of encoded values 0 to 1, white as 1: H.273, table 3, inverted. That of HLG is the scene's."""
    if colours.gamma:
        return v**colours.gamma
    match colours.transfer:
        case 1 | 6 | 11 | 12 | 14 | 15:
            return np.where(v < 4.5 * 0.018053968510807, v / 4.5, ((v + 0.09929682680944) / 1.09929682680944) ** (1 / 0.45))
        case 4:
            return v**2.2
        case 5:
            return v**2.8
        case 7:
            return np.where(v < 4 * 0.022821585529445, v / 4, ((v + 0.111572195921731) / 1.111572195921731) ** (1 / 0.45))
        case 8:
            return v
        case 9:
            return np.where(v > 0, 10 ** (2 * (v - 1)), 0)
        case 10:
            return np.where(v > 0, 10 ** (2.5 * (v - 1)), 0)
        case 16:  # SMPTE ST 2084, section 5.2
            p = v ** (32 / 2523)
            return (np.maximum(p - 0.8359375, 0) / (18.8515625 - 18.6875 * p)) ** (8192 / 1305) * (10000 / _WHITE)
        case 17:
            return v**2.6 * 52.37 / 48
        case 18:  # ITU-R BT.2100, table 5
            return np.where(v <= 0.5, v**2 / 3, (np.exp((v - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        case _:
            return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def _encode(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """IEC 61966-2-1: the values of sRGB for light 0 to 1."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def _srgb_light(light: NDArray[np.float32], colours: Colours, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """The light of a screen, in sRGB's primaries. HLG's is a scene's, shown on 1000 cd/m2 (ITU-R BT.2100, table 5: its OOTF, gamma 1.2)."""
    if colours.transfer == HLG and not colours.gamma:
        luminance = light @ _to_xyz(colours.primaries)[1].astype(np.float32)
        light = np.asarray(light * (np.maximum(luminance, 1e-9) ** 0.2 * (1000 / _WHITE))[..., None], np.float32)
    return light @ matrix.T


def _compress(light: NDArray[np.float32], peak: float) -> NDArray[np.float32]:
    """Make room for light up to `peak`, above 1: as it is up to the knee, then Reinhard's curve, by the brightest channel.

    Reinhard et al., "Photographic Tone Reproduction for Digital Images" (2002), equation 4.
    """
    if peak <= 1:
        return light
    brightest = light.max(axis=2)
    above, most = (brightest - _KNEE) / (1 - _KNEE), (peak - _KNEE) / (1 - _KNEE)
    with np.errstate(divide="ignore", invalid="ignore"):
        mapped = np.minimum(_KNEE + (1 - _KNEE) * above * (1 + above / most**2) / (1 + above), 1)
        share = np.where(brightest > _KNEE, mapped / brightest, 1)
    return np.asarray(light * share[..., None], np.float32)


def _to_xyz(primaries: tuple[float, ...]) -> NDArray[np.float64]:
    """The matrix from linear RGB to CIE XYZ, adapted to D65 (Bradford); SMPTE RP 177, section 3.3."""
    xy = np.array(primaries).reshape(4, 2)
    rgb = np.stack([xy[:3, 0], xy[:3, 1], 1 - xy[:3].sum(axis=1)])
    white = np.array([xy[3, 0], xy[3, 1], 1 - xy[3].sum()]) / xy[3, 1]
    matrix = rgb * np.linalg.solve(rgb, white)
    d65 = np.array([_D65[0] / _D65[1], 1, (1 - sum(_D65)) / _D65[1]])
    adapted = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ d65) / (_BRADFORD @ white)) @ _BRADFORD
    return np.asarray(adapted @ matrix)
