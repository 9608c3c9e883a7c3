"""Checks labels on arrays: wrong faces, two labels of one person, one label of several people.

The order matters. First labels are searched for second people, whose faces are then not trusted: the centroid of 60 faces of one person and
40 of another is similar to both. Then every face is judged. Then labels are compared with each other: a face that is similar to another
label of the same person is not wrong.

Odd inputs: as in `clean`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.curate.clean import ALONE, RIGHT, STRANGER, WRONG, CleanConfig, Verdicts, clean_labels
from facecluster.curate.label_proposals import MergeProposal, SplitProposal, propose_merges, propose_splits
from facecluster.curate.similarity import label_similarity


@dataclass(frozen=True, slots=True)
class LabelCheck:
    """The result for n faces and their labels."""

    verdicts: Verdicts
    second_person: NDArray[np.bool_]  # (n,) faces of a further person in their label, for whom there is no other label
    merges: list[MergeProposal]
    splits: list[SplitProposal]

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """(n,) faces whose label is wrong."""
        return self.verdicts.flagged


def check_labels(
    vectors: NDArray[np.floating], labels: NDArray[np.integer], config: CleanConfig | None = None, *,
    photos: NDArray[np.integer] | None = None, poor: NDArray[np.bool_] | None = None,
) -> LabelCheck:  # fmt: skip
    """Check the labels of faces.

    Args:
        vectors: (n, dim), rows of length 1.
        labels: (n,) label of each face, from 0; -1 = none.
        config: settings; the default ones if None.
        photos: (n,) number of each face's photo, if labels were given to whole photos.
        poor: (n,) faces of low quality, which are judged but not trusted.
    """
    config = config or CleanConfig()
    x, label = np.ascontiguousarray(vectors, dtype=np.float32), np.asarray(labels, np.int64)
    good = (label >= 0) if poor is None else (label >= 0) & ~poor
    cohort = label_similarity(x, label, good, mean=config.impostor_mean, sd=config.impostor_sd)
    impostor_mean = float(cohort.impostor_mean.mean()) if len(x) else None
    # with labels of whole photos, bystanders who are often in somebody's photos would look like second people
    proposed = propose_splits(x, label, good, config, impostor_mean, cohort.impostor_sd) if photos is None else []
    second = np.zeros(len(x), dtype=bool)
    for split in proposed:
        second[np.concatenate(split.others)] = True
    verdicts = clean_labels(x, label, config, photos=photos, doubtful=second | ~good)
    merges = propose_merges(x, label, good & np.isin(verdicts.verdict, (RIGHT, ALONE)), config)
    pairs = {(m.first, m.second) for m in merges} | {(m.second, m.first) for m in merges}
    for row in np.flatnonzero(verdicts.verdict == WRONG).tolist():
        if (int(label[row]), int(verdicts.best_other[row])) in pairs:
            verdicts.verdict[row] = RIGHT
    splits = _without_wrong_faces(proposed, verdicts)
    second = np.zeros(len(x), dtype=bool)
    for split in splits:
        rows = np.concatenate(split.others)
        second[rows[verdicts.verdict[rows] != WRONG]] = True
    verdicts.verdict[second] = STRANGER
    return LabelCheck(verdicts, second, merges, splits)


def _without_wrong_faces(proposed: list[SplitProposal], verdicts: Verdicts) -> list[SplitProposal]:
    """Only splits into people without a label: a group that mostly belongs to another label is wrong faces, not a new person."""
    wrong = verdicts.verdict == WRONG
    return [
        SplitProposal(s.label, others, s.margin) for s in proposed if (others := [rows for rows in s.others if wrong[rows].mean() <= 0.5])
    ]
