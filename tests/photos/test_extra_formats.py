"""RAW, JPEG XL and JPEG 2000: opened right where their packages are, named where they are not."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import need, needs
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps
from raw_files import dng

from facecluster.errors import PhotoError
from facecluster.photos import extras
from facecluster.photos.images import Photo, open_photo
from facecluster.photos.raw import is_raw

Pixels = NDArray[np.uint8]


def drawn(width: int = 480, height: int = 320) -> Pixels:
    """Four quarters of different colours: red, green, blue, grey."""
    picture = np.full((height, width, 3), 60, np.uint8)
    picture[: height // 2, : width // 2] = (200, 30, 30)
    picture[: height // 2, width // 2 :] = (30, 200, 30)
    picture[height // 2 :, : width // 2] = (30, 30, 200)
    return picture


def coded(picture: Pixels, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, kind, **options)
    return out.getvalue()


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x0132] = orientation, "2024:05:06 07:08:09"
    return exif


def upright(picture: Pixels, orientation: int) -> Pixels:
    """What Pillow makes of a picture of this orientation."""
    image = Image.open(io.BytesIO(coded(picture, "PNG", exif=with_orientation(orientation))))
    return np.asarray(ImageOps.exif_transpose(image))


def error(a: Pixels, b: Pixels) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b).mean())


def facts(photo: Photo) -> tuple[str, int, int, int, str]:
    return photo.format, photo.width, photo.height, photo.orientation, str(photo.taken_at)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("with_preview", [True, False])
def test_raw_is_upright(orientation: int, with_preview: bool) -> None:
    """A preview of half the sensor's size is used; without one, the photo is developed, and LibRaw's own turning is the judge."""
    rawpy = needs("rawpy")
    picture = drawn()
    preview = Image.fromarray(picture[::2, ::2]) if with_preview else None
    data = dng(picture, preview=preview, orientation=orientation)
    photo = open_photo(data)
    width, height = (480, 320) if orientation < 5 else (320, 480)
    assert facts(photo) == ("RAW", width, height, orientation, "2024-05-06 07:08:09")
    assert photo.scale == .5 and photo.pixels.shape[:2] == (height // 2, width // 2)
    if with_preview:
        assert error(photo.pixels, upright(picture[::2, ::2], orientation)) < 3
    else:
        with rawpy.imread(io.BytesIO(data)) as raw:
            assert error(photo.pixels, raw.postprocess(half_size=True, use_camera_wb=True)) < 1


def test_raw_whose_preview_is_too_small_is_developed() -> None:
    needs("rawpy")
    picture = drawn()
    grey = Image.new("RGB", (160, 106), "grey")
    assert np.ptp(open_photo(dng(picture, preview=grey)).pixels) > 200


def test_raw_whose_preview_is_upright_already() -> None:
    needs("rawpy")
    picture = drawn()
    turned = upright(picture, 6)
    photo = open_photo(dng(picture, preview=Image.fromarray(turned), orientation=6))
    assert facts(photo)[:3] == ("RAW", 320, 480) and error(photo.pixels, turned) < 3


def test_what_is_raw() -> None:
    assert is_raw(dng(drawn()))
    assert is_raw(dng(drawn(), preview=Image.new("RGB", (64, 48))))
    for start in (b"II*\0\x10\0\0\0CR\2\0", b"\0\0\0\x18ftypcrx ", b"FUJIFILMCCD-RAW 0201", b"IIRO\x08\0\0\0", b"IIU\0\x18\0\0\0"):
        assert is_raw(start + bytes(100))
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "BMP"):
        assert not is_raw(coded(drawn(), kind))
    assert not is_raw(b"") and not is_raw(b"II*\0") and not is_raw(b"MM\0*\xff\xff\xff\xff")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jxl_is_upright(orientation: int) -> None:
    """JPEG XL that was packed from a JPEG without loss: as the JPEG is read."""
    jxl = needs("pylibjxl")
    data = coded(drawn(), "JPEG", exif=with_orientation(orientation), quality=95)
    photo, jpeg = open_photo(jxl.jpeg_to_jxl(data)), open_photo(data)
    assert facts(photo)[1:] == facts(jpeg)[1:] and photo.format == "JXL"
    assert error(photo.pixels, jpeg.pixels) < 1 and error(photo.pixels, upright(drawn(), orientation)) < 3


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_jxl_channels_and_reducing(channels: int) -> None:
    jxl = needs("pylibjxl")
    picture = np.dstack([drawn(), np.full((320, 480), 255, np.uint8)])[..., :channels]
    photo = open_photo(jxl.encode(np.ascontiguousarray(picture), lossless=True), max_side=240)
    expected = np.asarray(Image.fromarray(picture.squeeze()).convert("RGB").resize((240, 160), Image.Resampling.LANCZOS))
    assert (photo.width, photo.height, photo.scale) == (480, 320, .5) and error(photo.pixels, expected) < 1


def profile() -> bytes:
    """A colour profile that is not sRGB: its red is sRGB's green, and its green sRGB's red."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(data[i : i + 4]): int.from_bytes(data[i + 4 : i + 8]) for i in range(132, 132 + 12 * int.from_bytes(data[128:132]), 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]  # red and green change places
    data[red + 8 : red + 20], data[green + 8 : green + 20] = data[green + 8 : green + 20], data[red + 8 : red + 20]
    return bytes(data).replace(b"s\0R\0G\0B", b"s\0G\0R\0B")


