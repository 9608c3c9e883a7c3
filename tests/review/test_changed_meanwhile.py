"""What other commands do to a store while its review page is open: the page shows the right faces, and learns of it."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from people_store import call
from review_store import grouped
from sessions import close_sessions, session_of

from facecluster.decisions import FILE
from facecluster.errors import InputError
from facecluster.people import read_current_people
from facecluster.review import api, open_review
from facecluster.review.session import Session
from facecluster.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Faces in two shards, each with a crop that no other face has."""
    store = grouped(tmp_path)[0]
    for shard in store.shards("faces"):
        part = store.read("faces", shard)
        crops = [hashlib.sha256(face.encode()).digest() for face in part["face_id"].to_pylist()]
        at = part.schema.get_field_index("crop")
        store.write("faces", shard, part.set_column(at, part.schema.field(at), pa.array(crops)), store.stamp("faces", shard) or {})
    yield store
    close_sessions()


def wrong(session: Session) -> list[str]:
    """Faces that the page shows by another face's crop, or by none."""
    view = session.view()
    shown = {face: view.run_data.details.crop(row) for row, face in enumerate(view.current.faces.ids)}
    return [face for face, crop in shown.items() if crop != hashlib.sha256(face.encode()).digest()]


@pytest.mark.parametrize("seen", [False, True])
def test_crops_are_of_their_faces_when_shards_are_merged(store: Store, seen: bool) -> None:
    session = session_of(store)
    if seen:  # the crops of the first shard are in the temporary file already
        session.view().run_data.details.crop(0)
    parts = [store.read("faces", shard) for shard in store.shards("faces")]
    store.write("faces", "00001", pa.concat_tables(parts), store.stamp("faces", "00001") or {})  # as 'compact' does
    store.remove("faces", keep=["00001"])
    assert wrong(session) == []


def test_a_shard_that_is_made_anew_in_another_order(store: Store) -> None:
    session = session_of(store)
    for shard in store.shards("faces"):
        part = store.read("faces", shard)
        store.write("faces", shard, part.take(pa.array(np.arange(len(part))[::-1])), store.stamp("faces", shard) or {})
    assert wrong(session) == []


def test_the_page_learns_that_somebody_was_forgotten(store: Store) -> None:
    session = session_of(store)
    people, before = api.people(session, {})["people"], api.state(session, {})["version"]
    call("forget", store.url, people[0]["id"], "--yes")
    after = api.people(session, {})
    assert people[0]["id"] not in {p["id"] for p in after["people"]} and wrong(session) == []
    assert after["version"] != before and api.state(session, {})["version"] == after["version"]


@pytest.mark.parametrize("act", ["name", "merge", "ignore", "join"])
def test_whom_another_page_named_is_not_renamed_merged_or_ignored_unseen(store: Store, act: str) -> None:
    session = session_of(store)
    one, two = ([p["id"], p["name"]] for p in api.people(session, {})["people"][:2])
    others = session_of(store)
    for person, name in ((one[0], "Anna"), (two[0], "Bert")):
        api.act(others, {"act": "name", "person": person, "name": name, "seen": {person: ""}})
    made: dict[str, object] = {
        "name": {"person": one[0], "name": "Zoë"}, "merge": {"people": [one[0], two[0]]}, "ignore": {"people": [two[0]]},
        "join": {"pairs": [[one[0], two[0]]], "known": []},
    }[act]  # fmt: skip
    with pytest.raises(InputError, match="one who is called '(Anna|Bert)' by now"):
        api.act(session, {"act": act, **made, "seen": dict([one, two])})
    assert sorted(name for name in read_current_people(store)[0].people.names if name) == ["Anna", "Bert"]
    after = api.people(session, {})["people"][:2]
    api.act(session, {"act": act, **made, "seen": {p["id"]: p["name"] for p in after}})  # the page shows the names now
    assert "Bert" not in [p["name"] for p in api.people(session, {})["people"]] or act == "name"


def test_the_same_name_from_two_pages_is_no_conflict(store: Store) -> None:
    session = session_of(store)
    person = api.people(session, {})["people"][0]["id"]
    for _ in range(2):
        api.act(session, {"act": "name", "person": person, "name": " anna", "seen": {person: ""}})
    assert api.people(session, {})["people"][0]["name"] == "anna"


def test_who_was_forgotten_is_not_said_to_be_merged(store: Store) -> None:
    session = session_of(store)
    person = api.people(session, {})["people"][0]["id"]
    call("forget", store.url, person, "--yes")
    with pytest.raises(InputError, match=f"found '{person}', who is there no more"):
        api.act(session, {"act": "name", "person": person, "name": "Anna"})


def test_a_journal_that_was_lost_is_told(store: Store) -> None:
    session = session_of(store)
    person = api.people(session, {})["people"][0]["id"]
    api.act(session, {"act": "name", "person": person, "name": "Anna"})
    call("cluster", store.url)
    assert api.state(session, {})["notes"] == []
    Path(store.path(FILE)).unlink()
    found = api.state(session, {})
    assert len(found["notes"]) == 1 and f"nothing of what you said of Anna ({person})" in found["notes"][0]


def answer_of(store: Store, path: str) -> tuple[int, str]:
    """Status and error of an answer of a served page."""
    page = open_review(store)
    thread = threading.Thread(target=page.serve, daemon=True)
    thread.start()
    line = http.client.HTTPConnection("127.0.0.1", page.server.server_port, timeout=20)
    try:
        line.request("GET", path, headers={"Cookie": f"{page.server.cookie}={page.server.token}"})
        answer = line.getresponse()
        return answer.status, json.loads(answer.read())["error"]
    finally:
        line.close()
        page.stop()
        thread.join()
        page.close()


def test_a_store_elsewhere_that_does_not_answer_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries of object stores raise errors of their own; without an answer the page said that this program had ended."""
    elsewhere = fsspec.filesystem("memory")
    elsewhere.put(store.root, "/elsewhere", recursive=True)
    remote = Store("memory://elsewhere")
    try:

        class EndpointConnectionError(Exception):
            """As botocore's, which is no OSError."""

        def fail(*args: object, **kwargs: object) -> None:
            raise EndpointConnectionError("Could not connect to the endpoint URL")

        monkeypatch.setattr(api, "GET_ROUTES", {"/api/state": fail})
        found = answer_of(remote, "/api/state")
    finally:
        elsewhere.rm("/elsewhere", recursive=True)
    assert found == (500, "expected to read and write files, found: Could not connect to the endpoint URL. Correct that and do it again: "
                          "what is done is kept")  # fmt: skip


def test_an_error_of_the_program_is_answered(store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*args: object) -> None:
        raise KeyError("p-1")

    monkeypatch.setattr(api, "GET_ROUTES", {"/api/state": fail})
    status, error = answer_of(store, "/api/state")
    assert status == 500 and error.startswith("expected an answer, found an error of facecluster (KeyError: 'p-1')")
    assert "Traceback" in capsys.readouterr().err
