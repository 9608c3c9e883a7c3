"""The current people of a store: the current run with the decisions since, and everything that lists need.

Lists have pages of at most MAX_ENTRIES entries, so the size of an answer does not grow with the number of people.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions import Decision, Journal, ResolvedDecisions, active, read, replay
from facecluster.people import CurrentPeople, People, Run
from facecluster.people.assign_ids import assign_names, assign_person_ids
from facecluster.people.face_ids import TrackedDecisions
from facecluster.people.grouped_faces import by_group
from facecluster.people.lost_names import note_on_lost
from facecluster.people.retired_ids import retire_ids
from facecluster.people.runs import Faces
from facecluster.people.stand_ins import faces_meant, read_stand_ins
from facecluster.people.told_faces import told_faces
from facecluster.photos.followed import read_followed
from facecluster.review.apply_decisions import apply_decisions
from facecluster.review.face_details import FaceDetails
from facecluster.review.face_orders import FaceOrders
from facecluster.store import Store

MAX_ENTRIES = 120  # of an answer
# the words of report.text.confidence_word
CONFIDENCE_RANGES = {"very sure": (0.95, 2.0), "sure": (0.8, 0.95), "likely": (0.5, 0.8), "unsure": (-1.0, 0.5)}
ORDERS = ("size", "small", "unsure", "name", "recent")
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RunData:
    """Data that changes only with the run."""

    run: Run
    faces: Faces
    people: People  # of the run, with the names that they had then
    rows: Mapping[str, int]  # row of each face_id
    details: FaceDetails
    recognisability: NDArray[np.float64]  # (n,) 0 to 1; 1 if unknown
    unclear: NDArray[np.bool_]  # (n,) too unclear to tell whose they are
    orders: FaceOrders = field(init=False)
    tracked: TrackedDecisions = field(init=False)

    def __post_init__(self) -> None:
        orders = FaceOrders.of(self.faces.identity, self.faces.probability, self.details.quality, self.details.photo)
        object.__setattr__(self, "orders", orders)
        object.__setattr__(self, "tracked", TrackedDecisions(self.faces.ids, self.faces.boxes))


@dataclass(frozen=True, slots=True)
class PeopleView:
    """The people at one moment. Arrays of people are (p,), by number of the person in `current`."""

    run_data: RunData
    journal: Journal
    active_decisions: list[Decision]
    resolved: ResolvedDecisions
    current: CurrentPeople
    notes: list[str]
    order: Ints  # rows by person, those of one person by falling probability
    start: Ints  # (p + 1,) where each person's rows begin in `order`
    confidence: NDArray[np.float64]  # mean probability
    best_face: Ints  # row of the face with the highest quality x probability
    photos: Ints  # number of photos
    years: NDArray[np.int16]  # (p, 2) first and last, 0 = unknown
    folded_names: list[str] = field(default_factory=list)  # casefolded
    aside: Mapping[int, str] = field(default_factory=dict)  # rows of faces that were set aside -> act (one of ASIDE)

    @property
    def count(self) -> int:
        """Number of people."""
        return len(self.confidence)

    def rows_of(self, person: int) -> Ints:
        """Rows of a person's faces, by falling probability."""
        return self.order[self.start[person] : self.start[person + 1]]

    def nobody(self) -> Ints:
        """Rows of the faces of nobody that are clear, by falling quality."""
        return self._alone(~self.run_data.unclear, self.run_data.details.quality, kept=())

    def unclear(self) -> Ints:
        """Rows of the faces that are too unclear to tell and that no decision gave to a person, by falling recognisability."""
        return self._alone(self.run_data.unclear, self.run_data.recognisability, kept=("too-unclear",))

    def _alone(self, wanted: NDArray[np.bool_], key: NDArray[np.floating], kept: Collection[str]) -> Ints:
        """Rows of faces of nobody that are wanted or were set aside by one of the acts `kept`, and by no other."""
        wanted = wanted.copy()
        for row, act in self.aside.items():
            wanted[row] = act in kept
        rows = np.flatnonzero((self.current.faces.identity < 0) & wanted)
        return np.asarray(rows[np.argsort(-key[rows], kind="stable")], dtype=np.int64)

    def filter_people(
        self, text: str = "", *, least: int = 0, most: int = 0, sure: str = "", year: int = 0, show: str = "", order: str = "size"
    ) -> Ints:
        """Numbers of the people that fit all filters, in order. An empty value is no filter.

        Args:
            text: part of the name, or the beginning of the lasting id.
            least: minimum number of faces.
            most: maximum number of faces; 0 = any.
            sure: a key of CONFIDENCE_RANGES.
            year: of at least one of their photos.
            show: "named", "unnamed" or "ignored"; ignored people are in no other list.
            order: one of ORDERS.
        """
        people = self.current.people
        sizes, ignored = np.array(people.faces, np.int64), np.array(people.ignored, bool)
        keep = ignored if show == "ignored" else ~ignored
        keep = keep & (sizes >= least) & (sizes <= (most or np.inf))
        if sure in CONFIDENCE_RANGES:
            low, high = CONFIDENCE_RANGES[sure]
            keep &= (self.confidence >= low) & (self.confidence < high)
        if year:
            inside = self.current.faces.identity[self.run_data.details.year == year]
            keep &= np.bincount(inside[inside >= 0], minlength=self.count)[: self.count] > 0
        if show in ("named", "unnamed"):
            keep &= np.array([bool(n) == (show == "named") for n in people.names], bool)
        found = np.flatnonzero(keep)
        if wanted := " ".join(text.casefold().split()):
            found = np.array([i for i in found if wanted in self.folded_names[i] or people.person_ids[i].startswith(wanted)], np.int64)
        keys = {"size": -sizes[found], "small": sizes[found], "unsure": self.confidence[found], "recent": -self.years[found, 1]}
        if order == "name":
            named = sorted(found.tolist(), key=lambda i: (not self.folded_names[i], self.folded_names[i], i))
            return np.array(named, dtype=np.int64)
        return np.asarray(found[np.argsort(keys.get(order, keys["size"]), kind="stable")], dtype=np.int64)


