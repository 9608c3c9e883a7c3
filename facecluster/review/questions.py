"""Pairs of faces to ask about, ranked by how much an answer resolves, and which of them are still open.

Odd inputs: a store whose vectors or links are gone has no questions, and a note gives the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facecluster.errors import FaceclusterError
from facecluster.language.said import say
from facecluster.review.known_pairs import KnownPairs
from facecluster.review.people_view import PeopleView, RunData
from facecluster.store import FaceIds, Store

if TYPE_CHECKING:
    from facecluster.grouping.uncertainty import Uncertainty

Ints = NDArray[np.int64]
WORTH = 0.5  # faces that an answer is expected to move, below which a question is not worth an answer
DECIDED = 0.95  # share of the faces that is enough
QUESTION_TEXTS = {
    "same": "Are these two the same person?",
    "split": "This may be two people. Do these two faces show the same person?",
    "photo": "These two faces are in one photo. Are they the same person?",
}


@dataclass(frozen=True, slots=True)
class Questions:
    """q questions, the most useful first: struct of arrays (q,)."""

    kind: list[str]  # keys of QUESTION_TEXTS
    a: Ints  # row of the first face in the run
    b: Ints  # row of the second face
    probability: NDArray[np.float64]  # that the two faces are one person
    stake: Ints  # number of faces that move if the answer is not what the grouping assumes
    note: str = ""  # the reason why there are none
    uncertainty: Uncertainty | None = None  # of the people of the run


def find_questions(store: Store, run_data: RunData) -> Questions:
    """The questions about the groups of a run. May take seconds."""
    from facecluster.grouping.identify import IdentifyConfig
    from facecluster.grouping.uncertainty import KINDS, assess_store  # imported here: loading it would delay the first page

    run = run_data.run
    config = IdentifyConfig.from_stamp(run.settings)
    try:
        ids, _, found = assess_store(store, f"embeddings/{run.model}", f"links/{run.model}", run.identities, config)
    except (FaceclusterError, IndexError) as e:
        none: Ints = np.zeros(0, dtype=np.int64)
        return Questions([], none, none, np.zeros(0), none, say("no questions: %(why)s", why=str(e) or say("the store has no links")))
    row = FaceIds.of(run_data.faces.ids).rows_of(ids)
    a, b = row[found.face_a], row[found.face_b]
    keep = np.flatnonzero((a >= 0) & (b >= 0))
    kind = [KINDS[k] for k in found.kind[keep]]
    return Questions(kind, a[keep], b[keep], found.probability[keep], found.stake[keep].astype(np.int64), uncertainty=found)


def open_questions(asked: Questions, view: PeopleView) -> Ints:
    """Numbers of the questions that no decision has answered: those that change most first, those about two faces of one photo last."""
    identity, ids = view.current.faces.identity, view.current.faces.ids
    together = (identity[asked.a] == identity[asked.b]) & (identity[asked.a] >= 0)
    within = np.array([kind != "same" for kind in asked.kind], bool)
    ignored = np.append(np.array(view.current.people.ignored, bool), False)  # index -1 (nobody) is the last
    aside = np.isin(asked.a, [*view.aside]) | np.isin(asked.b, [*view.aside])
    keep = np.flatnonzero(~aside & (together == within) & ~ignored[identity[asked.a]] & ~ignored[identity[asked.b]])
    known = KnownPairs(view)
    found = [i for i in keep.tolist() if not known.answers(ids[asked.a[i]], ids[asked.b[i]], people=asked.kind[i] == "same")]
    left: Ints = np.array(found, dtype=np.int64)
    photo = view.run_data.details.photo
    one_photo = (photo[asked.a[left]] == photo[asked.b[left]]) & (photo[asked.a[left]] >= 0)
    return left[np.lexsort((-worth(asked, left, view).round(9), one_photo))]


def stakes(asked: Questions, some: Ints, view: PeopleView) -> Ints:
    """Faces (m,) that move if the answer to a question is not what the groups are now: of two groups the smaller."""
    identity = view.current.faces.identity
    sizes = np.append(np.array(view.current.people.faces, np.int64), 1)  # the last: a face of nobody
    a, b = sizes[identity[asked.a[some]]], sizes[identity[asked.b[some]]]
    same = np.array([asked.kind[i] == "same" for i in some.tolist()], bool)
    return np.asarray(np.where(same, np.minimum(a, b), np.minimum(asked.stake[some], a)), np.int64)


def worth(asked: Questions, some: Ints, view: PeopleView) -> NDArray[np.float64]:
    """Faces (m,) that the answer to each of some questions is expected to move."""
    p = asked.probability[some]
    same = np.array([asked.kind[i] == "same" for i in some.tolist()], bool)
    return np.asarray(stakes(asked, some, view) * np.where(same, p, 1 - p))


def coverage(asked: Questions, left: Ints, view: PeopleView) -> NDArray[np.float64]:
    """Shares (q + 1,) of the faces that no open question may move: now, and after each of the questions `left` (q,) and all before it.

    A question whether two groups are one may move the faces of the smaller; others those that would leave. A group's faces are decided
    when the last question about it is answered.
    """
    n = len(view.current.faces.identity)
    smaller, sizes = _smaller(asked, left, view)
    last, most = np.full(len(sizes), -1), np.zeros(len(sizes), np.int64)
    np.maximum.at(last, smaller, np.arange(len(left)))
    np.add.at(most, smaller, stakes(asked, left, view))
    doubted = np.flatnonzero(last >= 0)
    closed = np.bincount(last[doubted], np.minimum(most, sizes)[doubted], minlength=len(left))
    return np.asarray((n - closed.sum() + np.r_[0, np.cumsum(closed)]) / max(n, 1))


def questions_until(share: NDArray[np.float64], wanted: float = DECIDED) -> int:
    """How many questions it takes until a share of the faces is decided, if each has to be asked."""
    return int(np.argmax(share >= wanted)) if (share >= wanted).any() else len(share) - 1


def asked_shares(asked: Questions, left: Ints, view: PeopleView) -> NDArray[np.float64]:
    """The probability (q,) that each of the questions `left` has to be asked: that none before it put its smaller group somewhere."""
    smaller, _ = _smaller(asked, left, view)
    open_: dict[int, float] = {}
    found = np.ones(len(left))
    for at, (group, i) in enumerate(zip(smaller.tolist(), left.tolist(), strict=True)):
        if asked.kind[i] == "same":
            found[at] = open_.get(group, 1.0)
            open_[group] = found[at] * (1 - float(asked.probability[i]))
    return found


def _smaller(asked: Questions, left: Ints, view: PeopleView) -> tuple[Ints, Ints]:
    """The smaller group (q,) that each question is about, and the sizes of all groups; each face of nobody is one, after the people."""
    identity = view.current.faces.identity
    group = np.where(identity >= 0, identity, view.count + np.arange(len(identity)))
    sizes = np.r_[np.array(view.current.people.faces, np.int64), np.ones(len(identity), np.int64)]
    a, b = group[asked.a[left]], group[asked.b[left]]
    return np.where(sizes[a] <= sizes[b], a, b), sizes
