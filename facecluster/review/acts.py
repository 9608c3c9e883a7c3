"""What the user does on the page -> decisions of the journal. Pure.

A request is a JSON object with `act` and what it is about: people by lasting id, faces by face_id. What does not fit the people as they
stand (another page was quicker) is an InputError, and nothing is decided.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from facecluster.decisions import Decision
from facecluster.errors import InputError
from facecluster.review.view import View

MOST = 500  # faces or people in one act

Request = Mapping[str, Any]


def decide(view: View, request: Request) -> list[Decision]:
    """The decisions that a request asks for; more than one share a batch, so that they are undone together.

    Raises:
        InputError: the request makes no sense for the people as they stand.
    """
    act = request.get("act")
    maker = _ACTS.get(act) if isinstance(act, str) else None
    if maker is None:
        raise InputError(f"expected an act ({', '.join(_ACTS)}), found {act!r}: load the page again")
    made = maker(view, request)
    if len(made) > 1:
        batch = uuid.uuid4().hex[:8]
        made = [replace(d, batch=batch) for d in made]
    return made


def _texts(request: Request, key: str) -> list[str]:
    value = request.get(key)
    if not isinstance(value, list) or not 0 < len(value) <= MOST or not all(isinstance(v, str) for v in value):
        raise InputError(f"expected 1 to {MOST} {key}, found {'too many' if isinstance(value, list) and value else 'none'}: tick some")
    return list(dict.fromkeys(value))


def _text(request: Request, key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str) or len(value) > 1000:
        raise InputError(f"expected a {key} of up to 1000 characters, found none: fill it in")
    return value


def _person(view: View, person: str) -> int:
    ids = view.register.people.person_ids
    if person not in ids:
        raise InputError(f"expected a person who is there, found {person[:20]}, who became part of another: look at the list again")
    return ids.index(person)


def _name(view: View, request: Request) -> list[Decision]:
    return [view.register.name(_person(view, _text(request, "person")), _text(request, "name"))]


def _merge(view: View, request: Request) -> list[Decision]:
    """All become the first of them, or the first that has a name."""
    people = [_person(view, p) for p in _texts(request, "people")]
    if len(people) < 2:
        raise InputError("expected two people or more, found one: tick another")
    names = view.register.people.names
    keep = next((p for p in people if names[p]), people[0])
    return [view.register.merge(keep, p) for p in people if p != keep]


def _split(view: View, request: Request) -> list[Decision]:
    return [view.register.split(_person(view, _text(request, "person")), _texts(request, "faces"))]


def _link(view: View, request: Request) -> list[Decision]:
    return [view.register.link(str(request["act"]), _texts(request, "faces"))]


def _give(view: View, request: Request) -> list[Decision]:
    """Faces are of a person: `same` with the face that is surest to be them."""
    person = _person(view, _text(request, "person"))
    faces = _texts(request, "faces")
    anchor = view.register.representatives(person)[0]
    made = []
    for group in sorted({int(view.register.faces.identity[view.register.face_row(f)]) for f in faces} - {-1, person}):
        mine = [f for f in faces if int(view.register.faces.identity[view.register.face_row(f)]) == group]
        if len(mine) < view.register.people.faces[group]:
            made.append(view.register.split(group, mine))  # else they would bring all of their old person along
    return [*made, view.register.link("same", [anchor, *faces])]


def _ignore(view: View, request: Request) -> list[Decision]:
    return [view.register.ignore(_person(view, p)) for p in _texts(request, "people")]


def _unignore(view: View, request: Request) -> list[Decision]:
    """Take back whatever ignores these people."""
    faces = {view.register.faces.ids[row] for p in _texts(request, "people") for row in view.rows_of(_person(view, p)).tolist()}
    found = [d for d in view.held if d.act == "ignore" and faces & {*d.faces}]
    if not found:
        raise InputError("expected people who are ignored, found none: look at the list again")
    return [Decision(act="undo", of=d.id) for d in found]


def _undo(view: View, request: Request) -> list[Decision]:
    """Take back a decision or a batch; without `of` the last that holds."""
    wanted = request.get("of")
    if wanted is None:
        if not view.held:
            raise InputError("expected something to take back, found nothing that was decided")
        wanted = view.held[-1].batch or view.held[-1].id
    if not any(wanted in (d.id, d.batch) for d in view.held):
        raise InputError(f"expected a decision that holds, found {str(wanted)[:20]}, which is undone already: look at the history again")
    return [Decision(act="undo", of=str(wanted))]


_ACTS: dict[str, Callable[[View, Request], list[Decision]]] = {
    "name": _name, "merge": _merge, "split": _split, "same": _link, "not-same": _link, "give": _give, "ignore": _ignore,
    "unignore": _unignore, "undo": _undo,
}  # fmt: skip
