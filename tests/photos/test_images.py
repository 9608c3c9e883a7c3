"""Photos of every format, made here, against the pixels that they were made from."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageFilter

from facecluster.errors import InputError, PhotoError, StoreError
from facecluster.photos import images
from facecluster.photos.fingerprint import grey_thumbnail
from facecluster.photos.images import content_id, decode_crop, encode_crop, local_path, open_here, open_photo, read_file
from facecluster.photos.listing import find_files
from facecluster.photos.picture_hashes import phash

HEIC = Path(__file__).parent / "data" / "gradient.heic"
FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "BMP"]


def gradient(width: int = 160, height: int = 120) -> Image.Image:
    """Red grows to the right, green downwards, blue is 128: every rotation and reflection gives another picture."""
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([x * 255 / (width - 1), y * 255 / (height - 1), 128 + 0 * x], axis=-1).astype(np.uint8))


def coded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def distance(a: NDArray[Any], b: NDArray[Any] | Image.Image) -> float:
    """Mean absolute difference, 0 to 255."""
    assert a.shape == np.asarray(b).shape
    return float(np.abs(a.astype(float) - np.asarray(b).astype(float)).mean())


def scene(seed: int, width: int = 640, height: int = 480) -> Image.Image:
    """Coloured blobs in place of a photo."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), tuple(rng.integers(0, 255, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(25):
        x, y, r = int(rng.integers(0, width)), int(rng.integers(0, height)), int(rng.integers(10, 150))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(rng.integers(0, 255, 3)))
    return image.filter(ImageFilter.GaussianBlur(3))


@pytest.mark.parametrize("kind", FORMATS)
def test_formats(kind: str) -> None:
    photo = open_photo(coded(gradient(), kind))
    assert (photo.width, photo.height, photo.scale, photo.format, photo.orientation, photo.taken_at) == (160, 120, 1.0, kind, 1, None)
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.flags.writeable
    assert distance(photo.pixels, gradient()) < (12 if kind == "GIF" else 3)


def test_heic_is_rotated_once() -> None:
    """The file states its rotation twice, in its own `irot` and in EXIF, as files of phones do."""
    photo = open_photo(HEIC.read_bytes())
    assert (photo.width, photo.height, photo.format, photo.orientation) == (160, 120, "HEIF", 6)
    assert photo.taken_at == datetime(2021, 5, 6, 7, 8, 9)
    assert distance(photo.pixels, gradient()) < 4


# The stored picture of each EXIF orientation, as an index into the upright one: an independent version of EXIF's table.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(kind: str, orientation: int) -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(gradient()))))
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = open_photo(coded(stored, kind, exif=exif), max_side=80)
    assert (photo.width, photo.height, photo.orientation) == (160, 120, orientation)
    assert photo.scale == 0.5
    assert distance(photo.pixels, gradient().resize((80, 60), Image.Resampling.BOX)) < 4


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({0x9003: "2021:05:06 07:08:09", 0x9004: "2022:01:01 00:00:00"}, datetime(2021, 5, 6, 7, 8, 9)),
        ({0x9003: "    :  :     :  :  ", 0x9004: "2022:01:02 03:04:05"}, datetime(2022, 1, 2, 3, 4, 5)),
        ({0x0132: "2020-02-29 23:59:59"}, datetime(2020, 2, 29, 23, 59, 59)),
        ({0x9003: "0000:00:00 00:00:00"}, None),
        ({0x9003: "2021:02:30 07:08:09"}, None),
        ({0x9003: "last summer", 0x0132: "\x00"}, None),
    ],
)
def test_taken_at(tags: dict[int, str], expected: datetime | None) -> None:
    exif = Image.Exif()
    for tag, value in tags.items():
        (exif if tag == 0x0132 else exif.get_ifd(0x8769))[tag] = value
    assert open_photo(coded(gradient(), "JPEG", exif=exif)).taken_at == expected


