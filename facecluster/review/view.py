"""The people of a store as they stand: the run that counts under the decisions since, with all that lists need of them.

Lists come in pages of at most PAGE entries, so that an answer is of one size however many people there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions import Decision, Journal, ResolvedDecisions, active, read, replay
from facecluster.people import CurrentPeople, Run
from facecluster.people.assign_ids import assign_names, assign_person_ids
from facecluster.people.face_ids import with_current_ids
from facecluster.people.runs import Faces
from facecluster.review.library import Library
from facecluster.review.overlay import regroup
from facecluster.store import Store

PAGE = 120  # entries an answer has at most
SURE = {"very sure": (0.95, 2.0), "sure": (0.8, 0.95), "likely": (0.5, 0.8), "unsure": (-1.0, 0.5)}  # as in report.text.sure
ORDERS = ("size", "small", "unsure", "name", "recent")
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Base:
    """What changes only with the run."""

    run: Run
    faces: Faces
    before: list[str]  # lasting ids of the run's people
    rows: dict[str, int]  # of a face_id
    library: Library


@dataclass(frozen=True, slots=True)
class View:
    """The people at one moment. Arrays of people are (p,), by number of the person in `register`."""

    base: Base
    journal: Journal
    held: list[Decision]
    verdict: ResolvedDecisions
    register: CurrentPeople
    notes: list[str]
    order: Ints  # rows by person, of one the surest first
    start: Ints  # (p + 1,) where each person's rows begin in `order`
    sure: NDArray[np.float64]  # mean probability
    best: Ints  # row of the face that stands for them
    photos: Ints
    years: NDArray[np.int16]  # (p, 2) first and last, 0 = not known
    folded: list[str] = field(default_factory=list)  # names in small letters

    @property
    def count(self) -> int:
        """Number of people."""
        return len(self.sure)

    def rows_of(self, person: int) -> Ints:
        """Rows of a person's faces, the surest first."""
        return self.order[self.start[person] : self.start[person + 1]]

    def nobody(self) -> Ints:
        """Rows of nobody's faces, the best quality first."""
        rows = np.flatnonzero(self.register.faces.identity < 0)
        return np.asarray(rows[np.argsort(-self.base.library.quality[rows], kind="stable")], dtype=np.int64)

    def pick(
        self, text: str = "", *, least: int = 0, most: int = 0, sure: str = "", year: int = 0, show: str = "", order: str = "size"
    ) -> Ints:
        """Numbers of the people that all filters let through, in order. Empty values let everyone through.

        Args:
            text: part of the name, or the beginning of the lasting id.
            least: faces they have at least.
            most: faces they have at most; 0 = any number.
            sure: a key of SURE.
            year: of at least one of their photos.
            show: "named", "unnamed" or "ignored"; the ignored are in no other list.
            order: one of ORDERS.
        """
        people = self.register.people
        sizes, ignored = np.array(people.faces, np.int64), np.array(people.ignored, bool)
        keep = ignored if show == "ignored" else ~ignored
        keep = keep & (sizes >= least) & (sizes <= (most or np.inf))
        if sure in SURE:
            low, high = SURE[sure]
            keep &= (self.sure >= low) & (self.sure < high)
        if year:
            inside = self.register.faces.identity[self.base.library.year == year]
            keep &= np.bincount(inside[inside >= 0], minlength=self.count)[: self.count] > 0
        if show in ("named", "unnamed"):
            keep &= np.array([bool(n) == (show == "named") for n in people.names], bool)
        found = np.flatnonzero(keep)
        if wanted := " ".join(text.casefold().split()):
            found = np.array([i for i in found if wanted in self.folded[i] or people.person_ids[i].startswith(wanted)], np.int64)
        keys = {"size": -sizes[found], "small": sizes[found], "unsure": self.sure[found], "recent": -self.years[found, 1]}
        if order == "name":
            named = sorted(found.tolist(), key=lambda i: (not self.folded[i], self.folded[i], i))
            return np.array(named, dtype=np.int64)
        return np.asarray(found[np.argsort(keys.get(order, keys["size"]), kind="stable")], dtype=np.int64)


def look(store: Store, base: Base) -> View:
    """The people as the journal leaves them now."""
    journal, faces = read(store), base.faces
    held = active(journal.decisions)
    now = with_current_ids(journal.decisions, faces.ids, faces.boxes)
    verdict = replay(now)
    left = {face for d in active(now) if d.act == "split" for face in d.faces}
    identity = regroup(faces.identity, base.rows, verdict, left)
    # a face that decisions brought to a person is there for sure
    sure = np.where(identity < 0, 0.0, np.where(faces.identity < 0, 1.0, faces.probability))
    shown = Faces(faces.ids, identity, sure, faces.boxes)
    everyone: Ints = np.arange(len(faces.ids))
    lasting = assign_person_ids(shown, verdict, base.before, everyone, faces.identity)
    people, notes = assign_names(lasting, shown, verdict)
    return _summed(base, journal, held, verdict, CurrentPeople(people, shown, journal.decisions), [*journal.notes, *verdict.notes, *notes])


def _summed(
    base: Base, journal: Journal, held: list[Decision], verdict: ResolvedDecisions, register: CurrentPeople, notes: list[str]
) -> View:
    identity, sure = register.faces.identity, register.faces.probability
    quality, photo, year = base.library.quality, base.library.photo, base.library.year
    count = len(register.people.faces)
    order = np.lexsort((-quality, -sure, identity))
    order = order[identity[order] >= 0]
    start = np.searchsorted(identity[order], np.arange(count + 1))
    by_worth = np.lexsort((-(quality * sure), identity))
    by_worth = by_worth[identity[by_worth] >= 0]
    inside = np.flatnonzero((identity >= 0) & (photo >= 0))
    width = int(photo.max(initial=0)) + 1
    pairs = np.unique(identity[inside] * width + photo[inside]) // width
    years = np.zeros((count, 2), np.int16)
    years[:, 0] = 9999
    dated = np.flatnonzero((identity >= 0) & (year > 0))
    np.minimum.at(years[:, 0], identity[dated], year[dated])
    np.maximum.at(years[:, 1], identity[dated], year[dated])
    years[years[:, 1] == 0, 0] = 0
    total = np.bincount(identity[identity >= 0], sure[identity >= 0], minlength=count)
    return View(
        base=base, journal=journal, held=held, verdict=verdict, register=register, notes=notes,
        order=order.astype(np.int64), start=start.astype(np.int64), sure=total / np.maximum(np.diff(start), 1),
        best=by_worth[start[:-1]].astype(np.int64), photos=np.bincount(pairs, minlength=count).astype(np.int64), years=years,
        folded=[(n or "").casefold() for n in register.people.names],
    )  # fmt: skip
