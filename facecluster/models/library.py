"""The user's models: adding a file with a card, listing, removing, measuring speed. `folder` says where they are.

A card may be given. Without one, `describe` reads from the graph what it can: the length of the vectors, the size of the pictures, the
family of a detector. What no graph says, the user must: colours, mean and std; a detector's follow from its family.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from facecluster.errors import InputError, ModelError
from facecluster.models.card import About, Input, about_of, is_onnx, read_toml
from facecluster.models.folder import ATTRIBUTES, BUNDLED, card_path, check_name, installed, models_folder
from facecluster.models.on_demand import best_device, load_attribute, load_detector, load_embedder
from facecluster.models.onnx_decoders import USUAL_THRESHOLD, family_of
from facecluster.models.onnx_session import OnnxSession, sha256_of
from facecluster.models.toml_text import to_toml

_FAMILY_INPUT = {
    "yunet": {"colour": "BGR", "mean": 0.0, "std": 1.0},
    "scrfd": {"colour": "RGB", "mean": 127.5, "std": 128.0},
    "retinaface": {"colour": "BGR", "mean": [104.0, 117.0, 123.0], "std": 1.0},
}


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be used."""

    about: About
    path: Path  # of its card
    raw: Mapping[str, Any]  # the card's sections
    problem: str = ""  # why it can't be used; empty: nothing is known


def find_model(name: str, task: str | None = None) -> Model:
    """A model by "bundled", its name, or the path of its card; `task` says which of the two bundled ones. Raises ModelError."""
    path = card_path(name, "detector" if task == "detector" else "embedder")
    raw = read_toml(path)
    return Model(about_of(raw, path), path, raw)


def models() -> list[Model]:
    """The bundled models and those of the user's folder; a card that can't be read is among them, with its problem."""
    found = [find_model(BUNDLED, "embedder"), find_model(BUNDLED, "detector"), *map(find_model, ATTRIBUTES)]
    for name in installed():
        path = card_path(name)
        try:
            model = find_model(name)
            weights = path.with_suffix(".onnx" if is_onnx(dict(model.raw)) else ".safetensors")
            found.append(model if weights.is_file() else Model(model.about, path, model.raw, f"{weights.name} is not there"))
        except ModelError as e:
            found.append(Model(About(name=name, task="?", sha256="", licence="?"), path, {}, str(e)))
    return found


