"""The questions of the page in one list: about pairs of faces, and about the names of known people; and what an answer changes.

Odd inputs: a store without vectors has no names to propose; a proposal whose person got a name, or is no more, is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.review.people_view import Ints, PeopleView
from facecluster.review.questions import WORTH, Questions, asked_shares, coverage, open_questions, questions_until, stakes, worth


@dataclass(frozen=True, slots=True)
class NameProposal:
    """A name of a known person that a person of the store may have."""

    person_id: str
    name: str
    probability: float

    @property
    def key(self) -> tuple[str, str]:
        """By which it is skipped."""
        return f"known {self.name}", self.person_id


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: number of a pair, or a proposed name."""

    pair: int  # -1: a name
    proposal: NameProposal | None
    worth: float  # faces that the answer is expected to move, or to name


@dataclass(frozen=True, slots=True)
class QuestionList:
    """The open questions, the most useful first."""

    pairs: Questions
    asked: list[Asked]
    decided: float  # share of the faces that no open question about a pair may move
    until: int  # answers until questions.DECIDED of them are
    enough: int  # how many of `asked`, from the first, are worth an answer

    @property
    def rest(self) -> float:
        """Faces that the answers to all that are not worth it are expected to move."""
        return sum(a.worth for a in self.asked[self.enough :])


def question_list(pairs: Questions, view: PeopleView, proposals: list[NameProposal], skipped: set[tuple[str, str]]) -> QuestionList:
    """The list for the people of a view, without what was skipped."""
    left: Ints = open_questions(pairs, view)
    ids = view.current.faces.ids
    if skipped:
        left = left[[(ids[pairs.a[i]], ids[pairs.b[i]]) not in skipped for i in left.tolist()]]
    gains = worth(pairs, left, view)
    photo = view.run_data.details.photo
    one_photo = (photo[pairs.a[left]] == photo[pairs.b[left]]) & (photo[pairs.a[left]] >= 0)
    share = coverage(pairs, left, view)
    asked = [Asked(i, None, g) for i, g in zip(left.tolist(), gains.tolist(), strict=True)]
    late = dict(zip(left.tolist(), one_photo.tolist(), strict=True))
    people = view.current.people
    closed = {(name.casefold(), person) for name, person in view.current.named_otherwise()}
    for p in proposals:
        person = people.index(p.person_id)
        open_ = person is not None and not people.names[person] and not people.ignored[person] and p.key not in skipped
        if open_ and person is not None and (p.name.casefold(), person) not in closed:
            asked.append(Asked(-1, p, p.probability * people.faces[person]))
    asked.sort(key=lambda a: (a.worth < WORTH, late.get(a.pair, False), -a.worth))
    until = _answers_until(asked, left, questions_until(share), asked_shares(pairs, left, view))
    return QuestionList(pairs, asked, float(share[0]), until, sum(a.worth >= WORTH for a in asked))


def _answers_until(asked: list[Asked], left: Ints, needed: int, likely: NDArray[np.float64]) -> int:
    """How many answers of the list may be expected until the first `needed` questions `left` are answered; those about names count too."""
    if not needed:
        return 0
    wanted = set(left[:needed].tolist())
    share: dict[int, float] = dict(zip(left.tolist(), likely.tolist(), strict=True))
    last = max(number for number, a in enumerate(asked) if a.pair in wanted)
    return max(1, round(sum(share.get(a.pair, 1.0) for a in asked[: last + 1])))


def gain(found: QuestionList, a: Asked, view: PeopleView) -> dict[str, Any]:
    """What an answer changes: `answer` that does (yes or no), `faces` and `photos` concerned, `who` they are now and `to` whom they go."""
    people, identity = view.current.people, view.current.faces.identity
    if a.proposal is not None:
        person = people.index(a.proposal.person_id)
        assert person is not None
        return {"answer": "yes", "faces": people.faces[person], "photos": int(view.photos[person]), "who": "", "to": a.proposal.name}
    pairs = found.pairs
    one, two = (int(identity[rows[a.pair]]) for rows in (pairs.a, pairs.b))
    if pairs.kind[a.pair] != "same":
        stake = int(stakes(pairs, np.array([a.pair]), view)[0])
        return {"answer": "no", "faces": stake, "photos": 0, "who": people.names[one] or "", "to": ""}

    def rank(person: int) -> tuple[bool, int]:  # who has a name keeps it, then the larger group does
        return (person >= 0 and people.names[person] is not None, people.faces[person] if person >= 0 else 1)

    to, who = (one, two) if rank(one) >= rank(two) else (two, one)
    faces, photos = (people.faces[who], int(view.photos[who])) if who >= 0 else (1, 1)
    names = [(people.names[person] or "") if person >= 0 else "" for person in (who, to)]
    return {"answer": "yes", "faces": faces, "photos": photos, "who": names[0], "to": names[1]}
