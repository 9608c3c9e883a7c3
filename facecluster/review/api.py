"""URLs -> answers, as Python values that become JSON. No answer has more than MAX_ENTRIES entries, however large the store is.

Odd inputs: an invalid number counts as its default, a number out of bounds as the nearest bound; a page after the last one is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from facecluster.decisions import DRAW
from facecluster.errors import InputError, StoreError
from facecluster.language.said import say, translated
from facecluster.report.text import one_line
from facecluster.review import forgetting, person_time
from facecluster.review.entries import card_entry, decision_entry, face_entry, side_entry
from facecluster.review.people_view import MAX_ENTRIES, Ints, PeopleView
from facecluster.review.question_list import Asked, QuestionList, gain
from facecluster.review.questions import QUESTION_TEXTS
from facecluster.review.session import Session
from facecluster.review.whole_photo import number_of, photo_answer

Query = Mapping[str, str]
Answer = dict[str, Any]
MAX_QUESTIONS = 20  # in one answer
MAX_SUGGESTIONS = 60
MAX_NAMES = 8
MAX_ASKED = 60  # people whom one answer has suggestions for


def state(session: Session, query: Query) -> Answer:
    """The counts and the last decision, for the top of the page."""
    view = session.view()
    people, faces = view.current.people, view.current.faces
    years = np.unique(view.run_data.details.year)
    return {
        "version": session.version(view),
        "run": view.run_data.run.number,
        "people": sum(not i for i in people.ignored),
        "named": sum(n is not None for n in people.names),
        "ignored": sum(people.ignored),
        "faces": len(faces.ids),
        "nobody": len(view.nobody()),
        "unclear": len(view.unclear()),
        "years": years[years > 0].tolist(),
        "since": len(view.active_decisions) - view.run_data.run.decisions,
        "regroup": _progress(session),
        "undo": decision_entry(view, view.active_decisions[-1]) if view.active_decisions else None,
        "notes": [one_line(note) for note in view.notes[:5]],
        "more_notes": max(len(view.notes) - 5, 0),
    }


def people(session: Session, query: Query) -> Answer:
    """A page of people."""
    view = session.view()
    found = view.filter_people(
        query.get("q", "")[:200], least=_number(query, "least", 0), most=_number(query, "most", 0), sure=query.get("sure", ""),
        year=_number(query, "year", 0), show=query.get("show", ""), order=query.get("order", "size"),
    )  # fmt: skip
    start, end = _window(query)
    return {"version": session.version(view), "total": len(found), "people": [card_entry(view, i) for i in found[start:end].tolist()]}


def names(session: Session, query: Query) -> Answer:
    """Names that go on from what is typed, those that begin with it first: of people of the store, and of known people."""
    view, wanted = session.view(), " ".join(query.get("q", "")[:200].casefold().split())
    found = dict.fromkeys([*(n for n in view.current.people.names if n), *session.known_names(view)])
    fitting = sorted((name.casefold().find(wanted) > 0, name.casefold(), name) for name in found if wanted in name.casefold())
    return {"version": session.version(view), "names": [name for _, _, name in fitting[:MAX_NAMES]]}


def person(session: Session, query: Query) -> Answer:
    """A page of a person's faces, by falling probability. Raises InputError if there is no such person."""
    view = session.view()
    number = _known_person(view, query)
    rows = person_time.of_year(view, view.rows_of(number), _year(query))
    words, rows = _said_of(view, rows, query)
    if query.get("order") == "unsure":
        rows = rows[::-1]
    elif query.get("order") == "date":
        rows = person_time.by_date(view, rows)
    start, end = _window(query)
    faces = [face_entry(view, row) | {"age": person_time.age_of(view, number, row, session.language)} for row in rows[start:end].tolist()]
    card = card_entry(view, number) | {"born": view.current.births.get(number, "")}
    years = person_time.years_of(view, number, session.language)
    return {"version": session.version(view), "total": len(rows), "person": card, "faces": faces, "years": years, "words": words}


def album(session: Session, query: Query) -> Answer:
    """A page of a person's photos by date. Raises InputError if there is no such person."""
    view = session.view()
    number = _known_person(view, query)
    photos = person_time.photos_of(view, number, _year(query))
    start, end = _window(query)
    card = card_entry(view, number) | {"born": view.current.births.get(number, "")}
    tiles = person_time.photo_tiles(view, number, photos[start:end], session.language)
    found = {"photos": tiles, "years": person_time.years_of(view, number, session.language)}
    return {"version": session.version(view), "total": len(photos), "person": card, **found}


