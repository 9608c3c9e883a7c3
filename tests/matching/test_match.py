"""Matching: the index against numpy, the posterior against Bayes' rule written out, the commands on synthetic people."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facecluster.cli import main
from facecluster.demo import make_collection
from facecluster.errors import InputError
from facecluster.matching.gallery import Gallery, build_gallery
from facecluster.matching.index import Index, build_faiss_index, open_index
from facecluster.matching.match import match
from facecluster.matching.posterior import normalise_by_cohort, person_log_odds, posterior
from facecluster.matching.probe import Probe
from facecluster.matching.recognition import Person, Recognition
from facecluster.matching.stored_photos import StoredPhotos
from facecluster.models.registry import card_of
from facecluster.store import PHOTOS, Store, embeddings_schema, table_of

CARD = card_of("bundled")
DIM = 16


def vectors_store(folder: Path, vectors: np.ndarray[Any, Any]) -> Store:
    """A store with a face in each of n photos, in two shards."""
    store = Store(str(folder))
    store.create()
    half = len(vectors) // 2
    for shard, rows in (("00000", range(half)), ("00001", range(half, len(vectors)))):
        add_shard(store, shard, list(rows), vectors[list(rows)])
    return store


def add_shard(store: Store, shard: str, numbers: list[int], vectors: np.ndarray[Any, Any]) -> None:
    n, ids = len(numbers), [f"{i:064x}"[::-1] for i in numbers]
    columns = {
        "photo_id": ids, "uri": [f"/p/{i}.jpg" for i in numbers], "size": [9] * n, "mtime_ns": [0] * n, "format": ["JPEG"] * n,
        "width": [9] * n, "height": [9] * n, "orientation": [1] * n, "taken_at": [None] * n, "phash": np.zeros(n, np.uint64),
        "faces": [1] * n, "error": [None] * n,
    }  # fmt: skip
    data = table_of(embeddings_schema(DIM), {"face_id": [f"{i[:24]}-0000" for i in ids], "embedding": vectors.astype(np.float16)})
    store.write("embeddings/bundled", shard, data, {"table": "embeddings"})
    store.write("photos", shard, table_of(PHOTOS, columns), {"table": "photos"})


def unit(n: int, dim: int = DIM, seed: int = 0) -> np.ndarray[Any, Any]:
    x = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


@pytest.mark.parametrize("part", [64, 13])
def test_the_index_is_searched_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    monkeypatch.setattr("facecluster.matching.index.BLOCK", 7)
    monkeypatch.setattr("facecluster.matching.index.PART", part)
    x, q = unit(40), unit(3, seed=1)
    index = open_index(vectors_store(tmp_path / "s", x), "bundled")
    order = [index.face_ids.to_pylist().index(f"{i:064x}"[::-1][:24] + "-0000") for i in range(40)]
    stored = x.astype(np.float16).astype(np.float32)
    assert np.array_equal(index.vectors(np.array(order)), stored)
    cosines, rows = index.nearest(q, 9)
    brute = q @ index.vectors(np.arange(40)).T
    assert np.array_equal(rows, np.argsort(-brute, axis=1)[:, :9]) and np.allclose(cosines, -np.sort(-brute)[:, :9], atol=1e-6)
    assert index.nearest(q, 99)[1].shape == (3, 40) and index.nearest(q[:0], 5)[0].shape == (0, 5)
    assert [index.uris[i].as_py() for i in order] == [f"/p/{i}.jpg" for i in range(40)]
    for i in (0, 17, 39):
        assert index.rows_of_photo(f"{i:064x}"[::-1]) == slice(order[i], order[i] + 1)
    gone = index.rows_of_photo("f" * 64)
    assert gone.start == gone.stop


def test_the_index_is_kept_and_rebuilt_when_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = vectors_store(tmp_path / "s", unit(10))
    first = open_index(store, "bundled")
    with monkeypatch.context() as patch:
        patch.setattr("facecluster.matching.index._build", lambda *_: pytest.fail("built again, though nothing changed"))
        again = open_index(store, "bundled")
    assert again.digest == first.digest
    add_shard(store, "00002", [10, 11], unit(2, seed=5))
    grown = open_index(store, "bundled")
    assert len(grown.face_ids) == 12 and grown.digest != first.digest
    files = os.listdir(store.path("index/bundled"))
    assert len(files) == 3, files  # those of the old one are gone
    [vectors] = [f for f in files if f.endswith(".faiss")]
    wanted = grown.vectors(np.arange(12)).copy()
    path = Path(store.path("index/bundled", vectors))
    whole = path.read_bytes()
    for damaged in (b"damaged", whole[:-8], b"x" * len(whole)):
        path.unlink()  # a new file: the old one is mapped
        path.write_bytes(damaged)
        assert np.array_equal(open_index(store, "bundled").vectors(np.arange(12)), wanted)
    assert path.read_bytes() == whole


def test_an_index_on_a_remote_filesystem() -> None:
    store = Store("memory://index-test")
    store.create()
    add_shard(store, "00000", list(range(10)), unit(10))
    made, again = open_index(store, "bundled"), open_index(store, "bundled")
    assert (
        made.digest == again.digest
        and np.array_equal(made.vectors(np.arange(10)), again.vectors(np.arange(10)))
        and store.exists("index/bundled/index.json")
    )
    add_shard(store, "00001", [10], unit(1, seed=4))
    assert len(open_index(store, "bundled").face_ids) == 11


def test_a_store_that_cannot_be_written_is_searched_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = vectors_store(tmp_path / "s", unit(10))

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "read-only")

    monkeypatch.setattr(Store, "write_bytes", refuse)
    assert len(open_index(store, "bundled").face_ids) == 10
    assert not os.path.exists(store.path("index/bundled"))


def test_the_posterior_is_bayes() -> None:
    evidence, prior = np.array([3.0, -1.0, 0.5]), 0.3
    likelihood = np.append(np.exp(evidence) * prior / 3, 1 - prior)
    assert np.allclose(posterior(evidence, prior), likelihood / likelihood.sum())
    assert posterior(np.zeros(0)).tolist() == [1.0]
    assert np.allclose(posterior(np.array([-np.inf, 5000.0])), [0, 1, 0])


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=30), st.integers(1, 1000))
def test_the_same_cosine_is_weaker_evidence_among_more_people(evidence: list[float], more: int) -> None:
    few = posterior(np.array(evidence))
    many = posterior(np.array(evidence + [-30.0] * more))
    assert few.sum() == pytest.approx(1) and many.sum() == pytest.approx(1)
    assert many[: len(evidence)].max() <= few[: len(evidence)].max() + 1e-12
    assert few[np.argmax(many[:-1])] == pytest.approx(few[:-1].max(), rel=1e-12)  # the first stays the first, except for rounding


def test_one_pair_has_the_probability_of_the_card() -> None:
    """One person with one face and even prior odds give exactly the card's curve, if impostors are as the card says."""
    for cosine in (-0.2, 0.1, 0.4, 0.8):
        evidence = person_log_odds(np.array([cosine]), np.array([0]), [np.array([0])], CARD, lambda _: 1.0)
        assert posterior(evidence)[0] == pytest.approx(float(CARD.probability(np.array([cosine]))[0]))


