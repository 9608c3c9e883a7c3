"""Measures of a grouping or a model against known answers. Input and output are arrays and figures: this package reads no store.

`score` computes all measures; each measure also has a function of its own. facecluster/evaluation/store.py does the same for a store.

clusters        pairwise and BCubed precision and recall, NMI, ARI
verify          ROC of pairs, accuracy by the protocol of LFW
reliability     calibration of stated probabilities
groups, pairgroups, listgroups   the same figures by sex, age band or other attributes of the answers
rates, sample   error rates with intervals; pairs drawn at random
result          all measures at once
answers, pairlist, sheet, library   files of a user, matched to the faces of a store
store           the measures for a store
plot            ROC and reliability as SVG
"""

from __future__ import annotations

from facecluster.evaluation.clusters import NOBODY, Contingency, Scores, ari, bcubed, contingency, nmi, pairwise
from facecluster.evaluation.error_rates import Estimate
from facecluster.evaluation.face_pairs import pairs
from facecluster.evaluation.pair_subgroups import AtShared, GroupAccept, GroupPairs, pairs_by_group
from facecluster.evaluation.reliability import Bin, Calibration, balanced, calibration
from facecluster.evaluation.scores import Accept, Evaluation, Grouping, Verification, judge_faces, judge_pairs, score
from facecluster.evaluation.subgroups import GroupScore, by_group
from facecluster.evaluation.verify import FAR, Folds, Roc, folds, roc, verification

__all__ = [
    "FAR", "NOBODY", "Accept", "AtShared", "Bin", "Calibration", "Contingency", "Estimate", "Evaluation", "Folds", "GroupAccept",
    "GroupPairs", "GroupScore", "Grouping", "Roc", "Scores", "Verification", "ari", "balanced", "bcubed", "by_group", "calibration",
    "contingency", "folds", "judge_faces", "judge_pairs", "nmi", "pairs", "pairs_by_group", "pairwise", "roc", "score", "verification",
]  # fmt: skip
