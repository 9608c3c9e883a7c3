"""The search: what is painted is found once and in its place, whatever the photo's size and orientation, and empty photos cost little."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from facecluster.geometry import iou
from facecluster.models.search import FINE, HINT, PROPOSED, WORK_MOST, WORK_SHORT, fine_scale, merge, search, search_scale
from facecluster.models.views import Candidates

Pixels = NDArray[np.uint8]
SEEN, HINTED = 9, 4  # px: the painted eye sees squares of the one size, and has an inkling of those of the other


def paint(height: int, width: int, squares: Sequence[tuple[int, int, int]]) -> Pixels:
    """Grey with white squares (x, y, side) whose upper third is red: faces with a forehead."""
    photo = np.full((height, width, 3), 90, np.uint8)
    for x, y, side in squares:
        photo[y : y + side, x : x + side] = 255
        photo[y : y + side // 3, x : x + side, 1:] = 0
    return photo


class PaintedEye:
    """A detector that finds painted squares exactly: sure of upright ones, with a trace of others."""

    def __init__(self) -> None:
        self.pixels = 0
        self.sizes: list[tuple[int, int]] = []

    def __call__(self, pictures: Sequence[Pixels], threshold: float) -> list[Candidates]:
        out = []
        for picture in pictures:
            self.pixels += picture.shape[0] * picture.shape[1]
            self.sizes.append(picture.shape[:2])
            rows = []
            labels, _ = ndimage.label(picture[:, :, 0] > 172)
            for ys, xs in ndimage.find_objects(labels):
                part = picture[ys, xs].astype(int)
                h, w = part.shape[:2]
                red = part[:, :, 0] - part[:, :, 1]
                y, x = (np.mgrid[:h, :w] + 0.5) * red
                total = max(red.sum(), 1)
                up = np.array([x.sum() / total - w / 2, y.sum() / total - h / 2])  # from the middle to the forehead
                middle = np.array([xs.start + w / 2, ys.start + h / 2])
                upright = -up[1] > abs(up[0])
                score = (0.9 if upright else 0.3) if min(h, w) >= SEEN else HINT
                if min(h, w) >= HINTED and score >= threshold:
                    aside = np.array([-up[1], up[0]])
                    marks = [middle + up - aside, middle + up + aside, middle, middle - up - aside, middle - up + aside]
                    rows.append(((xs.start, ys.start, w, h), marks, score))
            boxes, marks, scores = zip(*rows, strict=True) if rows else ((), (), ())
            out.append(
                Candidates(
                    np.array(boxes, np.float32).reshape(-1, 4), np.array(marks, np.float32).reshape(-1, 5, 2), np.array(scores, np.float32)
                )
            )
        return out


@st.composite
def painted(draw: st.DrawFn) -> tuple[Pixels, list[tuple[int, int, int]]]:
    """A photo of any shape with squares that a search picture shows at 12 px and more, at most two thirds of its short side."""
    height, width = draw(st.integers(60, 2600)), draw(st.integers(60, 2600))
    if draw(st.booleans()):
        width = min(10 * height, 6000)
    scale = search_scale(height, width)
    squares: list[tuple[int, int, int]] = []
    for _ in range(draw(st.integers(0, 12))):
        low, high = int(np.ceil(12 / scale)), int(min(height, width) * 0.66)
        side = int(low * (high / low) ** draw(st.floats(0, 1))) if high > low else high
        x, y = draw(st.integers(0, width - side)), draw(st.integers(0, height - side))
        gap = int(6 / scale) + 2
        if side * scale >= 12 and all(
            x > a + s + gap or a > x + side + gap or y > b + s + gap or b > y + side + gap for a, b, s in squares
        ):
            squares.append((x, y, side))
    return paint(height, width, squares), squares


@given(painted(), st.integers(0, 3))
@settings(deadline=None, max_examples=60)
def test_every_painted_face_is_found_once_where_it_is(drawn: tuple[Pixels, list[tuple[int, int, int]]], turned: int) -> None:
    photo, squares = drawn
    height, width = photo.shape[:2]
    found, turn = search(PaintedEye(), [np.rot90(photo, turned)], 0.5)[0]
    truth = np.array([(x, y, side, side) for x, y, side in squares], np.float64).reshape(-1, 4)
    for _ in range(turned):  # a turn to the left takes (x, y) to (y, width - x)
        truth = np.stack((truth[:, 1], width - truth[:, 0] - truth[:, 2], truth[:, 3], truth[:, 2]), axis=1)
        height, width = width, height
    assert len(found.scores) == len(squares)
    if squares:
        assert turn == 90 * turned
        overlap = iou(truth, found.boxes)
        assert overlap.max(axis=1).min() > 0.5 and overlap.max(axis=0).min() > 0.5
        inside = (found.landmarks >= found.boxes[:, None, :2] - 1) & (
            found.landmarks <= (found.boxes[:, :2] + found.boxes[:, 2:])[:, None] + 1
        )
        assert inside.all()


@pytest.mark.parametrize(("height", "width"), [(960, 1280), (1500, 2000), (2000, 3000)])
def test_a_photo_without_small_faces_costs_a_third(height: int, width: int) -> None:
    whole = height * width * search_scale(height, width) ** 2
    for squares in ([], [(300, 300, 200)]):
        eye = PaintedEye()
        assert len(search(eye, [paint(height, width, squares)], 0.5)[0].faces.scores) == len(squares)
        assert eye.pixels < whole / 3


@pytest.mark.parametrize(("height", "width"), [(1500, 2000), (2000, 3000)])
def test_a_large_photo_is_looked_at_finer_where_a_tile_has_a_hint(height: int, width: int) -> None:
    scale, fine = search_scale(height, width), fine_scale(height, width)
    side = int(np.ceil(SEEN / scale)) - 1  # too small to be seen in the search picture
    assert side * fine > SEEN and side * scale / 2 >= HINTED
    eye = PaintedEye()
    found = search(eye, [paint(height, width, [(700, 400, side)])], 0.5)[0].faces
    assert np.abs(found.boxes - [700, 400, side, side]).max() <= 2 / fine + 1 and len(found.scores) == 1
    assert eye.pixels < height * width * scale**2 / 2
    crowd = [(x, y, side) for x in range(0, width - 40, 64) for y in range(0, height - 40, 64)]
    assert len(search(PaintedEye(), [paint(height, width, crowd)], 0.5)[0].faces.scores) == len(crowd)


def test_the_search_picture_grows_with_the_photo_up_to_a_bound() -> None:
    for height, width, side in [(960, 1280, 1280), (1125, 1500, 1280), (1500, 2000, 1280), (2000, 3000, 1920), (3000, 4000, WORK_MOST)]:
        assert round(search_scale(height, width) * width) == side
    assert round(search_scale(6000, 8000) * 8000) == WORK_MOST
    assert fine_scale(960, 1280) == 1 and fine_scale(1125, 1500) == search_scale(1125, 1500) and fine_scale(2000, 3000) == 1
    assert fine_scale(6000, 8000) == 2 * search_scale(6000, 8000)


def test_a_small_face_costs_a_tile_and_a_crowd_no_more_than_the_whole() -> None:
    eye = PaintedEye()
    side = int(FINE)  # of the photo: half of that in the overview
    search(eye, [paint(960, 1280, [(700, 400, side)])], 0.5)
    assert eye.pixels < 1280 * 960 / 2.5
    eye = PaintedEye()
    crowd = [(x, y, side) for x in range(0, 1240, 64) for y in range(0, 920, 64)]
    assert len(search(eye, [paint(960, 1280, crowd)], 0.5)[0].faces.scores) == len(crowd)
    assert eye.pixels < 1280 * 960 * 1.4


def test_a_panorama_is_searched_at_the_size_of_its_short_side() -> None:
    eye = PaintedEye()
    photo = paint(1000, 8000, [(x, 480, 48) for x in range(100, 7900, 700)])
    assert len(search(eye, [photo], 0.5)[0].faces.scores) == 12
    assert search_scale(*photo.shape[:2]) == WORK_SHORT / 1000
    assert max(max(size) for size in eye.sizes) <= 2048 + 1


def test_photos_searched_together_give_what_each_gives_alone() -> None:
    photos = [
        paint(700, 900, [(50, 60, 30)]),
        paint(1500, 2000, []),
        np.rot90(paint(900, 1200, [(500, 300, 90), (100, 100, 20)])),
        paint(1, 1, []),
    ]
    together = search(PaintedEye(), photos, 0.5)
    for photo, (found, turn) in zip(photos, together, strict=True):
        alone, alone_turn = search(PaintedEye(), [photo], 0.5)[0]
        assert turn == alone_turn
        for one, two in zip(found, alone, strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_person_who_lies_does_not_turn_a_photo_of_people_who_stand() -> None:
    photo = paint(900, 1200, [(200, 200, 80), (500, 200, 80)])
    photo[500:580, 500:580] = np.rot90(paint(80, 80, [(0, 0, 80)]))
    assert search(PaintedEye(), [photo], 0.5)[0].turn == 0


class PaintedVerdict:
    """A second stage that is as sure as told of each upright square, and takes no other for a face."""

    def __init__(self, sure: float) -> None:
        self.sure = sure

    def __call__(self, photos: Sequence[Pixels], faces: Sequence[Candidates]) -> list[NDArray[np.float32]]:
        return [np.where(seen.scores > 0.5, self.sure, 0.01).astype(np.float32) for seen in faces]

    def upright(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        found = PaintedEye()(pictures, PROPOSED)
        return np.array([seen.scores.max(initial=0) > 0.5 for seen in found], np.float64)


@pytest.mark.parametrize(("sure", "squares", "turn"), [(0.85, 1, 0), (0.95, 1, 90), (0.7, 2, 90)])
def test_a_photo_is_turned_for_a_sure_face_or_for_two(sure: float, squares: int, turn: int) -> None:
    upright = paint(400, 600, [(50 + 200 * i, 100, 120) for i in range(squares)])
    found = search(PaintedEye(), [np.rot90(upright)], 0.5, PaintedVerdict(sure))[0]
    assert found.turn == turn
    assert len(found.faces.scores) == (squares if turn else 0)


@pytest.mark.parametrize("n", [0, 1, 40])
def test_merging_keeps_the_best_of_each_place_inside_the_photo(n: int) -> None:
    rng = np.random.default_rng(n)
    boxes = np.concatenate((rng.uniform(-20, 300, (n, 2)), rng.uniform(5, 120, (n, 2))), axis=1).astype(np.float32)
    scores = rng.uniform(0, 1, n).astype(np.float32)
    faces = merge(Candidates(boxes, np.zeros((n, 5, 2), np.float32), scores), 0.4, 250, 320)
    assert (faces.scores >= 0.4).all() and (np.diff(faces.scores) <= 0).all()
    assert (faces.boxes[:, :2] >= 0).all() and (faces.boxes[:, :2] + faces.boxes[:, 2:] <= [320.01, 250.01]).all()
    assert (np.triu(iou(faces.boxes, faces.boxes), 1) <= 0.4 + 1e-6).all()
    if n and scores.max() >= 0.4:
        assert faces.scores[0] == scores.max()
