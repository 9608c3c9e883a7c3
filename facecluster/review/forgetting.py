"""Forgetting a person from the page: first what would go; then, when the user has typed whom, it is done as `facecluster forget` does.

What the page held of the person, crops in its temporary file too, goes with the run that the forgetting replaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from facecluster.errors import InputError
from facecluster.language.said import say
from facecluster.privacy import forget, is_stopped, preview

if TYPE_CHECKING:
    from facecluster.review.people_view import PeopleView
    from facecluster.review.session import Session

ACT = "forget"


def forget_person(session: Session, request: Mapping[str, Any]) -> dict[str, Any]:
    """What forgetting a person takes out; it is done if `confirm` is the person's name, or of a person without one the lasting id.

    Args:
        session: the store behind the page.
        request: `person`, a lasting id; `confirm`, what the user typed, or nothing to only look.

    Raises:
        InputError: there is no such person, faces were taken from the person since the last grouping, or another name was typed.
        StoreError: another command is at work in the store, or it can't be written.
    """
    people, person, confirm = session.view().current.people, request.get("person"), request.get("confirm")
    number = people.index(person) if isinstance(person, str) else None
    if number is None or people.person_ids[number] != person:
        raise InputError(say("expected a person of the store, found one who is there no more: go back to the list"))
    wanted, words = people.names[number] or person, _words(session.view(), number)
    if confirm is None:
        return _said(preview(session.store, words)[0]) | {"confirm": wanted, "done": False}
    if not isinstance(confirm, str) or " ".join(confirm.split()).casefold() != " ".join(wanted.split()).casefold():
        raise InputError(say("expected '%(name)s' to be typed, found something else: nothing is forgotten", name=wanted))
    if is_stopped(session.store):
        raise InputError(say("expected a whole store, found one half forgotten: finish it with 'facecluster forget STORE --yes'"))
    with session.store.lock(forgetting=True):
        receipts = forget(session.store, words)
    return _said(receipts[-1]) | {"confirm": wanted, "done": True}


def _words(view: PeopleView, number: int) -> list[str]:
    """A person as `forget` takes one: the lasting id, and the faces that the last grouping did not know as the person's.

    These were merged, given or drawn since. Raises InputError if faces were taken from the person since, which `forget` would take too.
    """
    run, now, person = view.run_data, view.current, view.current.people.person_ids[number]
    before = run.people.index(person)
    mine = set(now.faces.ids[row] for row in view.rows_of(number).tolist())
    grouped = set() if before is None else {run.faces.ids[row] for row in np.flatnonzero(run.faces.identity == before).tolist()}
    if before is None or run.people.person_ids[before] != person or grouped - mine:
        name = now.people.names[number] or person
        raise InputError(
            say("expected a grouping that knows what you took from %(name)s, found one from before: group again first", name=name)
        )  # fmt: skip
    return [person, *sorted(mine - grouped)]


def _said(receipt: Mapping[str, Any]) -> dict[str, Any]:
    copies = [{key: str(row[key])[:300] for key in ("kind", "where", "at")} for row in receipt["copies"][:20]]
    return {"forgotten": receipt["forgotten"], "removed": receipt["removed"], "copies": copies}
