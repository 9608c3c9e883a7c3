"""Suggestions for the page: who else may be a person, without those whom decisions already tell.

Odd inputs: a store whose vectors are gone has no suggestions, and a note gives the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np

from facecluster.review.known_pairs import KnownPairs
from facecluster.review.people_view import PeopleView, RunData
from facecluster.store import FaceIds, Store

if TYPE_CHECKING:
    from facecluster.people.grouped_faces import Grouped
    from facecluster.people.known_names import Known, Proposal
    from facecluster.people.suggestions import FaceIndex, Suggestions

LIKELY = 0.05  # what is less probable is not suggested


class Suggester:
    """The vectors of a run, open until `close`; not for several threads at once."""

    def __init__(self, store: Store, run_data: RunData) -> None:
        """Read the vectors. Raises FaceclusterError if there are none."""
        self.run_data, self._store = run_data, store
        self._open = ExitStack()
        self._groups: Grouped | None = None
        self._known: KnownPairs | None = None
        try:
            self._index = self._read(store)
        except BaseException:
            self.close()
            raise

    def _read(self, store: Store) -> FaceIndex:
        from facecluster.grouping.identify_config import IdentifyConfig  # imported here: loading it would delay the first page
        from facecluster.grouping.shelved_vectors import crew_for, shelve_vectors
        from facecluster.people.suggestions import FaceIndex
        from facecluster.photos.frames import picture_numbers

        data = self.run_data
        table = f"embeddings/{data.run.model}"
        crew = self._open.enter_context(crew_for(store, table))
        ids, vectors = shelve_vectors(crew, store, table)
        at = ids.rows_of(FaceIds.of(data.faces.ids).arrow())
        usable = (at >= 0) & ~data.unclear
        rows = np.maximum(at, 0)
        same = len(rows) == len(ids) and bool((rows == np.arange(len(rows))).all())
        return FaceIndex(
            vectors if same else replace(vectors, rows=rows), usable, data.faces.identity,
            picture_numbers(store, data.faces.ids), IdentifyConfig.from_stamp(data.run.settings),
        )  # fmt: skip

    def _now(self, view: PeopleView) -> Grouped:
        if self._groups is None or self._known is None or self._known.view is not view:
            self._known = KnownPairs(view)
            identity = view.current.faces.identity.copy()
            identity[[row for row in view.aside if identity[row] < 0]] = -2
            self._groups = self._index.grouped(identity, view.run_data.orders.surest, self._groups)
        return self._groups

    def suggest(self, view: PeopleView, people: Sequence[int], top: int) -> Suggestions:
        """The groups and single faces that are most probably one of some people of the view."""
        groups = self._now(view)
        assert self._known is not None
        apart = self._known.apart_from(people)
        targets = [
            replace(self._index.target(groups, p), closed_groups=others, closed_faces=rows)
            for p, (others, rows) in zip(people, apart, strict=True)
        ]
        found = self._index.suggest(groups, targets, np.array(view.current.people.ignored, bool), top)
        keep = found.probability >= LIKELY
        parts = {f.name: getattr(found, f.name)[keep] for f in fields(found)}
        return replace(found, **parts)

    def likeness(self, view: PeopleView, person: int, others: Sequence[int]) -> float:
        """The highest probability, 0 to 1, that a person of the view is one of some others, without what decisions say of them."""
        groups = self._now(view)
        hidden = np.arange(len(view.current.people.names)) != person
        found = self._index.suggest(groups, [self._index.target(groups, other) for other in others], hidden, 1, faces=False)
        return float(found.probability[0]) if len(found.probability) else 0.0

    def propose(self, view: PeopleView, given: Known | None = None) -> list[Proposal]:
        """The names of known people that groups without a name may have, by falling probability; `given`: of others than the store's."""
        from facecluster.people.known_names import propose, read_known

        known = given or read_known(self._store, self.run_data.run.model)
        if known is None:
            return []
        groups, names, people = self._now(view), known.by_name(), view.current.people
        hidden = np.array(people.ignored, bool) | np.array([n is not None for n in people.names], bool)
        closed: dict[str, set[int]] = {}
        for name, person in view.current.named_otherwise():
            closed.setdefault(name.casefold(), set()).add(person)
        assert self._known is not None
        for person in [i for i, name in enumerate(view.folded_names) if name]:
            if view.folded_names[person] in {name.casefold() for name in names}:
                closed.setdefault(view.folded_names[person], set()).update(self._known.apart_from([person])[0][0])
        found = propose(self._index, groups, names, hidden, {name: closed.get(name.casefold(), ()) for name in names})
        return [p for p in found if p.probability >= LIKELY]

    def close(self) -> None:
        """Delete temporary files."""
        self._open.close()