def current_view(store: Store, run_data: RunData, lines: dict[bytes, Decision] | None = None) -> PeopleView:
    """The people after all decisions of the journal; `lines` has what was read of it before, see `decisions.read`."""
    journal, faces, followed = read(store, lines), run_data.faces, read_followed(store)
    meant = faces_meant(followed, read_stand_ins(store), run_data.rows)
    now = run_data.tracked.now(journal.decisions, meant)
    resolved = replay(now)
    active_decisions = active(now)
    split_off = {face for d in active_decisions if d.act == "split" for face in d.faces}
    identity = apply_decisions(faces.identity, run_data.rows, resolved, split_off)
    # a face of which the user has said whose it is has probability 1, and so has one of nobody that a decision assigned to a person
    probability = np.where(identity < 0, 0.0, np.where(faces.identity < 0, 1.0, faces.probability))
    told = told_faces(journal.decisions, now, followed, meant, run_data.rows)
    named = [run_data.rows[face] for face in told if face in run_data.rows and resolved.links.is_named(face)]
    probability[named] = np.where(identity[named] < 0, 0.0, 1.0)
    shown = Faces(faces.ids, identity, probability, faces.boxes)
    everyone: Ints = np.arange(len(faces.ids))
    before = run_data.people
    lasting = assign_person_ids(shown, resolved, before.person_ids, everyone, faces.identity, before.retired)
    retired = retire_ids(before.retired, before, faces, everyone, lasting, shown)
    people, notes = assign_names(lasting, shown, resolved, retired)
    current = CurrentPeople(people, shown, resolved, followed)
    notes = [*note_on_lost(before, journal.decisions), *journal.notes, *resolved.notes, *notes]
    return _summarise(run_data, journal, active_decisions, resolved, current, notes)


def _summarise(
    run_data: RunData, journal: Journal, active_decisions: list[Decision], resolved: ResolvedDecisions, current: CurrentPeople,
    notes: list[str],
) -> PeopleView:  # fmt: skip
    identity, probability = current.faces.identity, current.faces.probability
    orders, photo, year = run_data.orders, run_data.details.photo, run_data.details.year
    count = len(current.people.faces)
    told = (probability == 1)[orders.surest]
    order = by_group(np.r_[orders.surest[told], orders.surest[~told]], identity, count)
    start = np.searchsorted(identity[order], np.arange(count + 1))
    best_first = by_group(orders.best, identity, count)
    seen = by_group(orders.by_photo, identity, count)
    new = np.r_[True, (np.diff(photo[seen]) != 0) | (np.diff(identity[seen]) != 0)][: len(seen)]
    years = np.zeros((count, 2), np.int16)
    if count:
        when = year[order]
        years[:, 0] = np.minimum.reduceat(np.where(when > 0, when, 9999), start[:-1])
        years[:, 1] = np.maximum.reduceat(when, start[:-1])
    years[years[:, 1] == 0, 0] = 0
    total = np.bincount(identity[identity >= 0], probability[identity >= 0], minlength=count)
    return PeopleView(
        run_data=run_data, journal=journal, active_decisions=active_decisions, resolved=resolved, current=current, notes=notes,
        order=order.astype(np.int64), start=start.astype(np.int64), confidence=total / np.maximum(np.diff(start), 1),
        best_face=best_first[start[:-1]].astype(np.int64), years=years,
        photos=np.bincount(identity[seen[new]], minlength=count).astype(np.int64),
        folded_names=[(n or "").casefold() for n in current.people.names],
        aside={row: act for face, act in resolved.aside.items() if (row := run_data.rows.get(face, -1)) >= 0},
    )  # fmt: skip
