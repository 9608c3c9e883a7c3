"""Addresses -> answers, as Python values that become JSON. No answer holds more than PAGE entries, however large the store is.

Odd inputs: a number that is none counts as its default, one out of bounds as the nearest bound; a page behind the last one is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from facecluster.decisions import Decision
from facecluster.errors import InputError
from facecluster.report.text import shown
from facecluster.review.questions import TEXTS
from facecluster.review.session import Session
from facecluster.review.view import PAGE, Ints, View

Query = Mapping[str, str]
Answer = dict[str, Any]
QUESTIONS = 20  # asked for at once


def state(session: Session, query: Query) -> Answer:
    """What stands at the top of the page."""
    view = session.view()
    people, faces = view.register.people, view.register.faces
    years = np.unique(view.base.library.year)
    return {
        "version": session.version(view),
        "run": view.base.run.number,
        "people": sum(not i for i in people.ignored),
        "named": sum(n is not None for n in people.names),
        "ignored": sum(people.ignored),
        "faces": len(faces.ids),
        "nobody": int((faces.identity < 0).sum()),
        "years": years[years > 0].tolist(),
        "since": len(view.held) - view.base.run.decisions,
        "undo": _decision(view, view.held[-1]) if view.held else None,
        "notes": [shown(note) for note in view.notes[:5]],
        "more_notes": max(len(view.notes) - 5, 0),
    }


def people(session: Session, query: Query) -> Answer:
    """A page of people."""
    view = session.view()
    found = view.pick(
        query.get("q", "")[:200], least=_number(query, "least", 0), most=_number(query, "most", 0), sure=query.get("sure", ""),
        year=_number(query, "year", 0), show=query.get("show", ""), order=query.get("order", "size"),
    )  # fmt: skip
    start, end = _window(query)
    return {"version": session.version(view), "total": len(found), "people": [_card(view, i) for i in found[start:end].tolist()]}


def person(session: Session, query: Query) -> Answer:
    """A page of a person's faces, the surest first. Raises InputError if there is no such person."""
    view = session.view()
    who = query.get("id", "")
    if who not in view.register.people.person_ids:
        raise InputError(f"expected a person who is there, found {shown(who[:20])!r}, who became part of another: look at the list again")
    number = view.register.people.person_ids.index(who)
    rows = view.rows_of(number)
    if query.get("order") == "unsure":
        rows = rows[::-1]
    start, end = _window(query)
    faces = [_face(view, row) for row in rows[start:end].tolist()]
    return {"version": session.version(view), "total": len(rows), "person": _card(view, number), "faces": faces}


def nobody(session: Session, query: Query) -> Answer:
    """A page of nobody's faces, the best first."""
    view = session.view()
    rows = view.nobody()
    start, end = _window(query)
    return {"version": session.version(view), "total": len(rows), "faces": [_face(view, row) for row in rows[start:end].tolist()]}


def questions(session: Session, query: Query) -> Answer:
    """The next questions."""
    view = session.view()
    asked, left, share = session.questions()
    if asked is None:
        return {"version": session.version(view), "ready": False, "total": 0, "questions": [], "coverage": 0.0, "note": ""}
    found = []
    for at, i in enumerate(left[:QUESTIONS].tolist()):
        sides = [_side(view, int(row), more=asked.kind[i] == "same") for row in (asked.a[i], asked.b[i])]
        found.append(
            {"kind": asked.kind[i], "text": TEXTS[asked.kind[i]], "sides": sides, "probability": round(float(asked.probability[i]), 3),
             "stake": int(asked.stake[i]), "coverage": round(float(share[at + 1]), 4)}
        )  # fmt: skip
    return {
        "version": session.version(view), "ready": True, "total": len(left), "questions": found, "coverage": round(float(share[0]), 4),
        "note": shown(asked.note),
    }  # fmt: skip


def history(session: Session, query: Query) -> Answer:
    """A page of the decisions that hold, the newest first."""
    view = session.view()
    start, end = _window(query)
    held = view.held[::-1]
    return {"version": session.version(view), "total": len(held), "decisions": [_decision(view, d) for d in held[start:end]]}


def act(session: Session, request: Mapping[str, Any]) -> Answer:
    """Do what is asked; what was decided, and the version after it."""
    made = session.act(request)
    view = session.view()
    notes = [shown(n) for n in view.notes if any(d.id in n for d in made)]
    return {"version": session.version(view), "made": [_decision(view, d) for d in made], "notes": notes}


GET: dict[str, Callable[[Session, Query], Answer]] = {
    "/api/state": state, "/api/people": people, "/api/person": person, "/api/nobody": nobody, "/api/questions": questions,
    "/api/history": history,
}  # fmt: skip


def _number(query: Query, key: str, default: int) -> int:
    text = query.get(key, "")
    return min(int(text), 10**9) if text.isascii() and text.isdecimal() and len(text) < 20 else default


def _window(query: Query) -> tuple[int, int]:
    start = _number(query, "offset", 0)
    return start, start + max(1, min(_number(query, "limit", 60), PAGE))


def _card(view: View, number: int) -> Answer:
    people, faces = view.register.people, view.register.faces
    return {
        "id": people.person_ids[number], "name": people.names[number] or "", "faces": people.faces[number],
        "photos": int(view.photos[number]), "sure": round(float(view.sure[number]), 3), "best": faces.ids[int(view.best[number])],
        "years": [int(y) for y in view.years[number]], "ignored": people.ignored[number],
    }  # fmt: skip


def _face(view: View, row: int) -> Answer:
    name, uri, taken = view.base.library.place(row)
    faces = view.register.faces
    return {"id": faces.ids[row], "sure": round(float(faces.probability[row]), 3), "photo": name, "uri": shown(uri), "taken": taken[:10]}


def _side(view: View, row: int, *, more: bool) -> Answer:
    """A face of a question; with `more`, some others of its person (of no use where both faces are of one)."""
    number = int(view.register.faces.identity[row])
    rows: Ints = view.rows_of(number) if number >= 0 and more else np.zeros(0, np.int64)
    others = [view.register.faces.ids[r] for r in rows[:5].tolist() if r != row][:4]
    return {"face": _face(view, row), "person": _card(view, number) if number >= 0 else None, "others": others}


def _decision(view: View, d: Decision) -> Answer:
    return {
        "id": d.id, "batch": d.batch or "", "at": d.at, "act": d.act, "name": d.name, "person": d.person or "", "faces": len(d.faces),
        "face": next((f for f in d.faces if f in view.base.rows), ""), "other": next((f for f in d.others if f in view.base.rows), ""),
    }  # fmt: skip
