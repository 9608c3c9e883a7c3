"""How sure it is that a face is of someone, of the people of a collection or of nobody known.

The rule. The model's card turns a cosine into l, the log-odds that two faces are one person, both cases being as likely. What m faces of
a person say together is L = (mean(l) / |mean of the m vectors| + mean of the 3 best l - log m) / 2: half from the person's mean, half
from the nearest faces; log m takes back that the best of many is high by chance. Before looking, a face is of someone known with
probability `prior`, of each of the N people alike. So, by Bayes,

    P(person j) = (prior / N) exp(L_j) / (1 - prior + sum over i of (prior / N) exp(L_i)),  P(nobody known) = the rest.

N matters: of thousands of strangers the best has a cosine of .4 and more nearly always, so the same cosine is less sure in a large
collection. Two photos with a and b faces are a collection of a x b pairs in the same way.

The card's curve holds where strangers are as alike as those of its fit. A new face's cosines are therefore first moved and scaled so that
its cosines to the collection's strangers (one face of each person, and nobody's) lie as the card says; 200 strangers say as much as the
card. This is the test-side half of score normalisation in speaker verification (Auckenthaler et al., 2000).

Measured on faces that are in no training data. One person or not, from 2 to 25 stored faces (the first weights): expected calibration error
.012 to .017, log loss .17 to .09 (the best cosine alone on the card's curve: .20 to .52). Who is it, among 15 people of 4 and 16 stored
faces (the third weights): .80 and .87 of the known found (their share above .5), .99 of the unknown kept unknown, error .064 and .050.
With 500 stored singles of people who look alike besides: .59 and .70, .96, error .057 and .040. No other bound on L finds more at that
rate of the unknown (.58 and .70 at .95): it is the vectors that fall short, the right person comes first for .82 and .89 only.

Odd input: a collection of nobody gives "nobody known" 1; a person without a face to compare with has no share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from facecluster.models.registry import Card

PRIOR = 0.5  # probability that a face is of someone known, before looking
_NEAREST = 3  # faces of a person
_CLOSE = 64  # people whose mean vectors are looked at, besides all that are likelier than not
_TRUST = 200  # strangers' worth of trust in the model's card
_SPREAD = NormalDist().inv_cdf(0.94)  # sd from the middle of strangers' cosines to their 94th percentile; above may be the person itself


def normalise_by_cohort(cosines: NDArray[np.floating], strangers: NDArray[np.intp], card: Card) -> NDArray[np.float64]:
    """Cosines (f,) of a face as they would be where strangers are as alike as the card says; `strangers` are rows of some."""
    c = np.asarray(cosines, np.float64)
    trust = len(strangers) / (len(strangers) + _TRUST)
    middle, spread = middle_and_sd(c[strangers])
    mean = trust * middle + (1 - trust) * card.impostor_mean
    sd = trust * spread + (1 - trust) * card.impostor_sd
    return np.asarray(card.impostor_mean + (c - mean) * card.impostor_sd / max(sd, 1e-3))


def middle_and_sd(cosines: NDArray[np.floating]) -> tuple[float, float]:
    """Middle and sd of a face's cosines (s,) to strangers, without a look at the highest, which may be the person itself."""
    middle, high = np.quantile(cosines, [0.5, 0.94]) if len(cosines) else (0.0, 0.0)
    return float(middle), float((high - middle) / _SPREAD)


def people_evidence(
    cosines: NDArray[np.floating], person: NDArray[np.integer], members: Sequence[NDArray[np.intp]], card: Card,
    length: Callable[[int], float],
) -> NDArray[np.float64]:  # fmt: skip
    """L of each of n people (n,), see the module; -inf for a person without a face.

    It is exact for the _CLOSE people who matter most, and whoever may matter at all; for the others it is a bound from above.

    Args:
        cosines: (f,) of a new face to the stored ones.
        person: (f,) whose they are, 0 to n - 1; -1 = not to be used.
        members: of each person, its rows of `person`.
        card: of the model.
        length: called with a person's number, gives the length of the mean of its vectors.
    """
    n = len(members)
    odds = card.slope * np.asarray(cosines, np.float64) + card.intercept
    known = np.flatnonzero(person >= 0)
    count = np.bincount(person[known], minlength=n)
    has = count > 0
    mean = np.bincount(person[known], odds[known], n) / np.maximum(count, 1)
    best = np.full(n, -np.inf)
    np.maximum.at(best, person[known], odds[known])
    # a mean under 0 only falls when it is divided by a length, and the mean of three is no more than the best
    evidence = np.where(has, (mean + best - np.log(np.maximum(count, 1))) / 2, -np.inf)
    close = {*np.argsort(-evidence, kind="stable")[:_CLOSE].tolist(), *np.flatnonzero(has & (mean > 0)).tolist()}
    for j in close:
        if has[j]:
            top = np.sort(odds[members[j]])[-_NEAREST:].mean()
            evidence[j] = (mean[j] / length(j) + top - np.log(count[j])) / 2
    return evidence


def posterior(evidence: NDArray[np.floating], prior: float = PRIOR, of: int | None = None) -> NDArray[np.float64]:
    """Probabilities (n + 1,) of n hypotheses with log-odds `evidence` (n,), as likely as each other before looking, and of none of them.

    `of` is the number of hypotheses that there are, if those with hardly any evidence are left out.
    """
    n = len(evidence)
    if not n:
        return np.ones(1)
    logs = np.append(np.asarray(evidence, np.float64) + np.log(prior / (of or n)), np.log(1 - prior))
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum(), np.float64)
