"""The user's models: added, listed, used by name for photos, removed."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import onnx_files
import pytest
from conftest import needs
from people_store import call, refused
from test_onnx import YUNET, scrfd_names

from facecluster.demo import make_collection
from facecluster.faces.detect import _detector
from facecluster.faces.embed import EmbedConfig
from facecluster.matching.probe import detect_config
from facecluster.models.folder import models_folder
from facecluster.models.onnx_detector import load_detector
from facecluster.models.registry import load_embedder
from facecluster.models.toml_text import to_toml
from facecluster.store import Store

SAID = ("--colour", "RGB", "--mean", "127.5", "127.5", "127.5", "--std", "128", "128", "128")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's models: none."""
    needs("onnxruntime")
    for cached in (load_detector, load_embedder, _detector):
        cached.cache_clear()  # type: ignore[attr-defined]
    monkeypatch.setenv("FACECLUSTER_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_where_the_folder_is(monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path) -> None:
    assert models_folder() == folder
    monkeypatch.delenv("FACECLUSTER_MODELS")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert models_folder() == tmp_path / "facecluster" / "models"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert models_folder() == Path.home() / ".local" / "share" / "facecluster" / "models"
    monkeypatch.setattr("sys.platform", "darwin")
    assert models_folder() == Path.home() / "Library" / "Application Support" / "facecluster" / "models"


def test_a_model_is_added_listed_and_removed(tmp_path: Path, folder: Path) -> None:
    onnx_files.embedder(tmp_path / "arc.onnx", dim=32)
    assert "--model arc" in call("models", "add", str(tmp_path / "arc.onnx"), *SAID, "--licence", "mine").output
    card = tomllib.loads((folder / "arc.toml").read_text())
    assert (card["model"]["dim"], card["model"]["task"], card["input"]["size"], card["input"]["std"]) == (32, "embedder", 112, [128.0] * 3)
    listed = json.loads(call("models", "list", "--json").output)
    assert [(m["name"], m["task"], m["problem"]) for m in listed["models"]] == [
        ("bundled", "embedder", None), ("bundled", "detector", None), ("mask", "attribute", None), ("pose", "attribute", None),
        ("arc", "embedder", None)]  # fmt: skip
    assert listed["to_pull"][0]["name"] == "yunet"
    assert "licence      mine" in call("models", "info", "arc").output and "arc" in call("models", "list").output
    assert "found 'arc' among the models" in refused("models", "add", str(tmp_path / "arc.onnx"), *SAID)
    onnx_files.embedder(tmp_path / "arc.onnx", dim=24)
    call("models", "add", str(tmp_path / "arc.onnx"), *SAID, "--replace")
    (folder / "arc.onnx").rename(folder / "arc2.onnx")
    assert "can't be used: arc.onnx is not there" in call("models", "list").output
    assert "deleted: arc.toml" in call("models", "remove", "arc").output
    assert "expected the model 'bundled'" in refused("models", "info", "arc")
    assert "not 'bundled'" in refused("models", "remove", "bundled")


def test_the_graph_says_what_a_detector_is(tmp_path: Path, folder: Path) -> None:
    for name, outputs, anchors in (("yn", YUNET, 1), ("sc", scrfd_names((8, 16, 32)), 2)):
        onnx_files.detector(tmp_path / f"{name}.onnx", outputs, anchors=anchors)
        assert f"--detector {name}" in call("models", "add", str(tmp_path / f"{name}.onnx")).output
    cards = {name: tomllib.loads((folder / f"{name}.toml").read_text()) for name in ("yn", "sc")}
    assert [c["decoder"]["family"] for c in cards.values()] == ["yunet", "scrfd"]
    assert [c["input"]["colour"] for c in cards.values()] == ["BGR", "RGB"]


def test_what_does_not_fit_is_not_added(tmp_path: Path, folder: Path) -> None:
    onnx_files.embedder(tmp_path / "arc.onnx", dim=32)
    file = str(tmp_path / "arc.onnx")
    assert "expected --colour, --mean, --std for an embedder" in refused("models", "add", file)
    assert "choose one with --name" in refused("models", "add", file, *SAID, "--name", "../up")
    card = {"model": {"name": "arc", "task": "embedder", "format": "onnx", "dim": 31, "licence": "x"},
            "input": {"colour": "RGB", "mean": 127.5, "std": 127.5}}  # fmt: skip
    for wrong, line in (
        (card, r"expected vectors (1, 31) of the model arc, found (1, 32)"),
        (card | {"model": card["model"] | {"sha256": "0" * 64}}, "with the SHA-256 of its card, 000000000000"),
        (card | {"input": {"colour": "RGBA", "mean": 0, "std": 1}}, "without or with a bad colour 'RGBA': RGB or BGR"),
        (card | {"input": {"colour": "RGB", "mean": 0, "std": 0}}, "without or with a bad std"),
    ):
        (tmp_path / "card.toml").write_text(to_toml(wrong))
        assert line in refused("models", "add", file, "--card", str(tmp_path / "card.toml"))
    assert not folder.exists() or [p for p in folder.iterdir() if not p.name.startswith(".")] == []


def test_text_survives_a_card() -> None:
    sections = {"a b": {"x.y": 'quote " back \\ tab \t line \n ü \x7f', "n": 1, "f": 0.1, "on": True, "l": [1, 2.5], "t": {"k": "v"}}}
    assert tomllib.loads(to_toml(sections)) == sections
    with pytest.raises(TypeError, match="found NoneType"):
        to_toml({"a": {"b": None}})


def test_a_run_with_models_of_the_folder(tmp_path: Path) -> None:
    """A photo of the demo, with an embedder of ours by its name; a detector whose faces are anywhere, by its name."""
    photos = Path(make_collection(str(tmp_path / "demo"), people=6, photos=2).photos)
    onnx_files.embedder(tmp_path / "arc.onnx", dim=32)
    onnx_files.detector(tmp_path / "yn.onnx", YUNET, gain=0.001)
    call("models", "add", str(tmp_path / "arc.onnx"), *SAID)
    call("models", "add", str(tmp_path / "yn.onnx"))
    first = sorted(photos.glob("*.jpg"))[0]
    store = Store(str(tmp_path / "store"))
    call("embed", str(first), "-o", store.url, "--model", "arc")
    config = EmbedConfig(model="arc")
    stamp = store.stamp("embeddings/arc", store.shards("embeddings/arc")[0])
    assert stamp == config.stamp() and store.read("embeddings/arc", "00000").schema.field("embedding").type.list_size == 32
    assert "detector_name" not in (store.stamp("faces", "00000") or {})
    other = Store(str(tmp_path / "other"))
    call("embed", str(first), "-o", other.url, "--model", "arc", "--detector", "yn")
    found = other.stamp("faces", "00000") or {}
    assert (found["detector_name"], found["detector"]) == ("yn", load_detector("yn").fingerprint)
    assert detect_config(other).detector == "yn" and detect_config(store).detector == "bundled"
    assert "keep the faces that the detector bundled found: yn searches new" in call("embed", str(first), "-o", store.url, "--model", "arc",
                                                                                     "--detector", "yn").stderr  # fmt: skip
    assert "expected the model 'bundled'" in refused("embed", str(first), "-o", str(tmp_path / "third"), "--model", "none")
    vectors = np.asarray(store.read("embeddings/arc", "00000")["embedding"].combine_chunks().flatten(), np.float32).reshape(-1, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-2)
