"""Edited photos are known again by their faces, and only those."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from facecluster.geometry import turn_boxes
from facecluster.people.edited_photos import LEAST_COSINE, Photo, match_photos
from facecluster.people.follow import turned_hashes
from facecluster.photos.images import phash

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip


def picture(seed: int) -> Image.Image:
    """A smooth picture without symmetries."""
    noise = np.random.default_rng(seed).uniform(0, 255, (6, 8, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC)


def photo(rng: np.random.Generator, faces: int, width: int = 1200, height: int = 900) -> Photo:
    """Faces that do not overlap, with vectors that are hardly alike."""
    cells = rng.permutation(12)[:faces]
    corners = [np.array([300 * (c % 4), 300 * (c // 4)]) + rng.uniform(60, 120, 2) for c in cells]
    boxes = np.stack([np.r_[corner, rng.uniform(80, 110, 2)] for corner in corners])
    return Photo(width, height, None, [], [f"{i:029x}" for i in range(faces)], boxes, unit(rng.normal(size=(faces, 64))))


def unit(x: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float32)


KINDS = st.sampled_from(sorted(LEAST_COSINE))


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 8), st.floats(0.3, 2), st.floats(0, 0.08), KINDS)
def test_a_photo_that_was_turned_scaled_and_cropped_is_known_again(
    seed: int, faces: int, turn: int, scale: float, cut: float, kind: str
) -> None:
    """Each face is found where the edit put it, in any order of the new faces."""
    rng = np.random.default_rng(seed)
    old = photo(rng, faces)
    boxes = turn_boxes(old.boxes, turn, old.width, old.height)
    width, height = (old.height, old.width) if turn >= 5 else (old.width, old.height)
    shift = cut * np.array([width, height, 0, 0])
    order = rng.permutation(faces)
    noise = unit(old.vectors + 0.02 * rng.normal(size=old.vectors.shape))
    size = [round(side * (1 - 2 * cut) * scale) for side in (width, height)]
    new = Photo(*size, None, [], old.ids, ((boxes - shift) * scale)[order], noise[order])
    match = match_photos(old, new, kind)
    assert match is not None
    assert sorted((old_face, order[new_face]) for old_face, new_face in match.pairs) == [(i, i) for i in range(faces)]


@given(st.integers(0, 2**32), st.integers(1, 6), KINDS)
def test_other_people_in_the_same_places_are_another_photo(seed: int, faces: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    old = photo(rng, faces)
    other = Photo(old.width, old.height, None, [], old.ids, old.boxes, unit(rng.normal(size=old.vectors.shape)))
    assert match_photos(old, other, kind) is None


@given(st.integers(0, 2**32), KINDS)
def test_the_same_people_in_other_places_are_another_photo(seed: int, kind: str) -> None:
    """Eight people who changed places: a few faces can be laid over others, but not most (of four, two can, in 2 of 1,000 cases)."""
    rng = np.random.default_rng(seed)
    old = photo(rng, 8)
    other = Photo(old.width, old.height, None, [], old.ids, np.roll(old.boxes, 1, axis=0), old.vectors)
    assert match_photos(old, other, kind) is None


def test_photos_without_faces_or_size_are_not_compared() -> None:
    one = photo(np.random.default_rng(0), 2)
    assert match_photos(one, Photo(1200, 900), "place") is None
    assert match_photos(Photo(1200, 900), one, "place") is None
    assert match_photos(one, Photo(0, 0, None, [], one.ids, one.boxes, one.vectors), "place") is None


@pytest.mark.parametrize("turn", sorted(TURNS))
def test_hashes_of_turned_pictures(turn: int) -> None:
    """Against the hash of the picture that was really turned."""
    for seed in range(20):
        image = picture(seed)
        real = phash(np.array(image.transpose(TURNS[turn])))
        ways = [(way ^ real).bit_count() for way in turned_hashes(phash(np.array(image)))]
        assert min(ways) <= 8
        other = phash(np.array(picture(seed + 100)))
        assert min((way ^ other).bit_count() for way in turned_hashes(phash(np.array(image)))) > 12
