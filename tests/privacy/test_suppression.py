"""New photos of forgotten people: they come in as new people, or the user is told, or they are forgotten again, as chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from people_store import add, call, people, refused

from facecluster.check import check
from facecluster.known.suppression import keep_out
from facecluster.people import people_with_current_names
from facecluster.people.suppressed import VECTORS, people_not_suppressed, read_suppressed, suppress
from facecluster.store import Store

SIZES = (14, 12, 10, 9)


@pytest.fixture
def store(tmp_path: Path) -> tuple[Store, np.ndarray, np.ndarray]:
    """A grouped store with the first half of each person's faces, the largest named Ada; and the faces of the other half."""
    store = Store(str(tmp_path / "store"))
    store.create()
    vectors, truth = people([2 * s for s in SIZES], noise=0.5)
    early = np.concatenate([np.flatnonzero(truth == t)[: SIZES[t]] for t in range(len(SIZES))])
    add(store, "00000", vectors[early])
    call("cluster", store.url)
    for person, name in zip(list(now(store)), ("Ada", "Bob"), strict=False):  # by falling size
        call("name", store.url, person, name)
    late = np.setdiff1d(np.arange(len(truth)), early)
    return store, vectors[late], truth[late]


def grow(store: Store, vectors: np.ndarray) -> None:
    add(store, "00001", vectors, start=500)


def now(store: Store) -> dict[str, int]:
    """Faces of each person, by name or id."""
    known = people_with_current_names(store)
    assert known is not None
    who = zip(known[0].names, known[0].person_ids, known[0].faces, strict=True)
    return {name or person: faces for name, person, faces in who}


def test_a_person_who_is_to_be_dropped_does_not_come_back(store: tuple[Store, np.ndarray, np.ndarray]) -> None:
    place, vectors, truth = store
    said = call("forget", place.url, "Ada", "--yes", "--new-photos", "drop")
    assert f"{VECTORS} vectors are kept" in said.output
    found = read_suppressed(place, "bundled")
    assert found is not None and len(found.known.vectors) == VECTORS and set(found.choices.values()) == {"drop"}
    rows = pq.read_table(place.shard_path("suppressed/bundled", "00000"))
    assert rows.column_names == ["person", "choice", "embedding"] and b"Ada" not in repr(rows.to_pydict()).encode()
    grow(place, vectors)
    said = call("cluster", place.url)
    assert f"{SIZES[0]} faces on new photos of 1 forgotten person: forgotten again" in said.stderr
    assert now(place)["Bob"] == 2 * SIZES[1] and sorted(now(place).values()) == [2 * s for s in sorted(SIZES[1:])]
    call("cluster", place.url, "--full")
    assert sorted(now(place).values()) == [2 * s for s in sorted(SIZES[1:])]
    assert {f.path.partition("/")[0] for f in check(place).findings} == {"faces"}  # of which this store has vectors alone


def test_a_person_who_is_to_be_asked_about_is_named_until_the_user_answers(store: tuple[Store, np.ndarray, np.ndarray]) -> None:
    place, vectors, truth = store
    call("forget", place.url, "Ada", "--yes", "--new-photos", "ask")
    grow(place, vectors)
    for _ in range(2):
        said = call("cluster", place.url).stderr
        assert "someone whom you had forgotten" in said and "--yes' forgets them again" in said
        assert said.count("someone whom you had forgotten") == 1
    again = next(person for person, faces in now(place).items() if faces == SIZES[0])
    assert again in said
    call("name", place.url, again, "Ada, who agreed")
    assert "whom you had forgotten" not in call("cluster", place.url).stderr


def test_vectors_of_other_weights_are_told_and_never_mixed(store: tuple[Store, np.ndarray, np.ndarray]) -> None:
    """A promise that a change of the model ends is not ended silently."""
    place, vectors, _ = store
    call("forget", place.url, "Ada", "--yes", "--new-photos", "drop")
    assert "can't be known again" not in call("cluster", place.url).stderr
    for shard in place.shards("embeddings/bundled"):  # the weights have changed
        place.write("embeddings/bundled", shard, place.read("embeddings/bundled", shard), {"table": "embeddings", "weights": "others"})
    assert people_not_suppressed(place, "bundled") == (1, ["bundled"]) and people_not_suppressed(place, "other") == (1, ["bundled"])
    said = " ".join(keep_out(place))
    assert "1 forgotten person can't be known again in this grouping with bundled: their vectors are of other weights of bundled" in said
    assert suppress(place, "bundled", "b" * 32, "drop", vectors[:2].astype(np.float16)) == 2
    found = read_suppressed(place, "bundled")
    assert found is not None and found.known.names == ["b" * 32] * 2 and people_not_suppressed(place, "bundled") == (0, [])


def test_without_the_choice_nothing_is_kept_and_a_choice_can_be_ended(store: tuple[Store, np.ndarray, np.ndarray]) -> None:
    place, vectors, truth = store
    call("forget", place.url, "Bob", "--yes")
    assert read_suppressed(place, "bundled") is None and not (Path(place.root) / "suppressed").exists()
    call("forget", place.url, "Ada", "--yes", "--new-photos", "drop")
    assert "nothing is changed" in call("forget", place.url, "--end-suppression").stderr
    assert read_suppressed(place, "bundled") is not None
    assert f"{VECTORS} vectors" in call("forget", place.url, "--end-suppression", "--yes").output
    assert read_suppressed(place, "bundled") is None
    grow(place, vectors)
    assert "forgotten" not in call("cluster", place.url).stderr
    assert SIZES[0] in now(place).values() and len(now(place)) == len(SIZES)


def test_what_can_not_be_known_again_is_refused(store: tuple[Store, np.ndarray, np.ndarray]) -> None:
    place = store[0]
    assert "a person who has a group" in refused("forget", place.url, "/photos/3.jpg", "--yes", "--new-photos", "drop")
    assert "alone" in refused("forget", place.url, "Ada", "--end-suppression", "--yes")
