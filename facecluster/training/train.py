"""`facecluster train`: from faces to a model that can be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from facecluster.errors import InputError, ModelError
from facecluster.models.card import read_toml
from facecluster.models.folder import BUNDLED, card_path
from facecluster.models.registry import card_of, load_embedder, load_weights
from facecluster.store import STORE_FILE, TEMPORARY
from facecluster.training.accuracy import RATES, HeldOutPairs
from facecluster.training.averaging import average
from facecluster.training.config import TrainConfig
from facecluster.training.discriminant import DiscriminantConfig
from facecluster.training.faces import LearningFaces, Parts, part
from facecluster.training.folder import LOCK, MAKING
from facecluster.training.last_layer import head_of, learnt_last_layer
from facecluster.training.log import CSV, EVENTS, SVG, is_log
from facecluster.training.loop import CHECKPOINT, model_of, read_checkpoint
from facecluster.training.networks import build, from_weights, named_weights
from facecluster.training.publish import CARD, LAYERS, REPLACED, WEIGHTS, Published, Said, held_out_rows, publish

LEAST_PEOPLE, LEAST_FACES = 6, 5  # with so many faces each, to fine-tune
WORSE = 0.002  # of the true accept rate: a model that is worse by more than this is not kept
ANCHOR = 10.0  # weight of the old model's vectors in the loss of fine-tuning
FEWER = (1.0, 0.5, 0.25)  # of the share of new weights that is asked for; the first with which the model is no worse is kept
Learn = Callable[[TrainConfig, LearningFaces, Parts], None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same people, whom neither learnt here; lists are in the order of accuracy.RATES."""

    people: int
    faces: int
    before: list[float]
    after: list[float]
    low: list[float]  # ends of the interval at 95 % of after - before, over draws of the people
    high: list[float]
    share: float = 1.0  # of the new weights in the new model

    @property
    def is_kept(self) -> bool:
        """Whether the new model is worse at no rate by more than WORSE."""
        return all(a >= b - WORSE for a, b in zip(self.after, self.before, strict=True))

    def lines(self) -> list[str]:
        """A line for each rate."""
        return [
            f"true accept rate at {rate:g}: {b:.4f} before, {a:.4f} after ({a - b:+.4f}, 95 % {low:+.4f} to {high:+.4f})"
            for rate, b, a, low, high in zip(RATES, self.before, self.after, self.low, self.high, strict=True)
        ]


def parts_of(faces: LearningFaces, config: TrainConfig) -> Parts:
    """Which faces are learnt and which people are held out. Faces of nobody known count only for what a teacher says of them."""
    least = 2 if config.loss != "none" else 0
    return part(faces, config.hold_out, config.seed, min_faces=config.min_faces, unnamed=config.teacher is not None, least=least)


def train(config: TrainConfig, faces: LearningFaces, out: Path, said: Said, learn: Learn) -> Published:
    """Learn, and publish the mean of the weights.

    Args:
        config: the recipe.
        faces: to learn from; some people are held out.
        out: folder for the model, which gets the checkpoint and the log too.
        said: what the user says of the model.
        learn: runs `loop.learn` for these faces, here or in several processes.
    """
    parts = parts_of(faces, config)
    learn(config, faces, parts)
    weights, facts = learnt_weights(config, out)
    return publish(weights, out, config, faces, parts, said, facts)


def check_folder(out: Path) -> None:
    """Raise InputError unless a model may be written to a folder: it is missing, empty, or of an earlier training, and in no store."""
    place = out.absolute()
    if store := next((p for p in (place, *place.parents) if (p / STORE_FILE).is_file()), None):
        raise InputError(f"expected a folder outside of stores, found one in {store}: choose another with -o, since 'forget' looks there")
    if out.is_dir() and (out / CHECKPOINT).exists():
        read_checkpoint(out / CHECKPOINT)
        return
    names = {path.name for path in out.iterdir() if not _is_left_over(path.name)} if out.is_dir() else set()
    if CARD in names and _is_last_layer(out / CARD):
        names = {name for name in names - {CARD, WEIGHTS} if not REPLACED.fullmatch(name)}
    if out.exists() and not out.is_dir() or names - {CSV, SVG, EVENTS, LOCK} or (CSV in names and not is_log(out / CSV)):
        raise InputError(f"expected an empty folder or a training in {out}, found other files: choose another folder with -o")


