"""How good a grouping or a model is, measured against known answers. Arrays in, figures out: nothing that is loaded here reads a store.

`score` measures all at once; the single measures are here too. facecluster/evaluate/store.py does it for the faces of a store.
"""

from __future__ import annotations

from facecluster.evaluate.clusters import NOBODY, Contingency, Scores, ari, bcubed, contingency, nmi, pairwise
from facecluster.evaluate.groups import GroupScore, by_group
from facecluster.evaluate.pairgroups import AtShared, GroupAccept, GroupPairs, pairs_by_group
from facecluster.evaluate.rates import Estimate
from facecluster.evaluate.reliability import Bin, Calibration, balanced, calibration
from facecluster.evaluate.result import Accept, Evaluation, Grouping, Verification, judge_faces, judge_pairs, score
from facecluster.evaluate.sample import pairs
from facecluster.evaluate.verify import FAR, Folds, Roc, folds, roc, verification

__all__ = [
    "FAR", "NOBODY", "Accept", "AtShared", "Bin", "Calibration", "Contingency", "Estimate", "Evaluation", "Folds", "GroupAccept",
    "GroupPairs", "GroupScore", "Grouping", "Roc", "Scores", "Verification", "ari", "balanced", "bcubed", "by_group", "calibration",
    "contingency", "folds", "judge_faces", "judge_pairs", "nmi", "pairs", "pairs_by_group", "pairwise", "roc", "score", "verification",
]  # fmt: skip