def test_log_odds_of_many_faces_against_the_formula_written_out() -> None:
    rng = np.random.default_rng(0)
    x = unit(60, 8)
    person = rng.integers(0, 7, 60)
    cosines = x @ unit(1, 8, seed=3)[0]
    members = [np.flatnonzero(person == j) for j in range(8)]
    found = person_log_odds(cosines, person, members, CARD, lambda j: float(np.linalg.norm(x[person == j].mean(axis=0))))
    for j in range(7):
        odds = CARD.slope * cosines[person == j].astype(float) + CARD.intercept
        length = np.linalg.norm(x[person == j].mean(axis=0))
        assert found[j] == pytest.approx((odds.mean() / length + sorted(odds)[-3:][0] / 3 + sorted(odds)[-2:][0] / 3 + max(odds) / 3
                                          - np.log(len(odds))) / 2, abs=1e-4)  # fmt: skip
    assert found[7] == -np.inf


def test_cosines_are_normalised_to_the_impostors_of_the_card() -> None:
    rng = np.random.default_rng(0)
    as_card = rng.normal(CARD.impostor_mean, CARD.impostor_sd, 100_000)
    every = np.arange(len(as_card))
    assert np.abs(normalise_by_cohort(as_card, every, CARD) - as_card).max() < 0.02
    alike = 0.2 + 1.5 * (as_card - CARD.impostor_mean)  # a collection of people who look like each other
    moved = normalise_by_cohort(alike, every, CARD)
    assert (moved.mean(), moved.std()) == pytest.approx((CARD.impostor_mean, CARD.impostor_sd), abs=0.005)
    assert np.allclose(normalise_by_cohort(alike[:50], every[:0], CARD), alike[:50])  # without impostors the card alone counts