@given(st.binary(max_size=80))
@settings(deadline=None, max_examples=100)
def test_corrupt_exif_fails_no_photo(junk: bytes) -> None:
    for exif in (b"Exif\0\0II*\0\x08\0\0\0" + junk, b"Exif\0\0" + junk):
        photo = open_photo(coded(gradient(), "JPEG", exif=exif))
        assert 1 <= photo.orientation <= 8
        assert {photo.width, photo.height} == {160, 120}


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientation_out_of_bounds(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert open_photo(coded(gradient(), "JPEG", exif=exif)).orientation == 1


@pytest.mark.parametrize(("size", "max_side"), [((1000, 700), 300), ((1000, 700), 999), ((333, 1001), 250), ((50, 40), 100)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_reduced(kind: str, size: tuple[int, int], max_side: int) -> None:
    picture = gradient(*size)
    photo = open_photo(coded(picture, kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {})), max_side=max_side)
    share = min(1.0, max_side / max(size))
    w, h = (max(1, round(n * share)) for n in size)
    assert photo.pixels.shape == (h, w, 3)
    assert (photo.width, photo.height) == size
    assert photo.scale == pytest.approx(share)
    assert distance(photo.pixels, picture.resize((w, h), Image.Resampling.BOX)) < 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_thin_photo(kind: str) -> None:
    """A side has at least 1 px."""
    photo = open_photo(coded(gradient(5000, 3), kind), max_side=100)
    assert (photo.pixels.shape, photo.width, photo.height) == ((1, 100, 3), 5000, 3)


def test_jpeg_is_decoded_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A JPEG with 16 times the requested pixels is never in memory at full size."""
    sizes = []
    core: Any = vars(Image)["core"]  # Pillow's C module, which allocates the memory of every picture
    prepare = core.new

    def new(mode: str, size: tuple[int, int]) -> Any:
        sizes.append(size)
        return prepare(mode, size)

    data = coded(gradient(1600, 1200), "JPEG")
    monkeypatch.setattr(core, "new", new)
    open_photo(data, max_side=400)
    assert sizes
    assert max(sizes) == (400, 300)


def test_cmyk() -> None:
    """Inks are inverted in files with Adobe's marker, and not in others."""
    inks = gradient().convert("CMYK")
    data = coded(inks, "JPEG", quality=95)
    assert b"Adobe" in data
    assert distance(open_photo(data).pixels, gradient()) < 4
    plain = coded(ImageChops.invert(inks), "JPEG", quality=95)
    start = plain.index(b"\xff\xee")
    plain = plain[:start] + plain[start + 2 + int.from_bytes(plain[start + 2 : start + 4]) :]
    assert b"Adobe" not in plain
    assert distance(open_photo(plain).pixels, gradient()) < 4
    assert distance(open_photo(coded(inks, "TIFF")).pixels, gradient()) < 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_16_bits(kind: str, bits: int) -> None:
    ramp = np.linspace(0, 2**bits - 1, 256).round().astype(np.uint16).reshape(16, 16)
    grey = open_photo(coded(Image.fromarray(ramp), kind)).pixels
    assert np.abs(grey.astype(int) - np.arange(256).reshape(16, 16, 1)).max() <= 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.linspace(0, 1, 256, dtype=np.float32), np.arange(256)),
        (np.linspace(0, 65535, 256, dtype=np.float32), np.arange(256)),
        (np.linspace(-2, 3, 256, dtype=np.float32), np.arange(256)),
        (np.linspace(0, 2**30, 256).astype(np.int32), np.arange(256)),
        (np.zeros(256, dtype=np.float32), np.zeros(256)),
        (np.full(256, np.nan, dtype=np.float32), np.zeros(256)),
    ],
)
def test_32_bits(values: NDArray[Any], expected: NDArray[Any]) -> None:
    grey = open_photo(coded(Image.fromarray(values.reshape(16, 16)), "TIFF")).pixels
    assert np.abs(grey.reshape(256, 3) - expected[:, None]).max() <= 1


