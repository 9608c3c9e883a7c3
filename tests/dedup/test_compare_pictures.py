"""Perceptual hashes of turned and cropped pictures, registration, and the comparison of thumbnails."""

from __future__ import annotations

import numpy as np
import pytest
from dedup_photos import barred, captioned, coded, cut, moved, scaled, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from facecluster.dedup.compare import AlignmentHint, Comparison, compare
from facecluster.dedup.hamming_index import distance
from facecluster.photos.fingerprint import fingerprint_photo, grey_thumbnail
from facecluster.photos.images import open_photo
from facecluster.photos.perceptual_hash import (
    MIDDLE_WINDOW,
    WINDOWS,
    apply_turn,
    apply_turn_to_box,
    canonical_forms,
    describe_turn,
    hash_windows,
)
from facecluster.photos.registration import correlation, register_pictures

T = Image.Transpose


def thumb(image: Image.Image) -> NDArray[np.uint8]:
    return grey_thumbnail(fingerprint_photo(np.asarray(image.convert("RGB")))["thumb"])


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    return Image.fromarray(open_photo(coded(image, quality=quality)).pixels)


def best_comparison(first: Image.Image, second: Image.Image) -> Comparison | None:
    """The best comparison over several alignments."""
    a, b = thumb(first), thumb(second)
    hints = [*(AlignmentHint(0, 0, turn) for turn in range(8)), *(AlignmentHint(window, 0, 0) for window in (2, 3, 11, 12))]
    found = [compare(a, b, hint) for hint in hints]
    return min((f for f in found if f), key=lambda f: (not f.same, f.difference), default=None)


# -- hashes -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("turn", [None, *T])
def test_a_turned_photo_has_the_canonical_form_of_the_photo_among_its_forms(seed: int, turn: T | None) -> None:
    image = scene(seed, 400, 370)  # nearly square: landscape or portrait once it is cropped
    other = image if turn is None else image.transpose(turn)
    mine, its = hash_windows(thumb(image)), hash_windows(thumb(other))
    size = (np.array([n], np.int32) for n in other.size)
    photo, hashes, turns = canonical_forms(its.hashes[:1], its.weak_bits[:1], its.turns[:1], *size)
    assert set(photo.tolist()) == {0} and len(hashes) == len(turns) >= 2
    apart = distance(np.repeat(mine.hashes[:1], len(hashes)), hashes)
    best = int(apart.argmin())
    assert apart[best] <= 4
    form = apply_turn(thumb(other), int(turns[best])).astype(float)
    assert np.abs(form - apply_turn(thumb(image), int(mine.turns[0]))).mean() < 3, "the turn leads to the form"


@given(st.integers(0, 7), st.integers(0, 7))
def test_described_turns_are_those_that_were_applied(a: int, b: int) -> None:
    words = {
        "": None, "mirrored": T.FLIP_LEFT_RIGHT, "mirrored top to bottom": T.FLIP_TOP_BOTTOM, "turned by 180°": T.ROTATE_180,
        "turned by 90°": T.ROTATE_270, "turned by 270°": T.ROTATE_90,  # Pillow turns against the clock
    }  # fmt: skip
    corners = np.arange(6, dtype=np.uint8).reshape(2, 3)
    said = describe_turn(a, b)
    if said in words:
        done = Image.fromarray(corners) if words[said] is None else Image.fromarray(corners).transpose(words[said])
        assert (apply_turn(np.asarray(done), b) == apply_turn(corners, a)).all()
    else:
        assert said.startswith("mirrored and turned by")


@given(st.integers(0, 7), st.integers(0, 3), st.integers(0, 2), st.integers(1, 4), st.integers(1, 3))
def test_a_turned_box_holds_the_same_pixels(turn: int, left: int, top: int, width: int, height: int) -> None:
    picture = np.arange(48, dtype=np.uint8).reshape(6, 8)
    part = picture[top : top + height, left : left + width]
    box = apply_turn_to_box((left / 8, top / 6, (left + width) / 8, (top + height) / 6), turn)
    big = apply_turn(picture, turn)
    rows = slice(round(box[1] * big.shape[0]), round(box[3] * big.shape[0]))
    columns = slice(round(box[0] * big.shape[1]), round(box[2] * big.shape[1]))
    assert (big[rows, columns] == apply_turn(part, turn)).all()


@pytest.mark.parametrize("window", range(1, MIDDLE_WINDOW))
def test_a_crop_to_a_window_has_the_hash_of_the_window(window: int) -> None:
    apart = []
    for seed in range(4):
        image = scene(seed)
        whole, part = hash_windows(thumb(image)), hash_windows(thumb(recompressed(cut(image, *WINDOWS[window]), 70)))
        if whole.turns[window] == part.turns[0]:
            apart.append(int(distance(whole.hashes[window : window + 1], part.hashes[:1])[0]))
    assert apart and np.mean(apart) <= 4


