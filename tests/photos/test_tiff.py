"""TIFF kinds that Pillow misreads: either right or refused, never noise or a negative."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from test_colours import SHARED, grey_of, picture, tiff
from test_images import distance

from facecluster.errors import PhotoError
from facecluster.photos.images import open_photo


@pytest.mark.parametrize("name", ["rgb16-planar", "grey16-min-is-white"])
def test_cases_of_tiff(name: str) -> None:
    path = SHARED / "cases" / "tiff" / f"{name}.tif"
    if not path.exists():
        pytest.skip("needs ../shared/cases")
    with Image.open(path.with_name("as-seen.png")) as seen:
        wanted = seen.convert("RGB")
    assert distance(open_photo(path.read_bytes()).pixels, grey_of(wanted) if "grey" in name else wanted) < 2


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_grey_of_32_bits(order: str, compression: str | None, tile: tuple[int, int] | None) -> None:
    """Either right or refused, never noise or a negative."""
    grey = np.asarray(picture().convert("L")) / 255.0
    grey = (grey - grey.min()) / (grey.max() - grey.min())  # whole numbers of 32 bits are stretched
    opened = 0
    for photometric, light in (("minisblack", grey), ("miniswhite", 1 - grey)):
        for pixels in (light.astype(np.float32), np.rint(light * (2**32 - 1)).astype(np.uint32)):
            data = tiff(pixels, photometric=photometric, byteorder=order, compression=compression, tile=tile)
            try:
                found = open_photo(data).pixels
            except PhotoError as e:
                assert "unknown pixel mode" in str(e) and pixels.dtype == np.uint32
            else:
                opened += 1
                assert distance(found, np.repeat(np.rint(grey * 255)[..., None], 3, 2)) < 2, (photometric, pixels.dtype)
    assert opened >= 2


def test_highlights_of_floats_are_clipped() -> None:
    """A value a little above 1 must not make the rest black."""
    grey = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    bright = np.where(np.arange(256).reshape(16, 16) == 255, np.float32(1.3), grey)
    assert np.abs(open_photo(tiff(bright)).pixels[..., 0].astype(int) - np.arange(256).reshape(16, 16)).max() <= 1


def test_planes_of_grey_and_signed_bytes_are_refused() -> None:
    two = np.stack([np.asarray(picture().convert("L"))] * 2)
    with pytest.raises(PhotoError, match="2 planes of grey"):
        open_photo(tiff(two, photometric="minisblack", planarconfig="separate", extrasamples=["unassalpha"], compression="lzw"))
    with pytest.raises(PhotoError, match="signed"):
        open_photo(tiff(np.zeros((8, 8), np.int8), photometric="minisblack"))
