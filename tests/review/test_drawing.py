"""Faces that the user draws: the row, the vector, names, undo, new groupings, edited photos, new tables, forgetting and check."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from missed_face import Missed, missed_face
from people_store import call
from PIL import Image
from sessions import close_sessions, session_of

from facecluster.check import check
from facecluster.decisions import Decision, active, append, read
from facecluster.errors import InputError, PhotoError
from facecluster.faces.detect import DetectConfig
from facecluster.faces.draw import USUAL, face_in_box
from facecluster.geometry import iou
from facecluster.people import read_current_people
from facecluster.photos.drawn import FIRST, drawn_faces, is_drawn
from facecluster.photos.images import decode_crop
from facecluster.photos.places import current_photos
from facecluster.review import api
from facecluster.review.session import Session
from facecluster.store import FACES, Store, in_schema


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Missed:
    return missed_face(tmp_path_factory.mktemp("missed"))


@pytest.fixture
def missed(made: Missed, tmp_path: Path) -> Missed:
    """A copy of the store; the photos stay where they are."""
    shutil.copytree(made.store.url, tmp_path / "store")
    return Missed(Store(str(tmp_path / "store")), *(getattr(made, name) for name in list(Missed.__dataclass_fields__)[1:]))


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_sessions()


def row_of(store: Store, face: str) -> dict[str, Any]:
    return next(row for row in in_schema(FACES, store.read_all("faces", FACES)).to_pylist() if row["face_id"] == face)


def draw(missed: Missed, box: np.ndarray | None = None) -> tuple[Session, str]:
    """Draw a loose box around the missed face; gives its face_id."""
    session = session_of(missed.store)
    x, y, w, h = missed.box if box is None else box
    loose = np.array([x - 0.1 * w, y - 0.05 * h, 1.15 * w, 1.1 * h])
    answer = api.act(session, {"act": "draw", "photo": missed.photo, "box": missed.shares(loose)})
    assert [d["act"] for d in answer["made"]] == ["draw"]
    return session, answer["made"][0]["face"]


def people_of(store: Store) -> dict[str, str]:
    """The lasting id of each face's person; '' = nobody."""
    known, _, _ = read_current_people(store)
    return {f: known.people.person_ids[i] if i >= 0 else "" for f, i in zip(known.faces.ids, known.faces.identity.tolist(), strict=True)}


def test_a_drawn_face_is_the_one_that_a_detector_would_have_found(missed: Missed) -> None:
    session, face = draw(missed)
    row = row_of(missed.store, face)
    assert row["origin"] == "drawn" and int(face[-4:], 16) >= FIRST and face[:24] == missed.photo[:24] and is_drawn([face]).all()
    side = missed.box[2:].max()
    assert iou(np.array([row["box"]]), missed.box[None])[0, 0] > 0.75
    assert np.abs(np.array(row["landmarks"]).reshape(5, 2) - missed.landmarks).max() < 0.08 * side
    assert decode_crop(row["crop"]).shape == (112, 112, 3) and row["score"] == 1 and 0 < row["quality"] <= 1
    shown = api.photo(session, {"id": missed.photo})
    assert face in [f["id"] for f in shown["faces"]] and shown["faces"][0]["box"]
    assert face in [f["id"] for f in api.nobody(session, {})["faces"]]
    with pytest.raises(InputError, match="one that is: choose its mark"):
        draw(missed)


def test_it_is_suggested_grouped_named_and_survives_runs(missed: Missed) -> None:
    session, face = draw(missed)
    mate = missed.mates[0]
    person = people_of(missed.store)[mate]
    found = api.suggestions(session, {"id": person})
    assert face in [s["face"]["id"] for s in found["suggestions"]], "its vector is there at once"
    while (asked := session.questions()) is None:
        time.sleep(0.05)
    assert "no questions" not in asked.pairs.note, "the links are of the faces before it was drawn"
    call("cluster", missed.store.url)
    assert people_of(missed.store)[face] == people_of(missed.store)[mate] != ""
    session = session_of(missed.store)
    session.act({"act": "give", "name": "Someone else", "faces": [face]})
    before = missed.store.read_all("faces", FACES)
    again = call("run", str(missed.photos), "-o", missed.store.url)
    assert "0 photos looked at" in again.stderr and missed.store.read_all("faces", FACES).equals(before)
    assert people_of(missed.store)[face] != people_of(missed.store)[mate]
    assert not [finding for finding in check(missed.store).findings if finding.serious]


