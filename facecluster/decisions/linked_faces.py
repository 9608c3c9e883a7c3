"""Which faces decisions tie together, keep apart, and name. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class LinkedFaces:
    """Union-find over face_ids: sets of must-linked faces, cannot-links between sets, and at most one name a set."""

    parent: dict[str, str] = field(default_factory=dict)
    cannot_link: dict[str, set[str]] = field(default_factory=dict)  # root -> roots
    name: dict[str, str] = field(default_factory=dict)  # root -> name

    def copy(self) -> LinkedFaces:
        """The same sets, to be changed apart."""
        return LinkedFaces(dict(self.parent), {root: set(others) for root, others in self.cannot_link.items()}, dict(self.name))

    def root(self, face: str) -> str:
        """The face that stands for the set of `face`."""
        top = face
        while (above := self.parent.setdefault(top, top)) != top:
            top = above
        while self.parent[face] != top:
            self.parent[face], face = top, self.parent[face]
        return top

    def link(self, a: str, b: str) -> bool:
        """Join the sets of a and b; False if a cannot-link or two names forbid it."""
        a, b = self.root(a), self.root(b)
        if a == b:
            return True
        if b in self.cannot_link.get(a, ()) or self.name.get(a, self.name.get(b)) != self.name.get(b, self.name.get(a)):
            return False
        self.parent[b] = a
        for other in self.cannot_link.pop(b, set()):
            self.cannot_link[other].discard(b)
            self.cannot_link[other].add(a)
            self.cannot_link.setdefault(a, set()).add(other)
        if b in self.name:
            self.name[a] = self.name.pop(b)
        return True

    def is_named(self, face: str) -> bool:
        """Whether the set of a face has a name."""
        return face in self.parent and bool(self.name.get(self.root(face)))

    def separate(self, a: str, b: str) -> bool:
        """Put a cannot-link between the sets of a and b; False if they are one set."""
        a, b = self.root(a), self.root(b)
        if a == b:
            return False
        self.cannot_link.setdefault(a, set()).add(b)
        self.cannot_link.setdefault(b, set()).add(a)
        return True

    def set_name(self, face: str, name: str) -> bool:
        """Name the set of a face; False if it has another name."""
        return self.name.setdefault(self.root(face), name) == name

    def link_all(self, faces: Sequence[str]) -> str | None:
        """Link faces where nothing forbids it; gives a face of the largest set that results, None without faces."""
        heads: list[str] = []
        counts: list[int] = []
        for face in faces:
            at = next((i for i, head in enumerate(heads) if self.link(head, face)), len(heads))
            if at == len(heads):
                heads.append(face)
                counts.append(0)
            counts[at] += 1
        return heads[counts.index(max(counts))] if heads else None