# -- registration -----------------------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 0.09), st.floats(0.01, 0.09), st.floats(0.86, 0.9), st.floats(0.86, 0.9))
def test_registration_finds_the_placement_of_a_crop(seed: int, left: float, top: float, width: float, height: float) -> None:
    image = scene(seed)
    part = cut(image, left, top, left + width, top + height)
    found = register_pictures(thumb(image), thumb(part), (0.05, 0.9, 0.05, 0.9), side=96)
    assert found is not None
    assert np.abs(np.array(found.placement) - (left, width, top, height)).max() < 0.01
    assert correlation(found) > 0.99
    assert np.abs(found.first - found.second)[found.inside].mean() < 5


@pytest.mark.parametrize("picture", [np.full((90, 120), 128, np.uint8), np.zeros((4, 4), np.uint8), np.ones((1, 200), np.uint8)])
def test_pictures_without_contrast_match_nothing(picture: NDArray[np.uint8]) -> None:
    assert compare(picture, picture, AlignmentHint(0, 0, 0)) is None
    assert compare(thumb(scene(0)), picture, AlignmentHint(0, 0, 0)) is None
    register_pictures(thumb(scene(0)), picture, (0, 1, 0, 1), side=96)  # must not fail


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.tuples(*(st.floats(-0.7, 0.4) for _ in range(2)), *(st.floats(0.3, 1.7) for _ in range(2))))
def test_registration_never_fails(seed: int, start: tuple[float, float, float, float]) -> None:
    rng = np.random.default_rng(seed)
    shapes = rng.integers(1, 160, (2, 2))
    noise = [rng.integers(0, 255, shape).astype(np.uint8) for shape in shapes]
    kinds = [n if rng.random() < 0.5 else thumb(scene(seed % 50))[: n.shape[0], : n.shape[1]] for n in noise]
    found = register_pictures(kinds[0], kinds[1], (start[0], start[2], start[1], start[3]), side=96)
    assert found is None or (found.first.shape == found.second.shape == found.inside.shape and np.isfinite(found.first).all())


def test_a_negative_does_not_match() -> None:
    assert compare(thumb(scene(1)), 255 - thumb(scene(1)), AlignmentHint(0, 0, 0)) is None


# -- comparison -------------------------------------------------------------------------------------------------------------------

COPIES = {
    "a quarter of the size": lambda i: scaled(i, 0.25),
    "JPEG 40": lambda i: recompressed(i, 40),
    "grey": lambda i: i.convert("L").convert("RGB"),
    "upside down": lambda i: i.transpose(T.ROTATE_180),
    "turned": lambda i: recompressed(i.transpose(T.ROTATE_90), 80),
    "cropped": lambda i: recompressed(cut(i, 0.05, 0.05, 0.95, 0.95), 80),
    "cropped at one side": lambda i: recompressed(cut(i, 0.05, 0, 1, 1), 80),
    "brighter": lambda i: Image.fromarray((np.asarray(i) * 0.7 + 60).astype(np.uint8)),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", COPIES)
def test_copies_are_found_to_be_the_same_picture(name: str, seed: int) -> None:
    image = scene(seed)
    found = best_comparison(image, COPIES[name](image))
    assert found is not None and found.same and found.captioned == 0 and found.difference < 1


@pytest.mark.parametrize("seed", range(4))
def test_a_picture_in_which_something_moved_is_another_one(seed: int) -> None:
    image = scene(seed)
    for other in (moved(image, 0.06), recompressed(cut(moved(image, 0.06), 0.05, 0.05, 0.95, 0.95), 85)):
        found = best_comparison(image, other)
        assert found is not None and not found.same, "it registers, and differs"


def test_other_scenes_are_not_the_same_picture() -> None:
    for seed in range(6):
        found = best_comparison(scene(seed), scene(seed + 100))
        assert found is None or not found.same


@pytest.mark.parametrize("seed", range(4))
def test_a_caption_is_found_and_on_which_of_the_two(seed: int) -> None:
    image = scene(seed)
    for caption in (captioned, barred):
        there, back = best_comparison(image, caption(image)), best_comparison(caption(image), image)
        assert there is not None and back is not None and there.same and back.same
        if caption is captioned:
            assert (there.captioned, back.captioned) == (2, 1)
        else:
            assert there.bar_second and 0.08 < there.extra_second < 0.15 and there.extra_first < 0.02
            assert back.bar_first and 0.08 < back.extra_first < 0.15


def test_a_move_at_the_border_is_no_caption() -> None:
    image = scene(5)
    w, h = image.size
    other = image.copy()
    other.paste(cut(image, 0.2, 0.8, 0.7, 1), (round(0.26 * w), round(0.8 * h)))
    found = best_comparison(image, other)
    assert found is not None and not found.same
