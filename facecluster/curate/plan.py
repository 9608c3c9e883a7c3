"""Which faces are in the data set, under which name, in which split, and why the others are not.

A face is left out for the first of these that holds: it has no label; it is of low quality; its label is wrong (of another person, of
nobody known, a bystander, a second person in the label); it is a copy of a better face that is in; its person has too few faces; its person
has better and more varied ones. Everything follows from the faces, the labels, the settings and the seed.

Odd inputs: a data set that nothing is left of is a plan without faces, not an error.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.curate import split as splitting
from facecluster.curate.bounds import pick
from facecluster.curate.clean import BYSTANDER, STRANGER, UNLABELLED, WRONG, CleanConfig
from facecluster.curate.copies import copies
from facecluster.curate.judge import Judgement, judge
from facecluster.curate.source import Source
from facecluster.photos.images import decode_crop

Ints = NDArray[np.int64]
IN, POOR, SECOND, COPY, FEW, MANY = "in", "low quality", "second person", "copy", "too few", "over the cap"
_FLAGS = {WRONG: "wrong label", STRANGER: "stranger", BYSTANDER: "bystander"}
WHYS = (IN, UNLABELLED, POOR, *_FLAGS.values(), SECOND, COPY, FEW, MANY)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurateConfig:
    """What decides the data set."""

    clean: CleanConfig = CleanConfig()
    least_quality: float = 0.2  # of a face, 0 to 1
    cap: int = 0  # faces a person at most; 0 = no bound
    floor: int = 2  # faces a person at least
    keep_copies: bool = False  # near-duplicates stay (in the split of their original)
    relabel: bool = False  # faces of another person go to that one, and are not left out
    shares: tuple[tuple[str, float], ...] = (("train", 0.8), ("val", 0.1), ("test", 0.1))
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "shares": dict(self.shares)}


@dataclass(frozen=True, slots=True)
class Plan:
    """A verdict for every face of a source: arrays are (n,)."""

    source: Source
    config: CurateConfig
    judged: Judgement
    person: Ints  # index into source.names under which a face is, or would be, in; -1 = none
    why: NDArray[np.str_]  # IN, or why not (WHYS)
    original: Ints  # the row that a face is a copy of, of those copies the one that is in; its own where it is no copy
    split: NDArray[np.str_]  # "" for faces that are not in
    classes: list[str] = field(default_factory=list)  # names of people who are in, sorted: numbered in this order

    @property
    def inside(self) -> Ints:
        """Rows of faces that are in."""
        return np.flatnonzero(self.why == IN).astype(np.int64)


def curate(source: Source, config: CurateConfig | None = None) -> Plan:
    """Decide on every face of `source`."""
    config = config or CurateConfig()
    quality = source.numbers["quality"]
    poor = quality < config.least_quality
    judged = judge(source.vectors, source.label, config.clean, photos=source.photo if source.of_photos else None, poor=poor)
    why, person = _labels(source, judged, poor, config)
    group = copies(source.vectors, lambda row: decode_crop(source.crops[row]), source.phash)
    original = _originals(group, why, quality)
    if not config.keep_copies:
        why[(why == IN) & (original != np.arange(len(why)))] = COPY
    _bound(source, person, why, quality, config)
    split = _split(source, person, why, group, config)
    classes = [source.names[i] for i in np.unique(person[why == IN]).tolist()]
    return Plan(source, config, judged, person, why, original, split, classes)


def _labels(source: Source, judged: Judgement, poor: NDArray[np.bool_], config: CurateConfig) -> tuple[NDArray[np.str_], Ints]:
    """Why a face is out as far as labels and quality go, and whose it is."""
    verdict = judged.verdicts.verdict
    why = np.full(len(poor), IN, dtype="<U16")
    person = source.label.copy()
    for flag, words in _FLAGS.items():
        why[verdict == flag] = words
    why[judged.second] = SECOND
    if config.relabel:
        moved = verdict == WRONG
        person[moved] = judged.verdicts.best[moved]
        why[moved] = IN
    why[poor] = POOR
    why[source.label < 0] = UNLABELLED
    return why, person


def _originals(group: Ints, why: NDArray[np.str_], quality: NDArray[np.float64]) -> Ints:
    """The best row of each face's copies, of those that are in if there is one; ties go to the first."""
    order = np.lexsort((np.arange(len(group)), -quality, why != IN, group))
    firsts = order[np.unique(group[order], return_index=True)[1]]
    return np.asarray(firsts[np.unique(group, return_inverse=True)[1].reshape(-1)], dtype=np.int64)


def _bound(source: Source, person: Ints, why: NDArray[np.str_], quality: NDArray[np.float64], config: CurateConfig) -> None:
    """Floor and cap, in `why`."""
    rows = np.flatnonzero(why == IN)
    rows = rows[np.argsort(person[rows], kind="stable")]
    for mine in np.split(rows, np.flatnonzero(np.diff(person[rows])) + 1):
        if len(mine) < config.floor:
            why[mine] = FEW
        elif config.cap and len(mine) > config.cap:
            why[np.delete(mine, pick(source.vectors[mine], quality[mine], config.cap))] = MANY


def _split(source: Source, person: Ints, why: NDArray[np.str_], group: Ints, config: CurateConfig) -> NDArray[np.str_]:
    """The split of each face that is in."""
    rows = np.flatnonzero(why == IN)
    people, at = np.unique(person[rows], return_inverse=True)
    # whoever shares copies shares a split, also where one of the copies is out: it may come in with the next settings
    said = np.flatnonzero(np.isin(person, people))
    place = np.searchsorted(people, person[said])
    order = np.argsort(group[said], kind="stable")
    same = np.flatnonzero(np.diff(group[said][order]) == 0)
    together = np.c_[place[order[same]], place[order[same + 1]]]
    names = [source.names[p] for p in people.tolist()]
    of = splitting.split_people(names, np.bincount(at, minlength=len(people)), dict(config.shares), config.seed, together)
    split = np.full(len(why), "", dtype="<U8")
    split[rows] = np.array(of, dtype="<U8")[at] if len(of) else ""
    return split


def proposals(plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """What was found about whole labels, for JSON: pairs of labels that seem one person, labels that seem several."""
    names, ids = plan.source.names, plan.source.face_ids
    merges = [{"people": [names[m.first], names[m.second]], "sd_above": round(m.above, 2)} for m in plan.judged.merges]
    splits = [
        {"person": names[s.label], "likeness_sd": round(s.likeness, 2), "others": [[ids[i] for i in rows.tolist()] for rows in s.others]}
        for s in plan.judged.splits
    ]
    return {"one_person": merges, "several_people": splits}
