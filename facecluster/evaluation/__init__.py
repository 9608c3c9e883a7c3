"""How good a grouping or a model is, measured against known answers. Arrays in, figures out: nothing that is loaded here reads a store.

`score` measures all at once; the single measures are here too. facecluster/evaluation/store.py does it for the faces of a store.
"""

from __future__ import annotations

from facecluster.evaluation.clusters import NOBODY, Contingency, Scores, ari, bcubed, contingency, nmi, pairwise
from facecluster.evaluation.groups import GroupScore, by_group
from facecluster.evaluation.pairgroups import AtShared, GroupAccept, GroupPairs, pairs_by_group
from facecluster.evaluation.rates import Estimate
from facecluster.evaluation.reliability import Bin, Calibration, balanced, calibration
from facecluster.evaluation.result import Accept, Evaluation, Grouping, Verification, judge_faces, judge_pairs, score
from facecluster.evaluation.sample import pairs
from facecluster.evaluation.verify import FAR, Folds, Roc, folds, roc, verification

__all__ = [
    "FAR", "NOBODY", "Accept", "AtShared", "Bin", "Calibration", "Contingency", "Estimate", "Evaluation", "Folds", "GroupAccept",
    "GroupPairs", "GroupScore", "Grouping", "Roc", "Scores", "Verification", "ari", "balanced", "bcubed", "by_group", "calibration",
    "contingency", "folds", "judge_faces", "judge_pairs", "nmi", "pairs", "pairs_by_group", "pairwise", "roc", "score", "verification",
]  # fmt: skip