def crowd(people: int, faces: int, dim: int, alike: float, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Vectors around one centre a person, and the person of each."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), rng.integers(1, 2 * faces, people))
    x = unit(people, dim, seed)[person] + alike * unit(len(person), dim, seed + 1)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16), person


def brute(query: np.ndarray[Any, Any], x: np.ndarray[Any, Any], person: np.ndarray[Any, Any], gallery: Gallery) -> np.ndarray[Any, Any]:
    """Probabilities of all people from every cosine, by the rule in posterior.py."""
    members = [np.flatnonzero(person == j) for j in range(len(gallery.recognition.people))]
    c = normalise_by_cohort(x @ query, gallery.cohort_rows, CARD)
    return posterior(person_log_odds(c, person, members, CARD, lambda j: float(np.linalg.norm(x[members[j]].mean(axis=0)))))


@pytest.mark.parametrize("near, faces, bound", [(2_000, 50_000, 1e-6), (60, 50, 0.02)])
def test_probabilities_are_those_of_a_comparison_with_everybody(
    monkeypatch: pytest.MonkeyPatch, near: int, faces: int, bound: float
) -> None:
    """First with the usual limits on a collection below them, then with limits far below the size of the collection."""
    monkeypatch.setattr("facecluster.matching.match._NEIGHBOURS", near)
    monkeypatch.setattr("facecluster.matching.match._MAX_FACES", faces)
    monkeypatch.setattr("facecluster.matching.posterior._EXACT_PEOPLE", 10_000)  # all exactly, none by a bound
    x, person = crowd(300, 6, 64, 0.8)
    person[::17] = -1
    ids = [f"{i:024x}-0000" for i in range(len(x))]
    index = Index(pa.array(ids), pa.array([f"/{i}.jpg" for i in ids]), (build_faiss_index(x),), "")
    people = [Person(f"p-{j}", None, int((person == j).sum()), j) for j in range(300)]
    gallery = build_gallery(index, Recognition(index.face_ids, person.astype(np.int32), np.ones(len(x), np.float32), people))
    rng = np.random.default_rng(3)
    wide = x.astype(np.float32)
    queries = np.concatenate([wide[rng.choice(np.flatnonzero(person >= 0), 12)] + 0.5 * unit(12, 64, 8), unit(6, 64, 9)])
    queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    probe = Probe("/new.jpg", "f" * 64, np.zeros((18, 4), np.float32), np.ones(18, np.float32), np.ones(18, np.float32), queries)
    sure = 0
    for query, found in zip(queries, match(probe, gallery, CARD, top=5), strict=True):
        probabilities = brute(query, wide, person, gallery)
        assert abs(found.unknown - probabilities[-1]) < bound
        assert [c.probability for c in found.candidates] == pytest.approx(sorted(probabilities[:-1])[:-6:-1], abs=bound)
        for c in found.candidates:
            j = c.person.identity
            mine = wide[person == j] @ query
            length = np.linalg.norm(wide[person == j].mean(axis=0))
            assert (c.cosine_to_nearest, c.cosine_to_mean) == pytest.approx((mine.max(), min(1, mine.mean() / length)), abs=1e-5)
            assert c.probability == pytest.approx(probabilities[j], abs=bound)
        assert [n.cosine for n in found.nearest] == pytest.approx(np.sort(wide @ query)[:-6:-1], abs=1e-5)
        sure += found.candidates[0].probability > 0.9
    assert sure >= 6


def recognition() -> Recognition:
    names = ("Anna", "Anna  Maria", None, "anna")
    people = [Person(f"p-0000000{i}", name, 5 - i, i) for i, name in enumerate(names)]
    return Recognition(pa.array(["a", "b"]), np.array([2, -1], np.int32), np.array([0.5, 0], np.float32), people)


