"""The server of the review page: which requests are allowed, the answers, and actions that become decisions at once."""

from __future__ import annotations

import http.client
import io
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people_store import call, refused
from PIL import Image
from report import report_store as syn
from review_store import NASTY, divided, grouped, real_photo

from facecluster.decisions import FILE, Decision, active, append, read, replay
from facecluster.grouping import shelved_vectors
from facecluster.people import current_run, people_with_current_names, read_people
from facecluster.people.known_names import Known, write_known
from facecluster.people.runs import Faces, People, Run, write_run
from facecluster.people.stand_ins import read_vectors
from facecluster.review import api, open_review
from facecluster.review.apply_decisions import apply_decisions
from facecluster.review.people_view import MAX_ENTRIES
from facecluster.review.server import STATIC
from facecluster.review.session import Session
from facecluster.store import IDENTITIES, Store, table_of


@dataclass
class Page:
    """Stands for a browser."""

    store: Store
    port: int
    token: str

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            line.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = line.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            line.close()

    @property
    def cookie(self) -> str:
        return f"facecluster-{self.port}={self.token}"

    def get(self, what: str, **query: Any) -> dict[str, Any]:
        status, _, body = self.send("GET", f"/api/{what}?{urlencode(query)}", Cookie=self.cookie)
        assert status == 200, body
        return dict(json.loads(body))

    def post(self, **request: Any) -> tuple[int, dict[str, Any]]:
        status, _, body = self.send("POST", "/api/act", json.dumps(request).encode(), Cookie=self.cookie, X_Token=self.token)
        return status, json.loads(body)

    def act(self, **request: Any) -> dict[str, Any]:
        status, answer = self.post(**request)
        assert status == 200, answer
        return answer

    def people(self, **query: Any) -> list[dict[str, Any]]:
        return list(self.get("people", **query)["people"])

    def faces(self, person: str) -> list[str]:
        return [f["id"] for f in self.get("person", id=person, limit=MAX_ENTRIES)["faces"]]

    def lines(self) -> int:
        path = Path(self.store.path(FILE))
        return path.read_bytes().count(b"\n") if path.exists() else 0


def served(store: Store) -> Iterator[Page]:
    review = open_review(store)
    thread = threading.Thread(target=review.serve, daemon=True)  # a test that fails must not keep the process
    thread.start()
    url = urlsplit(review.url)
    assert url.hostname == "127.0.0.1" and url.port
    yield Page(store, url.port, url.query.removeprefix("token="))
    review.stop()
    thread.join()
    review.close()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    yield from served(grouped(tmp_path)[0])


def test_nothing_is_answered_without_the_token(page: Page) -> None:
    paths = ["/", "/app.js", "/api/state", "/api/people", f"/crop/{syn.face_id(0, 0)}", "/?token=x", "/?token=", "/nothing"]
    assert {page.send("GET", path)[0] for path in paths} == {403}
    status, headers, body = page.send("GET", f"/?token={page.token}")
    assert status == 200 and page.token in body.decode()
    assert headers["Set-Cookie"] == f"{page.cookie}; Path=/; HttpOnly; SameSite=Strict"
    assert "default-src 'none'" in headers["Content-Security-Policy"] and headers["Cache-Control"] == "no-store"
    assert page.send("GET", "/", Cookie=page.cookie)[0] == 200
    assert page.send("GET", "/", Cookie=page.cookie[:-1] + "é".encode().decode("latin-1"))[0] == 403
    assert page.send("GET", "/api/state", Cookie=f"facecluster-{page.port + 1}={page.token}")[0] == 403


def test_an_action_needs_the_token_in_a_header(page: Page) -> None:
    person = page.people()[0]["id"]
    body = json.dumps({"act": "name", "person": person, "name": "Ann"}).encode()
    assert page.send("POST", "/api/act", body, Cookie=page.cookie)[0] == 403
    assert page.send("POST", "/api/act", body, X_Token=page.token)[0] == 403
    assert page.send("POST", f"/api/act?token={page.token}", body)[0] == 403
    assert page.send("GET", "/api/act", Cookie=page.cookie)[0] == 404
    assert page.lines() == 0
    assert page.send("POST", "/api/act", body, Cookie=page.cookie, X_Token=page.token)[0] == 200
    assert page.lines() == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"}, {"Host": "evil.example:PORT"}, {"Host": "127.0.0.1"}, {"Host": ""}, {"Origin": "http://evil.example"},
        {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "https://127.0.0.1:PORT"}, {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)  # fmt: skip
