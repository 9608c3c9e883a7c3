"""Colours of forty kinds of files against lcms, libheif and formulas: mean error under 2 of 255, for JPEG 4."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import colour_profiles as cp
import numpy as np
import pytest
from conftest import need
from heif_writer import icc, nclx, write_heif
from numpy.typing import NDArray
from PIL import Image, ImageCms
from scipy.stats import spearmanr
from test_images import coded, distance, scene

from facecluster.photos import colours
from facecluster.photos.colour_numbers import convert, of_cicp
from facecluster.photos.images import open_photo

SHARED = Path(__file__).parents[3] / "shared"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
PROFILES: dict[str, bytes] = {
    "linear, named sRGB": cp.rgb_profile(cp.SRGB, cp.gamma(1.0), "GIMP built-in Linear sRGB"),
    "sRGB by another name": cp.rgb_profile(cp.SRGB, cp.srgb_curve, "c2"),
    "Adobe RGB": cp.rgb_profile(cp.ADOBE, cp.gamma(563 / 256)),
    "Display P3": cp.rgb_profile(cp.P3, cp.srgb_curve),
    "P3, named sRGB": cp.rgb_profile(cp.P3, cp.gamma(2.6), "sRGB"),
    "BT.2020": cp.rgb_profile(cp.BT2020, cp.bt709_curve),
    "ProPhoto": cp.rgb_profile(cp.PROPHOTO, cp.gamma(1.8)),
    "Apple RGB": cp.rgb_profile(cp.APPLE, cp.gamma(1.8)),
}  # fmt: skip
GREYS = {"1.0": cp.gamma(1.0), "1.8": cp.gamma(1.8), "2.2": cp.gamma(2.2), "dot gain": lambda v: 1 - (1 - v) ** 0.7}


def picture() -> Image.Image:
    return scene(3, 192, 128)


def as_stored(image: Image.Image, profile: bytes) -> Image.Image:
    """A picture's pixels in the colours of a profile, by lcms."""
    target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    mode = {"GRAY": "L", "CMYK": "CMYK"}.get(target.profile.xcolor_space.strip(), "RGB")
    done = ImageCms.profileToProfile(image, SRGB, target, outputMode=mode)
    assert done is not None
    return done


def deep(image: Image.Image) -> NDArray[np.uint16]:
    return np.asarray(image).astype(np.uint16) * 257