def test_people_are_found_by_name_and_number() -> None:
    find = recognition().find
    assert find("anna maria") == 1 and find("3") == 2 and find(" Person  0003") == 2 and find("identity 2") == 2 and find("Anna M") == 1
    assert find("p-00000003") == 3 and find("a") == 2
    with pytest.raises(InputError, match="2 called 'anna'"):
        find("anna")
    for text in ("nobody", "", "0", "person 0", "5", "identity 4", "b"):
        with pytest.raises(InputError, match="expected a person"):
            find(text)
    person, probability = recognition().people_of(pa.array(["b", "x", "a"]))
    assert person.tolist() == [-1, -1, 2] and probability.tolist() == [0, 0, 0.5]


# -- the commands ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A grouped store of six synthetic people; and photos of them that are not in it, with photos of other people."""
    folder = tmp_path_factory.mktemp("demo")
    photos = Path(make_collection(str(folder / "six"), people=6, photos=4).photos)
    new = folder / "new"
    new.mkdir()
    for path in sorted(p for p in photos.rglob("IMG_*") if p.is_file())[::5]:
        shutil.move(path, new / f"known-{path.name}")
    others = Path(make_collection(str(folder / "others"), people=6, photos=2, seed=9).photos)
    for path in sorted(p for p in others.rglob("IMG_*.jpg"))[:6]:
        shutil.copy(path, new / f"other-{path.name}")
    store = str(folder / "store")
    result = CliRunner().invoke(main, ["run", str(photos), "-o", store])
    assert result.exit_code == 0, result.output
    return store, new