def _year(query: Query) -> int:
    """The year that is asked for; 0: any, -1: without a date."""
    return -1 if query.get("year") == "none" else _number(query, "year", 0)


def suggestions(session: Session, query: Query) -> Answer:
    """Who else may be a person: people and single faces, by falling probability. Without an id, for a page of people with names.

    Raises:
        InputError: there is no such person.
    """
    view = session.view()
    limit = max(1, min(_number(query, "limit", 12), MAX_SUGGESTIONS))
    if query.get("id"):
        asked, total = [_known_person(view, query)], 1
    else:
        named = view.filter_people(show="named")
        start, total = _number(query, "offset", 0), len(named)
        asked = named[start : start + MAX_ASKED].tolist()
    cards = [card_entry(view, i) for i in asked]
    answer = {"version": session.version(view), "total": total, "people": cards, "suggestions": [], "note": ""}
    try:
        found = session.suggestions(view, asked, limit)
        known = session.proposals(view)
    except StoreError as e:
        return answer | {"note": one_line(str(e))}
    made = [
        {"of": t, "probability": round(p, 3), **side_entry(view, row, more=True)}
        for t, row, p in zip(found.target.tolist(), found.row.tolist(), found.probability.tolist(), strict=True)
    ]
    if query.get("id"):
        known = [p for p in known if p.group == asked[0]]
    elif _number(query, "offset", 0):
        known = []
    more = [
        {"of": -1, "known": p.name, "probability": round(p.probability, 3), **side_entry(view, int(view.best_face[p.group]), more=True)}
        for p in known[:limit]
    ]
    return answer | {"suggestions": sorted(made + more, key=lambda s: -s["probability"])[:limit]}


def photo(session: Session, query: Query) -> Answer:
    """A photo with its faces, by its photo_id or a face_id; with `every`, photos without a face are among its neighbours.

    Raises:
        InputError: there is none.
    """
    view = session.view()
    return {"version": session.version(view), **photo_answer(view, number_of(view, query.get("id", "")), every=query.get("every") == "1")}


def nobody(session: Session, query: Query) -> Answer:
    """A page of the faces of nobody that are clear, by falling quality."""
    view = session.view()
    return _faces(session, view, view.nobody(), query)


def unclear(session: Session, query: Query) -> Answer:
    """A page of the faces that are too unclear to tell, by falling recognisability."""
    view = session.view()
    return _faces(session, view, view.unclear(), query)


def _faces(session: Session, view: PeopleView, rows: Ints, query: Query) -> Answer:
    words, rows = _said_of(view, rows, query)
    start, end = _window(query)
    faces = [face_entry(view, row) for row in rows[start:end].tolist()]
    return {"version": session.version(view), "total": len(rows), "faces": faces, "words": words}


def _said_of(view: PeopleView, rows: Ints, query: Query) -> tuple[list[Answer], Ints]:
    """What models of attributes say of some faces (each word with its count), and those of which they say what is asked for; '': all."""
    said = {one_line(word): there for word, there in view.run_data.details.labels.said.items()}
    asked = query.get("said", "")
    counts = {word: int(np.count_nonzero(there[rows])) for word, there in said.items()}
    words, wanted = [{"word": word, "faces": n} for word, n in counts.items() if n or word == asked], said.get(asked)
    return words, rows if wanted is None else rows[wanted[rows]]


def questions(session: Session, query: Query) -> Answer:
    """The next questions: those that are worth an answer; with `all`, the others too."""
    view = session.view()
    found = session.questions()
    if found is None:
        return {"version": session.version(view), "ready": False, "total": 0, "questions": [], "decided": 0.0, "note": ""}
    asked = found.asked if query.get("all") == "1" else found.asked[: found.enough]
    return {
        "version": session.version(view), "ready": True, "total": len(found.asked), "worth": found.enough, "rest": round(found.rest, 1),
        "questions": [_question(view, found, a) for a in asked[:MAX_QUESTIONS]], "decided": round(found.decided, 4), "until": found.until,
        "note": one_line(translated(found.pairs.note, session.language)),
    }  # fmt: skip


