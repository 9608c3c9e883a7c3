"""The end of a training: a model in a folder, card.toml and card.safetensors, that every command takes by the path of its card.

The card has the accuracy on people who were held out, what the cosines mean, the recognisability, the ranges for 8-bit arithmetic (of the
bundled architecture), the data, the licence and the recipe.

The reading is fitted to the names of the people held out; of fewer than _PEOPLE, that of the model that was started from is kept, or it is
fitted without labels. The recognisability is fitted to up to _CLEAR faces, and pictures made of them, as a store does it at first use.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecluster.faces.fit_reading import LEAST, impostors
from facecluster.faces.fit_recognisability import fit_to_faces
from facecluster.models.card import Card, card_of
from facecluster.models.folder import check_name
from facecluster.models.int8 import measure_ranges
from facecluster.models.onnx_session import sha256_of
from facecluster.models.registry import AttentionModel, fold_batch_norm, replaced_weights
from facecluster.models.toml_text import to_toml
from facecluster.models.vit import VisionTransformer
from facecluster.store.replace_file import sync_folder
from facecluster.training.accuracy import Accuracy, HeldOutPairs
from facecluster.training.config import TrainConfig
from facecluster.training.faces import Crops, LearningFaces, Parts, some_of
from facecluster.training.folder import MAKING, replacing
from facecluster.training.networks import Network, dim_of, from_weights, images_of, save, settings_of
from facecluster.training.reading import fit_reading

CARD, WEIGHTS = "card.toml", "card.safetensors"
_RANGES, _CLEAR, _HELD_OUT = 1_000, 400, 3_000  # faces at most
REPLACED = re.compile(r"card-[0-9a-f]{16}\.safetensors")  # weights that new ones replaced, as registry.replaced_weights calls them
LAYERS = "layers"  # fact: which layers were learnt, if not all
_PEOPLE = 10  # people held out to whom a reading is fitted


@dataclass(frozen=True, slots=True)
class Said:
    """What the user says of a model."""

    name: str
    licence: str = "not stated"
    data: str = ""  # about the data, in a line; empty: what is known of it


@dataclass(frozen=True, slots=True)
class Published:
    """A model that was written."""

    card: Path
    name: str
    accuracy: Accuracy | None
    reading: str  # how it was fitted


def name_of(out: Path, name: str | None) -> str:
    """The name of a model: as the user says, or that of its folder. Raises ModelError if it can't be one."""
    found = name or "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in out.absolute().name)
    check_name(found)
    return found