def matched(store: str, *arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(main, ["match", *arguments, "--store", store, "--json"])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_known_people_are_named_and_others_are_not(demo: tuple[str, Path]) -> None:
    store, new = demo
    found = matched(store, str(new))
    best: dict[bool, list[float]] = {True: [], False: []}  # of known people, of others
    for row in found["photos"]:
        for face in row["faces"]:
            shares = [p["probability"] for p in face["people"]]
            assert shares == sorted(shares, reverse=True) and sum(shares) + face["nobody_known"] <= 1 + 1e-9
            best["known-" in row["photo"]].append(shares[0])
            cosines = [n["cosine"] for n in face["nearest"]]
            assert cosines == sorted(cosines, reverse=True) and len(cosines) == 5
            if shares[0] > 0.9:  # who is named is whom the nearest faces are of
                assert face["nearest"][0]["person"] == face["people"][0]["person"]
    assert min(map(len, best.values())) >= 5
    # synthetic people are more alike than real ones: some are taken for a stored person, but rarely with a high probability
    known, others = (np.array(best[k]) for k in (True, False))
    assert (known > 0.9).mean() >= 0.8 and (others > 0.9).mean() <= 0.1 and others.mean() < 0.6, best


def test_a_stored_photo_is_not_compared_with_itself(demo: tuple[str, Path]) -> None:
    store, new = demo
    photo = next(p for p in sorted((new.parent / "six" / "photos").rglob("IMG_*.jpg")))
    for face in matched(store, str(photo))["photos"][0]["faces"]:
        assert all(n["photo"] != str(photo) for n in face["nearest"])


def test_it_says_that_a_photo_is_in_the_store_already(demo: tuple[str, Path], tmp_path: Path) -> None:
    store, new = demo
    photo = next(p for p in sorted((new.parent / "six" / "photos").rglob("IMG_*.jpg")))
    shutil.copy(photo, tmp_path / "again.jpg")
    moved = next(p for p in sorted(new.iterdir()) if p.read_bytes() == (photo.parents[1] / "copy of a photo.jpg").read_bytes())
    again, copied, other = matched(store, *map(str, (tmp_path / "again.jpg", moved, new / "other-IMG_0001.jpg")))["photos"]
    assert again["stored_at"] == [str(photo)] and other["stored_at"] == []
    assert [Path(uri).name for uri in copied["stored_at"]] == ["copy of a photo.jpg"]
    assert all(n["photo"] != str(photo) for face in again["faces"] for n in face["nearest"])
    told = CliRunner().invoke(main, ["match", str(tmp_path / "again.jpg"), "--store", store]).stdout
    assert f"  in the store already: {photo}\n" in told


def test_photos_of_a_store_by_their_bytes(tmp_path: Path) -> None:
    """Two files show one picture, the second with other metadata: its faces are those of the first. One file can't be read."""
    store = Store(str(tmp_path / "store"))
    store.create()
    ids = [c * 64 for c in "abc"]
    columns = {
        "photo_id": [ids[0], ids[1], ids[2], ids[0]], "content": [ids[0], ids[1], ids[2], ids[0]], "picture": ["x", "x", None, "x"],
        "uri": ["/p/a (1).jpg", "/p/b.jpg", "/p/c.jpg", "/p/long/a.jpg"], "size": [9] * 4, "mtime_ns": [0] * 4, "format": ["JPEG"] * 4,
        "width": [9] * 4, "height": [9] * 4, "orientation": [1] * 4, "taken_at": [None] * 4, "phash": np.zeros(4, np.uint64),
        "faces": [0] * 4, "error": [None, None, "damaged", None],
    }  # fmt: skip
    store.write("photos", "00000", table_of(PHOTOS, columns), {"table": "photos"})
    stored = StoredPhotos(store)
    for content in ids[:2]:
        found = stored.find(content)
        assert found is not None and (found.photo_id, found.uris) == (ids[0], ["/p/b.jpg", "/p/long/a.jpg", "/p/a (1).jpg"])
    assert stored.find(ids[2]) is None and stored.find("d" * 64) is None


def test_a_photo_that_is_none_is_a_row_and_exit_1_only_if_all_are(demo: tuple[str, Path], tmp_path: Path) -> None:
    store, new = demo
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    good = str(sorted(new.iterdir())[0])
    rows = matched(store, str(tmp_path / "bad.jpg"), good)["photos"]
    assert [bool(r["error"]) for r in rows] == [True, False]
    assert CliRunner().invoke(main, ["match", str(tmp_path / "bad.jpg"), "--store", store]).exit_code == 1


def test_verify(demo: tuple[str, Path], tmp_path: Path) -> None:
    _, new = demo
    photo = str(next(p for p in sorted(new.iterdir()) if len(matched(demo[0], str(p))["photos"][0]["faces"]) == 1))

    def verify(a: str, b: str, code: int) -> dict[str, Any]:
        result = CliRunner().invoke(main, ["verify", a, b, "--json"])
        assert result.exit_code == code, result.output
        return dict(json.loads(result.stdout))

    same = verify(photo, photo, 0)
    assert same["cosine"] == pytest.approx(1) and same["probability"] > 0.95 and "very likely the same person" in same["words"]
    assert same["boxes"][0] == same["boxes"][1]
    others = [str(p) for p in sorted(new.iterdir()) if "other" in p.name]
    found = [CliRunner().invoke(main, ["verify", photo, p, "--json"]) for p in others]
    said = [(r.exit_code, json.loads(r.stdout)["probability"]) for r in found if r.exit_code < 2]  # 2: no face found
    assert len(said) > len(others) / 2 and all(code == (p < 0.5) and p < 0.95 for code, p in said) and 1 in [code for code, _ in said]
    Image.new("RGB", (64, 64), "white").save(tmp_path / "blank.png")
    assert verify(photo, str(tmp_path / "blank.png"), 2)["cosine"] is None
    result = CliRunner().invoke(main, ["verify", photo, str(tmp_path / "none.jpg")])
    assert result.exit_code == 2 and "none.jpg" in result.stderr and result.stderr.count("\n") == 1


def test_a_store_of_another_model_is_refused(demo: tuple[str, Path], tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    shutil.copytree(demo[0], store.url)
    shard = store.shards("embeddings/bundled")[0]
    stamp = store.stamp("embeddings/bundled", shard)
    assert stamp is not None
    store.write("embeddings/bundled", shard, store.read("embeddings/bundled", shard), stamp | {"weights": "0" * 64})
    result = CliRunner().invoke(main, ["match", str(demo[1]), "--store", store.url])
    assert result.exit_code == 1 and "expected vectors of the model" in result.stderr and result.stderr.count("\n") == 1
