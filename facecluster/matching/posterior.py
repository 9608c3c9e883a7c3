"""Posterior probabilities that a face is each person of a collection, or nobody known.

The rule. The model's card maps a cosine to l, the log-odds that two faces are one person at even prior odds. The m stored faces of a person
give together L = (mean(l) / |mean of the m vectors| + mean of the 3 highest l - log m) / 2: one half from the person's mean vector, one
half from the nearest faces. The term log m corrects for the maximum of many values being high by chance. The prior: a face is someone
known with probability `prior`, and each of the N people is equally likely. By Bayes' rule,

    P(person j) = (prior / N) exp(L_j) / (1 - prior + sum over i of (prior / N) exp(L_i)),  P(nobody known) = the rest.

N matters: among thousands of impostors the highest cosine is nearly always .4 or more, so the same cosine is weaker evidence in a large
collection. Two photos with a and b faces are treated as a collection of a x b pairs.

The card's curve holds where impostors are as similar as those that it was fitted on. So a new face's cosines are first shifted and scaled
until its cosines to the impostors of the collection (one face of each person, and the clear faces of nobody) have the card's mean and sd.
The card weighs as much as 200 impostors. This is the test side of score normalisation in speaker verification (Auckenthaler et al., 2000).

Measured on faces that are in no training data. One person or not, with 2 to 25 stored faces (the first weights): expected calibration
error .012 to .017, log loss .17 to .09 (with the highest cosine alone on the card's curve .20 to .52). Which of 15 people with 4 and 16
stored faces (the third weights): .80 and .87 of the known faces are found (probability above .5), .99 of the unknown stay unknown,
calibration error .064 and .050. With 500 more stored single faces of people who look alike: .59 and .70, .96, error .057 and .040. No
other threshold on L finds more at that rate of the unknown (.58 and .70 at .95). The limit is the vectors: the right person ranks first
for only .82 and .89.

Odd input: a collection without people gives "nobody known" probability 1; a person without a face to compare with has probability 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from facecluster.models.card import Card

PRIOR = 0.5  # prior probability that a face is someone known
_NEAREST_FACES = 3  # of a person
_EXACT_PEOPLE = 64  # people whose mean vectors are used, besides all with positive mean log-odds
_CARD_WEIGHT = 200  # impostors that the model's card counts for
_QUANTILE_SD = NormalDist().inv_cdf(0.94)  # sd from the median of the impostor cosines to their 94th percentile


def normalise_by_cohort(cosines: NDArray[np.floating], impostors: NDArray[np.intp], card: Card) -> NDArray[np.float64]:
    """Cosines (f,) of a face, shifted and scaled to the card's impostor mean and sd; `impostors` are the rows of the cohort."""
    c = np.asarray(cosines, np.float64)
    weight = len(impostors) / (len(impostors) + _CARD_WEIGHT)
    median, spread = median_and_sd(c[impostors])
    mean = weight * median + (1 - weight) * card.impostor_mean
    sd = weight * spread + (1 - weight) * card.impostor_sd
    return np.asarray(card.impostor_mean + (c - mean) * card.impostor_sd / max(sd, 1e-3))


def median_and_sd(cosines: NDArray[np.floating]) -> tuple[float, float]:
    """Median and sd of a face's cosines (s,) to impostors, from quantiles: the highest cosines may belong to the person itself."""
    median, high = np.quantile(cosines, [0.5, 0.94]) if len(cosines) else (0.0, 0.0)
    return float(median), float((high - median) / _QUANTILE_SD)


def person_log_odds(
    cosines: NDArray[np.floating], person: NDArray[np.integer], members: Sequence[NDArray[np.intp]], card: Card,
    mean_length: Callable[[int], float],
) -> NDArray[np.float64]:  # fmt: skip
    """L of each of n people (n,), as the module defines it; -inf for a person without a face.

    It is exact for the _EXACT_PEOPLE people with the most evidence and for everybody with positive mean log-odds; for the others it is an
    upper bound.

    Args:
        cosines: (f,) of a new face to the stored ones.
        person: (f,) person of each stored face, 0 to n - 1; -1 = not to be used.
        members: of each person, its rows of `person`.
        card: of the model.
        mean_length: called with a person's number, gives the length of the mean of its vectors.
    """
    n = len(members)
    face_log_odds = card.slope * np.asarray(cosines, np.float64) + card.intercept
    known = np.flatnonzero(person >= 0)
    count = np.bincount(person[known], minlength=n)
    has_faces = count > 0
    mean = np.bincount(person[known], face_log_odds[known], n) / np.maximum(count, 1)
    best = np.full(n, -np.inf)
    np.maximum.at(best, person[known], face_log_odds[known])
    # an upper bound: division by a length below 1 makes a negative mean smaller, and the mean of three is at most the highest
    log_odds = np.where(has_faces, (mean + best - np.log(np.maximum(count, 1))) / 2, -np.inf)
    exact = {*np.argsort(-log_odds, kind="stable")[:_EXACT_PEOPLE].tolist(), *np.flatnonzero(has_faces & (mean > 0)).tolist()}
    for j in exact:
        if has_faces[j]:
            top = np.sort(face_log_odds[members[j]])[-_NEAREST_FACES:].mean()
            log_odds[j] = (mean[j] / mean_length(j) + top - np.log(count[j])) / 2
    return log_odds


def posterior(log_odds: NDArray[np.floating], prior: float = PRIOR, hypotheses: int | None = None) -> NDArray[np.float64]:
    """Probabilities (n + 1,) of n hypotheses with equal priors and evidence `log_odds` (n,); the last is that of none of them.

    `hypotheses` is the total number of hypotheses, if some with hardly any evidence are left out or summed up.
    """
    n = len(log_odds)
    if not n:
        return np.ones(1)
    logs = np.append(np.asarray(log_odds, np.float64) + np.log(prior / (hypotheses or n)), np.log(1 - prior))
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum(), np.float64)
