"""Faces that nobody can tell: in no group, counted apart, in no cohort, on a page of their own, and brought back by what the user says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import people_store as syn
import pyarrow as pa
import pytest
from people_store import call

from facecluster.matching.gallery import build_gallery
from facecluster.matching.index import open_index
from facecluster.matching.recognition import Recognition, read_recognition
from facecluster.models.registry import card_of
from facecluster.review import api
from facecluster.review.session import Session
from facecluster.store import IDENTITIES, Store

TABLE = "identities/bundled"


@pytest.fixture
def dirty(tmp_path: Path) -> tuple[Store, list[str], list[str]]:
    """A store of three people and of 30 smears that are more similar to each other than the people's faces; face_ids of both."""
    card = card_of("bundled")
    assert card.recognisability is not None
    rng = np.random.default_rng(0)
    away = -np.array(card.recognisability.weights)
    smears = away / np.linalg.norm(away) + 0.05 * rng.normal(size=(30, card.dim))
    smears /= np.linalg.norm(smears, axis=1, keepdims=True)
    good, _ = syn.people([9, 7, 5])
    assert (card.recognisability.of(smears) < 0.1).all() and (card.recognisability.of(good) >= 0.5).all()
    store = Store(str(tmp_path / "store"))
    store.create()
    ids = syn.add(store, "00000", np.concatenate([good, smears]))
    syn.add_boxes(store, "00000", ids, np.tile([1.0, 2.0, 30.0, 30.0], (len(ids), 1)))
    return store, ids[: len(good)], ids[len(good) :]


def identities(store: Store) -> dict[str, int]:
    rows = store.read_all(TABLE, IDENTITIES).to_pylist()
    return {r["face_id"]: r["identity"] for r in rows}


def test_they_are_in_no_group_unless_asked(dirty: tuple[Store, list[str], list[str]]) -> None:
    store, good, smears = dirty
    call("cluster", store.url, "--min-recognisability", "0")
    assert {identities(store)[i] for i in smears} == {0}  # what happened without it: the largest person is nobody
    call("cluster", store.url)
    found = identities(store)
    assert {found[i] for i in smears} == {-1} and sorted({found[i] for i in good}) == [0, 1, 2]
    clear = {r["face_id"]: r["recognisability"] for r in store.read_all(TABLE, IDENTITIES).to_pylist()}
    assert all(clear[i] < 0.5 for i in smears) and all(clear[i] >= 0.5 for i in good)


def test_the_report_counts_them_apart(dirty: tuple[Store, list[str], list[str]]) -> None:
    store, good, smears = dirty
    call("cluster", store.url)
    said = call("report", store.url).stdout
    assert f"3 people in {len(good) + len(smears)} faces" in said and "0 faces without a person, 30 too unclear to tell" in said
    report = Path(store.path("report"))
    page = (report / "unclear" / "unclear.html").read_text(encoding="utf-8")
    assert "<h1>Too unclear to tell</h1>" in page and "<title>Too unclear to tell" in page
    assert page.count('<li id="face-') == 30 and "unclear/unclear.html" in (report / "index.html").read_text(encoding="utf-8")
    assert not (report / "nobody" / "nobody.html").exists()


def test_nothing_is_asked_about_them(dirty: tuple[Store, list[str], list[str]]) -> None:
    store, _, smears = dirty
    call("cluster", store.url)
    asked = json.loads(call("questions", store.url, "--json").stdout)["questions"]
    assert not {q[end] for q in asked for end in ("face_a", "face_b")} & {*smears}


def test_what_the_user_says_brings_them_back(dirty: tuple[Store, list[str], list[str]]) -> None:
    store, good, smears = dirty
    call("cluster", store.url)
    call("same", store.url, good[0], smears[0])
    call("cluster", store.url)
    found = identities(store)
    assert found[smears[0]] == found[good[0]] >= 0 and {found[i] for i in smears[1:]} == {-1}


def test_matching_leaves_them_out_of_the_cohort(dirty: tuple[Store, list[str], list[str]]) -> None:
    store, good, smears = dirty
    call("cluster", store.url, "--min-recognisability", "0")
    everyone = build_gallery(open_index(store, "bundled"), read_recognition(store))
    assert len(everyone.cohort_rows) == 4  # the smears are a person
    call("cluster", store.url)
    index = open_index(store, "bundled")
    gallery = build_gallery(index, read_recognition(store))
    cohort = index.face_ids.take(gallery.cohort_rows).to_pylist()
    assert len(cohort) == 3 and {*cohort} <= {*good}
    who = read_recognition(store)
    assert who.unclear_among(pa.array([smears[0], good[0], "not a face"])).tolist() == [True, False, False]
    clean = Recognition(who.face_ids, who.person, who.probability, who.people)
    assert len(build_gallery(index, clean).cohort_rows) == 3 + len(smears)


def test_the_review_page_counts_them_apart_and_brings_them_back(dirty: tuple[Store, list[str], list[str]]) -> None:
    store, good, smears = dirty
    call("cluster", store.url)
    session = Session(store)
    try:
        assert {key: api.state(session, {})[key] for key in ("people", "nobody", "unclear")} == {"people": 3, "nobody": 0, "unclear": 30}
        assert api.nobody(session, {})["total"] == 0
        listed = [face["id"] for face in api.unclear(session, {"limit": "120"})["faces"]]
        clear = {r["face_id"]: r["recognisability"] for r in store.read_all(TABLE, IDENTITIES).to_pylist()}
        assert sorted(listed) == sorted(smears) and [clear[i] for i in listed] == sorted((clear[i] for i in smears), reverse=True)
        whose = api.people(session, {})["people"][0]["id"]
        session.act({"act": "give", "person": whose, "faces": smears[:1]})
        session.act({"act": "same", "faces": smears[1:3]})
        assert {key: api.state(session, {})[key] for key in ("people", "nobody", "unclear")} == {"people": 4, "nobody": 0, "unclear": 27}
        session.act({"act": "undo"})
        assert api.state(session, {})["unclear"] == 29
    finally:
        session.close()
    call("cluster", store.url)
    found = identities(store)
    assert found[smears[0]] == found[good[0]] >= 0 and {found[i] for i in smears[1:]} == {-1}


def test_a_grouping_of_an_older_version_opens_and_is_made_anew(dirty: tuple[Store, list[str], list[str]]) -> None:
    """It has no column for it: nothing is unclear until the faces are grouped again."""
    store, good, smears = dirty
    call("cluster", store.url)
    (about,) = (Path(store.url) / "runs").glob("*/run.json")
    for table in (TABLE, f"runs/{about.parent.name}/identities"):
        stamp = {k: v for k, v in (store.stamp(table, "00000") or {}).items() if k != "min_recognisability"} | {"method": 3}
        store.write(table, "00000", store.read(table, "00000").drop_columns(["recognisability"]), stamp)
    written = {key: value for key, value in json.loads(about.read_text()).items() if key != "sum"}
    about.write_text(json.dumps(written | {"settings": stamp}))
    assert "30 faces without a person" in call("report", store.url).stdout
    call("questions", store.url)
    call("cluster", store.url, "--return-to", "1")
    call("cluster", store.url)
    assert "30 too unclear to tell" in call("report", store.url).stdout