def test_palettes_grey_and_transparency() -> None:
    picture = gradient()
    assert distance(open_photo(coded(picture.quantize(256), "PNG")).pixels, picture.quantize(256).convert("RGB")) == 0
    grey = picture.convert("L")
    assert distance(open_photo(coded(grey, "JPEG", quality=95)).pixels, grey.convert("RGB")) < 2
    assert distance(open_photo(coded(grey.convert("1"), "TIFF")).pixels, grey.convert("1").convert("RGB")) == 0
    half = picture.copy()
    half.putalpha(Image.linear_gradient("L").resize(picture.size))
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=half.getchannel("A"))
    for kind in ("PNG", "WEBP", "TIFF"):
        assert distance(open_photo(coded(half, kind, **({"lossless": True} if kind == "WEBP" else {}))).pixels, white) < 1
    see_through = Image.new("P", (8, 8), 3)
    see_through.putpalette([0, 0, 0] * 256)
    assert (open_photo(coded(see_through, "GIF", transparency=3)).pixels == 255).all()
    assert (open_photo(coded(see_through, "PNG", transparency=3)).pixels == 255).all()
    assert (open_photo(coded(Image.new("RGB", (8, 8), "blue"), "PNG", transparency=(0, 0, 255))).pixels == 255).all()
    assert (open_photo(coded(Image.new("LA", (8, 8), (0, 0)), "PNG")).pixels == 255).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_animations_give_their_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (32, 24), c) for c in ("red", "lime", "blue")]
    photo = open_photo(coded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert distance(photo.pixels, frames[0]) < 4


def test_colour_profile() -> None:
    """A profile with swapped red and blue must swap them back; a damaged profile, or one for another colour space, changes nothing."""
    picture = gradient()
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132])
    tags = {bytes(profile[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    profile = profile.replace("sRGB".encode("utf-16-be"), "XXXX".encode("utf-16-be"))
    photo = open_photo(coded(picture, "PNG", icc_profile=bytes(profile)))
    assert distance(photo.pixels, np.asarray(picture)[:, :, ::-1]) < 3
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for other in (srgb, b"junk", bytes(profile)[:200]):
        assert distance(open_photo(coded(picture, "PNG", icc_profile=other)).pixels, picture) == 0
    assert distance(open_photo(coded(picture.convert("CMYK"), "TIFF", icc_profile=bytes(profile))).pixels, picture) < 1


# -- unusable files -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\0", "something else"),
        (b"Dear diary, today I took no photo.\n" * 100, "something else"),
        (b"<html><body>404</body></html>", "something else"),
        (b"%PDF-1.4\n", "something else"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "AVIF"),
        (b"BM", "BMP"),
    ],
)
def test_no_photo(data: bytes, reason: str) -> None:
    with pytest.raises(PhotoError, match=reason) as caught:
        open_photo(data)
    assert "\n" not in str(caught.value)


WHOLE = {kind: coded(scene(1, 96, 64), kind) for kind in FORMATS} | {"HEIF": HEIC.read_bytes()}
WHOLE["progressive"] = coded(scene(1, 96, 64), "JPEG", progressive=True)
WHOLE["LZW"] = coded(scene(1, 96, 64), "TIFF", compression="tiff_lzw")


@pytest.mark.parametrize("kind", sorted(WHOLE))
@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9])
def test_truncated(kind: str, share: float) -> None:
    data = WHOLE[kind]
    with pytest.raises(PhotoError) as caught:
        open_photo(data[: int(len(data) * share)])
    assert "\n" not in str(caught.value)


