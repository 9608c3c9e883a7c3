"""Verification of pairs of faces by subgroups (sex, age band, or other columns of the answers), and warnings if a subgroup is much worse.

A pair belongs to a subgroup if both of its faces have the subgroup's value; a pair across two values belongs to none. So the impostor
pairs of a subgroup are harder than average: the two people have the same sex, age or skin. If similarity depends on the column, the false
accept rate of a subgroup is above that of all pairs. It is therefore compared with the pairs within the other values, not with all
other pairs.

Odd inputs: a face with the value '' (not stated) is in no subgroup of that column; a value without pairs of both kinds is left out; a
column with one value has no rest to compare with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facecluster.evaluation.clusters import Floats, codes
from facecluster.evaluation.error_rates import Estimate, Pairs, Rate, together
from facecluster.evaluation.face_pairs import cosines, count, pairs
from facecluster.evaluation.subgroups import FAR_OFF, LEAST, SURE, as_text
from facecluster.evaluation.verify import RATES, Roc, finite, roc, thinned

MOST = 500_000  # pairs of each kind within a subgroup
WARN = 1e-3  # subgroups are compared at the threshold of this false accept rate of all pairs; of 1e-2 if there are too few pairs


@dataclass(frozen=True, slots=True)
class GroupAccept:
    """The true accept rate at one false accept rate of the subgroup's own pairs."""

    far: float
    tar: Estimate | None  # None if there are too few pairs of two people
    threshold: float | None  # similarity; None if no pair is accepted


@dataclass(frozen=True, slots=True)
class AtShared:
    """Error rates of a subgroup at a threshold for all pairs."""

    overall_far: float  # false accept rate of all pairs at the threshold
    threshold: float | None  # similarity; None if no pair is accepted
    far: Estimate  # share of the subgroup's pairs of two people that are accepted
    fnmr: Estimate  # share of its pairs of one person that are rejected
    rest_far: float | None  # the same for the pairs within the other values of the column; None if there are none
    rest_fnmr: float | None


@dataclass(frozen=True, slots=True, eq=False)
class GroupPairs:
    """Verification of the pairs within one subgroup."""

    column: str
    value: str
    people: int
    same: int  # pairs of one person that were judged
    different: int
    accepts: list[GroupAccept]
    shared: list[AtShared]
    roc: Roc
    warnings: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers, for JSON; the curve thinned."""
        far, tar, threshold = thinned(self.roc)
        return {
            "column": self.column, "value": self.value, "people": self.people, "pairs": {"same": self.same, "different": self.different},
            "accepts": [asdict(a) for a in self.accepts], "at_overall_threshold": [asdict(a) for a in self.shared],
            "roc": {"far": far.tolist(), "tar": tar.tolist(), "threshold": [finite(t) for t in threshold]}, "warnings": self.warnings,
        }  # fmt: skip


def pairs_by_group(
    truth: ArrayLike, vectors: NDArray[np.floating], columns: Mapping[str, ArrayLike], overall: Roc, most: int = MOST
) -> list[GroupPairs]:
    """Break verification down by each column (n,) of text, '' = not stated; values in sorted order.

    Subgroups are compared at the threshold with a false accept rate of 1e-3 over all pairs. A subgroup is warned about if its false accept
    rate is at least 1.5 times that of the rest and larger by half of that 1e-3 or more (its false non-match rate: by .01 or more), and the
    interval of the difference (Newcombe 1998, method 10) does not contain zero, at a level of 95 % for all subgroups and both rates
    together (Bonferroni). The sampling units are people.

    Args:
        truth: (n,) int or str, the person of each face; -1 or '' is a person with this face only.
        vectors: (n, dim), rows of length 1.
        columns: of n values each.
        overall: the ROC of all pairs.
        most: maximum number of pairs of each kind within a subgroup; they are drawn if there are more.

    Raises:
        ValueError: a column whose length differs from the number of faces.
    """
    person = codes(truth)
    kinds = as_text(columns, len(person))
    samples: dict[str, list[Sample]] = {}
    for name, column in kinds.items():
        values = np.unique(column[column != ""])
        drawn = (Sample.of(str(value), person, vectors, np.flatnonzero(column == value), most) for value in values)
        samples[name] = [sample for sample in drawn if sample is not None]
    return judged(samples, overall)


def judged(samples: Mapping[str, list[Sample]], overall: Roc) -> list[GroupPairs]:
    """Compare each sample of a column with the others of its column."""
    level = 1 - (1 - SURE) / max(2 * sum(len(s) for s in samples.values() if len(s) > 1), 1)
    rates = [rate for rate in RATES if rate * overall.different >= 1]
    return [_judged(name, sample, some, overall, rates, level) for name, some in samples.items() for sample in some]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Pairs within one subgroup."""

    value: str
    people: int
    curve: Roc
    same: Pairs
    different: Pairs
    cosine_same: Floats
    cosine_different: Floats
    every: tuple[int, int]  # numbers of all pairs of one person and of two people, drawn or not

    @classmethod
    def of(cls, value: str, person: NDArray[np.int64], vectors: NDArray[np.floating], rows: NDArray[np.intp], most: int) -> Sample | None:
        first, second, same = pairs(person[rows], most)
        if same.all() or not same.any():
            return None
        first, second = rows[first], rows[second]
        cosine = cosines(vectors, first, second)
        both = [(Pairs(person[first[kind]], person[second[kind]]), cosine[kind]) for kind in (same, ~same)]
        who = len(np.unique(person[rows]))
        return cls(value, who, roc(cosine, same), both[0][0], both[1][0], both[0][1], both[1][1], count(person[rows]))

    def missed(self, threshold: float) -> Rate:
        """The share of the pairs of one person that are rejected."""
        return self.same.rate(self.cosine_same < threshold)

    def passed(self, threshold: float) -> Rate:
        """The share of the pairs of two people that are accepted."""
        return self.different.rate(self.cosine_different >= threshold)


