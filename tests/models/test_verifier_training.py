"""How the second stage of the detector is trained: labels of candidates, pictures, what is drawn, the fitted score, publishing."""

from __future__ import annotations

import io
import sys
import tomllib
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflows"))
import publish_detector  # noqa: E402
import train_verifier  # noqa: E402
import verifier_crops  # noqa: E402
from detector_photos import Photo  # noqa: E402

from facecluster.models.backbone import fold_batch_norms  # noqa: E402
from facecluster.models.detector import WEIGHTS, Detector  # noqa: E402
from facecluster.models.verifier import FaceVerifier  # noqa: E402
from facecluster.models.views import SIDE, Candidates  # noqa: E402


def test_candidates_are_faces_things_or_left_out() -> None:
    faces = np.array([[100, 100, 40, 40]], np.float32)
    photo = Photo(
        image=np.zeros((300, 300, 3), np.uint8), boxes=faces, landmarks=np.zeros((1, 5, 2), np.float32), scores=np.ones(1, np.float32),
        source="x", held_out=False,
    )  # fmt: skip
    boxes = np.array([[102, 100, 40, 40], [125, 100, 40, 40], [200, 200, 40, 40], [10, 10, 40, 40]], np.float32)
    found = Candidates(boxes, np.zeros((4, 5, 2), np.float32), np.array([0.2, 0.2, 0.2, 0.5], np.float32))
    assert verifier_crops.labels_of(photo, faces, found).tolist() == [1, -1, 0, -1]  # overlaps half; far away; far away but likely
    assert verifier_crops.labels_of(photo, faces[:0], found).tolist() == [0, 0, 0, 0]


def test_a_changed_photo_has_its_boxes_where_its_faces_are() -> None:
    image = np.full((200, 300, 3), 50, np.uint8)
    image[40:90, 60:100] = 250
    photo = Photo(
        image=image, boxes=np.array([[60, 40, 40, 50]], np.float32), landmarks=np.zeros((1, 5, 2), np.float32),
        scores=np.ones(1, np.float32), source="x", held_out=False,
    )  # fmt: skip
    for seed in range(5):
        picture, boxes = verifier_crops.changed(photo, np.random.default_rng(seed))
        ys, xs = np.nonzero(picture[:, :, 0] > 150)
        np.testing.assert_allclose(boxes[0], [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1], atol=1.5)


@given(st.integers(0, 1000))
def test_pictures_are_turned_as_often_as_they_are_labelled(seed: int) -> None:
    crops = torch.zeros(8, 3, 80, 80)
    crops[:, :, 10:30, 30:50] = 255  # a bright place above the middle
    turns = torch.arange(8) % 4
    with patch.object(train_verifier, "PASTED", 0):
        pictures = train_verifier.augmented(crops, turns, torch.Generator().manual_seed(seed)).mean(1)
    assert pictures.shape == (8, SIDE, SIDE) and 0 <= pictures.min() and pictures.max() <= 255
    for picture, turn in zip(pictures, turns.tolist(), strict=True):
        y, x = (torch.nonzero(picture > (picture.min() + picture.max()) / 2).float().mean(0) / SIDE - 0.5).tolist()
        side = ("above" if y < 0 else "below") if abs(y) > abs(x) else ("left" if x < 0 else "right")
        assert side == ("above", "left", "below", "right")[turn]


def test_pasted_pictures_keep_their_middle_on_other_ground() -> None:
    pictures = torch.arange(400.0).reshape(400, 1, 1, 1).expand(400, 3, SIDE, SIDE).clone()  # each has a value of its own
    out = train_verifier.pasted(pictures, torch.Generator().manual_seed(0))
    kept = (out == pictures).all(1)
    changed = ~kept.flatten(1).all(1)
    assert 0.2 < changed.float().mean() < 0.4
    assert kept[:, 24:40, 24:40].all() and not kept[changed][:, [0, -1]].any() and not kept[changed][:, :, [0, -1]].any()