def test_other_sites_and_other_host_names_are_refused(page: Page, headers: dict[str, str]) -> None:
    sent = {k: v.replace("PORT", str(page.port)) for k, v in headers.items()}
    for method, path in (("GET", "/api/state"), ("POST", "/api/act")):
        body = b'{"act": "undo"}' if method == "POST" else None
        assert page.send(method, path, body, Cookie=page.cookie, X_Token=page.token, **sent)[0] == 403
    good = {"Host": f"localhost:{page.port}", "Origin": f"http://127.0.0.1:{page.port}", "Sec-Fetch-Site": "same-origin"}
    assert page.send("GET", "/api/state", Cookie=page.cookie, **good)[0] == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"[" * 100_000, b'{"act": 7}', b'{"act": ["name"]}', b"\xff", b'{"act":"_name"}', b'{"act":"name"}']
)
def test_invalid_requests(page: Page, body: bytes) -> None:
    status, _, answer = page.send("POST", "/api/act", body, Cookie=page.cookie, X_Token=page.token)
    assert status in (400, 409) and "\n" not in json.loads(answer)["error"]
    for length in (str(2 << 20), "-1", "x"):
        status = page.send("POST", "/api/act", None, Cookie=page.cookie, X_Token=page.token, Content_Length=length)[0]
        assert status == 400
    assert page.lines() == 0


def test_odd_paths(page: Page) -> None:
    crop = page.people()[0]["best"]
    status, headers, body = page.send("GET", f"/crop/{crop}", Cookie=page.cookie)
    assert (status, headers["Content-Type"], body[:4]) == (200, "image/webp", b"RIFF")
    for path in ("/crop/none", "/crop/../../etc/passwd", "/static/app.js", "/../review/server.py", "/server.py", "/crop/", "/%00"):
        assert page.send("GET", path, Cookie=page.cookie)[0] == 404, path
    assert page.get("people", offset="x", limit="-3", least="²", year="9" * 30, sure="?", order="?", show="?")["total"] == 5
    assert page.get("people", offset=10**8)["people"] == []
    status, _, answer = page.send("GET", "/api/person?id=p-00000000", Cookie=page.cookie)
    assert status == 409 and "p-00000000" in json.loads(answer)["error"]


def test_where_the_model_looks_is_a_picture_that_needs_the_token(page: Page) -> None:
    face = page.people()[0]["best"]
    assert page.send("GET", f"/look/{face}")[0] == 403
    status, headers, body = page.send("GET", f"/look/{face}", Cookie=page.cookie)
    assert (status, headers["Content-Type"], body[:4]) == (200, "image/png", b"\x89PNG")
    assert page.send("GET", f"/look/{face}", Cookie=page.cookie)[2] == body
    assert page.send("GET", "/look/none", Cookie=page.cookie)[0] == 404


def test_the_browser_keeps_no_picture(page: Page) -> None:
    face = page.people()[0]["best"]
    for path in (f"/crop/{face}", f"/look/{face}", f"/photo/{face}", f"/small/{face}"):
        assert page.send("GET", path, Cookie=page.cookie)[1]["Cache-Control"] == "no-store", path


def test_the_page_loads_nothing_from_elsewhere(page: Page) -> None:
    pages = {path: page.send("GET", path, Cookie=page.cookie) for path in ["/", "/text.js", *STATIC]}
    for path, (status, headers, body) in pages.items():
        assert status == 200 and headers["X-Content-Type-Options"] == "nosniff", path
        text = body.decode()
        assert "http://" not in text and "https://" not in text and "innerHTML" not in text and "insertAdjacentHTML" not in text, path
    there = {p.name for p in Path(open_review.__code__.co_filename).with_name("static").iterdir()}
    assert there | {"base.css"} == {"index.html", *(name[1:] for name in STATIC)}  # that one is the report's too