def test_undo_takes_it_out_and_undoing_that_brings_it_back(missed: Missed) -> None:
    session, face = draw(missed)
    call("cluster", missed.store.url)
    drawing = next(d for d in active(read(missed.store).decisions) if d.act == "draw")
    api.act(session, {"act": "undo", "of": drawing.id})
    assert face not in session.view().run_data.rows and not len(drawn_faces(missed.store))
    assert not list(Path(missed.store.url).glob("*/**/part-drawn-*"))
    undo = read(missed.store).decisions[-1]
    call("undo", missed.store.url, undo.id)
    session_of(missed.store).view()
    assert face in session.view().run_data.rows
    call("undo", missed.store.url, drawing.id)
    call("cluster", missed.store.url)
    assert face not in people_of(missed.store) and not len(drawn_faces(missed.store))


def test_new_tables_get_it_again(missed: Missed) -> None:
    """All that was detected is thrown away: the journal says where the face was. Where the detector finds it now, it is that one."""
    session, face = draw(missed)
    session.act({"act": "give", "name": "Ann", "faces": [face, *[f for f in missed.mates[:1]]]})
    drawn = drawn_faces(missed.store)["box"].to_pylist()[0]
    for shard in missed.store.shards("faces"):
        if shard.startswith("drawn"):
            for table in ("faces", "embeddings/bundled"):
                missed.store.fs.rm_file(missed.store.shard_path(table, shard))
    call("embed", str(missed.photos), "-o", missed.store.url)
    assert np.allclose(row_of(missed.store, face)["box"], drawn, atol=0.2)
    for table in ("faces", "photos", "files", "embeddings"):
        shutil.rmtree(Path(missed.store.url) / table)
    call("run", str(missed.photos), "-o", missed.store.url)  # this detector misses nothing
    assert not len(drawn_faces(missed.store)) and missed.face in people_of(missed.store)
    known, _, _ = read_current_people(missed.store)
    assert known.people.names[known.faces.identity[known.faces.rows[missed.face]]] == "Ann"


@pytest.mark.parametrize("edit", ["smaller", "turned"])
def test_it_follows_its_photo_when_that_is_edited(missed: Missed, tmp_path: Path, edit: str) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(missed.photos, photos)
    shutil.rmtree(missed.store.url)
    path = photos / Path(missed.uri).relative_to(missed.photos)
    call("run", str(photos), "-o", missed.store.url)
    for table in ("faces", "embeddings/bundled"):
        data = missed.store.read(table, "00000")
        keep = [face != missed.face for face in data["face_id"].to_pylist()]
        missed.store.write(table, "00000", data.filter(keep), missed.store.stamp(table, "00000") or {})
    call("cluster", missed.store.url, "--full")
    session, face = draw(missed)
    session.act({"act": "give", "name": "Ann", "faces": [face, missed.mates[0]]})
    call("cluster", missed.store.url)
    with Image.open(path) as image:
        upright = image.convert("RGB")
    scale = 0.8 if edit == "smaller" else 1.0
    new = upright.resize((round(upright.width * scale), round(upright.height * scale)))
    (new if edit == "smaller" else new.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).save(path, quality=92)
    call("embed", str(photos), "-o", missed.store.url)
    there = next(row["photo_id"] for row in current_photos(missed.store, ["uri", "photo_id"]).to_pylist() if row["uri"] == str(path))
    rows = [r for r in in_schema(FACES, missed.store.read_all("faces", FACES)).to_pylist() if r["photo_id"] == there != missed.photo]
    again = next(r for r in rows if iou(np.array([r["box"]]), laid(missed, edit, scale, upright.width)[None])[0, 0] > 0.5)
    for table in ("faces", "embeddings/bundled"):  # missed in the edited photo too
        for shard in missed.store.shards(table):
            data = missed.store.read(table, shard)
            keep = [f != again["face_id"] for f in data["face_id"].to_pylist()]
            missed.store.write(table, shard, data.filter(keep), missed.store.stamp(table, shard) or {})
    call("cluster", missed.store.url)
    carried = [r for r in drawn_faces(missed.store).to_pylist() if r["photo_id"] == again["photo_id"]]
    assert len(carried) == 1 and iou(np.array([carried[0]["box"]]), np.array([again["box"]]))[0, 0] > 0.6
    marks = np.array(row_of(missed.store, carried[0]["face_id"])["landmarks"]).reshape(5, 2)
    assert np.abs(marks - np.array(again["landmarks"]).reshape(5, 2)).max() < 0.12 * again["box"][2]
    known, _, _ = read_current_people(missed.store)
    assert known.people.names[known.faces.identity[known.faces.rows[carried[0]["face_id"]]]] == "Ann"
    call("undo", missed.store.url, next(d.id for d in read(missed.store).decisions if d.act == "draw"))
    call("cluster", missed.store.url)
    assert not len(drawn_faces(missed.store))