@pytest.mark.parametrize("kind", ["jxl", "jpeg 2000"])
def test_profiles_are_applied(kind: str) -> None:
    icc = profile()
    if kind == "jxl":
        data = needs("pylibjxl").encode(drawn(), lossless=True, icc=icc)
    else:
        plain = coded(drawn(), "JPEG2000")
        at = plain.index(b"colr") - 4
        box = (len(icc) + 11).to_bytes(4) + b"colr\2\0\0" + icc
        grown = len(box) - int.from_bytes(plain[at : at + 4])
        header = plain.index(b"jp2h") - 4
        length = (int.from_bytes(plain[header : header + 4]) + grown).to_bytes(4)
        data = plain[:header] + length + plain[header + 4 : at] + box + plain[at + int.from_bytes(plain[at : at + 4]) :]
    found = open_photo(data).pixels
    assert error(found, drawn()[..., [1, 0, 2]]) < 4 < error(found, drawn())


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("resolutions", [1, 2, 6])
def test_jpeg_2000(mode: str, resolutions: int) -> None:
    """Pictures that can be halved once, five times and never come out at the size asked for."""
    image = Image.fromarray(drawn()).convert(mode)
    out = io.BytesIO()
    image.save(out, "JPEG2000", num_resolutions=resolutions)
    photo = open_photo(out.getvalue(), max_side=120)
    expected = np.asarray(image.convert("RGB").resize((120, 80), Image.Resampling.LANCZOS))
    assert facts(photo)[:3] == ("JPEG2000", 480, 320) and photo.scale == .25 and error(photo.pixels, expected) < 2


def test_a_bare_jpeg_2000_codestream_and_exif() -> None:
    assert error(open_photo(coded(drawn(), "JPEG2000", no_jp2=True)).pixels, drawn()) < 1
    exif = with_orientation(6).tobytes().removeprefix(b"Exif\0\0")
    plain = coded(drawn(), "JPEG2000")
    at = plain.index(b"jp2c") - 4
    box = (len(exif) + 24).to_bytes(4) + b"uuidJpgTiffExif->JP2" + exif
    photo = open_photo(plain[:at] + box + plain[at:])
    assert facts(photo) == ("JPEG2000", 320, 480, 6, "2024-05-06 07:08:09")


@pytest.mark.parametrize(("tags", "orientation"), [
    (["XMP-tiff:Orientation=6"], 6), (["IFD0:Orientation=8"], 8), (["XMP-tiff:Orientation=6", "IFD0:Orientation=3"], 3), ([], 1),
])  # fmt: skip
def test_the_orientation_of_jpeg_2000_that_exiftool_writes(tags: list[str], orientation: int, tmp_path: Path) -> None:
    """In XMP, in EXIF, or in both: then EXIF's counts. The boxes lie at the end of the file, here behind a megabyte of others."""
    need(shutil.which("exiftool") is not None, "exiftool")
    path = tmp_path / "a.jp2"
    path.write_bytes(coded(drawn(), "JPEG2000") + (2**20 + 8).to_bytes(4) + b"free" + bytes(2**20))
    if tags:
        subprocess.run(["exiftool", "-q", "-n", "-overwrite_original", *(f"-{tag}" for tag in tags), str(path)], check=True)
    photo = open_photo(path.read_bytes())
    assert photo.orientation == orientation and (photo.width < photo.height) == (orientation >= 5)


@pytest.mark.parametrize("kind", ["raw", "jxl", "jpeg 2000"])
def test_damaged_files_are_errors(kind: str) -> None:
    """Random damage and cuts: a photo, or a PhotoError of one line."""
    if kind == "raw":
        needs("rawpy")
        whole = dng(drawn(96, 64), preview=Image.fromarray(drawn(48, 32)))
    elif kind == "jxl":
        whole = needs("pylibjxl").encode(drawn(96, 64))
    else:
        whole = coded(drawn(96, 64), "JPEG2000")
    rng = random.Random(13)
    errors = 0
    for _ in range(150):
        data = bytearray(whole[: rng.randrange(1, len(whole))] if rng.random() < .3 else whole)
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(min(len(data), 800))] = rng.randrange(256)
        try:
            open_photo(bytes(data))
        except PhotoError as e:
            errors += 1
            assert "\n" not in str(e)
    assert errors > 10


@pytest.mark.parametrize("extra", [extras.RAW, extras.JXL])
def test_a_missing_package_is_named(extra: extras.Extra, monkeypatch: pytest.MonkeyPatch) -> None:
    data = dng(drawn(96, 64)) if extra is extras.RAW else b"\xff\x0a" + bytes(50)
    monkeypatch.setitem(sys.modules, extra.module, None)
    monkeypatch.setattr("facecluster.photos.images.is_bounded", lambda data: True)  # another process would have the package
    with pytest.raises(PhotoError, match=rf"pip install 'facecluster\[{extra.name}\]'"):
        open_photo(data)
