"""What a new grouping changes against what the page shows, person by person. Pure, but for reading the new groups.

A person stays who they are where their lasting id does. Of people whose id is gone, more than half of the faces join one person, or they
are nobody's. People with a new id come off one person, or are new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from facecluster.people import People
from facecluster.review.people_view import Ints, PeopleView
from facecluster.store import IDENTITIES, FaceIds, Store

MAX_LISTED = 40  # people in a list
MAX_FACES = 8  # of a person, that are shown


def changes(store: Store, view: PeopleView, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The counts, and lists of people with a few of their faces.

    Args:
        store: holds the new groups.
        view: what the page shows.
        asked: the event of 'facecluster cluster --ask'.
    """
    table = store.read_all(f"identities/{asked['run']['model']}", IDENTITIES, ["face_id", "identity"]).sort_by("face_id")
    at = FaceIds.of(table["face_id"]).rows_of(view.current.faces.ids)
    now = np.where(at >= 0, np.append(np.asarray(table["identity"], np.int64), -1)[at], -1)
    who = asked["people"]
    return compare(view, People(who["person_ids"], who["names"], who["faces"], who["ignored"]), now)


def compare(view: PeopleView, people: People, now: Ints) -> dict[str, Any]:
    """The changes to groups `now` (n,) of the view's faces, which are these `people`."""
    before, was = view.current.people, view.current.faces.identity
    index = {person: j for j, person in enumerate(people.person_ids)}
    same = np.array([index.get(person, -1) for person in before.person_ids] + [-1], np.int64)  # the last: nobody
    known = set(before.person_ids)
    there, came = _most(was, now, len(before.faces)), _most(now, was, len(people.faces))
    new = {j for j, person in enumerate(people.person_ids) if person not in known}
    gone = [i for i in range(len(before.faces)) if same[i] < 0]
    joins = [i for i in gone if there[i] >= 0]
    parts = [j for j in new if came[j] >= 0]
    # whose whole group went along, or came off as a group, is said once: the faces that went alone are listed by person
    expected = same.copy()
    for i in joins:
        expected[i] = there[i]
    wanted = expected[was]
    alone = (wanted != now) & ~np.isin(now, sorted(new))
    gains, losses = alone & (now >= 0), (wanted != now) & (was >= 0) & (now < 0)
    old = {i: _who(before, i, view.run_data.faces.ids[int(view.best_face[i])]) for i in {*gone, *(came[j] for j in parts)}}

    def as_new(j: int, rows: Ints | None = None) -> dict[str, Any]:
        shown = np.flatnonzero(now == j) if rows is None else rows
        best = shown[np.argsort(-view.run_data.details.quality[shown], kind="stable")]
        faces = [view.current.faces.ids[row] for row in best[:MAX_FACES].tolist()]
        return {**_who(people, j, faces[0] if faces else ""), "shown": faces, "count": len(shown)}

    lists = {
        "joins": [{"who": old[i], "to": as_new(there[i])} for i in sorted(joins, key=lambda i: -before.faces[i])],
        "parts": [{"who": as_new(j), "of": old[came[j]]} for j in sorted(parts, key=lambda j: -people.faces[j])],
        "gone": [{"who": old[i]} for i in gone if there[i] < 0],
        "new": [{"who": as_new(j)} for j in sorted(new - set(parts), key=lambda j: -people.faces[j])],
        "gains": [{"who": as_new(j, np.flatnonzero(gains & (now == j)))} for j in _by_count(now[gains])],
        "losses": [{"who": as_new(j, np.flatnonzero(losses & (wanted == j)))} for j in _by_count(wanted[losses]) if j >= 0],
    }
    names = {name for name in before.names if name} - {name for name in people.names if name}
    return {
        "counts": {
            "moved": int(((was >= 0) & (now >= 0) & (wanted != now)).sum()), "joined": int(((was < 0) & (now >= 0)).sum()),
            "left": int(((was >= 0) & (now < 0)).sum()), "people": len(people.faces), "before": len(before.faces),
            **{name: len(found) for name, found in lists.items()},
        },
        "lost_names": sorted(names)[:MAX_LISTED],
        **{name: found[:MAX_LISTED] for name, found in lists.items()},
    }  # fmt: skip


def _who(people: People, number: int, face: str) -> dict[str, Any]:
    name = people.names[number] or ""
    return {"id": people.person_ids[number], "name": name, "faces": people.faces[number], "face": face}


def _most(a: Ints, b: Ints, count: int) -> list[int]:
    """For each group of `a` the group of `b` with more than half of its faces that `b` groups; -1 if none has."""
    both = (a >= 0) & (b >= 0)
    pairs, sizes = np.unique(np.stack([a[both], b[both]]), axis=1, return_counts=True)
    total, found = np.bincount(a[both], minlength=count), [-1] * count
    for i, j, n in zip(*pairs.tolist(), sizes.tolist(), strict=True):
        if 2 * n > total[i]:
            found[i] = j
    return found


def _by_count(groups: Ints) -> list[int]:
    """Groups by how often they stand there, the most first."""
    numbers, counts = np.unique(groups, return_counts=True)
    return [int(j) for j in numbers[np.argsort(-counts, kind="stable")]]