def laid(missed: Missed, edit: str, scale: float, width: int) -> np.ndarray:
    """The missed face's box in the edited photo."""
    x, y, w, h = missed.box * scale
    return np.array([x, y, w, h] if edit == "smaller" else [width - x - w, y, w, h])


def test_forgetting_takes_the_drawing_too(missed: Missed) -> None:
    session, face = draw(missed)
    session.act({"act": "give", "name": "Ann", "faces": [face, *missed.mates[:1]]})
    crop = row_of(missed.store, face)["crop"]
    call("cluster", missed.store.url)
    call("forget", missed.store.url, face, "--yes")
    left = [p for p in Path(missed.store.url).rglob("*") if p.is_file() and (face.encode() in p.read_bytes() or crop in p.read_bytes())]
    assert left == []
    assert not [d for d in read(missed.store).decisions if d.act == "draw"], "no other face may take its place in it"
    call("embed", str(missed.photos), "-o", missed.store.url)
    assert not len(drawn_faces(missed.store))
    with pytest.raises(InputError, match="was forgotten"):
        draw(missed)


def test_forgetting_who_was_drawn_since_the_last_grouping(missed: Missed) -> None:
    """The page showed the drawn face as the person's, and it stayed in the store."""
    session, face = draw(missed)
    session.act({"act": "same", "faces": [face, missed.mates[0]]})
    view = session.view()
    person = view.current.people.person_ids[int(view.current.faces.identity[view.run_data.rows[face]])]
    crop = row_of(missed.store, face)["crop"]
    wanted = session.forget({"act": "forget", "person": person})["confirm"]
    found = session.forget({"act": "forget", "person": person, "confirm": wanted})
    assert found["forgotten"]["faces"] == len(missed.mates) + 1 and not len(drawn_faces(missed.store))
    left = [p for p in Path(missed.store.url).rglob("*") if p.is_file() and (face.encode() in p.read_bytes() or crop in p.read_bytes())]
    assert left == []


def test_a_store_in_use_gets_the_face_afterwards(missed: Missed) -> None:
    session = session_of(missed.store)
    with missed.store.lock():
        answer = api.act(session, {"act": "draw", "photo": missed.photo, "box": missed.shares(missed.box)})
        assert answer["made"][0]["face"] == "" and "is done" in answer["notes"][0] and not len(drawn_faces(missed.store))
    session._drawn._tried_at = 0.0
    session.view()
    face = read(missed.store).decisions[-1].faces[0]
    assert face in session.view().run_data.rows and drawn_faces(missed.store)["face_id"].to_pylist() == [face]


@pytest.mark.parametrize("by", ["review", "cluster"])
def test_vectors_that_a_stop_left_out_are_made(missed: Missed, by: str) -> None:
    """Killed, or on a full disk, after the row of the face and before its vector: it was in no grouping until the next run."""
    session, face = draw(missed)
    table = "embeddings/bundled"
    shard = next(s for s in missed.store.shards(table) if s.startswith("drawn-"))
    before = missed.store.read(table, shard)
    Path(missed.store.shard_path(table, shard)).unlink()
    if by == "review":
        session_of(missed.store)
    else:
        call("cluster", missed.store.url)
        assert face in people_of(missed.store)
    assert missed.store.read(table, shard).equals(before) and missed.store.stamp(table, shard) == missed.store.stamp(table, "00000")


