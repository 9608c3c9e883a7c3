"""Pairs of faces to ask about, ranked by what they settle, and what is left of them as the user answers.

Odd inputs: a store whose vectors or links are gone has no questions, and a note says why.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from facecluster.errors import FaceclusterError
from facecluster.review.view import Base, View
from facecluster.store import Store

Ints = NDArray[np.int64]
TEXTS = {
    "same": "Are these two people one?",
    "split": "Do both ends of this person show the same one?",
    "photo": "Two faces of one photo: the same person?",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """q questions by falling worth: struct of arrays (q,)."""

    kind: list[str]  # keys of TEXTS
    a: Ints  # rows of the run's faces
    b: Ints
    probability: NDArray[np.float64]  # that the two faces are one person
    stake: Ints  # faces that move if the answer is not what the grouping assumes
    note: str = ""  # why there are none


def ask(store: Store, base: Base) -> Asked:
    """The questions about the groups of a run; this is the one place that knows where they come from. May take seconds."""
    from facecluster.grouping.identify import IdentifyConfig
    from facecluster.grouping.uncertainty import KINDS, assess_store  # loads the grouping's libraries, which the page does not wait for

    run = base.run
    config = IdentifyConfig(**{f.name: run.settings[f.name] for f in fields(IdentifyConfig) if f.name in run.settings})
    try:
        ids, _, found = assess_store(store, f"embeddings/{run.model}", f"links/{run.model}", run.identities, config)
    except (FaceclusterError, IndexError) as e:
        none: Ints = np.zeros(0, dtype=np.int64)
        return Asked([], none, none, np.zeros(0), none, f"no questions: {e or 'the store has no links'}")
    row = np.array([base.rows.get(face, -1) for face in ids], dtype=np.int64)
    a, b = row[found.face_a], row[found.face_b]
    keep = np.flatnonzero((a >= 0) & (b >= 0))
    kind = [KINDS[k] for k in found.kind[keep]]
    return Asked(kind, a[keep], b[keep], found.probability[keep], found.stake[keep].astype(np.int64))


def still_open(asked: Asked, view: View) -> Ints:
    """Numbers of the questions that no decision has answered, by falling worth."""
    identity, ids = view.register.faces.identity, view.register.faces.ids
    together = (identity[asked.a] == identity[asked.b]) & (identity[asked.a] >= 0)
    within = np.array([kind != "same" for kind in asked.kind], bool)
    ignored = np.append(np.array(view.register.people.ignored, bool), False)  # -1, nobody, is the last
    keep = np.flatnonzero((together == within) & ~ignored[identity[asked.a]] & ~ignored[identity[asked.b]])
    known = _Known(view)
    found = [i for i in keep.tolist() if not known.answers(ids[asked.a[i]], ids[asked.b[i]], people=asked.kind[i] == "same")]
    return np.array(found, dtype=np.int64)


class _Known:
    """What decisions say of two faces, and of the people that they are of."""

    def __init__(self, view: View) -> None:
        self.view, self.ties = view, view.verdict.links
        people: dict[str, set[int]] = {}
        for face in list(self.ties.parent):
            if (person := self._person(face)) >= 0:
                people.setdefault(self.ties.root(face), set()).add(person)
        enemies = self.ties.cannot_link
        self.apart = {(p, q) for root, mine in people.items() for e in enemies.get(root, ()) for p in mine for q in people.get(e, ())}

    def _person(self, face: str) -> int:
        row = self.view.base.rows.get(face, -1)
        return int(self.view.register.faces.identity[row]) if row >= 0 else -1

    def answers(self, one: str, two: str, *, people: bool) -> bool:
        """Whether it is known if two faces (or the people that they are of) are one person."""
        parent, root = self.ties.parent, self.ties.root
        if one in parent and two in parent and (root(one) == root(two) or root(two) in self.ties.cannot_link.get(root(one), ())):
            return True
        p, q = self._person(one), self._person(two)
        if not people or p < 0 or q < 0:
            return False
        names = {self.view.folded[p], self.view.folded[q]}
        return (p, q) in self.apart or (len(names) == 2 and "" not in names)


def coverage(asked: Asked, left: Ints, view: View) -> NDArray[np.float64]:
    """Shares of the faces that no open question is about: now, and after each of the questions `left` (q,) once it and all before it are
    answered; (q + 1,)."""
    identity = view.register.faces.identity
    n, people = len(identity), view.count
    group = np.where(identity >= 0, identity, people + np.arange(n))  # a single face is a group of its own
    last = np.full(people + n, -1)
    order = np.arange(len(left))
    np.maximum.at(last, group[asked.a[left]], order)
    np.maximum.at(last, group[asked.b[left]], order)
    closed = np.bincount(last[group] + 1, minlength=len(left) + 1)
    return np.asarray(np.cumsum(closed) / max(n, 1))