def describe(file: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a card for an ONNX file, or for the safetensors of a vision transformer with timm's names.

    Args:
        file: the weights.
        given: what the user says of it; None or missing is not said. Keys: name, licence, limits, source, colour, mean, std, threshold.

    Raises:
        ModelError: it is no file of a kind that can be used.
        InputError: something is missing that the graph does not say.
    """
    said = {k: v for k, v in given.items() if v is not None}
    about = {"name": said.get("name", file.stem), "task": "embedder", "format": "onnx"}
    about |= {"sha256": sha256_of(file), "licence": said.get("licence", "not stated")}
    about |= {k: said[k] for k in ("limits", "source") if k in said}
    if file.suffix == ".safetensors":
        from facecluster.models import vit

        return {"model": about | {"format": "safetensors", "dim": _vit_dim(file)}, "network": {"kind": vit.KIND}}
    session = OnnxSession(file, Input())
    family = family_of(session.shapes)
    if family:
        wanted = _FAMILY_INPUT[family] | {k: said[k] for k in ("colour", "mean", "std") if k in said}
        card = {"model": about | {"task": "detector"}, "decoder": {"family": family}, "input": wanted}
        return card | {"reading": {"threshold": said.get("threshold", USUAL_THRESHOLD[family])}}
    if missing := [k for k in ("colour", "mean", "std") if k not in said]:
        hint = "most are RGB, 127.5 and 127.5; the model's page says so"
        raise InputError(f"expected --{', --'.join(missing)} for an embedder, whose graph does not say them, found none: {hint}")
    side = _side(session, file)
    outputs = session.run(np.zeros((1, side, side, 3), np.uint8))
    if len(outputs) != 1 or outputs[0].size < 16:
        found = ", ".join(f"{name} {shape}" for name, shape in session.shapes.items())
        known = f"those of a detector ({', '.join(_FAMILY_INPUT)})"
        raise ModelError(f"expected one output with a vector, or {known}, found {found} in {file}: use another")
    wanted = {k: said[k] for k in ("colour", "mean", "std")} | {"size": side, "alignment": "arcface-112"}
    return {"model": about | {"dim": int(outputs[0].size)}, "input": wanted}


def _vit_dim(file: Path) -> int:
    """Length of the vectors of a vision transformer. Raises ModelError if the file holds something else."""
    from facecluster.models import vit

    try:
        with safe_open(file, framework="pt") as opened:
            names = list(opened.keys())
            if vit.is_vit(names):
                return int(opened.get_slice("head.weight").get_shape()[0])
    except (OSError, SafetensorError) as e:
        raise ModelError(f"expected a safetensors file, found {file}: {' '.join(str(e).split())[:100]}. Use another") from e
    found = ", ".join(names[:3])
    raise ModelError(f"expected the tensors of a vision transformer by timm's names, found {found}... in {file}: give its card with --card")


def _side(session: OnnxSession, file: Path) -> int:
    if session.size is None:
        return 112
    if session.size[0] != session.size[1]:
        raise ModelError(f"expected an embedder of square pictures, found {session.size} in {file}: use another")
    return session.size[0]


def add(file: Path, card: Mapping[str, Any], *, replace: bool = False) -> Model:
    """Put a model into the user's folder: card and weights, both or neither; the name is the card's.

    Raises:
        InputError: the file is not there, the name can't be used or is taken, or the folder can't be written.
        ModelError: the card does not fit the file, or the model does not run.
    """
    try:
        name = str(card["model"]["name"])
        sha256 = str(card["model"]["sha256"])
    except (KeyError, TypeError) as e:
        raise ModelError(f"expected a card with a name and a SHA-256 in its section [model], found none: {e}. See docs/models.md") from e
    check_name(name)
    if name in installed() and not replace:
        raise InputError(f"expected a new name, found {name!r} among the models: choose another with --name, or give --replace")
    if (found := sha256_of(file)) != sha256:
        raise ModelError(f"expected {file} with the SHA-256 of its card, {sha256[:12]}..., found {found[:12]}...: get the right file")
    folder = models_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".adding-") as beside:
            weights, text = Path(beside) / f"{name}{'.onnx' if is_onnx(dict(card)) else file.suffix}", Path(beside) / f"{name}.toml"
            shutil.copyfile(file, weights)
            text.write_text(to_toml(card), encoding="utf-8")
            _try(text)
            for made in (weights, text):  # a card without weights would look like a model
                os.replace(made, folder / made.name)
    except OSError as e:
        raise InputError(f"expected to write to {folder}, found: {e.strerror or e}. Choose another with FACECLUSTER_MODELS") from e
    return find_model(name)


def _try(card: Path) -> None:
    """Run a model once, so that one that does not fit its card is not added."""
    task, face = read_toml(card)["model"].get("task"), np.full((1, 112, 112, 3), 127, np.uint8)
    if task == "detector":
        load_detector(str(card)).search([np.full((64, 64, 3), 127, np.uint8)])
    elif task == "attribute":
        load_attribute(str(card), "cpu").measure(face, np.zeros((1, 5, 2)))
    else:
        load_embedder(str(card), "cpu").embed(face)


def remove(name: str) -> list[str]:
    """Delete a model of the user's folder, and give the names of its files. Vectors in stores stay."""
    check_name(name)
    path = card_path(name)
    files = [p for p in (path, path.with_suffix(".onnx"), path.with_suffix(".safetensors")) if p.is_file()]
    for file in files:
        file.unlink()
    return [file.name for file in files]


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a model is on this machine."""

    pictures_per_second: float  # the best of some rounds
    bundled: float  # of the bundled model of that task


def bench(name: str, *, device: str = "auto", rounds: int = 3) -> Speed:
    """Measure an embedder on 32 faces of noise, mirrored ones added, or a detector on a picture of 1280x960."""
    task, device = find_model(name).about.task, best_device(device)
    return Speed(_speed(name, task, device, rounds), _speed(BUNDLED, task, device, rounds))


def _speed(name: str, task: str, device: str, rounds: int) -> float:
    rng, best = np.random.default_rng(0), math.inf
    if task == "detector":
        finder, pictures = load_detector(name, device), [rng.integers(0, 256, (960, 1280, 3), dtype=np.uint8)]
        work: Any = lambda: finder.search(pictures)  # noqa: E731
    else:
        embedder, faces = load_embedder(name, device), rng.integers(0, 256, (32, 112, 112, 3), dtype=np.uint8)
        work, pictures = (lambda: embedder.embed(faces)), list(faces)
    for _ in range(rounds + 1):  # the first warms up
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return len(pictures) / best
