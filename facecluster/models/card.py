"""Model cards: small TOML files beside the weights. docs/models.md describes their sections.

An embedder's card says what its cosines mean (section reading). Without that section, `Card.is_fitted` is false: the figures are then a
guess from the length of the vectors, until they are fitted to the faces of a store (facecluster/faces/fit_reading.py).
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import tomllib
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.errors import ModelError
from facecluster.models.folder import card_path
from facecluster.models.recognisability import Recognisability, from_card

# What a reading is made of where nobody has labelled faces: in the bundled embedder's card and in a fit of its teacher on faces with names,
# slope x sd of the impostor cosines is 2.41 and 2.35, and the cosine of even odds is 1.46 and 1.65 sd above their mean.
_EVIDENCE, _EVEN = 2.4, 1.46
_GUESSED_SD = 1.2  # sd of impostor cosines, times the root of the vector's length: 1.25 and 1.19 for those two models
ALIGNMENTS = ("arcface-112",)
NUMBER, TEXT = "number", "text"  # what a model of attributes may say


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What a network wants to see: (pixel - mean) / std, pixels from 0 to 255."""

    colour: str = "RGB"  # order of the channels: RGB or BGR
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)  # by channel, in that order
    std: tuple[float, float, float] = (127.5, 127.5, 127.5)
    size: int = 112  # px, side of an embedder's picture
    alignment: str = ALIGNMENTS[0]  # of an embedder's faces


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What every card says."""

    name: str
    task: str  # embedder, detector or attribute
    sha256: str  # of the weights file
    licence: str
    limits: str = ""  # of the licence, in plain words; empty: none are stated
    source: str = ""  # where it comes from
    accuracy: dict[str, Any] = field(default_factory=dict)  # published figures, with their sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The description of an embedder: its weights, and the meaning of its cosines."""

    name: str
    dim: int  # length of a vector
    sha256: str  # of the weights file
    licence: str
    slope: float  # probability that two faces are one person = 1 / (1 + exp(-(slope * cosine + intercept)))
    intercept: float
    impostor_mean: float  # of the cosines of two different people
    impostor_sd: float
    settings: dict[str, Any] = field(default_factory=dict)  # of the network
    recognisability: Recognisability | None = None  # of faces by their vectors; None: not known, all count as recognisable
    ranges: dict[str, Any] = field(default_factory=dict)  # activation ranges for 8-bit arithmetic; without them it is not used
    input: Input | None = None  # of an ONNX file; None: the network of this project
    is_fitted: bool = True  # whether slope, intercept and impostors were measured; False: a guess

    @property
    def fingerprint(self) -> str:
        """Stands for all that decides the vectors: the weights, and how a picture is made for them. 64 hex digits."""
        return self.sha256 if self.input is None else input_fingerprint(self.sha256, self.input)

    def probability(self, cosine: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probability that two faces with this cosine (-1 to 1) are one person, with even prior odds."""
        return 1 / (1 + np.exp(-(self.slope * np.asarray(cosine, np.float64) + self.intercept)))

    @property
    def even_cosine(self) -> float:
        """The cosine at which two faces are as probably one person as not, with even prior odds."""
        return -self.intercept / self.slope

    def best_impostor(self, faces: int) -> float:
        """The cosine to a face that one of so many faces of other people is expected to reach: neighbours above it are hardly strangers."""
        return self.impostor_mean + self.impostor_sd * NormalDist().inv_cdf(1 - 1 / max(faces, 2))

    def grouping_settings(self) -> dict[str, Any]:
        """Fields of IdentifyConfig that the model sets; pair_evidence is the log-odds of one person that 1 sd of cosine is worth."""
        evidence = round(self.slope * self.impostor_sd, 4)
        return {"impostor_mean": self.impostor_mean, "impostor_sd": self.impostor_sd, "pair_evidence": evidence}

    def with_impostors(self, mean: float, sd: float) -> Card:
        """The same card, its cosines read by the mean and sd of those of two different people."""
        slope = _EVIDENCE / sd
        return replace(self, slope=slope, intercept=-slope * (mean + _EVEN * sd), impostor_mean=mean, impostor_sd=sd)


def input_fingerprint(sha256: str, wanted: Input) -> str:
    """A hash of the weights' hash and of what the network wants to see."""
    said = json.dumps([sha256, wanted.colour, list(wanted.mean), list(wanted.std), wanted.size, wanted.alignment])
    return hashlib.sha256(said.encode()).hexdigest()


@lru_cache(maxsize=16)
def _sections(text: str) -> dict[str, Any]:
    """A stage asks for its model's card once a shard, and reading the bundled one takes 8 ms."""
    return tomllib.loads(text)


def read_toml(path: Path) -> dict[str, Any]:
    """The sections of a card. Raises ModelError if there is none, or it can't be read."""
    try:
        return copy.deepcopy(_sections(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        hint = "choose 'bundled', the path of a card (.toml), or a name of 'facecluster models list'"
        raise ModelError(f"expected a model card, found none at {path}: {hint}") from None
    except (OSError, ValueError) as e:
        raise ModelError(f"expected a readable model card, found {path}: {' '.join(str(e).split())}. Correct it") from e


def read_card(path: Path) -> Card:
    """Read an embedder's card. Raises ModelError if it is missing, incomplete, or of another kind of model."""
    raw = read_toml(path)
    about = about_of(raw, path)
    if about.task != "embedder":
        use = "to 'facecluster attributes' with --model" if about.task == "attribute" else f"with --{about.task}"
        kind = "model of attributes" if about.task == "attribute" else about.task
        raise ModelError(f"expected the card of an embedder, found that of a {kind} at {path}: give it {use}")
    try:
        dim, reading = int(raw["model"]["dim"]), raw.get("reading")
        blank = Card(
            name=about.name, dim=dim, sha256=about.sha256, licence=about.licence, settings=raw.get("network", {}), slope=1, intercept=0,
            impostor_mean=0, impostor_sd=0.1, ranges=raw.get("ranges", {}), input=read_input(raw) if is_onnx(raw) else None,
            recognisability=from_card(raw.get("recognisability"), dim),
        )  # fmt: skip
        if reading is None and (is_onnx(raw) or "kind" in blank.settings):
            return replace(blank.with_impostors(0.0, _GUESSED_SD / math.sqrt(dim)), is_fitted=False)
        if reading is None:
            raise KeyError("reading")
        return replace(
            blank, slope=reading["slope"], intercept=reading["intercept"],
            impostor_mean=_either(reading, "impostor_mean", "stranger_mean"), impostor_sd=_either(reading, "impostor_sd", "stranger_sd"),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as e:
        raise incomplete(path, e) from e


def about_of(raw: dict[str, Any], path: Path) -> About:
    """What every card says. Raises ModelError if something is missing."""
    try:
        model = raw["model"]
        task = str(model.get("task", "detector" if {"decoder", "verifier"} & set(raw) else "embedder"))  # old cards do not say
        return About(
            name=model["name"], task=task, sha256=model["sha256"], licence=model["licence"], limits=str(model.get("limits", "")),
            source=str(model.get("source", "")), accuracy=raw.get("accuracy", {}),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise incomplete(path, e) from e


def incomplete(path: Path, error: Exception) -> ModelError:
    """For a card without something, or with something that can't be used."""
    return ModelError(f"expected a complete model card, found {path} without or with a bad {error}: see docs/models.md")


def is_onnx(raw: dict[str, Any]) -> bool:
    """Whether a card is of an ONNX file."""
    return bool(raw["model"].get("format") == "onnx")


def read_input(raw: dict[str, Any]) -> Input:
    """The section [input] of a card. Raises ValueError, KeyError or TypeError if it can't be used."""
    found = raw["input"]
    wanted = Input(
        colour=str(found["colour"]), mean=_channels(found["mean"]), std=_channels(found["std"]), size=int(found.get("size", 112)),
        alignment=str(found.get("alignment", ALIGNMENTS[0])),
    )  # fmt: skip
    if wanted.colour not in ("RGB", "BGR"):
        raise ValueError(f"colour {wanted.colour!r}: RGB or BGR")
    if wanted.alignment not in ALIGNMENTS:
        raise ValueError(f"alignment {wanted.alignment!r}: {' or '.join(ALIGNMENTS)}")
    if not all(s > 0 for s in wanted.std) or wanted.size < 16:
        raise ValueError(f"std {list(wanted.std)} or size {wanted.size}")
    return wanted


def _channels(value: Any) -> tuple[float, float, float]:
    """One number for all channels, or one for each."""
    given = [float(v) for v in (value if isinstance(value, list) else [value] * 3)]
    if len(given) != 3 or not all(map(math.isfinite, given)):
        raise ValueError(f"mean or std {value}: one number, or three")
    return given[0], given[1], given[2]


def _either(values: dict[str, Any], name: str, old: str) -> float:
    """A value by its name, or by the name that older cards have for it. Raises KeyError."""
    return float(values[name if name in values or old not in values else old])


def card_of(model: str) -> Card:
    """The card of an embedder: of "bundled", of a model in the user's folder by its name, or at a path."""
    return read_card(card_path(model))
