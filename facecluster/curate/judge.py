"""All that is found about labels at once, on arrays: wrong faces, labels that are one person, labels that are several.

In this order: labels are looked at for second persons first, whose faces are then not trusted (two persons of 60 and 40 faces have a middle
that is like both); then every face is judged; then labels are compared. A face that is like another label of what seems to be the same
person is no wrong face.
Odd inputs: as in `clean`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.curate.clean import ALONE, RIGHT, STRANGER, WRONG, CleanConfig, Verdicts, clean
from facecluster.curate.likeness import likeness
from facecluster.curate.proposals import Merge, Split, merges, splits


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is found about n faces and their labels."""

    verdicts: Verdicts
    second: NDArray[np.bool_]  # (n,) faces of a further person that nobody else's label is for
    merges: list[Merge]
    splits: list[Split]

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """(n,) faces whose label is wrong."""
        return self.verdicts.flagged


def judge(
    vectors: NDArray[np.floating], labels: NDArray[np.integer], config: CleanConfig | None = None, *,
    photos: NDArray[np.integer] | None = None, poor: NDArray[np.bool_] | None = None,
) -> Judgement:  # fmt: skip
    """Judge labels.

    Args:
        vectors: (n, dim), rows of length 1.
        labels: (n,) number of the person that each face is said to be, from 0; -1 = not said.
        config: see there.
        photos: (n,) number of each face's photo, if labels are those of whole photos.
        poor: (n,) faces that are judged, but say nothing about others: of low quality.
    """
    config = config or CleanConfig()
    x, label = np.ascontiguousarray(vectors, dtype=np.float32), np.asarray(labels, np.int64)
    good = (label >= 0) if poor is None else (label >= 0) & ~poor
    around = likeness(x, label, good, mean=config.impostor_mean, sd=config.impostor_sd)
    level = float(around.level.mean()) if len(x) else None
    # bystanders who are often in the photos of somebody would look like second persons
    found = splits(x, label, good, config, level, around.sd) if photos is None else []
    second = np.zeros(len(x), dtype=bool)
    for split in found:
        second[np.concatenate(split.others)] = True
    verdicts = clean(x, label, config, photos=photos, doubtful=second | ~good)
    one = merges(x, label, good & np.isin(verdicts.verdict, (RIGHT, ALONE)), config)
    pairs = {(m.first, m.second) for m in one} | {(m.second, m.first) for m in one}
    for row in np.flatnonzero(verdicts.verdict == WRONG).tolist():
        if (int(label[row]), int(verdicts.best[row])) in pairs:
            verdicts.verdict[row] = RIGHT
    kept = _kept(found, verdicts)
    second = np.zeros(len(x), dtype=bool)
    for split in kept:
        rows = np.concatenate(split.others)
        second[rows[verdicts.verdict[rows] != WRONG]] = True
    verdicts.verdict[second] = STRANGER
    return Judgement(verdicts, second, one, kept)


def _kept(found: list[Split], verdicts: Verdicts) -> list[Split]:
    """Splits into persons whom no other label is for: a group that is mostly another label's is wrong faces, not a new person."""
    wrong = verdicts.verdict == WRONG
    return [Split(s.label, others, s.likeness) for s in found if (others := [o for o in s.others if wrong[o].mean() <= 0.5])]
