"""Edited photos are known again by their faces, and only those."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from facecluster.geometry import turn_boxes
from facecluster.people.edited_photos import LEAST_COSINE, Photo, match_photos
from facecluster.people.follow import turned_hashes
from facecluster.people.thumbnails import Thumbnails
from facecluster.photos.exif import turn
from facecluster.photos.fingerprint import LOOKS_TABLE, fingerprint_photo, looks_stamp, looks_table
from facecluster.photos.picture_hashes import phash
from facecluster.store import Store

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


# how each edit shows a picture of 320 x 240: size, and left, top, width, height of what is seen of it there
EDITS: dict[str, tuple[tuple[int, int], tuple[int, int, int, int]]] = {
    "a polaroid's frame": ((320, 300), (40, 24, 240, 180)),
    "a wide border": ((400, 320), (40, 40, 320, 240)),
    "on a square": ((320, 320), (0, 40, 320, 240)),
    "a strip for a caption below": ((320, 270), (0, 0, 320, 240)),
    "half of it cut out": ((226, 170), (-50, -30, 320, 240)),
    "a third of it cut out and enlarged": ((320, 240), (-130, -80, 560, 420)),
}
COLOURS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it was": lambda image: image,
    "grey": lambda image: image.convert("L").convert("RGB"),
    "brighter": lambda image: image.point(lambda value: min(value * 1.4, 255)),
    "darker": lambda image: image.point(lambda value: value / 2),
}


def seen(image: Image.Image, size: tuple[int, int], place: tuple[int, int, int, int]) -> Image.Image:
    """A picture on white paper of this size, at this place."""
    left, top, width, height = place
    paper = Image.new("RGB", size, "white")
    paper.paste(image.resize((width, height)), (left, top))
    return paper


def pictured(folder: Path, images: dict[str, Image.Image]) -> Thumbnails:
    """The thumbnails of pictures."""
    store = Store(str(folder / "store"))
    store.create()
    rows = [fingerprint_photo(np.asarray(image)) | {"photo_id": name} for name, image in images.items()]
    store.write(LOOKS_TABLE, "00000", looks_table(rows), looks_stamp())
    return Thumbnails(store)


@pytest.mark.parametrize("turned", [1, 2, 6])
@pytest.mark.parametrize("edit", EDITS)
def test_a_picture_that_was_framed_or_cut_out_is_known_again_by_its_pixels(edit: str, turned: int, tmp_path: Path) -> None:
    """With a face whose vectors are alike as two photos of a person are, and whose box the detector draws 4 % larger; in four colours."""
    size, place = EDITS[edit]
    old = Photo(320, 240, None, [], ["a"], np.array([[130.0, 80, 60, 70]]), unit(np.array([[1.0, 0.75]])))
    x, y, w, h = old.boxes[0] * np.tile(np.array(place[2:]) / (320, 240), 2) + (*place[:2], 0, 0)
    box = turn_boxes(np.array([[x - 0.02 * w, y - 0.02 * h, 1.04 * w, 1.04 * h]]), turned, *size)
    new = Photo(*(size[::-1] if turned >= 5 else size), None, [], ["b"], box, unit(np.array([[1.0, 0.0]])))
    images = {"old": picture(1), "other": picture(2)}
    for name, change in COLOURS.items():
        images[name] = turn(seen(change(picture(1)), size, place), turned)
    thumbnails = pictured(tmp_path, images)
    for name in COLOURS:
        for kind in ("place", "name"):
            assert match_photos(old, new, kind, partial(thumbnails.likeness, "old", name)) is not None, (name, kind)
        assert match_photos(old, new, "place", partial(thumbnails.likeness, "other", name)) is None, name


def test_another_picture_of_the_same_person_in_the_same_place_is_another_photo(tmp_path: Path) -> None:
    """The same size, the face where it was and alike; only the pixels differ. Old stores have no thumbnails: boxes and vectors decide."""
    boxes = np.array([[130.0, 80, 60, 70]])
    old, new = (Photo(320, 240, None, [], ["a"], boxes, unit(np.array([v]))) for v in ([1.0, 0.75], [1.0, 0.0]))
    thumbnails = pictured(tmp_path, {"old": picture(1), "other": picture(2), "edited": picture(1).rotate(2)})
    assert match_photos(old, new, "place", partial(thumbnails.likeness, "old", "other")) is None
    assert match_photos(old, new, "place", partial(thumbnails.likeness, "old", "edited")) is not None
    assert match_photos(old, new, "place", partial(thumbnails.likeness, "old", "missing")) is not None
    assert match_photos(old, new, "name", partial(thumbnails.likeness, "old", "missing")) is None


def unit(x: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float32)


KINDS = st.sampled_from(sorted(LEAST_COSINE))


@settings(deadline=None)
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


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), KINDS)
def test_other_people_in_the_same_places_are_another_photo(seed: int, faces: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    old = photo(rng, faces)
    other = Photo(old.width, old.height, None, [], old.ids, old.boxes, unit(rng.normal(size=old.vectors.shape)))
    assert match_photos(old, other, kind) is None


@settings(deadline=None)
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
