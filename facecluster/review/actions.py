"""Actions of the user on the page -> decisions of the journal. Pure.

A request is a JSON object with `act` and its subjects: people by lasting id, faces by face_id; `seen` says what the page calls the people.
A request that does not fit the current people (because another page was faster) is an InputError, and no decision is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from facecluster.decisions import ASIDE, Decision, clean_name, new_id
from facecluster.decisions.birth import read_birth
from facecluster.decisions.decision import is_person_id
from facecluster.errors import InputError
from facecluster.language.said import say
from facecluster.review.people_view import PeopleView

MAX_ITEMS = 500  # faces or people in one request

Request = Mapping[str, Any]


def decisions_for(view: PeopleView, request: Request) -> list[Decision]:
    """The decisions that a request asks for. If there are several, they share a batch, so that they are undone together.

    Raises:
        InputError: the request does not fit the current people.
    """
    act = request.get("act")
    maker = _MAKERS.get(act) if isinstance(act, str) else None
    if maker is None:
        raise InputError(f"expected an action ({', '.join(_MAKERS)}), found {act!r}: load the page again")
    _check_names(view, request)
    made = maker(view, request)
    if len(made) > 1:
        batch = new_id()
        made = [replace(d, batch=batch) for d in made]
    return made


def _check_names(view: PeopleView, request: Request) -> None:
    """Raise InputError if somebody has got another name than the page shows: a merge, or a name, would take it away unseen."""
    seen = request.get("seen")
    for person, name in seen.items() if isinstance(seen, dict) else ():
        number = view.current.people.index(person) if isinstance(person, str) else None
        now = (view.current.people.names[number] or "") if number is not None else ""
        if now and now.casefold() not in {clean_name(text).casefold() for text in (name, request.get("name")) if isinstance(text, str)}:
            raise InputError(say(
                "expected people as the page showed them, found one who is called '%(name)s' by now: look, and do it again", name=now,
            ))  # fmt: skip


def _texts(request: Request, key: str) -> list[str]:
    value = request.get(key)
    if not isinstance(value, list) or not 0 < len(value) <= MAX_ITEMS or not all(isinstance(v, str) for v in value):
        if isinstance(value, list) and value:
            raise InputError(say("expected up to %(most)s faces or people, found more: select fewer", most=MAX_ITEMS))
        raise InputError(say("expected faces or people, found none: select some"))
    return list(dict.fromkeys(value))


def _text(request: Request, key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str) or len(value) > 1000:
        raise InputError(say("expected a text of up to %(most)s characters, found none: fill it in", most=1000))
    return value


def _person(view: PeopleView, person: str) -> int:
    number = view.current.people.index(person)
    if number is None:
        raise InputError(say("expected a person of the store, found '%(id)s', who is there no more: go back to the list", id=person[:20]))
    # whom another page merged since the run, this page may still show as a person
    if person in view.run_data.people.person_ids and person not in view.current.people.person_ids:
        text = say("expected a person of the store, found %(id)s, who was merged into another: go back to the list", id=person[:20])
        raise InputError(text)
    return number


def _name(view: PeopleView, request: Request) -> list[Decision]:
    return [view.current.name(_person(view, _text(request, "person")), _text(request, "name"))]


def _merge(view: PeopleView, request: Request) -> list[Decision]:
    """Merge all into the first of them that has a name, or else into the first."""
    people = list(dict.fromkeys(_person(view, p) for p in _texts(request, "people")))
    if len(people) < 2:
        raise InputError(say("expected two people or more, found one: select another"))
    names = view.current.people.names
    keep = next((p for p in people if names[p]), people[0])
    return [view.current.merge(keep, p) for p in people if p != keep]


def _split(view: PeopleView, request: Request) -> list[Decision]:
    return [view.current.split(_person(view, _text(request, "person")), _texts(request, "faces"))]


def _link(view: PeopleView, request: Request) -> list[Decision]:
    return [view.current.link(str(request["act"]), _texts(request, "faces"))]


def _give(view: PeopleView, request: Request) -> list[Decision]:
    """Move faces to a person: `same` with the person's most representative face. With a `name` that nobody has, they are a new person."""
    faces = _texts(request, "faces")
    name = clean_name(_text(request, "name")) if "name" in request else ""
    there = [i for i, n in enumerate(view.folded_names) if name and n == name.casefold()]
    if "name" in request and not name:
        raise InputError(say("expected a name, found none: fill it in"))
    person = -1 if name and not there else there[0] if there else _person(view, _text(request, "person"))
    made = []
    for group in sorted({int(view.current.faces.identity[view.current.face_row(f)]) for f in faces} - {-1, person}):
        mine = [f for f in faces if int(view.current.faces.identity[view.current.face_row(f)]) == group]
        if len(mine) < view.current.people.faces[group]:
            made.append(view.current.split(group, mine))  # else `same` would merge their whole old person
    if person >= 0:
        return [*made, view.current.link("same", [view.current.representatives(person)[0], *faces])]
    same = [view.current.link("same", faces)] if len(faces) > 1 else []
    return [*made, *same, view.current.name_faces(faces, name)]


