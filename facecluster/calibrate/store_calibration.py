"""STORE/calibration/MODEL.json: the fitted probabilities of a model in this store. docs/format.md describes the file.

It holds the hash of the model's weights. It is not used with another model, or with other weights of the same name.

Odd inputs: without a file, the model card's own probabilities hold; a file that can't be read, or has impossible figures, is a StoreError.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from facecluster.calibrate.logistic import Line
from facecluster.errors import StoreError, shell
from facecluster.grouping.identify import METHOD
from facecluster.models.card import Card
from facecluster.store import FORMAT, Store

FOLDER = "calibration"
_NUMBERS = ("slope", "intercept")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCalibration:
    """What was fitted in a store; None for a line that was not."""

    pairs: Line | None = None  # from a cosine to the log-odds that two faces are one person, with even prior odds
    impostor_mean: float = 0.0  # cosine of two impostors of the store; goes with `pairs`
    impostor_sd: float = 0.0
    other_weights: bool = False  # there is a file, but for other weights of the model: nothing of it is used
    membership: Line | None = None  # from a face's place in its group (groups.Groups) to the log-odds that it shows the group's person

    def __bool__(self) -> bool:
        return self.pairs is not None or self.membership is not None

    def apply_to(self, card: Card) -> Card:
        """The model's card with the fitted pair probabilities."""
        if self.pairs is None:
            return card
        return replace(
            card, slope=self.pairs.slope, intercept=self.pairs.intercept, impostor_mean=self.impostor_mean, impostor_sd=self.impostor_sd
        )

    def identify_settings(self) -> dict[str, Any]:
        """Fields of IdentifyConfig that it sets. They change the stated probabilities only, not the groups."""
        if self.membership is None:
            return {}
        return {"confidence_slope": self.membership.slope, "confidence_intercept": self.membership.intercept}


def calibration_path(card: Card) -> tuple[str, str]:
    """Folder and name of a model's file in a store."""
    return FOLDER, f"{card.name}.json"


def read_calibration(store: Store, card: Card) -> StoreCalibration:
    """The calibration of a model in a store; an empty one if there is none, or only one for other weights.

    Raises:
        StoreError: the file can't be read.
    """
    path = store.path(*calibration_path(card))
    try:
        found = json.loads(store.read_bytes(*calibration_path(card)))
        if found["format"] > FORMAT:
            raise StoreError(f"expected {path} of format {FORMAT}, found {found['format']}: install a newer facecluster")
        if found["weights"] != card.fingerprint:
            return StoreCalibration(other_weights=True)
        pairs, membership = (_parse_line(found[key]) for key in ("pairs", "place"))
        if found.get("method") != METHOD:
            membership = None  # another method of grouping defines a face's place differently
        impostors = [float(found["pairs"][key]) for key in ("stranger_mean", "stranger_sd")] if pairs else [0.0, 0.0]
        if pairs and not (all(map(math.isfinite, impostors)) and impostors[1] > 0):
            raise ValueError(f"impostors with mean {impostors[0]} and sd {impostors[1]}")
    except FileNotFoundError:
        return StoreCalibration()
    except (OSError, ValueError, KeyError, TypeError) as e:
        why = " ".join(str(e).split())[:80]
        raise StoreError(
            f"expected a readable calibration, found {path}: {why}. Run 'facecluster cluster {shell(store.url)} --calibrate' for a new one"
        ) from e
    return StoreCalibration(pairs=pairs, impostor_mean=impostors[0], impostor_sd=impostors[1], membership=membership)


def write_calibration(store: Store, card: Card, calibration: StoreCalibration, details: dict[str, Any]) -> None:
    """Write a calibration with details about its fit; an empty calibration removes the file."""
    if not calibration:
        remove_calibration(store, card)
        return
    pairs = None if calibration.pairs is None else asdict(calibration.pairs) | {
        "stranger_mean": calibration.impostor_mean, "stranger_sd": calibration.impostor_sd,  # the keys of the first version of the file
    }  # fmt: skip
    place = None if calibration.membership is None else asdict(calibration.membership)
    content = {"format": FORMAT, "model": card.name, "weights": card.fingerprint, "method": METHOD, "pairs": pairs, "place": place}
    content |= details
    store.write_bytes(json.dumps(content, indent=1, allow_nan=False).encode(), *calibration_path(card))


def remove_calibration(store: Store, card: Card) -> bool:
    """Remove a model's calibration, whatever weights it is for; False if there is none."""
    if not store.exists(*calibration_path(card)):
        return False
    store.fs.rm_file(store.path(*calibration_path(card)))
    return True


def _parse_line(found: Any) -> Line | None:
    """A line as stored in the file. Raises ValueError, KeyError or TypeError."""
    if found is None:
        return None
    slope, intercept = (float(found[key]) for key in _NUMBERS)
    if not (math.isfinite(slope) and math.isfinite(intercept) and slope > 0):
        raise ValueError(f"a line with slope {slope} and intercept {intercept}")
    return Line(slope, intercept)
