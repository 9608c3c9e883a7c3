"""What is alike and what is the same: hashes of turned and cut pictures, pictures laid over each other, the second look."""

from __future__ import annotations

import numpy as np
import pytest
from dedup_photos import barred, captioned, coded, cut, moved, scaled, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from facecluster.dedup.compare import Comparison, Hint, compare
from facecluster.dedup.hamming import distance
from facecluster.dedup.hashing import MIDDLE, WINDOWS, forms, hash_windows, turn_between, turned, turned_box
from facecluster.dedup.looks import grey_thumb, look_at
from facecluster.dedup.register import lay, likeness
from facecluster.photos.images import open_photo

T = Image.Transpose


def thumb(image: Image.Image) -> NDArray[np.uint8]:
    return grey_thumb(look_at(np.asarray(image.convert("RGB"))).thumb)


def again(image: Image.Image, quality: int) -> Image.Image:
    return Image.fromarray(open_photo(coded(image, quality=quality)).pixels)


def second_look(first: Image.Image, second: Image.Image) -> Comparison | None:
    """The best of all ways to lay one over the other."""
    a, b = thumb(first), thumb(second)
    ways = [*(Hint(0, 0, turn) for turn in range(8)), *(Hint(window, 0, 0) for window in (2, 3, 11, 12))]
    found = [compare(a, b, way) for way in ways]
    return min((f for f in found if f), key=lambda f: (not f.same, f.difference), default=None)


# -- hashes -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("turn", [None, *T])
def test_one_of_the_forms_of_a_turned_photo_is_that_of_the_photo(seed: int, turn: T | None) -> None:
    image = scene(seed, 400, 370)  # nearly square: it may be broad or high once it is cropped
    other = image if turn is None else image.transpose(turn)
    mine, its = hash_windows(thumb(image)), hash_windows(thumb(other))
    size = (np.array([n], np.int32) for n in other.size)
    photo, hashes, turns = forms(its.hashes[:1], its.doubts[:1], its.turns[:1], *size)
    assert set(photo.tolist()) == {0} and len(hashes) == len(turns) >= 2
    apart = distance(np.repeat(mine.hashes[:1], len(hashes)), hashes)
    best = int(apart.argmin())
    assert apart[best] <= 4
    form = turned(thumb(other), int(turns[best])).astype(float)
    assert np.abs(form - turned(thumb(image), int(mine.turns[0]))).mean() < 3, "the turn leads to the form"


@given(st.integers(0, 7), st.integers(0, 7))
def test_turns_in_words_are_what_was_done(a: int, b: int) -> None:
    words = {
        "": None, "mirrored": T.FLIP_LEFT_RIGHT, "mirrored top to bottom": T.FLIP_TOP_BOTTOM, "turned by 180°": T.ROTATE_180,
        "turned by 90°": T.ROTATE_270, "turned by 270°": T.ROTATE_90,  # Pillow turns against the clock
    }  # fmt: skip
    corners = np.arange(6, dtype=np.uint8).reshape(2, 3)
    said = turn_between(a, b)
    if said in words:
        done = Image.fromarray(corners) if words[said] is None else Image.fromarray(corners).transpose(words[said])
        assert (turned(np.asarray(done), b) == turned(corners, a)).all()
    else:
        assert said.startswith("mirrored and turned by")


@given(st.integers(0, 7), st.integers(0, 3), st.integers(0, 2), st.integers(1, 4), st.integers(1, 3))
def test_a_turned_box_holds_the_same_pixels(turn: int, left: int, top: int, width: int, height: int) -> None:
    picture = np.arange(48, dtype=np.uint8).reshape(6, 8)
    part = picture[top : top + height, left : left + width]
    box = turned_box((left / 8, top / 6, (left + width) / 8, (top + height) / 6), turn)
    big = turned(picture, turn)
    rows = slice(round(box[1] * big.shape[0]), round(box[3] * big.shape[0]))
    columns = slice(round(box[0] * big.shape[1]), round(box[2] * big.shape[1]))
    assert (big[rows, columns] == turned(part, turn)).all()


@pytest.mark.parametrize("window", range(1, MIDDLE))
def test_what_was_cut_to_a_window_has_that_windows_hash(window: int) -> None:
    apart = []
    for seed in range(4):
        image = scene(seed)
        whole, part = hash_windows(thumb(image)), hash_windows(thumb(again(cut(image, *WINDOWS[window]), 70)))
        if whole.turns[window] == part.turns[0]:
            apart.append(int(distance(whole.hashes[window : window + 1], part.hashes[:1])[0]))
    assert apart and np.mean(apart) <= 4