def _judged(name: str, own: Sample, every: list[Sample], overall: Roc, rates: list[float], level: float) -> GroupPairs:
    rest = [sample for sample in every if sample is not own]
    weights = [sample.every for sample in rest]
    compare = max((r for r in rates if r <= WARN), default=max(rates, default=0.0))
    shared, warnings = [], []
    for rate, i in zip(rates, overall.at(rates).tolist(), strict=True):
        threshold = float(overall.threshold[i])
        far, fnmr = own.passed(threshold), own.missed(threshold)
        rest_far = together([s.passed(threshold) for s in rest], [w[1] for w in weights])
        rest_fnmr = together([s.missed(threshold) for s in rest], [w[0] for w in weights])
        others = (rest_far.share, rest_fnmr.share) if rest else (None, None)
        shared.append(AtShared(rate, finite(threshold), far.estimate(SURE), fnmr.estimate(SURE), *others))
        if rate == compare:
            at = f"where 1e{round(math.log10(rate))} of all pairs of two people pass"
            if _worse(far, rest_far, rate / 2, level):
                warnings.append(_warning(name, own.value, "pairs of two people pass", at, far, rest_far))
            if _worse(fnmr, rest_fnmr, LEAST, level):
                warnings.append(_warning(name, own.value, "pairs of one person are missed", at, fnmr, rest_fnmr))
    accepts = [_accept(own, rate) for rate in RATES]
    return GroupPairs(name, own.value, own.people, own.curve.same, own.curve.different, accepts, shared, own.curve, warnings)


def _warning(name: str, value: str, what: str, at: str, own: Rate, rest: Rate) -> str:
    low, high = own.interval(SURE)
    return (
        f"{name} = {value}: {own.share:.2g} ({low:.2g} to {high:.2g}) of its {what} {at}, against {rest.share:.2g} within the rest, "
        f"beyond chance ({own.people} and {rest.people} people)"
    )


def _accept(own: Sample, rate: float) -> GroupAccept:
    """The true accept rate at a false accept rate of the subgroup itself.

    Its interval combines two uncertainties as a root of squares (as in Newcombe 1998, method 10): that of the true accept rate at this
    threshold, and that of the threshold, which might have another false accept rate.
    """
    curve = own.curve
    if rate * curve.different < 1:
        return GroupAccept(rate, None, None)
    i = int(curve.at([rate])[0])
    threshold, tar, far = float(curve.threshold[i]), float(curve.tar[i]), float(curve.far[i])
    least_missed, most_missed = own.missed(threshold).interval(SURE)
    least, most = own.passed(threshold).interval(SURE)
    low, high = curve.tar[curve.at([rate * far / most, min(1.0, rate * far / least) if least else 1.0])]
    estimate = Estimate(
        tar,
        max(0.0, tar - float(np.hypot(tar - (1 - most_missed), tar - low))),
        min(1.0, tar + float(np.hypot(1 - least_missed - tar, high - tar))),
    )
    return GroupAccept(rate, estimate, finite(threshold))


def _worse(own: Rate, rest: Rate, least: float, level: float) -> bool:
    """Whether a rate is much higher than that of the rest, and not by chance."""
    if min(own.people, rest.people) < 2:  # one person gives no variance between people
        return False
    more = own.share - rest.share
    if own.share < FAR_OFF * rest.share or more < least:
        return False
    return bool(more > np.hypot(own.share - own.interval(level)[0], rest.interval(level)[1] - rest.share))
