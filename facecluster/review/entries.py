"""What an answer says of a person, of a face, and of a decision: Python values that become JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from facecluster.decisions import Decision
from facecluster.report.text import one_line
from facecluster.review.people_view import Ints, PeopleView

Entry = dict[str, Any]


def card_entry(view: PeopleView, number: int) -> Entry:
    """A person, as a card shows one."""
    people, faces = view.current.people, view.current.faces
    return {
        "id": people.person_ids[number], "name": people.names[number] or "", "faces": people.faces[number],
        "photos": int(view.photos[number]), "sure": round(float(view.confidence[number]), 3),
        "best": faces.ids[int(view.best_face[number])], "years": [int(y) for y in view.years[number]], "ignored": people.ignored[number],
    }  # fmt: skip


def face_entry(view: PeopleView, row: int) -> Entry:
    """A face with its photo."""
    name, uri, taken = view.run_data.details.photo_of(row)
    faces = view.current.faces
    return {"id": faces.ids[row], "sure": round(float(faces.probability[row]), 3), "photo": name, "uri": one_line(uri), "taken": taken[:10],
            "words": [one_line(word) for word in view.run_data.details.labels.words(row)]}  # fmt: skip


def side_entry(view: PeopleView, row: int, *, more: bool) -> Entry:
    """A face of a question; with `more`, also other faces of its person (not useful if both faces are of one person)."""
    number = int(view.current.faces.identity[row])
    rows: Ints = view.rows_of(number) if number >= 0 and more else np.zeros(0, np.int64)
    others = [view.current.faces.ids[r] for r in rows[:5].tolist() if r != row][:4]
    return {"face": face_entry(view, row), "person": card_entry(view, number) if number >= 0 else None, "others": others}


def decision_entry(view: PeopleView, d: Decision) -> Entry:
    """A decision, with the person as called now."""
    people = view.current.people
    number = people.index(d.person) if d.person else None
    return {
        "who": "" if number is None else people.names[number] or "",  # as the person is called now
        "id": d.id, "batch": d.batch or "", "at": d.at, "act": d.act, "name": d.name, "date": d.date, "person": d.person or "",
        "faces": len(d.faces),
        "face": next((f for f in d.faces if f in view.run_data.rows), ""),
        "other": next((f for f in d.others if f in view.run_data.rows), ""),
    }  # fmt: skip