def png16(pixels: NDArray[np.uint16], *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of 16 bits (grey, grey with alpha, RGB), which Pillow does not write."""
    h, w, channels = pixels.reshape(*pixels.shape[:2], -1).shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", w, h, 16, {1: 0, 2: 4, 3: 2}[channels], 0, 0, 0)), *chunks,
             (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts)


def with_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    return png[:33] + struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) + png[33:]


def tiff(pixels: NDArray[Any], **options: Any) -> bytes:
    try:
        import tifffile
    except ImportError:
        need(False, "tifffile")
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, **options)
    return out.getvalue()


def planes(image: NDArray[np.uint16]) -> NDArray[np.uint16]:
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def jpeg(image: Image.Image, **options: Any) -> bytes:
    return coded(image, "JPEG", **{"quality": 98, "subsampling": 0} | options)


def r03(image: Image.Image) -> bytes:
    """A JPEG in Adobe RGB as cameras write it: by DCF's index in EXIF, without a profile."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 65535
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    return jpeg(as_stored(image, PROFILES["Adobe RGB"]), exif=exif)


def inks(v: NDArray[np.float64]) -> NDArray[np.float64]:
    return cp.srgb_curve((1 - v[:, :3]) * (1 - v[:, 3:]))


def grey_of(image: Image.Image) -> Image.Image:
    return image.convert("L").convert("RGB")


def kinds() -> dict[str, tuple[Callable[[], bytes], bool]]:
    """Kind: how to make the file, and whether it is grey."""
    p = picture()
    found: dict[str, tuple[Callable[[], bytes], bool]] = {}
    for name, profile in PROFILES.items():
        found[f"PNG, {name}"] = (lambda f=profile: coded(as_stored(p, f), "PNG", icc_profile=f)), False
    for name in ("Adobe RGB", "Display P3", "ProPhoto"):
        found[f"JPEG, {name}"] = (lambda f=PROFILES[name]: jpeg(as_stored(p, f), icc_profile=f)), False
    p3 = PROFILES["Display P3"]
    found["TIFF, Display P3"] = (lambda: coded(as_stored(p, p3), "TIFF", icc_profile=p3)), False
    found["WebP, Display P3"] = (lambda: coded(as_stored(p, p3), "WEBP", icc_profile=p3, lossless=True)), False
    flat = p.quantize(64).convert("RGB")
    found["palette PNG, Display P3"] = (lambda: coded(as_stored(flat, p3).quantize(64), "PNG", icc_profile=p3)), False
    for kind in ("AVIF", "HEIF"):
        found[f"{kind}, Display P3"] = (lambda k=kind: write_heif(as_stored(p, p3), k, icc(p3), nclx(1, 13))), False
        for name, primaries, transfer, space, curve in (
            ("P3", 12, 13, cp.P3, cp.srgb_curve), ("BT.2020", 9, 14, cp.BT2020, cp.bt709_curve),
            ("P3 gamma 2.2", 12, 4, cp.P3, cp.gamma(2.2)),
            ("BT.709", 1, 1, cp.SRGB, cp.bt709_curve), ("sRGB", 1, 13, cp.SRGB, cp.srgb_curve),
        ):  # fmt: skip
            same, numbers = cp.rgb_profile(space, curve), nclx(primaries, transfer)
            found[f"{kind}, nclx {name}"] = (lambda k=kind, n=numbers, f=same: write_heif(as_stored(p, f), k, n)), False
    found["PNG, cICP P3"] = (lambda: with_chunk(coded(as_stored(p, p3), "PNG"), b"cICP", bytes([12, 13, 0, 1]))), False
    found["PNG, gAMA 1.0"] = (
        lambda: with_chunk(coded(as_stored(p, PROFILES["linear, named sRGB"]), "PNG"), b"gAMA", struct.pack(">I", 100000))
    ), False
    adobe = struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
    found["PNG, gAMA and cHRM of Adobe RGB"] = (
        lambda: with_chunk(with_chunk(coded(as_stored(p, PROFILES["Adobe RGB"]), "PNG"), b"cHRM", adobe), b"gAMA", struct.pack(">I", 45470))
    ), False
    found["JPEG, R03"] = (lambda: r03(p)), False
    for name, curve in GREYS.items():
        grey = cp.grey_profile(curve)
        found[f"grey PNG, {name}"] = (lambda f=grey: coded(as_stored(grey_of(p), f), "PNG", icc_profile=f)), True
    g18, linear = cp.grey_profile(cp.gamma(1.8)), PROFILES["linear, named sRGB"]
    found["grey JPEG, 1.8"] = (lambda: jpeg(as_stored(grey_of(p), g18), icc_profile=g18)), True
    found["grey PNG with alpha, 1.8"] = (
        lambda: coded(Image.merge("LA", [as_stored(grey_of(p), g18), Image.new("L", p.size, 255)]), "PNG", icc_profile=g18)
    ), True
    found["grey TIFF of 16 bits, 1.8"] = (lambda: tiff(deep(as_stored(grey_of(p), g18)), photometric="minisblack", iccprofile=g18)), True
    found["grey PNG, P3"] = (lambda: coded(as_stored(grey_of(p), p3).getchannel("G"), "PNG", icc_profile=p3)), True
    found["grey PNG, linear RGB"] = (lambda: coded(as_stored(grey_of(p), linear).getchannel("G"), "PNG", icc_profile=linear)), True
    printer = cp.cmyk_profile(inks)
    found["CMYK JPEG"] = (lambda: jpeg(p.convert("CMYK"))), False
    found["CMYK TIFF"] = (lambda: coded(p.convert("CMYK"), "TIFF")), False
    found["CMYK JPEG, profile"] = (lambda: jpeg(p.convert("CMYK"), icc_profile=printer)), False
    found["CMYK TIFF, profile"] = (lambda: coded(p.convert("CMYK"), "TIFF", icc_profile=printer)), False
    found["CMYK TIFF of 16 bits, profile"] = (lambda: tiff(deep(p.convert("CMYK")), photometric="separated", iccprofile=printer)), False
    found["RGB PNG of 16 bits"] = (lambda: png16(deep(p))), False
    found["grey PNG of 16 bits"] = (lambda: png16(deep(grey_of(p).getchannel("R")))), True
    found["grey PNG of 16 bits with alpha"] = (lambda: png16(deep(Image.merge("LA", [p.convert("L"), Image.new("L", p.size, 255)])))), True
    for order in "<>":
        for compression in (None, "lzw", "deflate"):
            options: dict[str, Any] = {"photometric": "rgb", "byteorder": order, "compression": compression}
            name = f"TIFF of 16 bits, {order} {compression}"
            found[f"RGB {name}"] = (lambda o=options: tiff(deep(p), **o)), False
            found[f"RGB {name}, planes"] = (lambda o=options: tiff(planes(deep(p)), planarconfig="separate", **o)), False
            white = options | {"photometric": "miniswhite"}
            found[f"min is white, {name}"] = (lambda o=white: tiff(65535 - deep(p.convert("L")), **o)), True
    return found


@pytest.mark.parametrize("kind", kinds())
def test_colours(kind: str) -> None:
    make, grey = kinds()[kind]
    wanted = grey_of(picture()) if grey else picture()
    if kind.startswith("palette"):
        wanted = picture().quantize(64).convert("RGB")
    error = distance(open_photo(make()).pixels, wanted)
    bar = 4 if "JPEG" in kind else 2
    if "linear" in kind or "1.0" in kind:
        bar = 4  # 8 bits of linear light have few steps in the dark
    assert error < bar, (kind, error)


def test_forty_kinds() -> None:
    assert len(kinds()) >= 40


# -- high dynamic range: an SDR picture at the reference white of ITU-R BT.2408 comes back as it was ----------------------------------


def pq(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    y = (nits / 10000) ** (2610 / 16384)
    return np.asarray(((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32))


def hlg(nits: NDArray[np.float64], luminance: NDArray[np.float64]) -> NDArray[np.float64]:
    """ITU-R BT.2100, tables 5: the inverse of the OOTF of a screen of 1000 cd/m2, and the OETF."""
    scene_light = nits / 1000 * (np.maximum(luminance, 1e-9) / 1000) ** (1 / 1.2 - 1)
    bright = 0.17883277 * np.log(np.maximum(12 * scene_light - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene_light <= 1 / 12, np.sqrt(3 * scene_light), bright)


def hdr(image: Image.Image, kind: str, boost: float = 1.0) -> Image.Image:
    """A picture in BT.2020 with PQ or HLG, sRGB's white at 203 cd/m2 times `boost`."""
    x, y = (np.array([cp.SRGB, cp.BT2020])[:, i::2] for i in (0, 1))
    xyz = np.stack([x / y, np.ones((2, 4)), (1 - x - y) / y], 1)
    to_xyz = [m[:, :3] * np.linalg.solve(m[:, :3], m[:, 3]) for m in xyz]
    light = cp.srgb_curve(np.asarray(image) / 255.0) @ (np.linalg.inv(to_xyz[1]) @ to_xyz[0]).T * 203 * boost
    light = light.clip(0, 1000)
    values = pq(light) if kind == "PQ" else hlg(light, (light @ to_xyz[1][1])[..., None])
    return Image.fromarray(np.rint(values.clip(0, 1) * 255).astype(np.uint8))


NUMBERS = {"PQ": (9, 16), "HLG": (9, 18)}


@pytest.mark.parametrize("kind", ["AVIF", "HEIF", "PNG"])
@pytest.mark.parametrize("transfer", ["PQ", "HLG"])
def test_high_dynamic_range_is_shown_for_an_sdr_screen(kind: str, transfer: str) -> None:
    p = picture()
    opened = []
    for boost in (1.0, 4.0):
        stored = hdr(p, transfer, boost)
        if kind == "PNG":
            data = with_chunk(coded(stored, "PNG"), b"cICP", bytes([*NUMBERS[transfer], 0, 1]))
        else:
            data = write_heif(stored, kind, nclx(*NUMBERS[transfer]))
        opened.append(open_photo(data).pixels)
    assert distance(opened[0], p) < 5  # a step of 8 bits of PQ is three of sRGB
    # four times as bright: brighter, but nothing is lost: the order of greys stays, and only the brightest pixels are white
    assert 10 < opened[1].mean() - opened[0].mean() < 110
    before, after = opened[0].max(axis=2).ravel().astype(float), opened[1].max(axis=2).ravel().astype(float)
    assert before[after == 255].min(initial=255) >= 0.97 * before.max()
    assert spearmanr(before, after).statistic > 0.9


def test_a_profile_of_high_dynamic_range_is_known_by_its_cicp_tag() -> None:
    profile = cp.profile(b"RGB ", b"XYZ ", "Rec2100 PQ", {"cicp": b"cicp" + bytes(4) + bytes([9, 16, 0, 1])})
    assert distance(open_photo(coded(hdr(picture(), "PQ"), "PNG", icc_profile=profile)).pixels, picture()) < 5


@pytest.mark.parametrize("kind", ["JPEG", "AVIF"])
def test_a_gain_map_leaves_its_base_picture(kind: str) -> None:
    """A photo with a gain map is an SDR photo with a second picture: Ultra HDR appends it to the JPEG."""
    p = picture()
    if kind == "JPEG":
        data = jpeg(p) + jpeg(Image.new("L", (48, 32), 128))
    else:
        data = write_heif(p, "AVIF", nclx(1, 13), xmp=b"<x hdrgm:Version='1.0'/>")
    assert distance(open_photo(data).pixels, p) < 4


@pytest.mark.parametrize("primaries", [1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22])
def test_white_and_black_stay(primaries: int) -> None:
    for transfer in (1, 4, 5, 6, 7, 8, 13, 14, 15):
        grey = Image.fromarray(np.repeat(np.array([0, 255], np.uint8), 3).reshape(1, 2, 3))
        done = np.asarray(convert(grey, of_cicp(primaries, transfer))).astype(int)
        assert np.abs(done - [[[0, 0, 0], [255, 255, 255]]]).max() <= 1, (primaries, transfer, done)


def test_unknown_numbers_change_nothing() -> None:
    for numbers in ((2, 2), (0, 0), (255, 255), (1, 13)):
        assert distance(open_photo(with_chunk(coded(picture(), "PNG"), b"cICP", bytes([*numbers, 0, 1]))).pixels, picture()) <= 1


@pytest.mark.parametrize("name", ["gimp_linear_srgb", "linear_rec709", "gray_gamma18"])
def test_cases_of_profiles(name: str) -> None:
    path = SHARED / "cases" / "colour" / f"{name}.jpg"
    if not path.exists():
        pytest.skip("needs ../shared/cases")
    photo = open_photo(path.read_bytes())
    with Image.open(SHARED / "data" / "album" / "bbt" / "bbt1.jpg") as whole:
        wanted = whole.convert("RGB").resize((photo.width, photo.height), Image.Resampling.LANCZOS)
    assert distance(photo.pixels, grey_of(wanted) if "gray" in name else wanted) < 4


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "L", "RGB", "CMYK"])
def test_reducing_some_rows_at_a_time_gives_the_same_pixels(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    picture = Image.fromarray(rng.integers(0, 256, (101, 67, 4), dtype=np.uint8)).convert("RGB" if mode == "P" else "RGBA").convert(mode)
    target = {"P": "RGB", "1": "L"}.get(mode, mode)
    whole = picture.convert(target).reduce(3)
    monkeypatch.setattr(colours, "_AT_ONCE", 67 * 7)
    assert colours._reduce(picture, target, 3).tobytes() == whole.tobytes()


@pytest.mark.parametrize("kind", ["u2", "i4", "f4"])
def test_grey_values_are_scaled_alike_in_bands(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    for low, high in ((0, 1), (0, 1000), (-50, 70_000), (0, 60_000)):
        values = (low + (high - low) * rng.random((40, 30))).astype(kind)
        if kind == "f4":
            values[3, 4], values[20, 2] = np.nan, np.inf
        whole = colours._to_8_bits(values)
        with monkeypatch.context() as m:
            m.setattr(colours, "_AT_ONCE", 90)
            assert np.array_equal(colours._to_8_bits(values), whole)
