"""Pairs of faces to ask about, ranked by how much an answer resolves, and which of them are still open.

Odd inputs: a store whose vectors or links are gone has no questions, and a note gives the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facecluster.errors import FaceclusterError
from facecluster.review.known_pairs import KnownPairs
from facecluster.review.people_view import PeopleView, RunData
from facecluster.store import FaceIds, Store

if TYPE_CHECKING:
    from facecluster.grouping.uncertainty import Uncertainty

Ints = NDArray[np.int64]
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
        return Questions([], none, none, np.zeros(0), none, f"no questions: {e or 'the store has no links'}")
    row = FaceIds.of(run_data.faces.ids).rows_of(ids)
    a, b = row[found.face_a], row[found.face_b]
    keep = np.flatnonzero((a >= 0) & (b >= 0))
    kind = [KINDS[k] for k in found.kind[keep]]
    return Questions(kind, a[keep], b[keep], found.probability[keep], found.stake[keep].astype(np.int64), uncertainty=found)


def open_questions(asked: Questions, view: PeopleView) -> Ints:
    """Numbers of the questions that no decision has answered, the most useful first."""
    identity, ids = view.current.faces.identity, view.current.faces.ids
    together = (identity[asked.a] == identity[asked.b]) & (identity[asked.a] >= 0)
    within = np.array([kind != "same" for kind in asked.kind], bool)
    ignored = np.append(np.array(view.current.people.ignored, bool), False)  # index -1 (nobody) is the last
    aside = np.isin(asked.a, [*view.aside]) | np.isin(asked.b, [*view.aside])
    keep = np.flatnonzero(~aside & (together == within) & ~ignored[identity[asked.a]] & ~ignored[identity[asked.b]])
    known = KnownPairs(view)
    found = [i for i in keep.tolist() if not known.answers(ids[asked.a[i]], ids[asked.b[i]], people=asked.kind[i] == "same")]
    return np.array(found, dtype=np.int64)


def coverage(asked: Questions, left: Ints, view: PeopleView) -> NDArray[np.float64]:
    """Shares (q + 1,) of the faces without an open question: now, and after each of the questions `left` (q,) and all before it."""
    identity = view.current.faces.identity
    n, people = len(identity), view.count
    group = np.where(identity >= 0, identity, people + np.arange(n))  # each face of nobody is a group of its own
    last = np.full(people + n, -1)
    order = np.arange(len(left))
    np.maximum.at(last, group[asked.a[left]], order)
    np.maximum.at(last, group[asked.b[left]], order)
    closed = np.bincount(last[group] + 1, minlength=len(left) + 1)
    return np.asarray(np.cumsum(closed) / max(n, 1))