def test_a_face_that_waits_for_its_row_is_not_drawn_twice(missed: Missed) -> None:
    session, request = session_of(missed.store), {"act": "draw", "photo": missed.photo, "box": missed.shares(missed.box)}
    with missed.store.lock():
        api.act(session, request)
        with pytest.raises(InputError, match="not marked yet"):
            api.act(session, request)
    first = read(missed.store).decisions[-1]
    other = f"{first.faces[0][:-4]}{int(first.faces[0][-4:], 16) ^ 1:04x}"
    append(missed.store, [Decision(act="draw", faces=(other,), boxes={other: first.boxes[first.faces[0]]})])  # as another program would
    session._drawn._tried_at = 0.0
    session.view()
    assert drawn_faces(missed.store)["face_id"].to_pylist() == [first.faces[0]]


def test_of_two_requests_at_once_one_draws(missed: Missed, monkeypatch: pytest.MonkeyPatch) -> None:
    session, request = session_of(missed.store), {"act": "draw", "photo": missed.photo, "box": missed.shares(missed.box)}
    look = session._drawn.face

    def slower(*given: Any) -> Any:
        found = look(*given)
        monkeypatch.setattr(session._drawn, "face", look)
        api.act(session, request)
        return found

    monkeypatch.setattr(session._drawn, "face", slower)
    with pytest.raises(InputError, match="not marked yet"):
        api.act(session, request)
    assert len([d for d in read(missed.store).decisions if d.act == "draw"]) == len(drawn_faces(missed.store)) == 1


def test_without_a_face_in_the_box_the_usual_landmarks_do(missed: Missed, tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    Image.new("RGB", (900, 600), (120, 120, 120)).save(path)
    photo = {"photo_id": "a" * 64, "uri": str(path), "orientation": 1, "turn": None}
    for turn, at in ((0, lambda p: p), (90, lambda p: np.stack([p[:, 1], 1 - p[:, 0]], axis=1)), (180, lambda p: 1 - p)):
        row = face_in_box({**photo, "turn": turn}, [300, 150, 120, 120], "a" * 24 + "-8000", DetectConfig(), device="cpu")
        assert np.allclose(row["box"], [300, 150, 120, 120], atol=1)
        marks = (np.array(row["landmarks"]).reshape(5, 2) - [300, 150]) / 120
        assert np.allclose(marks, at(USUAL), atol=0.02)


def test_bad_boxes_are_refused(missed: Missed) -> None:
    session = session_of(missed.store)
    bad: list[tuple[Any, str]] = [
        (None, "four numbers"), ([0.1, 0.1, 0.1], "four numbers"), ([0, 0, float("nan"), 1], "four numbers"), (["a"] * 4, "four numbers"),
        ([0.5, 0.5, 0.0001, 0.0001], "smaller"), ([2, 2, 1, 1], "smaller"),
    ]  # fmt: skip
    for box, why in bad:
        with pytest.raises(InputError, match=why):
            session.act({"act": "draw", "photo": missed.photo, "box": box})
    with pytest.raises(InputError, match="no more"):
        session.act({"act": "draw", "photo": "f" * 64, "box": [0.1, 0.1, 0.2, 0.2]})
    place = Path(missed.uri)
    away = place.rename(place.with_suffix(".away"))
    try:
        with pytest.raises(PhotoError):
            session.act({"act": "draw", "photo": missed.photo, "box": missed.shares(missed.box)})
    finally:
        away.rename(place)
    assert not [d for d in read(missed.store).decisions if d.act == "draw"]


def test_the_line_of_the_journal(missed: Missed) -> None:
    session, face = draw(missed)
    line = json.loads((Path(missed.store.url) / "decisions.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert (line["act"], line["faces"], list(line["boxes"])) == ("draw", [face], [face])
    assert np.allclose(line["boxes"][face], row_of(missed.store, face)["box"], atol=0.06)
