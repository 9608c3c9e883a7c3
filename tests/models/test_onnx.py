"""ONNX files as embedders and detectors, against float64 references; YuNet against OpenCV on real photos."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx_files
import pytest
from conftest import needs
from numpy.typing import NDArray
from PIL import Image

from facecluster.errors import ModelError
from facecluster.geometry import nms
from facecluster.models.card import Card, Input, card_of
from facecluster.models.folder import WEIGHTS
from facecluster.models.onnx_detector import OnnxDetector, load_detector
from facecluster.models.onnx_embedder import OnnxEmbedder
from facecluster.models.onnx_session import OnnxSession, outputs, sha256_of
from facecluster.models.registry import load_embedder

SHARED = Path(__file__).parents[3] / "shared"
YUNET = {f"{kind}_{s}": (s, k) for kind, k in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)) for s in (8, 16, 32)}


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    needs("onnxruntime")
    needs("onnx")


@pytest.fixture(scope="module")
def crops() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (5, 112, 112, 3), dtype=np.uint8)


def card(path: Path, dim: int, wanted: Input) -> Card:
    return Card(
        name="x", dim=dim, sha256=sha256_of(path), licence="", slope=1, intercept=0, impostor_mean=0, impostor_sd=0.1, input=wanted
    )


@pytest.mark.parametrize("colour", ["RGB", "BGR"])
@pytest.mark.parametrize("batch, last, mirror", [("n", False, True), (1, False, False), ("n", True, True)])
def test_vectors_are_those_of_the_graph(
    tmp_path: Path, crops: NDArray[np.uint8], colour: str, batch: int | str, last: bool, mirror: bool
) -> None:
    mean, std = (120.0, 110.0, 100.0), (60.0, 50.0, 70.0)
    matrix = onnx_files.embedder(tmp_path / "m.onnx", batch=batch, last=last)
    model = OnnxEmbedder(tmp_path / "m.toml", card(tmp_path / "m.onnx", 24, Input(colour=colour, mean=mean, std=std)))
    expected = onnx_files.expected_vectors(matrix, crops, mean, std, bgr=colour == "BGR", mirror=mirror)
    np.testing.assert_allclose(model.embed(crops, mirror=mirror), expected, atol=1e-5)
    assert model.embed(crops[:0]).shape == (0, 24)


def test_values_inside_a_graph_are_given_too(tmp_path: Path, crops: NDArray[np.uint8]) -> None:
    made = onnx_files.teacher(tmp_path / "m.onnx", parts=9, channels=4, dim=24)
    seen = card(tmp_path / "m.onnx", 24, Input())
    plain, model = (OnnxEmbedder(tmp_path / "m.toml", seen, inner=inner) for inner in ((), ("/fourteen", "/seven")))
    vectors, fourteen, seven = model.look(crops)
    x = (crops.astype(np.float64) - 127.5) / 127.5
    for found, side, name, low, high in ((seven, 7, "seven", 0, 6), (fourteen, 14, "fourteen", -np.inf, np.inf)):
        means = x.reshape(len(x), side, 112 // side, side, 112 // side, 3).mean(axis=(2, 4))
        expected = (means @ made[name][:, :, 0, 0].T).clip(low, high).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(vectors, seven.reshape(len(crops), -1) @ made["v"], atol=1e-3)
    assert np.array_equal(model.embed(crops), plain.embed(crops)) and [len(v) for v in plain.look(crops)] == [len(crops)]
    with pytest.raises(ModelError, match="expected a value '/eight' in the graph of .*m.onnx, found none"):
        OnnxEmbedder(tmp_path / "m.toml", seen, inner=["/eight"])


def test_the_bytes_of_outputs_are_those_of_the_package(tmp_path: Path) -> None:
    """Names of any length, and characters of several bytes, as onnx itself writes them."""
    onnx = needs("onnx")
    names = ["a", "ü" * 70, "/" + "b" * 20_000]
    model = onnx.ModelProto()
    for name in names:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    found = onnx.ModelProto()
    found.ParseFromString(outputs(names))
    assert found == model


def test_a_network_of_another_size_gets_resized_faces(tmp_path: Path) -> None:
    matrix = onnx_files.embedder(tmp_path / "m.onnx", side=224)
    flat = np.repeat(np.repeat(np.random.default_rng(2).integers(0, 256, (2, 7, 7, 3), dtype=np.uint8), 16, 1), 16, 2)
    model = OnnxEmbedder(tmp_path / "m.toml", card(tmp_path / "m.onnx", 24, Input(size=224)))
    larger = onnx_files.expected_vectors(matrix, np.repeat(np.repeat(flat, 2, 1), 2, 2), 127.5, 127.5)
    assert (np.sum(model.embed(flat) * larger, axis=1) > 0.999).all()  # the edges of the squares are blurred
    with pytest.raises(ModelError, match=r"expected pictures of 112 px, as the card .* found weights that take \(224, 224\)"):
        OnnxEmbedder(tmp_path / "m.toml", card(tmp_path / "m.onnx", 24, Input()))


def test_files_that_do_not_fit_are_one_line(tmp_path: Path, crops: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.onnx"
    onnx_files.embedder(path)
    with pytest.raises(ModelError, match=r"expected vectors \(5, 32\) of the model x, found \(5, 24\)"):
        OnnxEmbedder(tmp_path / "m.toml", card(path, 32, Input())).embed(crops)
    with pytest.raises(ModelError, match="expected weights with SHA-256 000000000000"):
        OnnxSession(path, Input(), sha256="0" * 64)
    (tmp_path / "page.onnx").write_text("<html>not found</html>")
    with pytest.raises(ModelError, match="expected an ONNX file that onnxruntime opens"):
        OnnxSession(tmp_path / "page.onnx", Input())
    with pytest.raises(ModelError, match="expected an ONNX file at"):
        OnnxSession(tmp_path / "none.onnx", Input())
    with pytest.raises(ModelError, match="expected a detector of the family"):
        OnnxDetector(path, Input(), "yolo", threshold=0.5)
    with pytest.raises(ModelError, match="expected outputs of the family yunet"):
        OnnxDetector(path, Input(), "yunet", threshold=0.5)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"expected the package onnxruntime.*pip install 'facecluster\[onnx\]'"):
        OnnxSession(path, Input())


def scrfd_names(strides: tuple[int, ...]) -> dict[str, tuple[int, int]]:
    """Outputs as insightface's exports have them: numbers as names, all scores, all boxes, all landmarks."""
    return {str(440 + i): (s, k) for i, (k, s) in enumerate((k, s) for k in (1, 4, 10) for s in strides)}


