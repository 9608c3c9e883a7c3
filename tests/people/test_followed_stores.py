"""Photos edited between runs: what was said of their faces stays, and only likely pairs of photos are laid over each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from people_store import add_boxes, call, people, photo_id

import facecluster
from facecluster.decisions import read, replay
from facecluster.errors import InputError
from facecluster.evaluation.ground_truth import read_answers
from facecluster.evaluation.photo_lookup import Library
from facecluster.people import follow, read_current_people
from facecluster.people.current_people import CurrentPeople
from facecluster.people.edited_photos import match_photos
from facecluster.people.runs import Faces, People, current_run, read_faces
from facecluster.photos.followed import FOLLOWED_TABLE
from facecluster.photos.places import gone_places, write_gone_places
from facecluster.review.session import Session
from facecluster.store import FOLLOWED, PHOTOS, Store, embeddings_schema, table_of


def look_at(store: Store, shard: str, photos: Sequence[int], uris: Sequence[str], vectors: NDArray[np.floating] | None = None) -> list[str]:
    """Rows of photos that lie at `uris` now; with `vectors`, they are new, with a face each. Gives the face_ids."""
    n = len(uris)
    columns: dict[str, list[object]] = {name: [None] * n for name in PHOTOS.names}
    ids = [photo_id(i) for i in photos]
    facts = {"size": 1, "mtime_ns": int(shard), "format": "JPEG", "width": 1200, "height": 900, "orientation": 1, "faces": 1}
    columns |= {name: [value] * n for name, value in facts.items()}
    columns |= {"photo_id": ids, "content": ids, "picture": ids, "uri": list(uris), "phash": [i * 7919 for i in photos]}
    store.write("photos", shard, table_of(PHOTOS, columns), {"table": "photos"})
    faces = [f"{photo[:24]}-0000" for photo in ids]
    if vectors is not None:
        rows = {"face_id": faces, "embedding": vectors.astype(np.float16)}
        store.write("embeddings/bundled", shard, table_of(embeddings_schema(vectors.shape[1]), rows), {"table": "embeddings"})
        add_boxes(store, shard, faces, np.tile([300.0, 200, 150, 150], (n, 1)))
    return faces


def test_what_is_said_of_an_edited_photo_stays_when_the_edit_is_undone(tmp_path: Path) -> None:
    """A split, a name and an ignoring of faces while their photos were edited; the old files come back, and the edited ones again."""
    store = Store(str(tmp_path / "store"))
    store.create()
    vectors, truth = people([8, 8, 8], noise=0.5)
    photos, uris = np.arange(24), [f"/photos/{i}.jpg" for i in range(24)]
    old = look_at(store, "00000", photos.tolist(), uris, vectors)
    call("cluster", store.url)
    for number in range(3):
        call("name", store.url, old[8 * number], f"Person {number}")
    call("cluster", store.url)
    new = look_at(store, "00001", (photos + 100).tolist(), uris, vectors)
    assert "from the start" not in call("cluster", store.url).output  # the vectors are the same

    def of(faces: Sequence[str]) -> list[tuple[str, str | None, bool] | None]:
        run = current_run(store)
        assert run is not None
        ids = read_faces(store, run).ids
        assert list(ids) == sorted(faces)
        groups = dict(zip(ids, read_faces(store, run).identity.tolist(), strict=True))
        table = read_current_people(store)[0].people
        rows = dict(enumerate(zip(table.person_ids, table.names, table.ignored, strict=True)))
        return [rows.get(groups[face]) for face in faces]

    call("split", store.url, new[0], new[1])
    call("name", store.url, new[8], "Renamed")
    call("ignore", store.url, new[16])
    call("cluster", store.url)
    said = of(new)
    assert said[1] != said[0] and said[8] is not None and said[8][1] == "Renamed" and said[16] is not None and said[16][2]
    call("cluster", store.url, "--return-to", "2")
    assert None not in of(new)  # the run was made before the edit
    call("cluster", store.url)
    assert of(new) == said
    for shard, there, faces in (("00002", photos, old), ("00003", photos + 100, new), ("00004", photos, old)):
        look_at(store, shard, there.tolist(), uris)
        call("cluster", store.url)
        assert of(faces) == said


def edited_store(folder: Path) -> tuple[Store, list[str], list[str]]:
    """A grouped store of three people with eight photos each, which were then edited; the face_ids before and after."""
    store = Store(str(folder / "store"))
    store.create()
    vectors, _ = people([8, 8, 8], noise=0.5)
    uris = [f"/photos/{i}.jpg" for i in range(24)]
    old = look_at(store, "00000", range(24), uris, vectors)
    call("cluster", store.url)
    new = look_at(store, "00001", range(100, 124), uris, vectors)
    call("cluster", store.url)
    return store, old, new


def test_an_edited_photo_that_is_edited_and_moved_is_followed_from_the_edit(tmp_path: Path) -> None:
    """Its first state is as like it, but is not what people saw last: what was said since would be lost, and its place count on."""
    store, old, new = edited_store(tmp_path)
    call("split", store.url, new[0], new[1])
    call("cluster", store.url)
    vectors, _ = people([8, 8, 8], noise=0.5)
    write_gone_places(store, {f"/photos/{i}.jpg": False for i in range(24)})
    moved = look_at(store, "00002", range(200, 224), [f"/moved/{i}.jpg" for i in range(24)], vectors)
    call("cluster", store.url)
    followed = store.read_all("followed", FOLLOWED).to_pylist()
    assert [(row["old"], row["new"]) for row in followed[24:]] == sorted(zip(new, moved, strict=True))
    assert gone_places(store) == {f"/photos/{i}.jpg": True for i in range(24)}
    known, run, _ = read_current_people(store)
    assert known.faces.ids == sorted(moved)
    assert known.find(moved[0]) == known.find(old[0]) != known.faces.identity[known.face_row(old[1])] == -1


def test_a_face_is_meant_by_its_id_from_before_its_photo_was_edited(tmp_path: Path) -> None:
    """In every command, on the page, in the API; what is written down has the ids of now."""
    store, old, new = edited_store(tmp_path)
    call("name", store.url, old[0], "Ann")
    call("merge", store.url, new[8], old[16])
    call("ignore", store.url, old[16])
    call("same", store.url, old[0], new[2])
    call("not-same", store.url, old[0], old[8], new[0])  # the first and the last are one face
    call("split", store.url, old[0], old[4], new[5])
    (tmp_path / "split.csv").write_text(f"person,face_id\n{old[0]},{old[6]}\n")
    call("split", store.url, "--csv", str(tmp_path / "split.csv"))
    decisions = read(store).decisions
    assert {face for d in decisions for face in (*d.faces, *d.others)} <= {*new}
    assert [set(d.faces) for d in decisions[3:]] == [{new[0], new[2]}, {new[0], new[8]}, {new[4], new[5]}, {new[6]}]
    with pytest.raises(InputError, match="expected two or more faces, found 1"):
        read_current_people(store)[0].link("same", [old[0], new[0]])
    call("cluster", store.url)
    opened = facecluster.open(store.url)
    assert opened.person(old[0]).name == "Ann" and opened.person(old[16]).ignored and opened.face(old[5]).id == new[5]
    shown = call("show", store.url, old[0], "--json").output
    assert shown == call("show", store.url, "Ann", "--json").output and "/photos/0.jpg" in shown  # listed as gone: there are no files
    with pytest.raises(InputError, match="no face_id of the store"):
        opened.person(f"{photo_id(999)[:24]}-0000")
    session = Session(store)
    try:
        assert session.act({"act": "same", "faces": [old[1], old[9]]})[0].faces == (new[1], new[9])
        given = session.act({"act": "give", "person": opened.person("Ann").id, "faces": [old[9]]})
        assert {face for d in given for face in d.faces} <= {*new}
    finally:
        session.close()
    answers = tmp_path / "answers.csv"
    answers.write_text("face_id,person\n" + "".join(f"{face},{i // 8}\n" for i, face in enumerate(old)))
    truth = read_answers(str(answers), Library(store))
    assert sorted(truth.faces) == sorted(new) and not truth.left_out


def test_a_face_is_meant_in_all_edited_copies_of_its_photo() -> None:
    faces = Faces(["b", "c", "d", "e"], np.zeros(4, np.int64), np.ones(4), np.full((4, 4), np.nan))
    current = CurrentPeople(People(["p-00000000"], [None], [4], [False]), faces, replay([]), {"a": ["b", "c"]})
    assert current.split(0, ["a"]).faces == ("b", "c")
    assert current.link("same", ["a", "d"]).faces == ("b", "c", "d")
    assert current.link("not-same", ["a", "d"]).faces == ("b", "d")


def fail_at(table: str, write: Callable[..., None]) -> Callable[..., None]:
    """Store.write, stopped at one table."""

    def stopped(store: Store, name: str, *arguments: object) -> None:
        if name == table:
            raise KeyboardInterrupt
        write(store, name, *arguments)

    return stopped


def test_few_photos_are_laid_over_each_other_however_many_files_have_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All photos are named image.jpg, were edited, and lie in renamed folders; a run that is stopped loses nothing."""
    store = Store(str(tmp_path / "store"))
    store.create()
    vectors, _ = people([10] * 15)
    places = [f"/photos/{i}/image.jpg" for i in range(150)]
    old = look_at(store, "00000", range(150), places, vectors)
    call("cluster", store.url)
    write_gone_places(store, dict.fromkeys(places, False))
    new = look_at(store, "00001", range(200, 350), [f"/photos/new {i}/image.jpg" for i in range(150)], vectors)
    monkeypatch.setattr(Store, "write", fail_at(FOLLOWED_TABLE, Store.write))
    with pytest.raises(KeyboardInterrupt):
        follow.follow_faces(store, store, "embeddings/bundled")
    monkeypatch.undo()
    tried = []
    monkeypatch.setattr(follow, "match_photos", lambda *a: tried.append(a) or match_photos(*a))
    assert follow.follow_faces(store, store, "embeddings/bundled") == 150
    assert len(tried) <= 2 * 150
    assert gone_places(store) == dict.fromkeys(places, True)
    pairs = store.read_all("followed", FOLLOWED)
    assert dict(zip(pairs["old"].to_pylist(), pairs["new"].to_pylist(), strict=True)) == dict(zip(old, new, strict=True))
