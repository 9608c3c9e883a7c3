"""What pixels tell of their past, against what was done to them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from dedup_photos import coded, scaled, scene
from PIL import Image

from facecluster.dedup.pixel_traces import Trace, trace_of
from facecluster.photos.origin import origin_of


def photo(seed: int = 5, width: int = 460, height: int = 356) -> Image.Image:
    noise = np.random.default_rng(seed).normal(0, 4, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(scene(seed, width, height)) + noise, 0, 255).astype(np.uint8))


def through(image: Image.Image, kind: str = "JPEG", **options: object) -> Image.Image:
    with Image.open(io.BytesIO(coded(image, kind, **options))) as found:
        return found.convert("RGB")


def of(image: Image.Image) -> Trace:
    return trace_of(np.asarray(image))


@pytest.mark.parametrize("quality", [40, 60, 75, 85, 90])
def test_the_quality_of_an_earlier_jpeg_is_told(quality: int) -> None:
    once = through(photo(), quality=quality)
    assert of(once).quality == pytest.approx(quality, abs=2)
    assert of(through(once, quality=96)).quality == pytest.approx(quality, abs=3), "and after it was saved again"
    for turn in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180):
        assert of(once.transpose(turn)).quality == pytest.approx(quality, abs=3), "and turned: 460 and 356 are no multiples of 8"


def test_pixels_that_were_no_jpeg_have_no_trace() -> None:
    for seed in range(8):
        assert of(photo(seed)).quality == 0
        assert of(through(photo(seed), "WEBP", quality=80)).quality == 0
        assert of(through(photo(seed), "AVIF", quality=70)).quality == 0
    assert of(Image.new("RGB", (200, 200), "red")).quality == 0 and of(Image.new("RGB", (40, 40))) == Trace()


def test_an_enlargement_needs_less_than_its_size() -> None:
    assert of(photo()).fills == 1
    assert of(scaled(photo(), 2)).fills <= 2 / 3
    assert of(through(scaled(through(photo(), quality=80), 2), quality=92)).fills < 1


def test_the_quality_of_a_file_is_that_of_libjpeg() -> None:
    for quality in (25, 35, 50, 77, 90, 95, 100):  # below, the table is cut off at 255
        assert origin_of(coded(photo(), quality=quality)).quality == pytest.approx(quality, abs=1)


def test_damaged_files_say_nothing_and_raise_nothing() -> None:
    data = coded(photo(), exif=Image.Exif().tobytes() + b"\xff" * 40)
    rng = np.random.default_rng(0)
    for start in (data, *(coded(photo(), kind) for kind in ("PNG", "TIFF", "AVIF", "WEBP", "GIF"))):
        for end in (0, 1, 5, 20, 100, len(start) // 2):
            origin_of(start[:end])
        for _ in range(30):
            broken = np.frombuffer(start, np.uint8).copy()
            broken[rng.integers(0, min(len(broken), 600), 12)] = rng.integers(0, 256, 12)
            origin_of(broken.tobytes())