@given(st.sampled_from(sorted(WHOLE)), st.data())
@settings(deadline=None, max_examples=400)
def test_damage_raises_nothing_but_photo_error(kind: str, choose: st.DataObject) -> None:
    data = bytearray(WHOLE[kind])
    for _ in range(choose.draw(st.integers(0, 8))):
        # half of the damage is in the header, with sizes and tables
        last = choose.draw(st.sampled_from([min(200, len(data)), len(data)])) - 1
        data[choose.draw(st.integers(0, last))] = choose.draw(st.integers(0, 255))
    cut = bytes(data[: choose.draw(st.integers(0, len(data)))]) if choose.draw(st.booleans()) else bytes(data)
    try:
        photo = open_photo(cut, max_side=64)
    except PhotoError as e:
        assert "\n" not in str(e)
    else:
        assert max(photo.pixels.shape[:2]) <= 64
        assert photo.pixels.shape[2] == 3


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header claims any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int, *, progressive: bool = False) -> bytes:
    """A JPEG whose header claims another size than it has."""
    data = bytearray(coded(gradient(16, 16), "JPEG", progressive=progressive))
    at = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [png_of(60000, 60000), png_of(20000, 10001), jpeg_of(65000, 65000), jpeg_of(20000, 20000, progressive=True)],
    ids=["png", "png just above", "jpeg", "progressive jpeg"],
)
def test_bombs(data: bytes) -> None:
    with pytest.raises(PhotoError, match="at most .* megapixels, found one of"):
        open_photo(data)


def test_large_photos_are_opened() -> None:
    """Above the size at which Pillow warns (89 megapixels), and above the size that it refuses (179)."""
    flat = Image.new("L", (16000, 12000), 77)
    photo = open_photo(coded(flat, "JPEG", quality=10), max_side=500)
    assert (photo.width, photo.height, photo.pixels.shape) == (16000, 12000, (375, 500, 3))
    assert np.abs(photo.pixels.astype(int) - 77).max() <= 1
    photo = open_photo(coded(Image.new("1", (10000, 9500)), "PNG"), max_side=500)
    assert photo.pixels.shape == (475, 500, 3)


def test_warnings_are_silenced_and_filters_restored() -> None:
    """Pillow warns about corrupt EXIF. All threads share one list of filters: after many threads it must be unchanged."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01"
    data = coded(gradient(), "JPEG", exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="EXIF"):
            Image.open(io.BytesIO(data)).getexif()
        before = list(warnings.filters)
        with ThreadPoolExecutor(8) as pool:
            photos = list(pool.map(lambda _: open_photo(data), range(100)))
        assert {p.orientation for p in photos} == {1}
        assert list(warnings.filters) == before


# -- hashes, crops, files -------------------------------------------------------------------------------------------------------------


def test_content_id() -> None:
    assert content_id(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1


def test_phash() -> None:
    """A resized and re-encoded copy differs in a few bits, another picture in many."""
    hashes = []
    for seed in range(12):
        image = scene(seed)
        first = phash(np.asarray(image))
        assert 0 <= first < 2**64
        small = open_photo(coded(image, "JPEG", quality=60), max_side=200)
        assert (first ^ phash(small.pixels)).bit_count() <= 4
        assert (first ^ phash(np.asarray(image.resize((500, 301))))).bit_count() <= 4
        hashes.append(first)
    apart = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) >= 14
    assert phash(np.full((40, 50, 3), 9, np.uint8)) == phash(np.full((400, 30, 3), 200, np.uint8))


def test_phash_is_a_dct() -> None:
    """Against scipy's DCT."""
    fft = pytest.importorskip("scipy.fft")
    pixels = np.asarray(scene(5, 32, 32))
    low = fft.dctn(np.asarray(Image.fromarray(pixels).convert("L"), float))[1:9, 1:9].ravel()
    assert [int(b) for b in f"{phash(pixels):064b}"] == (low > np.median(low)).astype(int).tolist()


def test_crops() -> None:
    crop = np.asarray(scene(3).resize((112, 112)))
    data = encode_crop(crop)
    assert data == encode_crop(crop)
    assert len(data) < crop.nbytes / 8
    back = decode_crop(data)
    assert back.dtype == np.uint8
    assert distance(np.asarray(Image.fromarray(back).convert("L")), Image.fromarray(crop).convert("L")) < 2.5