def _is_left_over(name: str) -> bool:
    """Whether a training that was killed left a file or folder, which the next one removes."""
    return TEMPORARY.fullmatch(name) is not None or name.startswith(MAKING)


def _is_last_layer(card: Path) -> bool:
    """Whether a card is of a model of which the last layer alone was learnt: no checkpoint lies beside it."""
    try:
        training = read_toml(card).get("training")
    except ModelError:
        return False
    return isinstance(training, dict) and LAYERS in training


def finetune_config(config: TrainConfig, model: str) -> TrainConfig:
    """The recipe that goes on from a model: a low rate, its own vectors as an anchor, its batch norms as they are."""
    return replace(config, init=model, teacher=model, freeze_norms=True, min_faces=max(config.min_faces, LEAST_FACES))


def finetune(
    config: TrainConfig, faces: LearningFaces, out: Path, said: Said, learn: Learn | None, share: float
) -> tuple[Published | None, Comparison]:  # fmt: skip
    """Learn the names of a collection; publish the mean of old and new weights, unless it is worse on people who are held out.

    Args:
        config: as `finetune_config` gives it.
        faces: of the collection.
        out: folder for the model.
        said: what the user says of the model.
        learn: as for `train`; None: only the last layer is learnt, which takes seconds.
        share: of the new weights in the mean, 0 to 1; less of them is tried if the model is worse.

    Raises:
        InputError: too few people, or a model of which the last layer alone can't be learnt.
    """
    assert config.init is not None
    path = card_path(config.init)
    old = load_weights(path.with_suffix(".safetensors"), card_of(config.init).sha256)
    if learn is None:
        head_of(old)
    enough = int((faces.counts() >= config.min_faces).sum())
    if enough < LEAST_PEOPLE:
        want = f"{LEAST_PEOPLE} people or more with a name and {config.min_faces} faces each"
        raise InputError(f"expected {want} to fine-tune, found {enough} in {faces.source}: name more people, as with 'facecluster review'")
    parts = parts_of(faces, config)
    rows = held_out_rows(parts)
    pairs = HeldOutPairs(faces.label[rows])
    if not pairs:
        found_people = len(pairs.names)
        raise InputError(f"expected two people or more to hold out, found {found_people}: give a larger --hold-out, or name more people")
    facts: dict[str, Any]
    if learn is None:
        settings = DiscriminantConfig(seed=config.seed)
        new, facts = learnt_last_layer(old, faces, parts, settings), {LAYERS: "the last one"} | asdict(settings)
    else:
        learn(config, faces, parts)
        new, facts = learnt_weights(config, out)
    crops = faces.take(rows)
    before = load_embedder(config.init, "cpu").embed(crops)
    for smaller in FEWER:
        weights = average(old, new, share * smaller)
        found = compare(pairs, before, model_of(from_weights(weights)).embed(crops), share * smaller)
        if found.is_kept:
            break
    else:
        return None, found
    old_rates = {f"tar at far {rate:g}": round(tar, 4) for rate, tar in zip(RATES, found.before, strict=True)}
    facts |= {"share_of_new_weights": found.share, "before": old_rates}
    return publish(weights, out, config, faces, parts, said, facts), found


def compare(pairs: HeldOutPairs, before: Any, after: Any, share: float = 1.0) -> Comparison:
    """Two models by their vectors (n, dim), of length 1, of the same faces."""
    draws = pairs.draws([before, after])
    low, high = np.quantile(draws[:, 1] - draws[:, 0], [0.025, 0.975], axis=0)
    old, new = (pairs.rates(vectors).tolist() for vectors in (before, after))
    return Comparison(len(pairs.names), len(pairs.person), old, new, low.tolist(), high.tolist(), share)


def learnt_weights(config: TrainConfig, out: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The mean of the weights in a checkpoint, by the names that files have, and facts about the training."""
    state = read_checkpoint(out / CHECKPOINT)
    network = build(config.network, config.init, config.depth)
    network.load_state_dict(state["mean"])
    facts = {"steps": state["step"], "faces_seen": state["step"] * config.batch, "minutes": round(state["spent"] / 60, 1)}
    return named_weights(network), facts


__all__ = ["BUNDLED", "Comparison", "compare", "finetune", "finetune_config", "parts_of", "train"]