def held_out_rows(parts: Parts) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows of faces of people held out: all, or some evenly."""
    return some_of(parts.held_out, _HELD_OUT)


def publish(
    weights: dict[str, Tensor], out: Path, config: TrainConfig, faces: LearningFaces, parts: Parts, said: Said, facts: dict[str, Any]
) -> Published:  # fmt: skip
    """Write the model into a folder. At every moment there is the old model, the new one, or none if there was none.

    Args:
        weights: by the names that files have.
        out: the folder, which exists.
        config: the recipe.
        faces: those it learnt from, and those held out.
        parts: which are which.
        said: what the user says.
        facts: more for the card's section [training].
    """
    with tempfile.TemporaryDirectory(dir=out, prefix=MAKING) as folder:
        file = Path(folder) / WEIGHTS
        save(weights, file)
        network, learnt = from_weights(weights), faces.take(some_of(parts.learn, _RANGES))
        blank = Card(
            name=said.name, dim=dim_of(network), sha256=sha256_of(file), licence=said.licence, slope=1, intercept=0, impostor_mean=0,
            impostor_sd=0.1, settings=dict(settings_of(network)), ranges=_ranges(network, learnt),
        )  # fmt: skip
        model = AttentionModel(from_weights(weights), blank, "cpu")
        rows = held_out_rows(parts)
        vectors = model.embed(faces.take(rows))
        card, how = _read(blank, model, vectors, faces.label[rows], learnt, config)
        model.card = card
        clear = faces.take(some_of(np.concatenate([parts.held_out, parts.learn]), _CLEAR))
        recognisability = fit_to_faces(model, clear, model.embed(clear)) if len(clear) >= LEAST else None
        accuracy = HeldOutPairs(faces.label[rows]).accuracy(vectors) if len(rows) else None
        sections = _sections(replace(card, recognisability=recognisability), accuracy, how)
        sections["model"]["parameters"] = sum(p.numel() for p in network.parameters())
        text = to_toml(sections | _history(config, faces, parts, said, facts))
        (Path(folder) / CARD).write_text(f"# Model card of an embedder. Weights: {WEIGHTS} (float16).\n\n{text}", encoding="utf-8")
        for name in (WEIGHTS, CARD):
            with (Path(folder) / name).open("rb+") as made:
                os.fsync(made.fileno())
        put_in_place(Path(folder), out)
    return Published(out / CARD, said.name, accuracy, how)


def put_in_place(made: Path, out: Path) -> None:
    """Move weights and card of a model from `made` to `out`; a card that is there finds its own weights until the new one is there."""
    weights = out / WEIGHTS
    if weights.exists():
        kept = replaced_weights(weights, sha256_of(weights))
        if not kept.exists():
            with weights.open("rb") as old, replacing(kept) as file:
                shutil.copyfileobj(old, file)
    for name in (WEIGHTS, CARD):
        sync_folder(str(out))
        os.replace(made / name, out / name)
    sync_folder(str(out))
    for path in out.iterdir():
        if REPLACED.fullmatch(path.name):
            path.unlink()


def _ranges(network: Network, crops: Crops) -> dict[str, Any]:
    """The ranges for 8-bit arithmetic; none of a vision transformer."""
    if isinstance(network, VisionTransformer):
        return {}
    folded = copy.deepcopy(network).eval()
    fold_batch_norm(folded)
    found = measure_ranges(folded, images_of(torch.from_numpy(crops)))
    return {name: [round(v, 4) for v in ends] for name, ends in found.items()}


def _read(card: Card, model: AttentionModel, vectors: Any, label: Any, learnt: Crops, config: TrainConfig) -> tuple[Card, str]:
    """The card with what its cosines mean, and how that was found."""
    people, size = np.unique(label, return_counts=True)
    if len(people) >= _PEOPLE and (size > 1).any():
        slope, intercept, mean, sd = fit_reading(vectors, label.astype(str), np.random.default_rng(0))
        if slope > 0:
            slope, intercept, mean, sd = (round(v, 4) for v in (slope, intercept, mean, sd))
            found = replace(card, slope=slope, intercept=intercept, impostor_mean=mean, impostor_sd=sd)
            return found, f"fitted to the names of {len(people)} people who were held out"
    before = None if config.init is None else card_of(config.init)
    if before is not None and before.is_fitted:
        kept = replace(
            card, slope=before.slope, intercept=before.intercept, impostor_mean=before.impostor_mean, impostor_sd=before.impostor_sd
        )
        return kept, f"that of {before.name}, from which it started: fewer than {_PEOPLE} people were held out"
    found_impostors = impostors(model.embed(learnt)) if len(learnt) >= LEAST else None
    how = f"a guess from faces without labels: fewer than {_PEOPLE} people were held out"
    return card.with_impostors(*(found_impostors or (0.0, 0.1))), how


def _sections(card: Card, accuracy: Accuracy | None, how: str) -> dict[str, Any]:
    """The sections of a card that say what the model is and how good."""
    about = {"name": card.name, "task": "embedder", "format": "safetensors"}
    about |= {"dim": card.dim, "sha256": card.sha256, "licence": card.licence}  # type: ignore[dict-item]
    reading = {name: getattr(card, name) for name in ("slope", "intercept", "impostor_mean", "impostor_sd")}
    sections: dict[str, Any] = {"model": about, "network": card.settings, "reading": reading | {"how": how}}
    if card.recognisability is not None:
        found = card.recognisability
        sections["recognisability"] = {"intercept": found.intercept, "weights": list(found.weights)}
    if card.ranges:
        sections["ranges"] = card.ranges
    if accuracy is not None:
        sections["accuracy"] = {**accuracy.to_dict(), "of": "people who were held out from this training"}
    return sections


def _history(config: TrainConfig, faces: LearningFaces, parts: Parts, said: Said, facts: dict[str, Any]) -> dict[str, Any]:
    """The sections of a card that say how the model was made."""
    training = {
        "data": said.data or faces.source, "faces": len(parts.learn), "people": len(parts.people),
        "people_held_out": len(np.unique(faces.label[parts.held_out])), **facts,
    }  # fmt: skip
    lineage = {f"{c.name} ({c.licence})" for c in (card_of(m) for m in (config.init, config.teacher) if m is not None)}
    if lineage:
        training["lineage"] = "; ".join(sorted(lineage))
    if LAYERS in facts:  # of the recipe's settings hardly any counted
        return {"training": training}
    return {"training": training, "recipe": {k: v for k, v in config.recipe().items() if v is not None}}
