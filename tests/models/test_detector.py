"""The detector: box encoding, folding of batch norms, loading, odd inputs; the bundled weights on a drawn face and on real photos."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from facecluster.errors import ModelError
from facecluster.geometry import iou
from facecluster.models.backbone import fold_batch_norms
from facecluster.models.detector import (
    STRIDES,
    WEIGHTS,
    Detector,
    FaceDetector,
    cell_centres,
    decode,
    encode,
)

ALBUM = Path(__file__).parents[3] / "shared" / "data" / "album" / "pascal"
FLIP = [1, 0, 2, 4, 3]


@pytest.fixture(scope="module")
def bundled() -> Detector:
    return Detector.load()


def drawn_face(side: int = 240, width: int = 480, height: int = 400, x: int = 240, y: int = 200) -> NDArray[np.uint8]:
    """A picture with one drawn face, `side` px high, at (x, y)."""
    big = Image.new("RGB", (width * 2, height * 2), (120, 140, 150))
    draw, s = ImageDraw.Draw(big), side * 2

    def oval(cx: float, cy: float, rx: float, ry: float, colour: tuple[int, int, int]) -> None:
        px, py = 2 * x + cx * s, 2 * y + cy * s
        draw.ellipse((px - rx * s, py - ry * s, px + rx * s, py + ry * s), fill=colour)

    oval(0, -0.08, 0.46, 0.58, (50, 35, 28))
    oval(0, 0.03, 0.37, 0.5, (214, 170, 145))
    oval(0, 0.15, 0.05, 0.09, (190, 140, 118))
    oval(-0.035, 0.2, 0.02, 0.012, (110, 70, 60))
    oval(0.035, 0.2, 0.02, 0.012, (110, 70, 60))
    for eye in (-0.16, 0.16):
        oval(eye, -0.12, 0.1, 0.022, (70, 50, 40))
        oval(eye, -0.02, 0.085, 0.042, (235, 230, 225))
        oval(eye, -0.02, 0.04, 0.04, (60, 45, 40))
    oval(0, 0.33, 0.14, 0.045, (165, 75, 75))
    oval(0, 0.325, 0.13, 0.008, (100, 40, 40))
    return np.asarray(big.filter(ImageFilter.GaussianBlur(s / 70)).resize((width, height), Image.Resampling.BILINEAR))


# Codes


@given(
    st.lists(st.floats(-300, 300), min_size=12, max_size=12),
    st.floats(2, 900),
    st.floats(2, 900),
    st.sampled_from(STRIDES),
    st.floats(0, 1280),
    st.floats(0, 1280),
)
@settings(deadline=None)
def test_decode_is_the_inverse_of_encode(numbers: list[float], w: float, h: float, stride: int, x: float, y: float) -> None:
    box = torch.tensor([numbers[0], numbers[1], w, h], dtype=torch.float64)
    points = torch.tensor(numbers[2:], dtype=torch.float64).view(5, 2)
    cell, scale = torch.tensor([x, y], dtype=torch.float64), torch.tensor(float(stride), dtype=torch.float64)
    back, back_points = decode(encode(box, points, cell, scale), cell, scale)
    torch.testing.assert_close(back, box, rtol=1e-9, atol=1e-6)
    torch.testing.assert_close(back_points, points, rtol=1e-9, atol=1e-6)


def test_zeros_decode_to_a_box_of_one_stride_around_the_cell() -> None:
    box, points = decode(torch.zeros(14), torch.tensor([20.0, 12.0]), torch.tensor(8.0))
    assert box.tolist() == [16, 8, 8, 8]
    assert points.tolist() == [[20, 12]] * 5


def test_centres_and_strides_of_cells() -> None:
    points, strides = cell_centres(64, 96)
    assert len(points) == 8 * 12 + 4 * 6 + 2 * 3
    assert points[0].tolist() == [4, 4]
    assert points[1].tolist() == [12, 4]  # row by row
    assert points[96].tolist() == [8, 8]
    assert strides[[0, 95, 96, 119, 120]].tolist() == [8, 8, 16, 16, 32]
    assert points.amax(0).tolist() == [92, 60]


def test_predictions_line_up_with_cells_and_the_network_is_small() -> None:
    model = fold_batch_norms(FaceDetector())
    assert model(torch.zeros(2, 3, 64, 96)).shape == (2, len(cell_centres(64, 96)[0]), 15)
    assert 100_000 < sum(p.numel() for p in model.parameters()) < 500_000


def test_folding_batch_norms_changes_nothing() -> None:
    torch.manual_seed(3)
    model = FaceDetector().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    images = torch.rand(1, 3, 64, 64) * 255
    before = model(images)
    after = fold_batch_norms(model)(images)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)


# Loading


def test_missing_changed_or_wrong_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="model card at .*nothing.toml"):
        Detector.load(tmp_path / "nothing.safetensors")
    path = tmp_path / "d.safetensors"
    card = WEIGHTS.with_suffix(".toml").read_text()
    path.with_suffix(".toml").write_text(card)
    path.write_bytes(WEIGHTS.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="SHA-256"):
        Detector.load(path)
    path.write_bytes(WEIGHTS.read_bytes())
    path.with_suffix(".toml").write_text(card.replace("pyramid = 48", "pyramid = 32"))
    with pytest.raises(ModelError, match="that fit"):
        Detector.load(path)
    path.with_suffix(".toml").write_text("threshold = ")
    with pytest.raises(ModelError, match="card"):
        Detector.load(path)


def test_the_fingerprint_stands_for_all_weights(bundled: Detector, tmp_path: Path) -> None:
    card = WEIGHTS.with_suffix(".toml").read_text()
    path = tmp_path / "d.safetensors"
    path.write_bytes(WEIGHTS.read_bytes())
    alone = "".join(part for part in re.split(r"(?m)^(?=\[)", card) if not part.startswith("[verifier]"))
    path.with_suffix(".toml").write_text(alone)
    first = Detector.load(path)
    assert first.fingerprint == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() and first.verifier is None
    path.with_suffix(".toml").write_text(card)
    with pytest.raises(ModelError, match=r"verifier\.safetensors"):
        Detector.load(path)
    second = tmp_path / "verifier.safetensors"
    second.write_bytes(WEIGHTS.with_name("verifier.safetensors").read_bytes())
    assert Detector.load(path).fingerprint == bundled.fingerprint != first.fingerprint
    path.with_suffix(".toml").write_text(re.sub(r"(?m)^weights = .*", "weights = [1, 2, 3]", card))
    assert Detector.load(path).fingerprint != bundled.fingerprint
    second.write_bytes(second.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="SHA-256"):
        Detector.load(path)
    assert WEIGHTS.stat().st_size + second.stat().st_size < 2_000_000


# Detecting


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (31, 33), (7, 640), (5000, 20)])
def test_odd_sizes(bundled: Detector, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    boxes, landmarks, scores = bundled.detect(image, threshold=0.02)
    assert boxes.shape == (len(scores), 4) and landmarks.shape == (len(scores), 5, 2)
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] > 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= [size[1] + 0.01, size[0] + 0.01]).all()


@pytest.mark.parametrize("value", [0, 127, 255])
def test_nothing_in_an_empty_picture(bundled: Detector, value: int) -> None:
    boxes, landmarks, scores = bundled.detect(np.full((480, 640, 3), value, np.uint8))
    assert boxes.shape == (0, 4) and landmarks.shape == (0, 5, 2) and scores.shape == (0,)
    assert boxes.dtype == landmarks.dtype == scores.dtype == np.float32


def test_results_are_sorted_suppressed_above_the_threshold_and_repeatable(bundled: Detector) -> None:
    image = np.random.default_rng(1).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    image[:, 100:340] = drawn_face(width=240, height=300, x=120, y=150)
    many, few = bundled.detect(image, threshold=1e-4), bundled.detect(image, threshold=0.2)
    assert len(many[2]) > len(few[2]) >= 1
    assert (np.diff(many[2]) <= 0).all() and many[2].min() >= 1e-4 and few[2].min() >= 0.2
    assert (np.triu(iou(many[0], many[0]), 1) <= 0.4 + 1e-6).all()
    for one, two in zip(many, bundled.detect(image.copy(), threshold=1e-4), strict=True):
        np.testing.assert_array_equal(one, two)


def test_read_only_and_strided_pictures(bundled: Detector) -> None:
    image = drawn_face()
    image.setflags(write=False)
    wide = np.repeat(image, 2, axis=1)[:, ::2]
    np.testing.assert_array_equal(bundled.detect(wide)[0], bundled.detect(image)[0])


@pytest.mark.parametrize("side", [40, 90, 240, 390])
def test_a_drawn_face_is_found_where_it_is(bundled: Detector, side: int) -> None:
    boxes, landmarks, _ = bundled.detect(drawn_face(side))
    assert len(boxes) == 1
    assert iou(boxes, np.array([[240 - 0.37 * side, 200 - 0.47 * side, 0.74 * side, side]]))[0, 0] > 0.5
    painted = np.array([[-0.16, -0.02], [0.16, -0.02], [0, 0.18], [-0.12, 0.33], [0.12, 0.33]]) * side + (240, 200)
    assert np.linalg.norm(landmarks[0] - painted, axis=1).max() < 0.1 * side


def test_a_face_in_a_big_photo_is_found_at_both_scales(bundled: Detector) -> None:
    image = drawn_face()
    big = np.asarray(Image.fromarray(image).resize((3840, 3200)))
    small_boxes, small_marks, _ = bundled.detect(image)
    boxes, landmarks, _ = bundled.detect(big)
    assert len(boxes) == len(small_boxes) == 1
    assert iou(boxes / 8, small_boxes)[0, 0] > 0.8
    assert np.abs(landmarks / 8 - small_marks).max() < 8


def test_the_mirrored_picture_has_mirrored_faces(bundled: Detector) -> None:
    image = drawn_face(x=180)
    boxes, landmarks, scores = bundled.detect(image)
    back, back_marks, back_scores = bundled.detect(image[:, ::-1])
    assert len(boxes) == len(back) == 1
    back[:, 0] = image.shape[1] - back[:, 0] - back[:, 2]
    back_marks[..., 0] = image.shape[1] - back_marks[..., 0]
    assert iou(boxes, back)[0, 0] > 0.85
    assert np.abs(back_marks[:, FLIP] - landmarks).max() < 10  # 4 % of the face
    assert abs(float(scores[0] - back_scores[0])) < 0.15


@pytest.mark.parametrize("shift", [(32, 0), (0, 64), (17, 5)])
def test_a_moved_face_moves_its_box(bundled: Detector, shift: tuple[int, int]) -> None:
    boxes, landmarks, _ = bundled.detect(drawn_face(120, x=150, y=150))
    moved, moved_marks, _ = bundled.detect(drawn_face(120, x=150 + shift[0], y=150 + shift[1]))
    assert len(boxes) == len(moved) == 1
    assert np.abs(moved[0, :2] - boxes[0, :2] - shift).max() < 6
    assert np.abs(moved_marks - landmarks - shift).max() < 6


@pytest.mark.skipif(not ALBUM.exists(), reason=f"needs labelled photos at {ALBUM}")
def test_labelled_group_photos(bundled: Detector) -> None:
    truth = defaultdict(list)
    with (ALBUM / "faces.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            truth[row["file"]].append([float(row[k]) for k in ("left", "top", "width", "height")])
    found = others = 0
    for name, faces in truth.items():
        overlap = iou(np.array(faces), bundled.detect(np.asarray(Image.open(ALBUM / name).convert("RGB")))[0])
        found += int((overlap.max(axis=1, initial=0) > 0.3).sum())
        others += int((overlap.max(axis=0, initial=0) <= 0.3).sum())
    assert found >= 43
    assert others <= 3
