"""The product on a GPU against a processor. FACECLUSTER_GPU_TESTS_ON=cpu runs the same code without one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from facecluster.cli import main
from facecluster.demo import make_collection
from facecluster.faces.detect import detect_faces
from facecluster.faces.embed import EmbedConfig, embed_faces
from facecluster.geometry import align, iou
from facecluster.grouping.link import nearest
from facecluster.grouping.link_lists import candidates, gpus, pack, probed, train, unpack, whole
from facecluster.grouping.link_plan import FLAT_LISTS, LinkPlan
from facecluster.models.detector import Detector
from facecluster.models.registry import AttentionModel, best_device, load_embedder, load_network
from facecluster.store import Store
from facecluster.training.config import TrainConfig
from facecluster.training.faces import part
from facecluster.training.log import read_log
from facecluster.training.loop import CHECKPOINT, learn, read_checkpoint

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from training_faces import faces, tiny_model  # noqa: E402

DEVICE = os.environ.get("FACECLUSTER_GPU_TESTS_ON", "cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_collection(str(tmp_path_factory.mktemp("demo")), people=6, photos=2).photos)


@pytest.fixture(scope="module")
def pictures(photos: Path) -> list[np.ndarray]:
    paths = sorted(photos.rglob("*.jpg"))
    some = []
    for path in paths:
        try:
            with Image.open(path) as image:
                some.append(np.asarray(image.convert("RGB")))
        except OSError:
            continue  # the collection's broken file
    return some[:8]


@pytest.fixture(scope="module")
def crops(pictures: list[np.ndarray]) -> np.ndarray:
    found = [align(p, f.landmarks) for p in pictures if len((f := detect_faces(p, device="cpu")).scores)]
    return np.concatenate(found)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a.astype(np.float64) * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.fixture(autouse=True)
def full_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def float32_vectors(crops: np.ndarray, mirror: bool) -> np.ndarray:
    network = load_network("bundled")
    assert network is not None
    x = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        return (network(x) + network(x.flip(3)) if mirror else network(x)).numpy()


@pytest.mark.parametrize("mirror", [True, False])
def test_vectors_are_those_of_a_processor_whatever_the_batch(crops: np.ndarray, mirror: bool) -> None:
    given = embed_faces(crops, EmbedConfig(mirror=mirror), device=DEVICE)
    assert cosines(float32_vectors(crops, mirror), given).min() >= (0.995 if DEVICE != "cpu" else 0.98)  # a processor has int8
    for n in (1, 7, 64, 1500):
        rows = np.arange(n) % len(crops)
        got = embed_faces(crops[rows], EmbedConfig(mirror=mirror), device=DEVICE)
        assert got.shape == (n, given.shape[1]) and cosines(got, given[rows]).min() >= 0.999
    assert embed_faces(crops[:0], device=DEVICE).shape == (0, given.shape[1])


def test_short_memory_halves_batches(crops: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_embedder("bundled", best_device(DEVICE))
    assert isinstance(model, AttentionModel)
    wanted = model.embed(crops)
    run, sizes = model.run, list[int]()

    def short(x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        if len(x) > 6:
            raise torch.OutOfMemoryError("no memory is left")
        return run(x)

    monkeypatch.setattr(model, "run", short)
    if DEVICE == "cpu":
        monkeypatch.setattr(model, "device", "fake")
        monkeypatch.setattr("facecluster.models.batches.to_device", lambda x, device: torch.from_numpy(x))
    got = model.embed(crops)
    assert max(sizes) > 6 and cosines(got, wanted).min() >= 0.999
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def test_the_detector_finds_the_same_faces(pictures: list[np.ndarray]) -> None:
    wanted = Detector.load(device="cpu", arithmetic="float32").search(pictures)
    for arithmetic, least, px in (("float32", 0.98, 1.0), ("bfloat16", 0.85, 6.0)):
        found = Detector.load(device=DEVICE, arithmetic=arithmetic).search(pictures)
        for (one, turn), (other, other_turn) in zip(wanted, found, strict=True):
            assert turn == other_turn and len(one.scores) == len(other.scores)
            if len(one.scores):
                near = iou(one.boxes, other.boxes)
                assert near.max(axis=1).min() >= least
                assert np.abs(one.landmarks - other.landmarks[near.argmax(axis=1)]).max() <= px


def test_candidates_do_not_depend_on_the_batch(pictures: list[np.ndarray]) -> None:
    detector = Detector.load(device=DEVICE, arithmetic="float32")
    small = [np.ascontiguousarray(p[:480, :640]) for p in pictures if p.shape[0] >= 480 and p.shape[1] >= 640]
    for one, many in zip([detector.look([p], 0.5)[0] for p in small], detector.look(small, 0.5), strict=True):
        assert np.allclose(np.sort(one.scores), np.sort(many.scores), atol=1e-3)


def test_the_command_makes_the_same_store(photos: Path, tmp_path: Path) -> None:
    stores = []
    for device in ("cpu", DEVICE):
        url = str(tmp_path / f"store-{device}-{len(stores)}")
        result = CliRunner().invoke(main, ["embed", str(photos), "-o", url, "--device", device])
        assert result.exit_code == 0, result.output
        stores.append(Store(url))
    vectors = []
    for store in stores:
        table = EmbedConfig().table()
        rows = [row for shard in store.shards(table) for row in store.read(table, shard).to_pylist()]
        of_photo: dict[str, list[np.ndarray]] = {}
        for row in rows:  # faces of a photo are numbered by score, which rounding may turn round
            of_photo.setdefault(row["face_id"].split("-")[0], []).append(np.asarray(row["embedding"], np.float32))
        vectors.append(of_photo)
    counts = [sum(map(len, v.values())) for v in vectors]
    assert vectors[0].keys() == vectors[1].keys() and counts[0] > 10 and abs(counts[0] - counts[1]) <= counts[0] // 20
    found = np.concatenate([(np.stack(vectors[0][p]) @ np.stack(vectors[1][p]).T).max(axis=1) for p in vectors[0]])
    assert np.median(found) >= 0.97 and found.min() >= 0.8


def people(n: int, dim: int = 64) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n // 6 + 1, dim))[np.arange(n) // 6] + 0.5 * rng.normal(size=(n, dim))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16)


def recall(x: np.ndarray, rows: np.ndarray, k: int) -> float:
    products = x.astype(np.float32) @ x.T.astype(np.float32)
    np.fill_diagonal(products, -2)
    wanted = np.argsort(-products, axis=1)[:, :k]
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(wanted, rows, strict=True)]))


@pytest.fixture
def faiss_gpu() -> Iterator[None]:
    if DEVICE == "cuda" and not gpus():
        pytest.skip("needs FAISS with GPUs")
    yield


@pytest.mark.parametrize("exact, least", [(10**6, 0.999), (1000, 0.97)])
def test_the_nearest_are_found(exact: int, least: float, faiss_gpu: None) -> None:
    x = people(6000)
    rows, similarity = nearest(x, 5, exact=exact)
    assert recall(x, rows, 5) >= least
    there = np.clip(rows, 0, None)
    wanted = (x[:, None].astype(np.float32) * x[there].astype(np.float32)).sum(axis=2)
    assert np.abs(similarity - wanted)[rows >= 0].max() <= 2e-3


def test_lists_find_the_nearest(faiss_gpu: None) -> None:
    x = people(6000)
    plan = LinkPlan(embeddings="e", links="l", sources="", faces=len(x), dim=x.shape[1], k=5, rows=len(x), method=FLAT_LISTS, lists=100,
                    probes=30, same_person=0.5, span=1, parts=1, held=len(x))  # fmt: skip
    trained = train(x, plan)
    lists = probed(trained[0], whole(x), plan.probes)
    own, all_rows = lists[:, 0].astype(np.int32), np.arange(len(x), dtype=np.int32)
    order = np.lexsort((all_rows, own))
    codes = np.ascontiguousarray(x).view(np.uint8)
    index = unpack(pack(plan, trained, own[order], all_rows[order], codes[order]))
    rows = candidates(index, x.astype(np.float32), lists, 6)[0]
    assert (rows[:, 0] == all_rows).mean() > 0.99 and recall(x, rows[:, 1:], 5) >= 0.97


def test_training_learns_and_goes_on_elsewhere(tmp_path: Path) -> None:
    config = TrainConfig(init=tiny_model(tmp_path / "init"), steps=40, minutes=None, batch=16, hold_out=0.3, partial=1.0, rate=3e-3,
                         device=DEVICE)  # fmt: skip
    some = faces([5] * 8)
    parts, losses = part(some, config.hold_out, config.seed), list[float]()
    learn(config, some, parts, tmp_path / "out", lambda status: losses.append(status.loss))
    assert np.isfinite(losses).all()
    learn(replace(config, steps=43, device="cpu"), some, parts, tmp_path / "out")
    assert read_checkpoint(tmp_path / "out" / CHECKPOINT)["step"] == 43
    rows = [float(row["loss"]) for row in read_log(tmp_path / "out" / "log.csv")]
    assert rows[-1] < rows[0] or len(rows) < 2
