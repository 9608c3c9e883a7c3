"""The plan of a data set: which faces are included, under which person, in which split, and why the others are not.

A face is left out for the first of these reasons that holds: it has no label; it does not meet a condition on
attributes; it is of low quality; its label is wrong (another person, a
person without a label, a bystander, a second person in the label); it is a near-duplicate of a better face that is included; its person has
too few faces; its person has better and more varied ones. The plan follows from the faces, the labels, the settings and the seed alone.

Odd inputs: if nothing is left, the plan has no faces; that is no error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.curate import split as splitting
from facecluster.curate.balance import pick_varied
from facecluster.curate.check_labels import LabelCheck, check_labels
from facecluster.curate.clean import BYSTANDER, STRANGER, UNLABELLED, WRONG, CleanConfig
from facecluster.curate.label_proposals import MergeProposal
from facecluster.curate.labelled_faces import LabelledFaces
from facecluster.curate.near_duplicates import group_near_duplicates
from facecluster.photos.images import decode_crop

Ints = NDArray[np.int64]
UNWANTED = "attribute"  # does not meet a condition on it
INCLUDED, POOR, SECOND, DUPLICATE, TOO_FEW, TOO_MANY = "in", "low quality", "second person", "copy", "too few", "over the cap"
_LABEL_REASONS = {WRONG: "wrong label", STRANGER: "stranger", BYSTANDER: "bystander"}
REASONS = (INCLUDED, UNLABELLED, UNWANTED, POOR, *_LABEL_REASONS.values(), SECOND, DUPLICATE, TOO_FEW, TOO_MANY)
# keys of the settings in datasheet.json, where they differ from the names of the fields
_CLEAN_KEYS = {"min_margin": "low", "max_deviation": "spread", "other_weight": "share"}
_CURATE_KEYS = {"min_quality": "least_quality", "max_faces": "cap", "min_faces": "floor", "keep_duplicates": "keep_copies"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CurateConfig:
    """Settings that decide the data set."""

    clean: CleanConfig = CleanConfig()
    min_quality: float = 0.2  # of a face, 0 to 1
    max_faces: int = 0  # of a person; 0 = no limit
    min_faces: int = 2  # of a person
    keep_duplicates: bool = False  # near-duplicates are included (in the split of their original)
    relabel: bool = False  # a face of another person moves to that person, and is not left out
    shares: tuple[tuple[str, float], ...] = (("train", 0.8), ("val", 0.1), ("test", 0.1))
    seed: int = 0
    where: tuple[str, ...] = ()  # conditions on attributes that faces met to be included

    def to_dict(self) -> dict[str, Any]:
        """For JSON, with the keys of datasheet.json."""
        found = {_CURATE_KEYS.get(name, name): value for name, value in asdict(self).items() if name != "where" or value}
        clean = {_CLEAN_KEYS.get(name, name): value for name, value in asdict(self.clean).items()}
        return {**found, "clean": clean, "shares": dict(self.shares)}


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision about every face: arrays are (n,)."""

    source: LabelledFaces
    config: CurateConfig
    labels: LabelCheck
    person: Ints  # index into source.names of the person that a face is, or would be, included under; -1 = none
    reason: NDArray[np.str_]  # INCLUDED, or why it is left out (REASONS)
    original: Ints  # row of the best near-duplicate of a face, an included one if there is one; its own row if it has none
    split: NDArray[np.str_]  # "" for faces that are left out
    classes: list[str] = field(default_factory=list)  # names of included people, sorted: their numbers follow this order

    @property
    def included(self) -> Ints:
        """Rows of included faces."""
        return np.flatnonzero(self.reason == INCLUDED).astype(np.int64)


def curate(source: LabelledFaces, config: CurateConfig | None = None, wanted: NDArray[np.bool_] | None = None) -> Plan:
    """Decide about every face of `source`. `wanted`: (n,) faces that meet config.where, by which other labels are checked all the same."""
    config = config or CurateConfig()
    quality = source.measures["quality"]
    poor = quality < config.min_quality
    labels = check_labels(source.vectors, source.label, config.clean, photos=source.photo if source.photo_labels else None, poor=poor)
    reason, person = _label_reasons(source, labels, poor, config)
    if wanted is not None:
        reason[~wanted & (reason != UNLABELLED)] = UNWANTED
    group = group_near_duplicates(source.vectors, lambda row: decode_crop(source.crops[row]), source.phash)
    original = _originals(group, reason, quality)
    if not config.keep_duplicates:
        reason[(reason == INCLUDED) & (original != np.arange(len(reason)))] = DUPLICATE
    _limit_faces(source, person, reason, quality, config)
    split = _split(source, person, reason, group, labels.merges, config)
    classes = [source.names[i] for i in np.unique(person[reason == INCLUDED]).tolist()]
    return Plan(source, config, labels, person, reason, original, split, classes)


