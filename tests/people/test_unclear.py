"""Faces that nobody can tell: in no group, counted apart, in no cohort, on a page of their own, and brought back by what the user says."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import people_store as syn
import pyarrow as pa
import pytest
from click.testing import CliRunner
from people_store import call

from facecluster.cli import main
from facecluster.faces.embed import EmbedConfig
from facecluster.known.sources import Picture
from facecluster.known.take_in import take_in
from facecluster.matching.gallery import build_gallery
from facecluster.matching.index import open_index
from facecluster.matching.probe import Probe
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
    assert "recognisable 0." in page and "quality" not in page.split("<ol", 1)[1]
    with open(report / "faces.csv", encoding="utf-8-sig", newline="") as file:
        said_clear = {row["face_id"]: float(row["recognisability"]) for row in csv.DictReader(file)}
    assert all(said_clear[i] < 0.5 for i in smears) and all(said_clear[i] >= 0.5 for i in good)
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


def new_photos(monkeypatch: pytest.MonkeyPatch, photos: dict[str, np.ndarray]) -> None:
    """Photos that are not there, with these vectors of their faces."""

    def probe_photo(uri: str, *_: object, **__: object) -> Probe:
        x = np.asarray(photos[Path(uri).name], np.float32)
        n, some = len(x), np.ones(len(x), np.float32)
        return Probe(uri, f"{uri}{'f' * 64}", np.arange(4 * n, dtype=np.float32).reshape(n, 4), some, some, x)

    for module in ("facecluster.matching.probe", "facecluster.known.take_in"):
        monkeypatch.setattr(f"{module}.probe_photo", probe_photo)


@pytest.fixture
def vectors(dirty: tuple[Store, list[str], list[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Those of the people's faces and of the smears."""
    store, good, smears = dirty
    index = open_index(store, "bundled")
    row = {face: i for i, face in enumerate(index.face_ids.to_pylist())}
    return index.vectors(np.array([row[i] for i in good])), index.vectors(np.array([row[i] for i in smears]))


def test_two_smears_are_not_verified_as_one_person(
    vectors: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    good, smears = vectors
    photos = {"smear.jpg": smears[:1], "other.jpg": smears[1:2], "both.jpg": np.stack([smears[2], good[0]]), "good.jpg": good[1:2]}
    new_photos(monkeypatch, {**photos, "empty.jpg": smears[:0]})
    for other, nothing in (("other.jpg", "no clear face in either photo"), ("good.jpg", "no clear face in the first photo"),
                           ("empty.jpg", "no face found in the second photo")):  # fmt: skip
        result = CliRunner().invoke(main, ["verify", "smear.jpg", other])
        assert (result.exit_code, result.stdout) == (2, f"{nothing}: nothing to compare\n")
    found = json.loads(call("verify", "both.jpg", "good.jpg", "--json").stdout)
    assert (found["faces"], found["unclear"], found["boxes"]) == ([2, 1], [1, 0], [[4, 5, 6, 7], [0, 1, 2, 3]])
    assert found["cosine"] == pytest.approx(float(good[0] @ good[1]), abs=1e-5) and "1 face too unclear to tell left out" in found["words"]


def test_a_new_smear_matches_nobody_unless_smears_were_grouped(
    dirty: tuple[Store, list[str], list[str]], vectors: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store, (good, smears) = dirty[0], vectors
    new = tmp_path / "new.jpg"
    new.write_bytes(b"")  # the search for files wants one
    new_photos(monkeypatch, {"new.jpg": np.stack([smears[0], good[0]])})
    call("cluster", store.url)
    smear, face = json.loads(call("match", str(new), "--store", store.url, "--json").stdout)["photos"][0]["faces"]
    assert smear["unclear"] and not face["unclear"]
    assert (smear["people"], smear["nearest"], smear["nobody_known"]) == ([], [], 1) and face["people"][0]["probability"] > 0.9
    assert "too unclear to tell who it is" in call("match", str(new), "--store", store.url).stdout
    call("cluster", store.url, "--min-recognisability", "0")
    smear = json.loads(call("match", str(new), "--store", store.url, "--json").stdout)["photos"][0]["faces"][0]
    assert not smear["unclear"] and smear["people"]


def test_a_smear_is_no_picture_of_a_known_person(
    dirty: tuple[Store, list[str], list[str]], vectors: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    store, (good, smears) = dirty[0], vectors
    call("cluster", store.url)
    new_photos(monkeypatch, {"Anna.jpg": smears[:1], "Bo.jpg": good[:1]})
    found = take_in(store, [Picture("Anna", "/k/Anna.jpg"), Picture("Bo", "/k/Bo.jpg")], EmbedConfig())
    assert found.pictures == 1 and [p.name for p, _, _ in found.named] == ["Bo"]
    assert found.notes == [
        "/k/Anna.jpg: expected a face that can be recognised, found one too unclear to tell: take a clearer picture"
    ]  # fmt: skip