def _question(view: PeopleView, found: QuestionList, a: Asked) -> Answer:
    if a.proposal is not None:
        person, name = view.current.people.index(a.proposal.person_id), a.proposal.name
        assert person is not None
        side = side_entry(view, int(view.best_face[person]), more=True)
        made = {"kind": "known", "text": f"Is this {one_line(name)}?", "sides": [side], "known": name, "person": a.proposal.person_id}
        made["skip"], probability = list(a.proposal.key), a.proposal.probability
    else:
        pairs, i = found.pairs, a.pair
        sides = [side_entry(view, int(row), more=pairs.kind[i] == "same") for row in (pairs.a[i], pairs.b[i])]
        made = {"kind": pairs.kind[i], "text": QUESTION_TEXTS[pairs.kind[i]], "sides": sides}
        made["skip"], probability = [side["face"]["id"] for side in sides], float(pairs.probability[i])
    return made | {"probability": round(probability, 3), "gain": gain(found, a, view)}


def history(session: Session, query: Query) -> Answer:
    """A page of the active decisions, newest first."""
    view = session.view()
    start, end = _window(query)
    newest = view.active_decisions[::-1]
    return {"version": session.version(view), "total": len(newest), "decisions": [decision_entry(view, d) for d in newest[start:end]]}


def regroup(session: Session, query: Query) -> Answer:
    """How far a grouping in the background is, and what it changes if it waits for an answer."""
    view, progress = session.view(), _progress(session)
    found = session.changes(view) if progress["state"] == "asks" else None
    since = len(view.active_decisions) - view.run_data.run.decisions
    return {"version": session.version(view), "since": since, **progress, "changes": found}


def _progress(session: Session) -> Answer:
    now = session.regroup.progress
    return {"state": now.state, "what": now.what, "done": now.done, "total": now.total, "error": one_line(now.error), "number": now.number}


_REGROUP: dict[str, Callable[[Session], None]] = {
    "start": lambda session: session.regroup.start(session.view().run_data.run), "yes": lambda session: session.regroup.answer(True),
    "no": lambda session: session.regroup.answer(False), "stop": lambda session: session.regroup.stop(),
    "forget": lambda session: session.regroup.forget(),
}  # fmt: skip


def act(session: Session, request: Mapping[str, Any]) -> Answer:
    """Carry out an action; returns the new decisions and the version after them."""
    if request.get("act") == forgetting.ACT:
        found = session.forget(request)
        return {"version": session.version(session.view()), "made": [], "notes": [], **found}
    if request.get("act") == "regroup":
        wanted = request.get("do")
        if not isinstance(wanted, str) or wanted not in _REGROUP:
            raise InputError(f"expected one of {', '.join(_REGROUP)}, found {wanted!r}: load the page again")
        _REGROUP[wanted](session)
        return {"version": session.version(session.view()), "made": [], "notes": []}
    made = session.act(request)
    view = session.view()
    notes = [one_line(n) for n in view.notes if any(d.id in n for d in made)]
    if any(d.act == DRAW and not session.has_face(d.faces[0]) for d in made):
        notes.append(session.language.t("It is shown when the other program that works in the store is done"))
    return {"version": session.version(view), "made": [decision_entry(view, d) for d in made], "notes": notes}


GET_ROUTES: dict[str, Callable[[Session, Query], Answer]] = {
    "/api/state": state, "/api/people": people, "/api/names": names, "/api/person": person, "/api/nobody": nobody, "/api/unclear": unclear,
    "/api/suggestions": suggestions, "/api/photo": photo, "/api/regroup": regroup,
    "/api/questions": questions, "/api/history": history, "/api/album": album,
}  # fmt: skip


def _known_person(view: PeopleView, query: Query) -> int:
    person_id = query.get("id", "")
    number = view.current.people.index(person_id)
    if number is None:
        found = one_line(person_id[:20])
        raise InputError(say("expected a person of the store, found '%(id)s', who is there no more: go back to the list", id=found))
    return number


def _number(query: Query, key: str, default: int) -> int:
    text = query.get(key, "")
    return min(int(text), 10**9) if text.isascii() and text.isdecimal() and len(text) < 20 else default


def _window(query: Query) -> tuple[int, int]:
    start = _number(query, "offset", 0)
    return start, start + max(1, min(_number(query, "limit", 60), MAX_ENTRIES))
