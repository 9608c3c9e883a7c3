"""Forgetting a person from the page: first what would go; then, when the user has typed whom, it is done as `facecluster forget` does.

What the page held of the person, crops in its temporary file too, goes with the run that the forgetting replaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from facecluster.errors import InputError
from facecluster.language.said import say
from facecluster.privacy import forget, is_stopped, preview

if TYPE_CHECKING:
    from facecluster.review.session import Session

ACT = "forget"


def forget_person(session: Session, request: Mapping[str, Any]) -> dict[str, Any]:
    """What forgetting a person takes out; it is done if `confirm` is the person's name, or of a person without one the lasting id.

    Args:
        session: the store behind the page.
        request: `person`, a lasting id; `confirm`, what the user typed, or nothing to only look.

    Raises:
        InputError: there is no such person, or another name was typed.
        StoreError: another command is at work in the store, or it can't be written.
    """
    people, person, confirm = session.view().current.people, request.get("person"), request.get("confirm")
    number = people.index(person) if isinstance(person, str) else None
    if number is None or people.person_ids[number] != person:
        raise InputError(say("expected a person of the store, found one who is there no more: go back to the list"))
    wanted = people.names[number] or person
    if confirm is None:
        return _said(preview(session.store, [person])[0]) | {"confirm": wanted, "done": False}
    if not isinstance(confirm, str) or " ".join(confirm.split()).casefold() != " ".join(wanted.split()).casefold():
        raise InputError(say("expected '%(name)s' to be typed, found something else: nothing is forgotten", name=wanted))
    if is_stopped(session.store):
        raise InputError(say("expected a whole store, found one half forgotten: finish it with 'facecluster forget STORE --yes'"))
    with session.store.lock(forgetting=True):
        receipts = forget(session.store, [person])
    return _said(receipts[-1]) | {"confirm": wanted, "done": True}


def _said(receipt: Mapping[str, Any]) -> dict[str, Any]:
    copies = [{key: str(row[key])[:300] for key in ("kind", "where", "at")} for row in receipt["copies"][:20]]
    return {"forgotten": receipt["forgotten"], "removed": receipt["removed"], "copies": copies}