def test_each_action_is_one_line_of_the_journal_and_takes_effect_at_once(page: Page) -> None:
    one, two, three = page.people()[:3]
    assert (one["faces"], two["faces"], three["faces"]) == (12, 9, 7)
    page.act(act="name", person=one["id"], name="  Ann \n Lee ")
    assert page.people()[0]["name"] == "Ann Lee" and page.lines() == 1
    page.act(act="merge", people=[two["id"], one["id"]])
    assert page.lines() == 2
    merged = page.people()[0]
    assert (merged["id"], merged["name"], merged["faces"]) == (one["id"], "Ann Lee", 21) and len(page.people()) == 4
    page.act(act="undo")
    assert page.lines() == 3 and [p["faces"] for p in page.people()] == [12, 9, 7, 5, 4]
    off = page.faces(three["id"])[:3]
    page.act(act="split", person=three["id"], faces=off)
    sizes = [p["faces"] for p in page.people()]
    assert sizes == [12, 9, 5, 4, 4, 3] and page.lines() == 4
    new = next(p for p in page.people() if p["faces"] == 3)
    assert sorted(page.faces(new["id"])) == sorted(off) and new["id"] != three["id"]
    page.act(act="ignore", people=[two["id"]])
    assert two["id"] not in [p["id"] for p in page.people()] and [p["id"] for p in page.people(show="ignored")] == [two["id"]]
    page.act(act="unignore", people=[two["id"]])
    assert len(page.people()) == 6 and page.people(show="ignored") == []
    assert page.lines() == 6
    held = page.get("history")["decisions"]
    assert [(d["act"], d["who"]) for d in held] == [("split", ""), ("name", "Ann Lee")]
    page.act(act="undo", of=held[1]["id"])
    assert page.people(show="named") == []


def test_not_this_person_and_moved_to_another(page: Page) -> None:
    one, two = page.people()[:2]
    wrong = page.faces(one["id"])[4]
    page.act(act="split", person=one["id"], faces=[wrong])
    assert wrong not in page.faces(one["id"]) and wrong in [f["id"] for f in page.get("nobody")["faces"]]
    page.act(act="give", person=two["id"], faces=[wrong])
    assert wrong in page.faces(two["id"]) and [p["faces"] for p in page.people()[:2]] == [11, 10]
    other = page.faces(one["id"])[3]
    page.act(act="give", person=two["id"], faces=[other])  # directly from one person to the other: split off, then linked
    assert other in page.faces(two["id"]) and [p["faces"] for p in page.people()[:2]] == [11, 10]
    page.act(act="undo")
    assert other in page.faces(one["id"])
    nobody = [f["id"] for f in page.get("nobody")["faces"]][:2]
    page.act(act="same", faces=nobody)
    assert any(sorted(page.faces(p["id"])) == sorted(nobody) for p in page.people() if p["faces"] == 2)


def test_single_faces_are_set_aside_and_a_new_person_is_named_from_faces(page: Page) -> None:
    one = page.people()[0]["id"]
    faces, nobody = page.faces(one), [f["id"] for f in page.get("nobody")["faces"]]
    page.act(act="not-a-face", faces=[faces[0], nobody[0]])
    page.act(act="too-unclear", faces=[faces[1]])
    assert page.faces(one) == faces[2:] and [f["id"] for f in page.get("nobody")["faces"]] == nobody[1:]
    assert [f["id"] for f in page.get("unclear")["faces"]] == [faces[1]]
    shown = page.get("photo", id=faces[0])["faces"]
    assert [(f["id"], f["aside"], f["person"]) for f in shown] == [(faces[0], "not-a-face", "")]
    page.act(act="give", person=one, faces=[faces[1]])  # said later: it is hers after all
    assert {*page.faces(one)} == {*faces[1:]} and page.get("unclear")["faces"] == []
    page.act(act="give", name="Eve", faces=faces[4:7])
    eve = next(p for p in page.people() if p["name"] == "Eve")
    assert sorted(page.faces(eve["id"])) == sorted(faces[4:7]) and len(page.faces(one)) == len(faces) - 4
    page.act(act="give", name="EVE", faces=[faces[7]])
    assert len(page.faces(eve["id"])) == 4
    before = page.lines()
    for wrong in ({"act": "give", "name": " ", "faces": faces[:1]}, {"act": "join", "pairs": []}, {"act": "apart", "pairs": [[1, 2]]},
                  {"act": "join", "known": [["x"]]}, {"act": "join", "pairs": [[one, "nothing"]]}, {"act": "not-a-face"}):  # fmt: skip
        assert page.post(**wrong)[0] == 409 and page.lines() == before


