"""What decisions say about two faces, and about two people. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from facecluster.review.people_view import PeopleView


class KnownPairs:
    """The pairs that decisions of a view already tell."""

    def __init__(self, view: PeopleView) -> None:
        self.view, self.links = view, view.resolved.links
        self.rows: dict[str, list[int]] = {}  # root of a set of linked faces -> their rows
        for face in list(self.links.parent):
            if (row := view.run_data.rows.get(face, -1)) >= 0:
                self.rows.setdefault(self.links.root(face), []).append(row)
        identity, cannot_link = view.current.faces.identity, self.links.cannot_link
        people = {root: {int(identity[row]) for row in rows} - {-1} for root, rows in self.rows.items()}
        self.different = {
            (p, q) for root, mine in people.items() for other in cannot_link.get(root, ()) for p in mine for q in people.get(other, ())
        }

    def _person(self, face: str) -> int:
        row = self.view.run_data.rows.get(face, -1)
        return int(self.view.current.faces.identity[row]) if row >= 0 else -1

    def answers(self, one: str, two: str, *, people: bool) -> bool:
        """Whether decisions tell if two faces (with `people`: or their people) are one person."""
        parent, root = self.links.parent, self.links.root
        if one in parent and two in parent and (root(one) == root(two) or root(two) in self.links.cannot_link.get(root(one), ())):
            return True
        p, q = self._person(one), self._person(two)
        if not people or p < 0 or q < 0:
            return False
        names = {self.view.folded_names[p], self.view.folded_names[q]}
        return (p, q) in self.different or (len(names) == 2 and "" not in names)

    def apart_from(self, people: Sequence[int]) -> list[tuple[frozenset[int], frozenset[int]]]:
        """For each of some people, the people and the rows of single faces that decisions keep apart from them."""
        identity, names = self.view.current.faces.identity, self.view.folded_names
        roots: dict[int, list[str]] = {person: [] for person in people}
        for root, rows in self.rows.items():
            for person in {int(identity[row]) for row in rows} & roots.keys():
                roots[person].append(root)
        named = [(p, name) for p, name in enumerate(names) if name]
        found = []
        for person in people:
            there = [row for r in roots[person] for other in self.links.cannot_link.get(r, ()) for row in self.rows.get(other, ())]
            others = {p for p, name in named if name != names[person]} if names[person] else set()
            closed = others | {int(identity[row]) for row in there} - {-1, person}
            found.append((frozenset(closed), frozenset(row for row in there if identity[row] < 0)))
        return found
