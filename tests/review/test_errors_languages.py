"""Errors of other rooms that a page of the review shows: each is said in the language of the page."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from page_texts import english
from review_store import grouped, real_photo

from facecluster.decisions import journal
from facecluster.errors import FaceclusterError
from facecluster.language import language_of
from facecluster.language.said import Said, translated
from facecluster.people.make_drawn import look
from facecluster.review import api
from facecluster.review.session import Session
from facecluster.store import Store

Case = Callable[[Session, list[str], pytest.MonkeyPatch], object]
PERSON = 0


def person(session: Session, number: int = PERSON) -> str:
    return str(session.view().current.people.person_ids[number])


def gone(session: Session, ids: list[str], patch: pytest.MonkeyPatch) -> object:
    """Another program took a photo out since the page was drawn."""
    return api.act(session, {"act": "not-a-face", "faces": ["0" * 24 + "-0000"]})


def moved(session: Session, ids: list[str], patch: pytest.MonkeyPatch) -> object:
    """Another page gave the face to somebody else."""
    return api.act(session, {"act": "split", "person": person(session), "faces": [ids[-1]]})


def at_work(session: Session, ids: list[str], patch: pytest.MonkeyPatch) -> object:
    """Forgetting while a run works in the store."""
    with FileLock(session.store.path("store.lock")):
        return api.act(session, {"act": "forget", "person": person(session), "confirm": person(session)})


def no_store_to_write(session: Session, ids: list[str], patch: pytest.MonkeyPatch) -> object:
    def refuse(*args: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")

    patch.setattr("facecluster.store.store.FileLock.acquire", refuse)
    return session.store.lock()


def full_disk(session: Session, ids: list[str], patch: pytest.MonkeyPatch) -> object:
    def refuse(*args: object) -> None:
        raise OSError(28, os.strerror(28))

    patch.setattr(journal, "_append_local", refuse)
    return api.act(session, {"act": "name", "person": person(session), "name": "Ann"})


def journal_held(session: Session, ids: list[str], patch: pytest.MonkeyPatch) -> object:
    patch.setattr(journal, "LOCK_TIMEOUT", 0.2)
    with FileLock(session.store.path("decisions.lock")):
        return api.act(session, {"act": "name", "person": person(session), "name": "Ann"})


def small_box(session: Session, ids: list[str], patch: pytest.MonkeyPatch) -> object:
    photo = int(session.view().run_data.details.photo[session.view().run_data.rows[ids[1]]])
    return api.act(session, {"act": "draw", "photo": session.view().run_data.details.places.ids[photo], "box": [1.0, 1.0, 2.0, 2.0]})


def a_video(session: Session, ids: list[str], patch: pytest.MonkeyPatch) -> object:
    places: list[dict[str, Any]] = [{"uri": "/videos/a.mp4", "gone": False}]
    patch.setattr("facecluster.people.make_drawn.where_it_is", lambda them: them)
    return look(session.store, "0" * 64, places, np.zeros(4).tolist(), "f", None, "cpu")  # type: ignore[arg-type]


CASES: list[Case] = [gone, moved, at_work, no_store_to_write, full_disk, journal_held, small_box, a_video]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[str]]:
    folder = tmp_path_factory.mktemp("errors")
    store, ids, _ = grouped(folder, (6, 5), singles=1)
    real_photo(store, ids[1], Path(folder, "real.jpg"))
    return store, ids


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_errors_of_other_rooms_are_said_in_the_language_of_the_page(
    made: tuple[Store, list[str]], case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, ids = made
    session = Session(store, language_of("de"))
    try:
        with pytest.raises(FaceclusterError) as raised:
            case(session, ids, monkeypatch)
    finally:
        session.close()
    text = raised.value.args[0]
    assert isinstance(text, Said), f"only said in English: {text}"
    for tag in ("de", "fr"):
        said = translated(text, language_of(tag))
        assert said != text and "expected" not in said and english([said], tag) == []
