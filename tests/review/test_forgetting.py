"""Forgetting from the page: what would go is shown, nothing goes before the name was typed, and then nothing is left of the person."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from review_store import grouped
from test_review import Page, served

from facecluster.errors import StoreError
from facecluster.store import FACES, Store


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    yield from served(grouped(tmp_path)[0])


def files(store: Store) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in Path(store.root).rglob("*") if p.is_file() and p.suffix != ".lock"}


def test_a_person_is_forgotten_when_the_name_was_typed(page: Page) -> None:
    person, other = page.people()[:2]
    page.act(act="name", person=person["id"], name="Ada Lovelace")
    gone, stay = page.faces(person["id"]), page.faces(other["id"])
    assert page.send("GET", f"/crop/{gone[0]}", Cookie=page.cookie)[0] == 200
    before = files(page.store)
    shown = page.act(act="forget", person=person["id"])
    assert shown["forgotten"]["faces"] == len(gone) and shown["confirm"] == "Ada Lovelace" and not shown["done"]
    for wrong in ("", "Ada", person["id"], 7):
        status, answer = page.post(act="forget", person=person["id"], confirm=wrong)
        assert status == 409 and "nothing is forgotten" in answer["error"]
    assert files(page.store) == before
    body = json.dumps({"act": "forget", "person": person["id"], "confirm": " ada  lovelace"}).encode()
    status, headers, answer = page.send("POST", "/api/act", body, Cookie=page.cookie, X_Token=page.token)
    assert status == 200 and json.loads(answer)["forgotten"]["faces"] == len(gone)
    assert headers["Clear-Site-Data"] == '"cache"'
    assert person["id"] not in [p["id"] for p in page.people()] and page.faces(other["id"]) == stay
    for face in gone[:3]:
        assert page.send("GET", f"/crop/{face}", Cookie=page.cookie)[0] == 404
    assert page.send("GET", f"/crop/{stay[0]}", Cookie=page.cookie)[0] == 200
    assert not [name for name, data in files(page.store).items() if b"Ada Lovelace" in data]


def test_who_was_merged_into_a_person_is_forgotten_too(page: Page) -> None:
    """The page showed one person, and the faces of the other group stayed in the store."""
    person, other, third = page.people()[:3]
    page.act(act="name", person=person["id"], name="Ada Lovelace")
    page.act(act="merge", people=[person["id"], other["id"]])
    one = page.faces(third["id"])[0]
    page.act(act="give", person=person["id"], faces=[one])
    gone = page.faces(person["id"])
    assert len(gone) == person["faces"] + other["faces"] + 1 and one in gone
    assert page.act(act="forget", person=person["id"])["forgotten"]["faces"] == len(gone)
    page.act(act="forget", person=person["id"], confirm="Ada Lovelace")
    left = set(page.store.read_all("faces", FACES, ["face_id"])["face_id"].to_pylist())
    assert left.isdisjoint(gone) and third["faces"] - 1 == len(page.faces(third["id"]))
    assert not [name for name, data in files(page.store).items() if b"Ada Lovelace" in data]


def test_who_was_taken_from_a_person_is_not_forgotten(page: Page) -> None:
    person = page.people()[0]
    taken = page.faces(person["id"])[:2]
    page.act(act="split", person=person["id"], faces=taken)
    before = files(page.store)
    for confirm in ({}, {"confirm": person["id"]}):
        status, answer = page.post(act="forget", person=person["id"], **confirm)
        assert status == 409 and "group again first" in answer["error"]
    assert files(page.store) == before


def test_a_person_without_a_name_is_known_by_the_id(page: Page) -> None:
    person = page.people()[1]
    assert page.act(act="forget", person=person["id"])["confirm"] == person["id"]
    assert page.act(act="forget", person=person["id"], confirm=person["id"])["done"]
    status, answer = page.post(act="forget", person=person["id"], confirm=person["id"])
    assert status == 409 and "go back to the list" in answer["error"]


@pytest.mark.parametrize("person", [None, 3, "", "p-00000000", ["x"]])
def test_requests_that_name_nobody(page: Page, person: object) -> None:
    assert page.post(act="forget", person=person)[0] == 409


def test_another_command_at_work_is_waited_for_by_nobody(page: Page) -> None:
    person = page.people()[0]
    with page.store.lock():
        status, answer = page.post(act="forget", person=person["id"], confirm=person["id"])
    assert status == 500 and "another run at work" in answer["error"] and page.people()[0]["id"] == person["id"]


def test_a_full_disk_is_told(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page got no answer, and the terminal a traceback; the next answer says how to finish it."""
    person = page.people()[0]

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(importlib.import_module("facecluster.privacy.forget"), "free_all", refuse)
        status, answer = page.post(act="forget", person=person["id"], confirm=person["id"])
    assert status == 500 and "No space left on device. Correct that" in answer["error"]
    assert "half forgotten" in page.post(act="forget", person=person["id"], confirm=person["id"])[1]["error"]


def test_a_forgetting_that_was_stopped_is_finished_first(page: Page) -> None:
    person = page.people()[0]
    (Path(page.store.root) / "forgetting.json").write_bytes(b"{}")
    status, answer = page.post(act="forget", person=person["id"], confirm=person["id"])
    assert status == 409 and "half forgotten" in answer["error"]
    with pytest.raises(StoreError):
        page.store.lock()
