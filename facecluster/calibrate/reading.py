"""STORE/calibration/MODEL.json: how the vectors of a model are read in this store. docs/format.md describes it.

It is stamped with the hash of the model's weights: under another model, or other weights of the same name, it is not used.

Odd inputs: a file that is not there means the model card's own reading; one that can't be read, or holds figures that are none, is a
StoreError.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from facecluster.calibrate.fit import Line
from facecluster.errors import StoreError
from facecluster.grouping.identify import METHOD
from facecluster.models.registry import Card
from facecluster.store import FORMAT, Store

FOLDER = "calibration"
_NUMBERS = ("slope", "intercept")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was fitted; what was not is None."""

    pairs: Line | None = None  # from a cosine to the log-odds that two faces are one person, both cases being as likely
    impostor_mean: float = 0.0  # cosine of two strangers of the store; goes with `pairs`
    impostor_sd: float = 0.0
    other_weights: bool = False  # there is one, for other weights of the model: nothing of it is used
    place: Line | None = None  # from a face's place in its group (identify.Groups) to the log-odds that a face is its group's person

    def __bool__(self) -> bool:
        return self.pairs is not None or self.place is not None

    def card(self, card: Card) -> Card:
        """A model's card that reads pairs in this way."""
        if self.pairs is None:
            return card
        return replace(
            card, slope=self.pairs.slope, intercept=self.pairs.intercept, impostor_mean=self.impostor_mean, impostor_sd=self.impostor_sd
        )

    def grouping(self) -> dict[str, Any]:
        """What it changes in IdentifyConfig: probabilities only, who is with whom stays."""
        return {} if self.place is None else {"confidence_slope": self.place.slope, "confidence_intercept": self.place.intercept}


def path_of(card: Card) -> tuple[str, str]:
    """Where a model's file is in a store."""
    return FOLDER, f"{card.name}.json"


def read_reading(store: Store, card: Card) -> Reading:
    """The reading that a store has for a model; an empty one if it has none, or one for other weights.

    Raises:
        StoreError: the file can't be read.
    """
    path = store.path(*path_of(card))
    try:
        found = json.loads(store.fs.cat_file(path))
        if found["format"] > FORMAT:
            raise StoreError(f"expected {path} of format {FORMAT}, found {found['format']}: install a newer facecluster")
        if found["weights"] != card.sha256:
            return Reading(other_weights=True)
        pairs, place = (_line(found[key]) for key in ("pairs", "place"))
        if found.get("method") != METHOD:
            place = None  # what another method of grouping called a place
        strangers = [float(found["pairs"][key]) for key in ("stranger_mean", "stranger_sd")] if pairs else [0.0, 0.0]
        if pairs and not (all(map(math.isfinite, strangers)) and strangers[1] > 0):
            raise ValueError(f"strangers of {strangers}")
    except FileNotFoundError:
        return Reading()
    except (OSError, ValueError, KeyError, TypeError) as e:
        why = " ".join(str(e).split())[:80]
        raise StoreError(
            f"expected a readable calibration, found {path}: {why}. 'facecluster cluster {store.url} --calibrate' makes it anew"
        ) from e
    return Reading(pairs=pairs, impostor_mean=strangers[0], impostor_sd=strangers[1], place=place)


def write_reading(store: Store, card: Card, reading: Reading, details: dict[str, Any]) -> None:
    """Write a reading, with what is to be known about it; an empty one takes the file away."""
    if not reading:
        remove_reading(store, card)
        return
    pairs = None if reading.pairs is None else asdict(reading.pairs) | {
        "stranger_mean": reading.impostor_mean, "stranger_sd": reading.impostor_sd,  # the first names: older files hold them
    }  # fmt: skip
    place = None if reading.place is None else asdict(reading.place)
    found = {"format": FORMAT, "model": card.name, "weights": card.sha256, "method": METHOD, "pairs": pairs, "place": place}
    found |= details
    store.write_bytes(json.dumps(found, indent=1, allow_nan=False).encode(), *path_of(card))


def remove_reading(store: Store, card: Card) -> bool:
    """Take a reading away, whatever weights it is of; False if there is none."""
    if not store.exists(*path_of(card)):
        return False
    store.fs.rm_file(store.path(*path_of(card)))
    return True


def _line(found: Any) -> Line | None:
    """A line as it stands in the file. Raises ValueError, KeyError or TypeError."""
    if found is None:
        return None
    slope, intercept = (float(found[key]) for key in _NUMBERS)
    if not (math.isfinite(slope) and math.isfinite(intercept) and slope > 0):
        raise ValueError(f"a slope of {slope}, an intercept of {intercept}")
    return Line(slope, intercept)