def test_a_photo_is_shown_upright_and_turned(page: Page, tmp_path: Path) -> None:
    """The file is turned by its EXIF, and the store says that faces are upright after another quarter turn clockwise."""
    face = page.faces(page.people()[0]["id"])[0]
    real_photo(page.store, face, tmp_path / "a.jpg", turn=90)
    call("cluster", page.store.url)
    with closing(served(page.store)) as pages:
        again = next(pages)
        answer = again.get("photo", id=face)
        status, headers, body = again.send("GET", f"/photo/{answer['id']}", Cookie=again.cookie)
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    picture = Image.open(io.BytesIO(body))
    assert (picture.size, answer["width"], answer["height"]) == ((300, 400), 300, 400)
    x, y, w, h = (v * side for v, side in zip(answer["faces"][0]["box"], (300, 400, 300, 400), strict=True))
    red = np.asarray(picture.convert("RGB"), int)[..., 1] < 128
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    assert np.allclose([x, y, x + w, y + h], [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], atol=3)
    assert answer["at"] > 0 and answer["uris"] == [str(tmp_path / "a.jpg")]
    status, _, body = page.send("GET", "/photo/nothing", Cookie=page.cookie)
    assert status == 409 and "expected a photo" in json.loads(body)["error"]


def test_names_of_known_people_are_asked_and_a_no_lasts(page: Page) -> None:
    """A picture near the second person: the name is suggested, and after 'no' never again, also after 'cluster'."""
    second = page.people()[1]["id"]
    rows = read_vectors(page.store, "embeddings/bundled", page.faces(second)[:1])
    known = Known(["Zoë"], ["/pictures/Zoë.jpg"], np.stack([*rows.values()]))
    write_known(page.store, "bundled", known, {"table": "known"})
    with closing(served(page.store)) as pages:
        again = next(pages)
        assert again.get("names", q="z") == {"version": "1-1-0", "names": ["Zoë"]} and again.get("names", q="y")["names"] == []
        asked = [s for s in again.get("suggestions")["suggestions"] if s.get("known")]
        assert [(s["known"], s["person"]["id"]) for s in asked] == [("Zoë", second)]
        again.act(act="join", known=[["Zoë", second]])
        assert again.people()[1]["name"] == "Zoë"
        again.act(act="undo")
        again.act(act="apart", known=[["Zoë", second]])
        assert again.get("suggestions")["suggestions"] == []
        call("cluster", page.store.url)
        assert again.get("suggestions")["suggestions"] == [] and again.get("suggestions", id=second)["people"][0]["id"] == second


