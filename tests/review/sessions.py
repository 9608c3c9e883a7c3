"""Sessions of the review page that end with their test."""

from __future__ import annotations

from facecluster.review.session import Session
from facecluster.store import Store

_OPEN: list[Session] = []


def session_of(store: Store) -> Session:
    """A session that `close_sessions` ends."""
    _OPEN.append(Session(store))
    return _OPEN[-1]


def close_sessions() -> None:
    while _OPEN:
        _OPEN.pop().close()
