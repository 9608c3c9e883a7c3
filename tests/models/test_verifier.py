"""The second stage: its pictures show the candidate in the middle, its scores belong to their candidates, and the search obeys them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from facecluster.models.backbone import fold_batch_norms
from facecluster.models.search import FAINT_LOOKS, LIKELY, PROPOSED, search
from facecluster.models.verifier import SURE, FaceVerifier, Verifier
from facecluster.models.views import SIDE, TIMES, Candidates, picture_of

Pixels = NDArray[np.uint8]


@given(st.floats(-20, 300), st.floats(-20, 220), st.floats(8, 400), st.floats(0.5, 1.0))
def test_the_candidate_is_in_the_middle_of_its_picture(x: float, y: float, side: float, narrow: float) -> None:
    """Against an interpolation of the photo at each px of the picture; the photo rises evenly, so that any resampling gives the same."""
    yy, xx = np.mgrid[:240, :320].astype(np.float64)
    photo = np.stack([xx / 2, yy / 2, 60 + xx / 4 + yy / 4], axis=2).round().astype(np.uint8)
    box = np.array([x, y, side * narrow, side], np.float32)
    picture = picture_of(photo, box)
    places = (np.arange(SIDE) + 0.5) / SIDE * TIMES * side - TIMES * side / 2
    at_x, at_y = np.meshgrid(x + side * narrow / 2 + places, y + side / 2 + places)
    step = TIMES * side / SIDE  # px of the photo a px of the picture
    inside = (at_x > 1 + 2 * step) & (at_x < 319 - 2 * step) & (at_y > 1 + 2 * step) & (at_y < 239 - 2 * step)
    outside = (at_x < -2 * step - 1) | (at_x > 321 + 2 * step) | (at_y < -2 * step - 1) | (at_y > 241 + 2 * step)
    if picture is None:
        assert not inside.any()
        return
    assert picture.shape == (SIDE, SIDE, 3) and (picture[outside] == 127).all()
    for channel in range(3):
        expected = ndimage.map_coordinates(photo[:, :, channel].astype(np.float64), (at_y - 0.5, at_x - 0.5), order=1, mode="nearest")
        assert np.abs(picture[:, :, channel] - expected)[inside].max(initial=0) < 2 + step  # a px of the picture is the most it may be off


def test_scores_belong_to_their_candidates_whatever_is_scored_with_them() -> None:
    torch.manual_seed(0)
    verifier = Verifier(fold_batch_norms(FaceVerifier()), (0.5, 40.0, -1.0))
    rng = np.random.default_rng(1)
    photos = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((90, 120), (30, 30), (200, 64))]
    faces = [
        Candidates(*(a.astype(np.float32) for a in (rng.uniform(5, 40, (n, 4)), np.zeros((n, 5, 2)), rng.uniform(0.1, 0.9, n))))
        for n in (7, 0, 150)
    ]
    together = verifier(photos, faces)
    assert [len(scores) for scores in together] == [7, 0, 150]
    for photo, seen, scores in zip(photos, faces, together, strict=True):
        for row in range(0, len(scores), 9):
            alone = verifier([photo], [seen.take(np.array([row]))])[0]
            np.testing.assert_allclose(alone, scores[row : row + 1], atol=1e-5)
    with torch.no_grad():  # the formula of the score, from the network itself
        picture = torch.from_numpy(picture_of(photos[0], faces[0].boxes[3])).permute(2, 0, 1)[None].float()  # type: ignore[arg-type]
        once, mirrored = float(verifier.network(picture)[0, 0]), float(verifier.network(picture.flip(3))[0, 0])
    score = float(faces[0].scores[3])
    known = 0.5 * np.log(score / (1 - score)) + 40 * once
    for offset, expected in ((-known, 40 * (mirrored - once) / 2), (SURE + 1 - known, SURE + 1)):  # two looks, one
        verifier.weights = (0.5, 40.0, offset)
        assert float(verifier(photos[:1], faces[:1])[0][3]) == pytest.approx(1 / (1 + np.exp(-expected)), abs=1e-4)
    assert abs(once - mirrored) > 1e-4


def test_the_search_goes_by_the_scores_of_the_second_stage() -> None:
    seen = Candidates(
        np.array([[20 + 32 * (i % 20), 20 + 32 * (i // 20), 24, 24] for i in range(300)], np.float32),
        np.zeros((300, 5, 2), np.float32), np.r_[np.linspace(0.9, 0.3, 150), np.linspace(0.24, 0.05, 150)].astype(np.float32),
    )  # fmt: skip
    asked: list[int] = []

    def look(pictures: Sequence[Pixels], threshold: float) -> list[Candidates]:
        return [seen if p.shape[:2] == (650, 700) else seen.take(np.arange(0)) for p in pictures]

    class Verify:
        def __call__(self, photos: Sequence[Pixels], faces: Sequence[Candidates]) -> list[NDArray[np.float32]]:
            asked.extend(len(f.scores) for f in faces)
            assert all(f.scores.min() >= PROPOSED for f in faces)
            return [(1 - f.scores).astype(np.float32) for f in faces]

        def upright(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
            return np.zeros(len(pictures))

    photo = np.zeros((650, 700, 3), np.uint8)
    found = search(look, [photo], 0.5, Verify())[0].faces
    assert asked == [150 + FAINT_LOOKS] and 0.24 < LIKELY < 0.3
    assert (np.diff(found.scores) <= 0).all() and found.scores.min() >= 0.5 and found.scores[0] > 0.7
    assert len(search(look, [photo], 0.95, Verify())[0].faces.scores) == 0
