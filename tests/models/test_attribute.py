"""Pose against projections of 3D points; ONNX attributes against their own numbers; the mask's probe against its card."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from models import onnx_files
from people_store import call, refused
from scipy.spatial.transform import Rotation

from facecluster.errors import ModelError
from facecluster.models.attribute import load_attribute
from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.folder import WEIGHTS
from facecluster.models.pose import FACE, head_pose
from facecluster.models.registry import load_embedder, load_network
from facecluster.models.toml_text import to_toml

# another face than the formula's, in mm: that of many examples of solvePnP, with the eyes' middles for their corners
OTHER_FACE = np.array([[-32.0, -34, -27], [32, -34, -27], [0, 0, 0], [-26, 31, -20], [26, 31, -20]])
ANGLES = np.array([[0, 0, 0], [25, 0, 0], [-40, 0, 0], [0, 15, 0], [0, -20, 10], [0, 0, 35], [30, 12, -20], [-20, -10, 170]])


def turned(face: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """3D points of a face turned by (yaw, pitch, roll) degrees: roll x pitch x yaw, written as axes and angles."""
    yaw, pitch, roll = angles
    turns = [Rotation.from_euler(axis, angle, degrees=True) for axis, angle in (("z", roll), ("x", pitch), ("y", yaw))]
    return (turns[0] * turns[1] * turns[2]).apply(face)


def test_pose_of_the_model_face_is_exact_at_any_place_and_scale() -> None:
    points = np.stack([turned(FACE, a)[:, :2] * 37 + (900, -40) for a in ANGLES])
    assert head_pose(points) == pytest.approx(ANGLES, abs=1e-3)


def test_pose_of_another_face_in_perspective_is_near() -> None:
    found = []
    for angles in ANGLES:
        x, y, z = turned(OTHER_FACE, angles).T
        found.append(np.stack([x, y], axis=1) * (500 / (500 - z))[:, None])  # a camera at half a metre
    errors = np.abs(head_pose(np.stack(found)) - ANGLES)
    assert errors[:, 0].max() < 8 and errors[:, 2].max() < 4  # degrees
    assert errors[:, 1].max() < 20  # of the pitch, which takes the other face's proportions for a turn


def test_directions_and_odd_landmarks() -> None:
    front = FACE[:, :2] * 40
    up, left = front.copy(), front.copy()
    up[2, 1] -= 8  # the tip of the nose nearer to the eyes
    left[2, 0] += 8  # towards the left eye, which is right in the picture
    yaw, pitch, roll = head_pose(np.stack([front, up, left, np.zeros((5, 2))])).T
    assert abs(yaw[0]) < 1e-3 and pitch[1] > 5 and yaw[2] > 5 and np.isnan([yaw[3], pitch[3], roll[3]]).all()


def test_an_expression_of_an_onnx_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of OpenCV zoo's facial_expression_recognition: RGB, mean and std .5, 112 px, seven numbers."""
    monkeypatch.setenv("FACECLUSTER_MODELS", str(tmp_path / "models"))
    labels = ["angry", "disgust", "fearful", "happy", "neutral", "sad", "surprised"]
    matrix = onnx_files.embedder(tmp_path / "fer.onnx", dim=7, batch=1)
    card = {
        "model": {"name": "expression", "task": "attribute", "format": "onnx", "licence": "Apache-2.0"},
        "attribute": {"name": "expression", "labels": labels},
        "input": {"colour": "RGB", "mean": 127.5, "std": 127.5, "size": 112, "alignment": "arcface-112"},
    }
    (tmp_path / "card.toml").write_text(to_toml(card))
    assert "facecluster attributes STORE" in call("models", "add", str(tmp_path / "fer.onnx"), "--card", str(tmp_path / "card.toml")).stdout
    crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    found = load_attribute("expression").measure(crops, np.zeros((3, 5, 2)))
    pooled = ((crops - 127.5) / 127.5).reshape(3, 7, 16, 7, 16, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2).reshape(3, -1)
    numbers = pooled @ matrix
    expected = np.exp(numbers) / np.exp(numbers).sum(axis=1, keepdims=True)
    assert found["expression"].tolist() == [labels[i] for i in expected.argmax(axis=1)]
    assert found["expression_probability"] == pytest.approx(expected.max(axis=1), abs=1e-4)
    card["attribute"] = {"name": "expression", "labels": labels[:6]}
    (tmp_path / "card.toml").write_text(to_toml(card))
    assert "correct the labels" in refused("models", "add", str(tmp_path / "fer.onnx"), "--card", str(tmp_path / "card.toml"), "--replace")
    with pytest.raises(ModelError, match="found that of a model of attributes"):
        load_embedder("expression")
    with pytest.raises(ModelError, match="found the embedder"):
        load_attribute("bundled")


def test_the_mask_probe_is_its_cards_regression() -> None:
    card = tomllib.loads((WEIGHTS / "mask.toml").read_text(encoding="utf-8"))
    crops = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)
    network = load_network()
    assert isinstance(network, AttentionEmbedder)
    with torch.inference_mode():  # batch norms not folded, one token at a time
        parts = network.features(torch.from_numpy(crops).permute(0, 3, 1, 2).float())[1].double().numpy()
    mean = sum(parts[:, 7 * row + column] for row in (4, 5, 6) for column in range(7))
    log_odds = mean / np.linalg.norm(mean, axis=1, keepdims=True) @ np.array(card["probe"]["weights"]) + card["probe"]["intercept"]
    model = load_attribute("mask")
    assert model.measure(crops, np.zeros((2, 5, 2)))["mask"] == pytest.approx(1 / (1 + np.exp(-log_odds)), abs=1e-4)
    assert len(model.measure(crops[:0], np.zeros((0, 5, 2)))["mask"]) == 0
    assert min(card["accuracy"][name] for name in card["accuracy"] if name.startswith("auc")) >= 0.98