def test_read_file(tmp_path: Path) -> None:
    odd = tmp_path / "a b\n'\"<script>\U0001f600 100%.jpg"
    odd.write_bytes(b"1")
    assert read_file(str(odd)) == b"1"
    raw = bytes(tmp_path) + b"/caf\xe9 100%.jpg"
    Path(raw.decode(errors="surrogateescape")).write_bytes(b"2")
    assert read_file("file://" + str(tmp_path) + "/caf%E9%20100%25.jpg") == b"2"
    assert local_path("s3://bucket/a") is None
    assert local_path("/photos/s3://a") == "/photos/s3://a"


def test_read_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "gone.jpg")
    for name, reason in [("broken.jpg", "broken link"), ("none.jpg", "found no file"), ("", "not a file")]:
        with pytest.raises(PhotoError, match=reason):
            read_file(str(tmp_path / name))
    with pytest.raises(PhotoError, match="expected"):
        read_file("memory://none.jpg")
    with pytest.raises(PhotoError, match="found nosuchscheme"):
        read_file("nosuchscheme://none.jpg")


@pytest.mark.parametrize("kind", ["EPS", "GIF", "TIFF", "BMP", "PPM", "text", "large", "cut"])
def test_a_picture_in_a_store_starts_no_program_and_is_small(kind: str) -> None:
    """A crop that is PostScript would start Ghostscript."""
    out = io.BytesIO()
    image = Image.new("RGB", (5000, 4) if kind == "large" else (112, 112), "grey")
    image.save(out, "WEBP" if kind in ("text", "large", "cut") else kind)
    data = {"text": b"no picture", "cut": out.getvalue()[:40]}.get(kind, out.getvalue())
    with pytest.raises(StoreError, match="expected a picture"):
        decode_crop(data)
    with pytest.raises(StoreError, match="expected a picture"):
        grey_thumbnail(data)


def test_an_avif_may_have_fewer_pixels_than_others(monkeypatch: pytest.MonkeyPatch) -> None:
    files = []
    for kind in ("AVIF", "PNG"):
        out = io.BytesIO()
        Image.new("RGB", (64, 48), "grey").save(out, kind)
        files.append(out.getvalue())
    options: dict[str, Any] = {"max_side": 1600, "min_short": 0, "exact": True, "orientation": None}
    assert images.MAX_PIXELS_AVIF * 17 < 1.4e9 and open_here(files[0], **options).width == 64
    monkeypatch.setattr(images, "MAX_PIXELS_AVIF", 3071)
    with pytest.raises(PhotoError, match="megapixels, found one of 64 x 48"):
        open_here(files[0], **options)
    assert open_here(files[1], **options).width == 64


@pytest.mark.parametrize("side", [10_000, 16_383])
def test_a_picture_in_a_store_that_claims_many_pixels_is_one_line(side: int) -> None:
    """Pillow warns of the first, and raises an error of its own for the second."""
    out = io.BytesIO()
    Image.new("RGB", (16, 16), "grey").save(out, "WEBP", quality=90)
    data = bytearray(out.getvalue())
    at = data.index(b"\x9d\x01\x2a") + 3
    data[at : at + 4] = side.to_bytes(2, "little") * 2
    with pytest.raises(StoreError, match="expected a picture"):
        decode_crop(bytes(data))


@pytest.mark.parametrize("uri", ["ftp://host/a.jpg", "sftp://host/a.jpg", "smb://host/a.jpg", "github://a:b@c/d.jpg", "tar://host/a.jpg"])
def test_a_place_that_a_strangers_store_names_is_not_connected_to(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def connected(*_: object, **__: object) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr("socket.create_connection", connected)
    monkeypatch.setattr("fsspec.get_filesystem_class", connected)
    with pytest.raises(PhotoError, match="copy the photos to this machine"):
        read_file(uri)
    with pytest.raises(InputError, match="copy the photos to this machine"):
        list(find_files([uri]))