def _label_reasons(
    source: LabelledFaces, labels: LabelCheck, poor: NDArray[np.bool_], config: CurateConfig
) -> tuple[NDArray[np.str_], Ints]:
    """The reason for each face as far as labels and quality decide it, and its person."""
    verdict = labels.verdicts.verdict
    reason = np.full(len(poor), INCLUDED, dtype="<U16")
    person = source.label.copy()
    for flag, words in _LABEL_REASONS.items():
        reason[verdict == flag] = words
    reason[labels.second_person] = SECOND
    if config.relabel:
        moved = verdict == WRONG
        person[moved] = labels.verdicts.best_other[moved]
        reason[moved] = INCLUDED
    reason[poor] = POOR
    reason[source.label < 0] = UNLABELLED
    return reason, person


def _originals(group: Ints, reason: NDArray[np.str_], quality: NDArray[np.float64]) -> Ints:
    """The best row of each face's near-duplicates, among the included ones if there are any; of equal ones the first."""
    order = np.lexsort((np.arange(len(group)), -quality, reason != INCLUDED, group))
    firsts = order[np.unique(group[order], return_index=True)[1]]
    return np.asarray(firsts[np.unique(group, return_inverse=True)[1].reshape(-1)], dtype=np.int64)


def _limit_faces(source: LabelledFaces, person: Ints, reason: NDArray[np.str_], quality: NDArray[np.float64], config: CurateConfig) -> None:
    """Apply min_faces and max_faces to `reason`."""
    rows = np.flatnonzero(reason == INCLUDED)
    rows = rows[np.argsort(person[rows], kind="stable")]
    for mine in np.split(rows, np.flatnonzero(np.diff(person[rows])) + 1):
        if len(mine) < config.min_faces:
            reason[mine] = TOO_FEW
        elif config.max_faces and len(mine) > config.max_faces:
            reason[np.delete(mine, pick_varied(source.vectors[mine], quality[mine], config.max_faces))] = TOO_MANY


def _split(
    source: LabelledFaces, person: Ints, reason: NDArray[np.str_], group: Ints, merges: Sequence[MergeProposal], config: CurateConfig
) -> NDArray[np.str_]:
    """The split of each included face."""
    rows = np.flatnonzero(reason == INCLUDED)
    people, at = np.unique(person[rows], return_inverse=True)
    # people who share near-duplicates share a split, even if one of them is left out: other settings may include it
    labelled = np.flatnonzero(np.isin(person, people))
    index = np.searchsorted(people, person[labelled])
    order = np.argsort(group[labelled], kind="stable")
    same = np.flatnonzero(np.diff(group[labelled][order]) == 0)
    # two labels that seem to be one person, too: until the user decides, the person must not be in two splits
    alike = np.array([(m.first, m.second) for m in merges], dtype=np.int64).reshape(-1, 2)
    alike = np.searchsorted(people, alike[np.isin(alike, people).all(axis=1)])
    together = np.r_[np.c_[index[order[same]], index[order[same + 1]]], alike]
    names = [source.names[p] for p in people.tolist()]
    of = splitting.split_people(names, np.bincount(at, minlength=len(people)), dict(config.shares), config.seed, together)
    split = np.full(len(reason), "", dtype="<U8")
    split[rows] = np.array(of, dtype="<U8")[at] if len(of) else ""
    return split


def proposals_to_dict(plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """The proposals about whole labels, for JSON: pairs of labels of one person, labels of several people."""
    names, ids = plan.source.names, plan.source.face_ids
    merges = [{"people": [names[m.first], names[m.second]], "sd_above": round(m.margin, 2)} for m in plan.labels.merges]
    splits = [
        {"person": names[s.label], "likeness_sd": round(s.margin, 2), "others": [[ids[i] for i in rows.tolist()] for rows in s.others]}
        for s in plan.labels.splits
    ]
    return {"one_person": merges, "several_people": splits}
