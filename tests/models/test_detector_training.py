"""The detector's training recipes: labels follow the picture through mosaics and crops, cells are matched to the right faces."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("cv2", reason="needs the 'train' dependency group (opencv)")
WORKFLOWS = Path(__file__).parents[2] / "workflows"


@pytest.fixture(scope="module")
def recipes() -> Iterator[SimpleNamespace]:
    sys.path.insert(0, str(WORKFLOWS))
    import detector_batches
    import detector_mosaics
    import detector_photos
    import train_detector

    yield SimpleNamespace(batches=detector_batches, mosaics=detector_mosaics, photos=detector_photos, detector=train_detector)
    sys.path.remove(str(WORKFLOWS))


MARKS = np.array([[70, 60], [110, 62], [90, 85], [74, 105], [106, 107]], np.float32)
COLOURS = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 0], [0, 250, 250]], np.uint8)


def marked_photo(recipes: SimpleNamespace) -> SimpleNamespace:
    """A photo whose five landmarks are discs of five colours on grey."""
    image = np.full((180, 180, 3), 90, np.uint8)
    y, x = np.mgrid[:180, :180]
    for (mx, my), colour in zip(MARKS, COLOURS, strict=True):
        image[np.hypot(x - mx, y - my) < 7] = colour
    box = np.array([[50, 30, 80, 100]], np.float32)
    return recipes.photos.Photo(image=image, boxes=box, landmarks=MARKS[None], scores=np.ones(1, np.float32), source="pins", held_out=False)


def empty_photo(recipes: SimpleNamespace, shade: int = 90) -> SimpleNamespace:
    return recipes.photos.Photo(
        image=np.full((50, 50, 3), shade, np.uint8), boxes=np.zeros((0, 4), np.float32), landmarks=np.zeros((0, 5, 2), np.float32),
        scores=np.zeros(0, np.float32), source="negatives", held_out=False,
    )  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="batches are made by copies of this process (fork)")
def test_batches_come_in_order_and_hard_negatives_more_often(recipes: SimpleNamespace) -> None:
    photos = [marked_photo(recipes), empty_photo(recipes, 30), empty_photo(recipes, 200)]
    made = []
    for _ in range(2):
        batches = recipes.batches.Batches(photos, 3, 5, workers=1)
        try:
            made.append([batches.next() for _ in range(9)])  # more than there are places
            before = np.diff(batches.weights, prepend=0)
            found = SimpleNamespace(threshold=0.5, look=lambda images, least: [SimpleNamespace(scores=np.full(1, images[0].mean() / 255))])
            assert 0 < batches.mine(found, 40) < 1  # the bright one looks like a face
            after = np.diff(batches.weights, prepend=0)
        finally:
            batches.stop()
        assert after[2] > 2 * before[2] and after[2] > 2 * after[1] > 0 and after.sum() == pytest.approx(1)
    for one, other in zip(*made, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    pixels, faces, index = zip(*made[0], strict=True)
    assert pixels[0].shape == (3, 320, 320, 3) and len({part.tobytes() for part in pixels}) == 9
    assert all(len(f) == len(i) and f.shape[1] == 16 and set(i) <= {0, 1, 2} for f, i in zip(faces, index, strict=True))


def test_labels_follow_the_photo_into_the_mosaic(recipes: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = marked_photo(recipes)
    monkeypatch.setattr(recipes.mosaics, "_light", lambda canvas, rng: canvas)
    monkeypatch.setattr(recipes.mosaics, "_cover", lambda canvas, row, rng: None)
    empty = empty_photo(recipes)
    rng = np.random.default_rng(0)
    seen = total = 0
    for _ in range(30):
        canvas, faces = recipes.mosaics.mosaic([photo], [empty], np.ones(1), rng)
        for face in faces[faces[:, 14] > 0]:
            points = face[4:14].reshape(5, 2)
            if face[2] < 30 or (points < 4).any() or (points > recipes.mosaics.SIDE - 4).any():
                continue
            low, high = face[:2], face[:2] + face[2:4]
            assert ((points > low) & (points < high)).all()
            eyes, down = points[1] - points[0], points[2] - points[0]
            assert eyes[0] * down[1] - eyes[1] * down[0] > 0, "right and left eye are exchanged in a mirrored face"
            x, y = points[2].round().astype(int)
            total += 1
            seen += int(np.abs(canvas[y, x].astype(int) - COLOURS[2]).max() < 60)  # the nose's disc
    assert total > 30
    assert seen > 0.9 * total  # the rest lies under the border of another photo


def faces_of(*boxes: tuple[float, float, float, float], sure: float = 1.0) -> torch.Tensor:
    rows = [[x, y, w, h, *([x + w / 2, y + h / 2] * 5), sure, 0.9] for x, y, w, h in boxes]
    return torch.tensor(rows, dtype=torch.float32).view(-1, 16)


def test_every_face_gets_cells_of_its_own_size_and_unsure_ones_are_left_alone(recipes: SimpleNamespace) -> None:
    detector = recipes.detector
    points, strides = detector.cell_centres(320, 320)
    faces = torch.cat((faces_of((10, 10, 14, 16), (100, 100, 200, 210)), faces_of((250, 20, 30, 30), sure=0.0)))
    image = torch.tensor([0, 1, 1])
    scores = torch.full((2, len(points)), 0.01)
    boxes = torch.cat((points - strides[:, None] * 1.5, strides[:, None].expand(-1, 2) * 3), dim=1).expand(2, -1, -1)
    rows, cell, face, quality, ignored = detector.assign(scores, boxes, faces, image, points, strides)
    assert set(face.tolist()) == {0, 1}
    assert (rows == image[face]).all()
    assert set(strides[cell[face == 0]].tolist()) == {8.0} and set(strides[cell[face == 1]].tolist()) == {32.0}
    centre = faces[face, :2] + faces[face, 2:4] / 2
    assert ((points[cell] - centre).abs() < torch.maximum(faces[face, 2:4] * 0.5, strides[cell][:, None])).all()
    assert (quality >= 0).all() and (quality <= 1).all() and quality.max() > 0.1
    assert not ignored[0].any() and ignored[1].any()
    assert ((points[ignored[1]] - torch.tensor([265.0, 35.0])).abs() < 15).all()


def test_a_cell_between_two_faces_serves_only_one(recipes: SimpleNamespace) -> None:
    detector = recipes.detector
    points, strides = detector.cell_centres(64, 64)
    faces = faces_of((10, 10, 24, 24), (14, 12, 24, 24))
    boxes = torch.cat((points - 12, torch.full((len(points), 2), 24.0)), dim=1)[None]
    rows, cell, face, _, _ = detector.assign(
        torch.full((1, len(points)), 0.1), boxes, faces, torch.zeros(2, dtype=torch.long), points, strides
    )
    assert len(set(cell.tolist())) == len(cell)
    assert set(face.tolist()) == {0, 1}


def test_the_loss_falls_when_the_truth_is_predicted(recipes: SimpleNamespace) -> None:
    from facecluster.models.detector import encode

    detector = recipes.detector
    points, strides = detector.cell_centres(64, 64)
    faces = faces_of((10, 12, 30, 36))
    truth = encode(faces[:, None, :4], faces[:, None, 4:14].reshape(1, 1, 5, 2), points[None], strides[None])
    index = torch.zeros(1, dtype=torch.long)
    near = ((points - torch.tensor([25.0, 30.0])).abs().amax(1) < 10) & (strides < 32)
    right = torch.cat((torch.where(near, 6.0, -8.0)[None, :, None], truth), dim=2)
    wrong = torch.cat((torch.full((1, len(points), 1), -4.0), truth + 0.5), dim=2)
    good, parts = detector.loss_of(right, faces, index, points, strides)
    bad, _ = detector.loss_of(wrong, faces, index, points, strides)
    assert good < bad / 3
    assert parts["box"] < 1e-4 and parts["mark"] < 1e-4
    alone, _ = detector.loss_of(wrong, faces[:0], index[:0], points, strides)
    assert torch.isfinite(alone)