def test_a_face_is_laid_where_the_candidate_is() -> None:
    faces = torch.zeros(6, 3, 112, 112)
    faces[:, :, 70:74, 54:58] = 255  # the middle of the landmarks of an aligned face
    out = train_verifier.laid_over(torch.full((6, 3, 80, 80), 120.0), faces, torch.Generator().manual_seed(0))
    for picture in out.mean(1):
        y, x = torch.nonzero(picture == picture.max()).float().mean(0).tolist()
        assert abs(y - 39.5) < 1.5 and abs(x - 39.5) < 1.5 and (picture[[0, -1]] == 120).all() and picture.min() < 1


def candidates(n: int = 400) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "label": np.arange(n) % 2, "score": rng.uniform(0.05, 0.9, n), "photo": np.arange(n) // 4, "thing": np.arange(n) % 4 < 2,
        "tuning": np.arange(n) % 10 == 0,
    }  # fmt: skip


def test_what_is_taken_for_the_other_is_drawn_more_often_and_tuning_photos_never() -> None:
    crops = candidates()
    for label in (0, 1):
        chance = train_verifier.chances(crops, label, None)
        drawn = (crops["label"] == label) & ~crops["tuning"]
        assert chance.sum() == pytest.approx(1) and (chance[~drawn] == 0).all() and (chance[drawn] > 0).all()
        some = drawn & (crops["thing"] | (label == 1))
        order = np.argsort(crops["score"][some])
        assert (np.diff(chance[some][order]) * (1 - 2 * label) >= 0).all()


def test_the_fitted_score_is_the_law_that_made_the_labels() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 2, 60_000), rng.normal(0, 2, 60_000)
    label = (rng.random(60_000) < 1 / (1 + np.exp(-(0.8 * a + 1.5 * b - 0.6)))).astype(np.int8)
    np.testing.assert_allclose(train_verifier.fit_score(a, b, label), [0.8, 1.5, -0.6], atol=0.05)


def test_published_weights_are_loaded_with_their_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = tmp_path / "detector.toml"
    card.write_text(WEIGHTS.with_suffix(".toml").read_text())
    for name in (WEIGHTS.name, "verifier.safetensors"):
        (tmp_path / name).write_bytes(WEIGHTS.with_name(name).read_bytes())
    torch.manual_seed(5)
    network = fold_batch_norms(FaceVerifier())
    train_verifier.save(network, [0.5, 2.0, -1.25], tmp_path / "made.safetensors")
    coded = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)).save(coded, "PNG")
    pq.write_table(pa.table({"image": [coded.getvalue()]}), tmp_path / "photos.parquet")
    options = ["--verifier", str(tmp_path / "made.safetensors"), "--threshold", "0.61", "--card", str(card)]
    options += ["--photos", str(tmp_path / "photos.parquet")]
    monkeypatch.setattr(sys, "argv", ["publish_detector.py", *options])
    card.write_text(card.read_text() + '\n# of the curve\n[later]\n"stem.0" = 7\n')
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as patched, pytest.raises(OSError, match="no photos"):
        patched.setattr(publish_detector, "photos_of", Mock(side_effect=OSError("no photos")))
        publish_detector.main()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files  # as it was
    publish_detector.main()
    assert {path.name for path in tmp_path.iterdir()} == files.keys()
    assert card.read_text().endswith('\n\n# of the curve\n[later]\n"stem.0" = 7\n') and card.read_text().count("[highest.verifier]") == 1
    loaded = Detector.load(card.with_suffix(".safetensors"))
    assert loaded.verifier is not None and loaded.verifier.weights == (0.5, 2.0, -1.25) and loaded.threshold == 0.61
    seen = torch.rand(3, 3, SIDE, SIDE) * 255
    with torch.no_grad():
        torch.testing.assert_close(loaded.verifier.network.float()(seen), network(seen), rtol=0.02, atol=0.02)
    highest = tomllib.loads(card.read_text())["highest"]
    before = tomllib.loads(WEIGHTS.with_suffix(".toml").read_text())["highest"]
    assert all(highest[stage].keys() == before[stage].keys() and highest[stage] != before[stage] for stage in ("detector", "verifier"))
    assert f"parameters = {sum(p.numel() for p in network.parameters())}" in card.read_text()
