"""Regions, pictures, maps by covering, and the command."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from models import onnx_files
from people_store import call, refused
from PIL import Image
from review.review_store import grouped

from facecluster.explain import REGIONS, FaceMaps, overlay, region_areas, shares
from facecluster.explain.face_maps import occlusion_effects
from facecluster.explain.regions import region_of
from facecluster.geometry import TEMPLATE
from facecluster.models.registry import load_embedder


def test_landmarks_lie_in_their_regions_and_shares_sum_to_one() -> None:
    at = [REGIONS[region_of()[int(y), int(x)]] for x, y in TEMPLATE]
    assert at == ["eyes", "eyes", "nose", "mouth", "mouth"] and REGIONS[region_of()[5, 5]] == "rest"
    assert sum(region_areas().values()) == pytest.approx(1)
    even = shares(np.full((1, 7, 7), 1 / 49))[0]
    assert even == pytest.approx(list(region_areas().values()))
    eye = np.zeros((1, 14, 14))
    eye[0, int(51.7 / 8), int(38.3 / 8)] = 1
    assert shares(eye)[0].tolist() == pytest.approx([1, 0, 0, 0])


def test_the_picture_is_coloured_where_the_map_is_high() -> None:
    weights = np.zeros((7, 7))
    weights[1, 5] = 1
    image = np.asarray(Image.open(io.BytesIO(overlay(np.full((112, 112, 3), 90, np.uint8), weights))), int)
    assert image.shape == (336, 336, 3)
    colourful = image.max(axis=2) - image.min(axis=2)
    row, column = np.unravel_index(colourful.argmax(), colourful.shape)
    assert 48 <= row < 96 and 240 <= column < 288 and colourful[200:, :200].max() == 0


def test_covering_moves_the_vector_of_an_onnx_file_as_its_matrix_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACECLUSTER_MODELS", str(tmp_path))
    matrix = onnx_files.embedder(tmp_path / "given.onnx")
    values = ["127.5"] * 3
    call("models", "add", str(tmp_path / "given.onnx"), "--name", "cnn", "--colour", "RGB", "--mean", *values, "--std", *values)
    crops = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)
    covered = crops.copy()
    covered[:, 32:48, 80:96] = crops.mean(axis=(1, 2), keepdims=True).round()
    one, two = (onnx_files.expected_vectors(matrix, faces, 127.5, 127.5) for faces in (crops, covered))
    assert occlusion_effects(load_embedder("cnn"), crops)[:, 2, 5] == pytest.approx(1 - (one * two).sum(axis=1), abs=1e-5)
    maps = FaceMaps("cnn")
    found = maps(crops)
    assert maps.method == "occlusion" and found.sum(axis=(1, 2)) == pytest.approx([1, 1])


def test_maps_of_a_mirrored_face_are_mirrored() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (1, 112, 112, 3), np.uint8)
    maps = FaceMaps()
    one, two = maps(np.ascontiguousarray(crops)), maps(np.ascontiguousarray(crops[:, :, ::-1]))
    assert maps.method == "sensitivity" and np.allclose(one, two[:, :, ::-1], atol=1e-6) and not np.allclose(one, two, atol=1e-3)


def test_the_command(tmp_path: Path) -> None:
    store, ids, truth = grouped(tmp_path, (4, 3), singles=1)
    out = tmp_path / "out"
    one = json.loads(call("explain", store.url, ids[0], "-o", str(out), "--json").stdout)
    assert [f["face_id"] for f in one["faces"]] == [ids[0]] and one["method"] == "sensitivity"
    with Image.open(out / one["faces"][0]["picture"]) as picture:
        assert picture.size == (336, 336)
    assert sum(one["shares"].values()) == pytest.approx(1, abs=1e-3)
    call("name", store.url, ids[4], "Ada")
    person = json.loads(call("explain", store.url, "ada", "--json").stdout)
    assert {f["face_id"] for f in person["faces"]} == {ids[i] for i in np.flatnonzero(truth == 1)} and person["out"] is None
    photo = json.loads(call("explain", store.url, "/photos/3.jpg", "--json").stdout)
    assert [f["face_id"] for f in photo["faces"]] == [ids[3]]
    every = call("explain", store.url, "--max-faces", "5").stdout
    assert every.startswith("5 faces of 8, model bundled, by sensitivity\n") and "eyes" in every
    rollout = json.loads(call("explain", store.url, ids[0], "--method", "rollout", "--json").stdout)
    assert rollout["method"] == "rollout" and rollout["shares"] != one["shares"]
    assert "found 'nobody'" in refused("explain", store.url, "nobody")
    assert '"where": "' + str(out) in (tmp_path / "store" / "exports.json").read_text()  # so that forget can name it