# -- laying over each other -------------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 0.09), st.floats(0.01, 0.09), st.floats(0.86, 0.9), st.floats(0.86, 0.9))
def test_the_place_of_a_part_is_found(seed: int, left: float, top: float, width: float, height: float) -> None:
    image = scene(seed)
    part = cut(image, left, top, left + width, top + height)
    laid = lay(thumb(image), thumb(part), (0.05, 0.9, 0.05, 0.9), side=96)
    assert laid is not None
    assert np.abs(np.array(laid.place) - (left, width, top, height)).max() < 0.01
    assert likeness(laid) > 0.99
    assert np.abs(laid.first - laid.second)[laid.inside].mean() < 5


@pytest.mark.parametrize("picture", [np.full((90, 120), 128, np.uint8), np.zeros((4, 4), np.uint8), np.ones((1, 200), np.uint8)])
def test_pictures_that_show_nothing_are_like_nothing(picture: NDArray[np.uint8]) -> None:
    assert compare(picture, picture, Hint(0, 0, 0)) is None
    assert compare(thumb(scene(0)), picture, Hint(0, 0, 0)) is None
    lay(thumb(scene(0)), picture, (0, 1, 0, 1), side=96)  # whatever it gives, it does not fail


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.tuples(*(st.floats(-0.7, 0.4) for _ in range(2)), *(st.floats(0.3, 1.7) for _ in range(2))))
def test_whatever_is_laid_over_whatever_it_fits_or_not(seed: int, start: tuple[float, float, float, float]) -> None:
    rng = np.random.default_rng(seed)
    shapes = rng.integers(1, 160, (2, 2))
    noise = [rng.integers(0, 255, shape).astype(np.uint8) for shape in shapes]
    kinds = [n if rng.random() < 0.5 else thumb(scene(seed % 50))[: n.shape[0], : n.shape[1]] for n in noise]
    laid = lay(kinds[0], kinds[1], (start[0], start[2], start[1], start[3]), side=96)
    assert laid is None or (laid.first.shape == laid.second.shape == laid.inside.shape and np.isfinite(laid.first).all())


def test_a_negative_does_not_fit() -> None:
    assert compare(thumb(scene(1)), 255 - thumb(scene(1)), Hint(0, 0, 0)) is None


# -- the second look --------------------------------------------------------------------------------------------------------------

COPIES = {
    "a quarter of the size": lambda i: scaled(i, 0.25),
    "JPEG 40": lambda i: again(i, 40),
    "grey": lambda i: i.convert("L").convert("RGB"),
    "upside down": lambda i: i.transpose(T.ROTATE_180),
    "turned": lambda i: again(i.transpose(T.ROTATE_90), 80),
    "cropped": lambda i: again(cut(i, 0.05, 0.05, 0.95, 0.95), 80),
    "cropped at one side": lambda i: again(cut(i, 0.05, 0, 1, 1), 80),
    "brighter": lambda i: Image.fromarray((np.asarray(i) * 0.7 + 60).astype(np.uint8)),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", COPIES)
def test_copies_are_the_same_picture(name: str, seed: int) -> None:
    image = scene(seed)
    found = second_look(image, COPIES[name](image))
    assert found is not None and found.same and found.written == 0 and found.difference < 1


@pytest.mark.parametrize("seed", range(4))
def test_where_something_moved_it_is_another_picture(seed: int) -> None:
    image = scene(seed)
    for other in (moved(image, 0.06), again(cut(moved(image, 0.06), 0.05, 0.05, 0.95, 0.95), 85)):
        found = second_look(image, other)
        assert found is not None and not found.same, "it lies over the other, and differs"


def test_other_scenes_are_other_pictures() -> None:
    for seed in range(6):
        found = second_look(scene(seed), scene(seed + 100))
        assert found is None or not found.same


@pytest.mark.parametrize("seed", range(4))
def test_a_caption_is_seen_and_on_which_of_the_two_it_is(seed: int) -> None:
    image = scene(seed)
    for caption in (captioned, barred):
        there, back = second_look(image, caption(image)), second_look(caption(image), image)
        assert there is not None and back is not None and there.same and back.same
        if caption is captioned:
            assert (there.written, back.written) == (2, 1)
        else:
            assert there.blank_second and 0.08 < there.more_second < 0.15 and there.more_first < 0.02
            assert back.blank_first and 0.08 < back.more_first < 0.15


def test_what_moved_at_the_border_is_no_caption() -> None:
    image = scene(5)
    w, h = image.size
    other = image.copy()
    other.paste(cut(image, 0.2, 0.8, 0.7, 1), (round(0.26 * w), round(0.8 * h)))
    found = second_look(image, other)
    assert found is not None and not found.same
