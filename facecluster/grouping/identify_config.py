"""Settings of the grouping, and how stores keep them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from facecluster.grouping.probability import INTERCEPT, SLOPE
from facecluster.store import Stamp

METHOD = 6  # version of the default algorithm: a store grouped by an older one is grouped from the start
ALGORITHMS = ("facecluster", "hdbscan")
CONFIDENCE_KEYS = ("sure", "even")  # stamp keys of the settings that change the stated probabilities and not the groups
_STAMP_KEYS = {  # of fields that were renamed: stamps keep the first name, so that older stores stay up to date
    "impostor_weight": "alone", "separation_penalty": "unlike", "attach_margin": "attach",
    "impostor_mean": "stranger_mean", "impostor_sd": "stranger_sd", "confidence_slope": "sure", "confidence_intercept": "even",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifyConfig:
    """Settings of the grouping. Margins are in sd of the cosines between different people, so they mean the same for every model."""

    algorithm: str = "facecluster"  # or "hdbscan": the library's clusters alone, for comparison
    margin: float = 0.7  # sd above the expected cosine of the best impostor, from which an edge counts
    merge: float = 1.2  # sd above the cohort's base that the mean cosine of two clusters must reach
    impostor_weight: float = 0.85  # share of the expected best impostor that is added to that bound; less the more their faces vary
    # sd added to the bound of clusters of three faces or more, for each sd that they are less similar to each other than inside
    separation_penalty: float = 0.32
    attach_margin: float = 0.15  # sd more that a small cluster needs to be attached to a large one (attachment.py)
    min_samples: int = 2  # the core distance of a face is the distance to its min_samples-th neighbour
    min_cluster_size: int = 2  # faces of a person
    same_photo_odds: float = 0.001  # prior odds that two faces of one photo are one person (a collage, a mirror; docs/decisions.md)
    pair_evidence: float = 2.4  # log-odds of one person that 1 sd of cosine is worth, from the model's card: slope x impostor_sd
    min_quality: float = 0.0  # faces below it start and connect no groups, but may join one
    min_recognisability: float = 0.5  # faces below it are in no group and in no cohort, unless the user says whose they are
    # share of a group's faces that must be expected to be its person; other groups are nobody, unless the user has said who they are
    min_purity: float = 0.5
    impostor_mean: float = 0.035  # cosine of two different people, from the model's card
    impostor_sd: float = 0.115
    confidence_slope: float = SLOPE  # log-odds that a face is its group's person, for each sd of its margin (fitted; docs/decisions.md)
    confidence_intercept: float = INTERCEPT  # the log-odds at margin 0

    @property
    def same_photo_penalty(self) -> float:
        """By how many sd two faces of one photo must be more similar than others: what outweighs the prior odds."""
        return -math.log(self.same_photo_odds) / self.pair_evidence

    @classmethod
    def from_stamp(cls, settings: Mapping[str, Any]) -> IdentifyConfig:
        """The settings of a stamp, whatever version wrote it: what it lacks has its default, what is no setting now is left out.

        Without `min_purity` the store was grouped when every group was kept.
        """
        keys = {f.name: _STAMP_KEYS.get(f.name, f.name) for f in fields(cls)}
        return cls(**{"min_purity": 0.0} | {name: settings[key] for name, key in keys.items() if key in settings})

    def stamp(self, inputs: str) -> Stamp:
        """The settings as stores keep them. The default algorithm is not named: stores that were grouped before it had a name are of it."""
        settings = {_STAMP_KEYS.get(name, name): value for name, value in asdict(self).items()}
        if self.algorithm == ALGORITHMS[0]:
            del settings["algorithm"]
        return {"table": "identities", "method": METHOD, "inputs": inputs, **settings}