def test_suggestions_are_the_same_from_vectors_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a store of more than 200,000 faces: its vectors are mapped from temporary files, which go with the session."""
    store = grouped(tmp_path)[0]
    divided(store)
    answers = []
    for most in (shelved_vectors.EXACT, 0):
        monkeypatch.setattr(shelved_vectors, "EXACT", most)
        session = Session(store)
        person = api.people(session, {"order": "small"})["people"][0]["id"]
        answers.append(api.suggestions(session, {"id": person}))
        session.close()
    assert answers[0] == answers[1] and answers[0]["suggestions"][0]["probability"] > 0.9


def test_the_likeness_of_two_groups_is_that_of_the_suggestions(tmp_path: Path) -> None:
    store = grouped(tmp_path)[0]
    divided(store)
    session = Session(store)
    view = session.view()
    part = view.current.people.index("p-0000abcd")
    assert part is not None
    found = session.suggestions(view, [part], 9)
    alike = {int(g): float(p) for g, p in zip(found.group, found.probability, strict=True) if g >= 0}
    whole = max(alike, key=lambda g: alike[g])
    assert alike[whole] > 0.9
    assert session.likeness(view, whole, [part]) == pytest.approx(alike[whole], abs=1e-6)
    strangers = [g for g in range(len(view.current.people.names)) if g not in (part, *alike)]
    assert session.likeness(view, part, strangers) < 0.05
    assert session.likeness(view, part, [*strangers, whole]) == pytest.approx(alike[whole], abs=1e-3)
    session.close()


def test_a_merge_of_three_is_undone_at_once(page: Page) -> None:
    people = [p["id"] for p in page.people()]
    page.act(act="merge", people=people[1:4])
    assert [p["faces"] for p in page.people()] == [21, 12, 4] and page.people()[0]["id"] == people[1]
    page.act(act="undo")
    assert [p["id"] for p in page.people()] == people


def test_two_pages_and_the_command_line_at_once(page: Page) -> None:
    one, two = page.people()[:2]
    version = page.get("state")["version"]
    page.act(act="merge", people=[one["id"], two["id"]])
    assert page.get("state")["version"] != version
    status, answer = page.post(act="name", person=two["id"], name="Too late")
    assert status == 409 and "was merged into another" in answer["error"] and page.lines() == 1
    call("undo", page.store.url)
    assert len(page.people()) == 5
    call("name", page.store.url, two["id"], "Bob")
    assert [p["id"] for p in page.people(show="named")] == [two["id"]]
    ids = [p["id"] for p in page.people()]
    threads = [threading.Thread(target=page.act, kwargs={"act": "name", "person": ids[i % 5], "name": f"N {i}"}) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal = read(page.store)
    assert journal.notes == [] and len(journal.decisions) == 23
    assert sum(p["name"].startswith("N ") for p in page.people()) == 5


def test_decisions_survive_a_restart_and_a_new_grouping(tmp_path: Path) -> None:
    store, _, _ = grouped(tmp_path)
    pages = served(store)
    page = next(pages)
    one, two, three, four, _ = page.people()
    page.act(act="name", person=one["id"], name="Ann")
    page.act(act="merge", people=[one["id"], four["id"]])
    page.act(act="split", person=two["id"], faces=page.faces(two["id"])[:4])
    page.act(act="ignore", people=[three["id"]])
    off = page.faces(two["id"])
    shown = {frozenset(page.faces(p["id"])): (p["name"], p["ignored"]) for show in ("", "ignored") for p in page.people(show=show)}
    ids = {p["id"] for show in ("", "ignored") for p in page.people(show=show)}
    list(pages)
    for _ in range(2):  # first a restart; then after a new grouping
        pages = served(store)
        page = next(pages)
        again = {frozenset(page.faces(p["id"])): (p["name"], p["ignored"]) for show in ("", "ignored") for p in page.people(show=show)}
        assert again == shown and set(page.faces(two["id"])) == set(off)
        assert {p["id"] for show in ("", "ignored") for p in page.people(show=show)} == ids
        call("cluster", store.url)
        assert page.get("state")["run"] == 2 and page.get("state")["since"] == 0  # the page follows the new run
        list(pages)
    known = people_with_current_names(store)
    assert known is not None and "Ann" in known[0].names


def test_search_and_filters(page: Page) -> None:
    people = page.people()
    page.act(act="name", person=people[1]["id"], name="Zoë ß")
    assert [p["id"] for p in page.people(q="ZOË SS")] == [people[1]["id"]] == [p["id"] for p in page.people(show="named")]
    assert [p["id"] for p in page.people(q=people[2]["id"][:6])][:1] == [people[2]["id"]]
    assert page.people(q="<b>") == []
    assert [p["faces"] for p in page.people(least=5, most=9)] == [9, 7, 5]
    assert [p["faces"] for p in page.people(order="small")] == [4, 5, 7, 9, 12]
    assert [p["name"] for p in page.people(order="name")][0] == "Zoë ß"
    years = [p["years"] for p in page.people(year=2012)]
    assert years == [[2012, 2012]] and 2012 in page.get("state")["years"]
    kinds = [page.get("people", sure=s)["total"] for s in ("very sure", "sure", "likely", "unsure")]
    assert sum(kinds) == 5
    sure = [p["sure"] for p in page.people(order="unsure")]
    assert sure == sorted(sure)
    names = {f["photo"] for p in page.people() for f in page.get("person", id=p["id"])["faces"]}
    assert any(NASTY.split("=")[1][:3] in name for name in names)  # as text; the browser test checks the page


def wait_for_questions(page: Page) -> dict[str, Any]:
    for _ in range(600):
        found = page.get("questions")
        if found["ready"]:
            return found
        time.sleep(0.05)
    raise AssertionError("no questions after 30 s")


def test_questions(tmp_path: Path) -> None:
    pages = served(grouped(tmp_path, (10, 9, 8, 6, 5, 4), noise=1.5, singles=8)[0])
    page = next(pages)
    found = wait_for_questions(page)
    assert found["total"] >= 3, "this collection is too easy: there are no questions"
    assert 0 < found["decided"] <= 1 and found["worth"] == len(found["questions"]) <= found["total"]
    first, second = found["questions"][:2]
    pair = [s["face"]["id"] for s in first["sides"]]
    page.act(act="skip", faces=pair)
    assert page.lines() == 0 and page.get("questions")["total"] == found["total"] - 1
    page.act(act="not-same", faces=[s["face"]["id"] for s in second["sides"]])
    left = page.get("questions")
    asked = [[s["face"]["id"] for s in q["sides"]] for q in left["questions"]]
    assert pair not in asked and [s["face"]["id"] for s in second["sides"]] not in asked
    question = next(q for q in left["questions"] if q["kind"] == "same")
    faces = [s["face"]["id"] for s in question["sides"]]
    page.act(act="same", faces=faces)
    assert any({*faces} <= {*page.faces(p["id"])} for p in page.people(limit=MAX_ENTRIES))
    assert page.lines() == 2 and page.get("questions")["decided"] >= found["decided"]
    page.act(act="undo")
    assert faces in [[s["face"]["id"] for s in q["sides"]] for q in page.get("questions")["questions"]]
    list(pages)


def test_answers_stay_small_with_five_thousand_people(tmp_path: Path) -> None:
    """100,000 faces of 5,000 people in a run: the size of an answer does not grow with the store."""
    store = Store(str(tmp_path / "store"))
    store.create()
    n, count = 100_000, 5_000
    ids = [f"{i:024x}-0000" for i in range(n)]
    identity = np.sort(np.arange(n) % count)
    sure = np.full(n, 0.9)
    table = table_of(IDENTITIES, {"face_id": ids, "identity": identity.astype(np.int32), "probability": sure.astype(np.float32),
                                  "outlier_score": np.zeros(n, np.float32)})  # fmt: skip
    people = People([f"p-{i:08x}" for i in range(count)], [None] * count, [n // count] * count, [False] * count)
    write_run(store, Run(1, "2024-01-01T00:00:00Z", "bundled"), table, np.full((n, 4), np.nan, np.float32), people, {"table": "identities"})
    pages = served(store)
    page = next(pages)
    _, _, body = page.send("GET", "/api/people?limit=100000", Cookie=page.cookie)
    assert json.loads(body)["total"] == count and len(json.loads(body)["people"]) == MAX_ENTRIES
    assert len(body) < 30_000
    page.act(act="name", person="p-00000009", name="Ann")
    page.act(act="merge", people=["p-00000009", "p-00000010"])
    assert [(p["name"], p["faces"]) for p in page.people(q="ann")] == [("Ann", 40)] == [(p["name"], p["faces"]) for p in page.people()[:1]]
    for what in ("state", "person?id=p-00000009&limit=100000", "nobody", "history", "people?offset=4900&limit=60"):
        assert len(page.send("GET", f"/api/{what}", Cookie=page.cookie)[2]) < 30_000, what
    found = wait_for_questions(page)
    assert found["total"] == 0 and found["note"].startswith("no questions")  # there are no vectors
    list(pages)


def test_a_store_without_people_and_a_port_that_is_taken(tmp_path: Path) -> None:
    assert "'facecluster run PHOTOS" in refused("review", str(tmp_path / "none"))
    Store(str(tmp_path / "empty")).create()
    assert "facecluster cluster" in refused("review", str(tmp_path / "empty"), "--no-browser")
    pages = served(grouped(tmp_path)[0])
    page = next(pages)
    assert f"port {page.port}" in refused("review", page.store.url, "--port", str(page.port), "--no-browser")
    list(pages)


def test_the_command_prints_the_address_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    store = grouped(tmp_path)[0]
    command = [sys.executable, "-c", "from facecluster.cli import main; main()", "review", store.url, "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = urlsplit(process.stdout.readline().removeprefix("open ").strip())
        page = Page(store, int(url.port or 0), url.query.removeprefix("token="))
        page.act(act="name", person=page.people()[0]["id"], name="Ann")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0 and "facecluster cluster" in said and "Traceback" not in said
    assert [d.name for d in read(store).decisions] == ["Ann"]


# -- groups after decisions, without a server -------------------------------------------------------------------------------

FACES = [f"{i:024x}-0000" for i in range(14)]
GROUPS = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, -1, -1])
some = st.lists(st.sampled_from(FACES), min_size=2, max_size=5, unique=True)
acts = st.lists(
    st.one_of(
        some.map(lambda f: Decision(act="same", faces=tuple(f))),
        some.map(lambda f: Decision(act="not-same", faces=tuple(f[:3]))),
        some.map(lambda f: Decision(act="split", faces=tuple(f[:2]), others=tuple(f[2:]))),
        st.tuples(some, some).map(lambda fs: Decision(act="merge", faces=tuple(fs[0]), others=tuple(fs[1]))),
        st.tuples(some, st.sampled_from(["Ann", "Bob", "Zoë"])).map(lambda fn: Decision(act="name", faces=tuple(fn[0]), name=fn[1])),
        some.map(lambda f: Decision(act="ignore-face", faces=tuple(f[:2]))),
        st.integers(0, 5).map(lambda i: Decision(act="undo", of=str(i))),
    ),
    max_size=7,
)


@settings(max_examples=300, deadline=None)
@given(acts)
def test_groups_follow_any_decisions(made: list[Decision]) -> None:
    """For any decisions: must-links and cannot-links hold, and groups without a decision do not change."""
    from dataclasses import replace

    decisions = [replace(d, id=str(i)) for i, d in enumerate(made)]
    resolved = replay(decisions)
    left = {f for d in active(decisions) if d.act == "split" for f in d.faces}
    rows = {face: i for i, face in enumerate(FACES)}
    out = apply_decisions(GROUPS, rows, resolved, left)
    for tied in resolved.must_link_sets():
        assert len({int(out[rows[f]]) for f in tied}) == 1 and out[rows[tied[0]]] >= 0
    assert all(out[rows[face]] == -1 for face in resolved.aside)
    root = resolved.links.root
    for a in FACES:
        for b in FACES:
            apart = root(b) in resolved.links.cannot_link.get(root(a), ()) or (
                (one := resolved.links.name.get(root(a))) and (two := resolved.links.name.get(root(b))) and one != two
            )
            assert not apart or out[rows[a]] != out[rows[b]] or out[rows[a]] < 0
    sizes = np.bincount(out[out >= 0])
    named = {int(out[rows[face]]) for face in rows if resolved.links.name.get(root(face))}
    assert (sizes[:-1] >= sizes[1:]).all() and all(size >= 2 or group in named for group, size in enumerate(sizes))
    spoken = {int(GROUPS[rows[f]]) for d in decisions for f in (*d.faces, *d.others)}
    for group in {0, 1, 2} - spoken:
        inside = np.flatnonzero(GROUPS == group)
        assert len(set(out[inside].tolist())) == 1
    if not decisions:
        assert out.tolist() == GROUPS.tolist()


def test_without_decisions_the_page_shows_the_run(page: Page) -> None:
    """A decision about faces that do not exist changes nothing either."""
    run = current_run(page.store)
    assert run is not None
    people = read_people(page.store, run)
    shown = page.people()
    assert [p["id"] for p in shown] == people.person_ids and [p["faces"] for p in shown] == people.faces
    append(page.store, [Decision(act="same", faces=("gone-1", "gone-2"))])
    assert page.people() == shown


def test_faces_of_a_run() -> None:
    """An empty run has no groups."""
    assert Faces([], np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4), np.float32)).ids == []
    assert apply_decisions(np.zeros(0, np.int64), {}, replay([]), set()).tolist() == []
