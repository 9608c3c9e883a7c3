"""`facecluster.open`: tables and objects say what the store holds, and nothing is written."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner
from conftest import need
from jobs import small_photos
from PIL import Image

import facecluster
from facecluster import Collection
from facecluster.cli import main
from facecluster.store import Store


def call(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store whose first person is called Ada."""
    folder = tmp_path_factory.mktemp("store")
    facecluster.run(small_photos(folder, 14), folder / "store", report=False)
    person = facecluster.open(folder / "store").person(1)
    call("name", str(folder / "store"), person.id, "Ada Lovelace")
    return str(folder / "store")


@pytest.fixture
def opened(store: str) -> Collection:
    return facecluster.open(store)


def content(folder: str) -> dict[str, tuple[int, bytes]]:
    files = [p for p in Path(folder).rglob("*") if p.is_file()]
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in files}


def test_it_stays_the_same_store_when_the_process_works_elsewhere(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each table was looked for in the new folder: 'never grouped', 'no vectors', 'changed since'."""
    monkeypatch.chdir(Path(store).parent)
    opened = facecluster.open("store")
    place = opened.photos["uri"][0].as_py()
    monkeypatch.chdir(tmp_path)
    assert opened.people.num_rows and len(opened.vectors()[0]) == opened.faces.num_rows
    assert opened.person(1).faces[0].crop().size == (112, 112) and opened.url == store
    monkeypatch.chdir(Path(place).parent)
    assert opened.photo(Path(place).name).uri == place == opened.photo(Path(place)).uri
    with pytest.raises(facecluster.ArgumentError):
        opened.photo(None)  # type: ignore[arg-type]


def test_the_tables_fit_together(opened: Collection, store: str) -> None:
    people, faces, photos = opened.people, opened.faces, opened.photos
    assert all(isinstance(t, pa.Table) for t in (people, faces, photos, opened.runs))
    found = faces.select(["face_id", "identity", "probability", "outlier_score", "recognisability"]).sort_by("face_id")
    assert found.equals(Store(store).read_all("identities/bundled", found.schema, found.schema.names).sort_by("face_id").cast(found.schema))
    clear = [face.recognisability for person in (1, 2) for face in opened.person(person).faces]
    assert all(c is not None and 0.5 <= c <= 1 for c in clear)
    assert "crop" not in faces.column_names and {"box", "landmarks", "score", "quality"} <= set(faces.column_names)
    for row in people.to_pylist():
        mine = faces.filter(pc.equal(faces["person_id"], row["person_id"]))
        assert (row["faces"], row["photos"]) == (mine.num_rows, len(set(mine["photo_id"].to_pylist())))
        assert row["probability"] == pytest.approx(pc.mean(mine["probability"]).as_py())
        assert set(mine["name"].to_pylist()) == {row["name"]} and set(mine["identity"].to_pylist()) == {row["identity"]}
    assert photos.num_rows == 14 and photos["error"].null_count == 13 and pc.sum(people["faces"]).as_py() <= faces.num_rows
    assert opened.runs["current"].to_pylist()[-1] and opened.runs["people"].to_pylist()[-1] == people.num_rows
    assert people["name"].to_pylist()[0] == "Ada Lovelace"


def test_a_person_is_found_by_name_id_number_and_face(opened: Collection) -> None:
    ada = opened.person("Ada Lovelace")
    ways = ("ada lovelace", "Ada", ada.id, 1, "1", np.int64(1), ada.faces[0].id)
    assert all(opened.person(way) == ada for way in ways) and ada.number == 1
    assert (ada.name, ada.label, ada.ignored) == ("Ada Lovelace", "Ada Lovelace", False)
    assert [p.number - 1 for p in opened] == opened.people["identity"].to_pylist() and len(opened) == opened.people.num_rows
    for wrong in ("Zed", 999, -1, ""):
        with pytest.raises(facecluster.InputError, match="expected a person"):
            opened.person(wrong)
    for odd in (1.5, None, True):
        with pytest.raises(facecluster.InputError, match="expected a name, an id .* or the number of a person, found"):
            opened.person(odd)  # type: ignore[arg-type]


def test_faces_and_photos_know_each_other(opened: Collection) -> None:
    for person in opened:
        chances = [face.probability for face in person.faces]
        assert chances == sorted(chances, reverse=True) and all(face.person == person for face in person.faces)
        assert {p.id for p in person.photos} == {face.photo.id for face in person.faces}
        dates = [p.taken_at for p in person.photos if p.taken_at]
        assert dates == sorted(dates)
    for row in opened.faces.to_pylist():
        face = opened.face(row["face_id"])
        assert (face.id, face.box, face.quality, face.score) == (row["face_id"], tuple(row["box"]), row["quality"], row["score"])
        assert face in face.photo.faces and face.landmarks.shape == (5, 2)
        assert (face.person is None) == (row["person_id"] is None)
    copied = opened.photo(next(uri for uri in opened.photos["uri"].to_pylist() if uri.endswith("97.jpg")))
    assert [Path(uri).name for uri in copied.uris] == ["05.jpg", "97.jpg"] and copied.uri == copied.uris[0]
    assert opened.photo(copied.uris[1]) == copied == opened.photo(Path(copied.uri))
    assert {person.id for person in copied.people} == {face.person.id for face in copied.faces if face.person}


def test_crops_and_photos_are_pictures(opened: Collection) -> None:
    """The crop from the store looks as the one cut out of the photo again."""
    for face in opened.person(1).faces[:3]:
        with face.photo.open() as photo:
            assert photo.size == (face.photo.width, face.photo.height)
            again = facecluster.align_faces(photo, face.landmarks[None])[0]
        crop = np.asarray(face.crop(), np.float64)
        assert crop.shape == (112, 112, 3) and np.abs(crop - again).mean() < 8
    vectors = facecluster.embed_faces([face.crop() for face in opened.person(1).faces])
    ids, stored = opened.vectors()
    rows = [int(np.flatnonzero(ids == face.id)[0]) for face in opened.person(1).faces]
    np.testing.assert_allclose(vectors, stored[rows], atol=2e-3)
    assert ids.tolist() == sorted(opened.faces["face_id"].to_pylist()) and stored.dtype == np.float32


def test_its_vectors_group_as_the_store_was_grouped(opened: Collection) -> None:
    ids, vectors = opened.vectors()
    found = facecluster.group(vectors, photos=[opened.face(i).photo.id for i in ids], crops=[opened.face(i).crop() for i in ids])
    identity = dict(zip(opened.faces["face_id"].to_pylist(), opened.faces["identity"].to_pylist(), strict=True))
    assert found.labels.tolist() == [identity[i] for i in ids]
    assert "<img" in found._repr_html_()


def test_a_notebook_shows_people(opened: Collection, store: str) -> None:
    assert f"{len(opened)} people" in repr(opened) and "Ada Lovelace" in opened._repr_html_()
    assert opened.person(1)._repr_html_().count("<img") == min(8, len(opened.person(1).faces))
    assert "'Ada Lovelace' (p-" in repr(opened.person(1)) and "of Ada Lovelace" in repr(opened.person(1).faces[0])
    assert "px>" in repr(opened.person(1).photos[0])


def test_names_are_escaped(store: str, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "copy")
    call("name", str(tmp_path / "copy"), "Ada Lovelace", "<b>Ada</b>")
    shown = facecluster.open(tmp_path / "copy")._repr_html_()
    assert "&lt;b&gt;Ada&lt;/b&gt;" in shown and "<b>Ada" not in shown


def test_nothing_is_written(store: str) -> None:
    before = content(store)
    opened = facecluster.open(store)
    assert repr(opened) and opened._repr_html_() and opened.runs.num_rows and opened.vectors()
    assert [face.crop() for person in opened for face in person.faces] and [p.open() for p in opened.person(1).photos]
    assert content(store) == before


def test_pandas_frames_or_one_clear_error(opened: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(facecluster.InputError, match="expected one of the tables people, faces, photos, runs, found 'names'"):
        opened.to_pandas("names")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(facecluster.InputError, match="expected the package pandas, found none"):
        opened.to_pandas("faces")
    monkeypatch.undo()
    need(importlib.util.find_spec("pandas") is not None, "pandas (PyPI)")
    assert opened.to_pandas("faces")["face_id"].tolist() == opened.faces["face_id"].to_pylist()
    assert opened.to_pandas("people")["name"][0] == "Ada Lovelace"


def test_a_store_that_was_never_grouped(store: str, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "bare", ignore=shutil.ignore_patterns("runs", "identities", "links"))
    bare = facecluster.open(tmp_path / "bare")
    assert bare.runs.num_rows == 0 and bare.faces["identity"].null_count == bare.faces.num_rows > 0 and len(bare.vectors()[0])
    face = bare.face(bare.faces["face_id"][0].as_py())
    assert face.person is None and face.crop() and "not grouped yet" in repr(bare) and bare._repr_html_()
    for ask in (lambda: bare.people, lambda: bare.person(1), lambda: list(bare)):
        with pytest.raises(facecluster.StoreError, match=r"expected a table identities/bundled .*: run 'facecluster cluster .*' first"):
            ask()


def test_a_store_without_faces_and_one_of_an_older_version(store: str, tmp_path: Path) -> None:
    Image.new("RGB", (80, 60), "grey").save(tmp_path / "blank.png")
    with pytest.raises(facecluster.InputError, match="expected faces in .*, found none in its photos"):
        facecluster.run(tmp_path / "blank.png", tmp_path / "blank")
    blank = facecluster.open(tmp_path / "blank")
    assert blank.faces.num_rows == 0 and blank.photos.num_rows == 1 and "0 faces, 1 photo>" in repr(blank)
    assert blank.photo(tmp_path / "blank.png").faces == []
    shutil.copytree(store, tmp_path / "old")
    old = Store(str(tmp_path / "old"))
    for shard in old.shards("faces"):
        old.write("faces", shard, old.read("faces", shard).drop_columns(["yaw"]), old.stamp("faces", shard) or {})
    opened = facecluster.open(old.url)
    assert opened.faces["yaw"].null_count == opened.faces.num_rows and opened.person(1).faces[0].crop()


def test_a_missing_store_photo_face_or_model_is_one_line(opened: Collection, store: str, tmp_path: Path) -> None:
    with pytest.raises(facecluster.StoreError, match="expected a store at .*nowhere, found none: make one with"):
        facecluster.open(tmp_path / "nowhere")
    with pytest.raises(facecluster.InputError, match="expected a path or an address as store, found int"):
        facecluster.open(7)  # type: ignore[arg-type]
    with pytest.raises(facecluster.StoreError, match="expected vectors of the model 'other' in .*, found those of: bundled"):
        facecluster.open(store, model="other")
    assert facecluster.open(store, model="bundled").person("Ada") and opened.model == "bundled"
    with pytest.raises(facecluster.InputError, match="expected a face_id of .*, found 'x'"):
        opened.face("x")
    with pytest.raises(facecluster.InputError, match="expected a photo_id or the place of a usable photo .*98.jpg"):
        opened.photo(next(uri for uri in opened.photos["uri"].to_pylist() if uri.endswith("98.jpg")))


def test_a_photo_that_is_gone_is_one_line_and_its_faces_stay(store: str) -> None:
    photo = facecluster.open(store).person(1).photos[0]
    for i, uri in enumerate(photo.uris):
        os.rename(uri, f"{uri}.away{i}")
    try:
        with pytest.raises(facecluster.PhotoError, match="found no file, at .*: put it back"):
            photo.open()
        assert isinstance(photo.faces[0].crop(), Image.Image)
    finally:
        for i, uri in enumerate(photo.uris):
            os.rename(f"{uri}.away{i}", uri)


def copied(store: str, tmp_path: Path) -> str:
    shutil.copytree(store, tmp_path / "copy")
    return str(tmp_path / "copy")


def test_a_store_that_is_grouped_again_beneath_gives_one_run_or_one_clear_error(store: str, tmp_path: Path) -> None:
    """Opened before, during and after another program groups again and removes the earlier run."""
    folder = copied(store, tmp_path)
    before, half, whole = facecluster.open(folder), facecluster.open(folder), facecluster.open(folder)
    assert half.model == "bundled" and whole.people.num_rows == len(whole)
    first = whole.person("Ada").faces
    call("not-same", folder, first[0].id, first[1].id)
    call("cluster", folder, "--full")
    call("compact", folder, "--keep-runs", "1")
    now = facecluster.open(folder)
    assert before.people.equals(now.people) and before.faces.equals(now.faces)
    assert [len(p.faces) for p in before] == before.people["faces"].to_pylist()
    for ask in (lambda: half.people, lambda: half.faces, lambda: half.person(1)):
        with pytest.raises(facecluster.StoreError, match="open it again"):
            ask()
    assert [len(p.faces) for p in whole] == whole.people["faces"].to_pylist()


def test_a_crop_is_of_its_face_or_one_clear_error(store: str, tmp_path: Path) -> None:
    """Another program has rewritten the shards of faces since they were read."""
    folder = copied(store, tmp_path)
    crops = {f.id: f.crop().tobytes() for p in facecluster.open(folder) for f in p.faces}
    opened = facecluster.open(folder)
    faces = [f for p in opened for f in p.faces]
    call("forget", folder, faces[0].id, "--yes")
    told = 0
    for face in faces:
        try:
            assert face.crop().tobytes() == crops[face.id] and face.id != faces[0].id
        except facecluster.StoreError as e:
            assert "open it again" in str(e)
            told += 1
    assert told
    place = Store(folder)
    os.rename(place.shard_path("faces", "00000"), place.shard_path("faces", "00007"))
    opened = facecluster.open(folder)
    assert opened.faces.num_rows
    os.rename(place.shard_path("faces", "00007"), place.shard_path("faces", "00000"))
    with pytest.raises(facecluster.StoreError, match="open it again"):
        opened.person(1).faces[0].crop()