def _pairs(view: PeopleView, request: Request) -> list[tuple[int, str, int]]:
    """Answers to suggestions about people of the store: a person, and another one (lasting id and number) or a face (face_id and -1)."""
    pairs = request.get("pairs")
    if not isinstance(pairs, list) or not 0 < len(pairs) <= MAX_ITEMS or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
        raise InputError(f"expected 1 to {MAX_ITEMS} pairs, found none: load the page again")
    made = []
    for pair in pairs:
        person, other = (_text({"id": text}, "id") for text in pair)
        made.append((_person(view, person), other, _person(view, other) if is_person_id(other) else -1))
    return made


def _known(view: PeopleView, request: Request) -> list[tuple[int, str]]:
    """Answers to suggestions from pictures of known people: a person of the store, and the name."""
    pairs = request.get("known") or []
    if not isinstance(pairs, list) or len(pairs) > MAX_ITEMS or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
        raise InputError(f"expected up to {MAX_ITEMS} pairs, found others: load the page again")
    return [(_person(view, _text({"person": person}, "person")), _text({"name": name}, "name")) for name, person in pairs]


def _join(view: PeopleView, request: Request) -> list[Decision]:
    """Other people and single faces are these people."""
    ids = view.current.people.person_ids
    made = [view.current.name(person, name) for person, name in _known(view, request)]
    pairs = _pairs(view, request) if request.get("pairs") or not made else []
    made += [d for person, _, other in pairs if other >= 0 for d in _merge(view, {"people": [ids[person], ids[other]]})]
    for person in dict.fromkeys(person for person, _, other in pairs if other < 0):
        faces = [face for one, face, other in pairs if one == person and other < 0]
        made += _give(view, {"person": ids[person], "faces": faces})
    return made


def _apart(view: PeopleView, request: Request) -> list[Decision]:
    """Other people and single faces are not these people: `not-same` of the most representative faces."""
    best = view.current.representatives
    made = [view.current.not_named(person, name) for person, name in _known(view, request)]
    pairs = _pairs(view, request) if request.get("pairs") or not made else []
    sides = [(best(person)[0], face if other < 0 else best(other)[0]) for person, face, other in pairs]
    return made + [view.current.link("not-same", side) for side in sides]


def _aside(view: PeopleView, request: Request) -> list[Decision]:
    """Single faces are no face, too unclear, or not to be asked about."""
    faces = _texts(request, "faces")
    return [view.current.aside(str(request["act"]), faces)]


def _ignore(view: PeopleView, request: Request) -> list[Decision]:
    return [view.current.ignore(_person(view, p)) for p in _texts(request, "people")]


def _born(view: PeopleView, request: Request) -> list[Decision]:
    """When a person was born; with an empty date that this is not known."""
    day = _text(request, "date").strip()
    return [view.current.born(_person(view, _text(request, "person")), read_birth(day) if day else "")]


def _unignore(view: PeopleView, request: Request) -> list[Decision]:
    """Undo the decisions that ignore these people. Others whom these hide stay ignored."""
    found = view.current.unignore([_person(view, person) for person in _texts(request, "people")])
    if not found:
        raise InputError(say("expected people who are ignored, found none: go back to the list"))
    return found


def _undo(view: PeopleView, request: Request) -> list[Decision]:
    """Undo a decision or a batch; without `of` the last active one."""
    wanted = request.get("of")
    if wanted is None:
        if not view.active_decisions:
            raise InputError(say("expected a decision to undo, found none: nothing has been decided yet"))
        wanted = view.active_decisions[-1].batch or view.active_decisions[-1].id
    if not any(wanted in (d.id, d.batch) for d in view.active_decisions):
        text = say("expected an active decision, found %(id)s, which is already undone: look at the history", id=str(wanted)[:20])
        raise InputError(text)
    return [Decision(act="undo", of=str(wanted))]


_MAKERS: dict[str, Callable[[PeopleView, Request], list[Decision]]] = {
    "name": _name, "merge": _merge, "split": _split, "same": _link, "not-same": _link, "give": _give, "ignore": _ignore,
    "unignore": _unignore, "born": _born, "undo": _undo, "join": _join, "apart": _apart, **dict.fromkeys(ASIDE, _aside),
}  # fmt: skip