def scrfd_reference(
    raw: list[NDArray[np.float64]], strides: tuple[int, ...], anchors: int, h: int, w: int, least: float
) -> list[list[float]]:
    """The published decoding, written a prediction at a time: score, box as corners, five landmarks."""
    found, n = [], len(strides)
    for i, stride in enumerate(strides):
        for row in range(h // stride):
            for column in range(w // stride):
                for anchor in range(anchors):
                    at = (row * (w // stride) + column) * anchors + anchor
                    score, x, y = raw[i][at, 0], column * stride, row * stride
                    if score >= least:
                        left, top, right, bottom = raw[n + i][at] * stride
                        points = [(x, y)[j % 2] + v * stride for j, v in enumerate(raw[2 * n + i][at])]
                        found.append([score, x - left, y - top, x + right, y + bottom, *points])
    return found


@pytest.mark.parametrize("strides, anchors, batched", [((8, 16, 32), 2, False), ((8, 16, 32), 2, True), ((8, 16, 32, 64, 128), 1, False)])
def test_scrfd_is_decoded_as_published(tmp_path: Path, strides: tuple[int, ...], anchors: int, batched: bool) -> None:
    names = scrfd_names(strides)
    made = onnx_files.detector(tmp_path / "d.onnx", names, anchors=anchors, batched=batched)
    picture = np.random.default_rng(3).integers(0, 256, (128, 256, 3), dtype=np.uint8)
    wanted = Input(mean=(127.5,) * 3, std=(128.0,) * 3)
    found = OnnxDetector(tmp_path / "d.onnx", wanted, "scrfd", threshold=0.5).look([picture], 0.5)[0]
    raw = list(onnx_files.raw_outputs(made, names, (picture - 127.5) / 128).values())
    expected = np.array(scrfd_reference(raw, strides, anchors, 128, 256, 0.5))
    middle = (expected[:, 1:3] + expected[:, 3:5]) / 2
    expected = expected[((middle > 0) & (middle < (256, 128)) & (expected[:, 3:5] > expected[:, 1:3])).all(axis=1)]
    assert 10 < len(expected) == len(found.scores)
    corners = np.concatenate([found.boxes[:, :2], found.boxes[:, :2] + found.boxes[:, 2:]], axis=1)
    mine = np.concatenate([found.scores[:, None], corners, found.landmarks.reshape(-1, 10)], axis=1)
    np.testing.assert_allclose(mine, expected, atol=2e-3)


def test_yunet_is_decoded_as_published(tmp_path: Path) -> None:
    made = onnx_files.detector(tmp_path / "d.onnx", YUNET, gain=0.01)
    picture = np.random.default_rng(3).integers(0, 256, (96, 160, 3), dtype=np.uint8)
    model = OnnxDetector(tmp_path / "d.onnx", Input(colour="BGR", mean=(0.0,) * 3, std=(1.0,) * 3), "yunet", threshold=0.5)
    found = model.look([picture], 0.3)[0]
    raw = onnx_files.raw_outputs(made, YUNET, picture[..., ::-1].astype(np.float64))
    expected = []
    for stride in (8, 16, 32):
        for row in range(96 // stride):
            for column in range(160 // stride):
                cls, obj, box, kps = (raw[f"{kind}_{stride}"][row * (160 // stride) + column] for kind in ("cls", "obj", "bbox", "kps"))
                x, y, w, h = (column + box[0]) * stride, (row + box[1]) * stride, np.exp(box[2]) * stride, np.exp(box[3]) * stride
                score = np.sqrt(cls[0] * obj[0])
                if score >= 0.3 and 0 < x < 160 and 0 < y < 96:
                    points = [((column, row)[j % 2] + v) * stride for j, v in enumerate(kps)]
                    expected.append([score, x - w / 2, y - h / 2, w, h, *points])
    assert len(expected) > 20
    mine = np.concatenate([found.scores[:, None], found.boxes, found.landmarks.reshape(-1, 10)], axis=1)
    np.testing.assert_allclose(mine, expected, atol=2e-3, rtol=1e-4)


def test_a_graph_of_a_fixed_size_sees_larger_pictures_reduced(tmp_path: Path) -> None:
    onnx_files.detector(tmp_path / "free.onnx", YUNET)
    onnx_files.detector(tmp_path / "fixed.onnx", YUNET, size=(96, 128))
    free, fixed = (OnnxDetector(tmp_path / f"{n}.onnx", Input(), "yunet", threshold=0.3) for n in ("free", "fixed"))
    small = np.full((96, 128, 3), (200, 40, 90), np.uint8)  # of one colour: reducing changes no pixel
    large = np.full((192, 256, 3), (200, 40, 90), np.uint8)
    a, b, c = free.look([small], 0.0)[0], fixed.look([small], 0.0)[0], fixed.look([large], 0.0)[0]
    assert len(a.scores) > 100
    np.testing.assert_array_equal(a.boxes, b.boxes)
    np.testing.assert_allclose(c.boxes, 2 * b.boxes, atol=1e-3)
    np.testing.assert_allclose(c.landmarks, 2 * b.landmarks, atol=1e-3)
    assert fixed.look([small[:1, :1]], 0.0)[0].boxes.shape[1] == 4  # a picture of one pixel


def test_yunet_finds_what_opencv_finds() -> None:
    file, photos = SHARED / "teachers" / "yunet_n.onnx", sorted(SHARED.glob("data/album/*/*.jpg"))[:12]
    if not file.is_file() or not photos:
        pytest.skip("needs the teachers and the album of the shared folder")
    cv2 = pytest.importorskip("cv2", reason="needs opencv-python-headless, which the product does not use")
    mine = OnnxDetector(file, Input(colour="BGR", mean=(0.0,) * 3, std=(1.0,) * 3), "yunet", threshold=0.6)
    faces = 0
    for path in photos:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        height, width = pixels.shape[:2]
        opencv = cv2.FaceDetectorYN.create(str(file), "", (width, height), 0.6, 0.3, 5000)
        theirs = opencv.detect(np.ascontiguousarray(pixels[..., ::-1]))[1]
        theirs = theirs[np.argsort(-theirs[:, 14], kind="stable")]
        found = mine.look([pixels], 0.6)[0]
        found = found.take(nms(found.boxes, found.scores, 0.3))
        assert len(found.scores) == len(theirs)
        np.testing.assert_allclose(found.boxes, theirs[:, :4], atol=0.5)
        np.testing.assert_allclose(found.landmarks.reshape(-1, 10), theirs[:, 4:14], atol=0.5)
        np.testing.assert_allclose(found.scores, theirs[:, 14], atol=1e-4)
        faces += len(theirs)
    assert faces > 25


def test_the_kind_of_a_card_is_checked() -> None:
    assert load_detector("bundled").fingerprint != load_embedder("bundled", "cpu").card.fingerprint
    weights = WEIGHTS / "embedder.toml"
    with pytest.raises(ModelError, match="expected the card of a detector, found that of an embedder.*--model"):
        load_detector(str(weights))
    with pytest.raises(ModelError, match="expected the card of an embedder, found that of a detector.*--detector"):
        card_of(str(weights.with_name("detector.toml")))


def test_retinaface_is_decoded_as_published(tmp_path: Path) -> None:
    """Priors of two sides a cell, variances .1 and .2, written a prediction at a time; the graph has its outputs in another order."""
    strides, sides = (8, 16, 32), {8: (16, 32), 16: (64, 128), 32: (256, 512)}
    names = {f"{kind}_{s}": (s, k) for kind, k in (("conf", 2), ("landms", 10), ("loc", 4)) for s in strides}
    joined = {kind: [f"{kind}_{s}" for s in strides] for kind in ("conf", "landms", "loc")}
    made = onnx_files.detector(tmp_path / "d.onnx", names, anchors=2, joined=joined, gain=0.01)
    picture = np.random.default_rng(3).integers(0, 256, (96, 160, 3), dtype=np.uint8)
    wanted = Input(colour="BGR", mean=(104.0, 117.0, 123.0), std=(1.0,) * 3)
    found = OnnxDetector(tmp_path / "d.onnx", wanted, "retinaface", threshold=0.5).look([picture], 0.5)[0]
    raw = onnx_files.raw_outputs(made, names, picture[..., ::-1].astype(np.float64) - (104, 117, 123))
    expected = []
    for s in strides:
        for at in range((96 // s) * (160 // s) * 2):
            cell, anchor = divmod(at, 2)
            row, column = divmod(cell, 160 // s)
            side, cx, cy = sides[s][anchor], (column + 0.5) * s, (row + 0.5) * s
            conf, loc, kps = raw[f"conf_{s}"][at], raw[f"loc_{s}"][at], raw[f"landms_{s}"][at]
            score = np.exp(conf[1]) / (np.exp(conf[0]) + np.exp(conf[1]))
            x, y = cx + 0.1 * loc[0] * side, cy + 0.1 * loc[1] * side
            w, h = side * np.exp(0.2 * loc[2]), side * np.exp(0.2 * loc[3])
            if score >= 0.5 and 0 < x < 160 and 0 < y < 96:
                points = [(cx, cy)[j % 2] + 0.1 * v * side for j, v in enumerate(kps)]
                expected.append([score, x - w / 2, y - h / 2, w, h, *points])
    assert len(expected) > 20
    mine = np.concatenate([found.scores[:, None], found.boxes, found.landmarks.reshape(-1, 10)], axis=1)
    np.testing.assert_allclose(mine, expected, atol=2e-3, rtol=1e-4)
