"""Faces to learn from: folders, Parquet, data sets of curate, stores; what can't be used is passed over; people are held out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from curate import curate_store
from people_store import call, refused
from training_faces import coded, faces, picture, tiny_model

from facecluster.demo.collection import make_collection
from facecluster.errors import InputError
from facecluster.models.card import read_card
from facecluster.store import Store
from facecluster.store.copies import read_copies
from facecluster.training import faces as learning
from facecluster.training.faces import HELD_OUT, TRAIN, UNUSED, LearningFaces, part
from facecluster.training.read_faces import read_faces


def test_folders_by_person_with_a_bad_file_a_photo_and_no_face(tmp_path: Path) -> None:
    for person in range(2):
        folder = tmp_path / "faces" / f"Zoë {person}" / "deeper"
        folder.mkdir(parents=True)
        for i in range(3):
            (folder / f"{i}.png").write_bytes(coded(picture(person, i), "PNG"))
    folder = tmp_path / "faces" / "Zoë 1"
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff no photo")
    (folder / "wall.png").write_bytes(coded(np.full((300, 300, 3), 99, np.uint8), "PNG"))
    (folder / "notes.txt").write_text("no picture")
    (tmp_path / "faces" / ".hidden").mkdir()
    ticks: list[int] = []
    found = read_faces(str(tmp_path / "faces"), ticks.append)
    assert found.names == ["Zoë 0", "Zoë 1"] and found.counts().tolist() == [3, 3] and sum(ticks) == 8
    assert np.array_equal(found.take([4]), picture(1, 1)[None])  # aligned pictures stay as they are
    lines = found.passed.lines()
    assert len(lines) == 2 and any("bad.jpg" in line for line in lines)
    assert any("without a face" in line and "wall.png" in line for line in lines)


def test_photos_are_searched_and_their_largest_face_is_aligned(tmp_path: Path) -> None:
    make_collection(str(tmp_path / "demo"), people=6, photos=2, seed=1)
    photos = sorted((tmp_path / "demo").rglob("*.jpg"))[:2]
    (tmp_path / "faces" / "Ann").mkdir(parents=True)
    for photo in photos:
        (tmp_path / "faces" / "Ann" / photo.name).write_bytes(photo.read_bytes())
    found = read_faces(str(tmp_path / "faces"))
    assert len(found) + sum(found.passed.count.values()) >= 2 and found.take([0]).shape == (1, 112, 112, 3)
    assert found.take([0]).std() > 10


def test_parquet_that_says_of_some_faces_no_person(tmp_path: Path) -> None:
    """-1 of Hugging Face's ClassLabel, and NaN as pandas writes it, are no people."""
    crops = [coded(picture(i // 2, i)) for i in range(6)]
    said = {b"huggingface": b'{"info": {"features": {"label": {"names": ["Ada", "Bo"]}}}}'}
    cases = (
        ([0, 0, 1, 1, -1, -1], said, ["0", "1"]),
        ([0.0, 0.0, 1.0, 1.0, float("nan"), None], None, ["0.0", "1.0"]),
        ([0, 0, 1, 1, -1, -1], None, ["-1", "0", "1"]),
    )
    for labels, metadata, names in cases:
        pq.write_table(pa.table({"image": crops, "label": labels}).replace_schema_metadata(metadata), tmp_path / "some.parquet")
        assert sorted(read_faces(str(tmp_path / "some.parquet")).names) == names


def test_parquet_of_crops_and_names(tmp_path: Path) -> None:
    crops = [coded(picture(p, i)) for p in range(3) for i in range(2)]
    crops[3] = b"damaged"
    names = ["Ann", "Ann", "Bob", "Bob", None, ""]
    pq.write_table(pa.table({"crop": crops, "subject": names, "more": range(6)}), tmp_path / "some.parquet")
    found = read_faces(str(tmp_path / "some.parquet"))
    assert found.names == ["Ann", "Bob"] and found.label.tolist() == [0, 0, 1, -1, -1]
    assert found.passed.count == {"pictures that can't be decoded": 1}
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    for path, words in (("other.parquet", "expected columns crop and person"), ("nothing", "found nothing")):
        with pytest.raises(InputError, match=words):
            read_faces(str(tmp_path / path))
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="expected a Parquet file"):
        read_faces(str(tmp_path / "torn.parquet"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A store of five people with six faces each, of whom Ann and Bob have names, and what curate makes of it by folder."""
    folder = tmp_path_factory.mktemp("store")
    vectors, truth = curate_store.people([6] * 5, noise=0.4)
    uris = [f"/photos/who {person}/{i}.jpg" for i, person in enumerate(truth.tolist())]
    crops = [coded(picture(person, i)) for i, person in enumerate(truth.tolist())]
    made, ids = curate_store.write(folder / "store", vectors, uris, crops)
    call("cluster", made.url)
    call("name", made.url, ids[0], "Ann")
    call("name", made.url, ids[6], "Bob")
    for form in ("parquet", "imagefolder"):
        more = ("--format", form, "--split", "0.5,0.3,0.2", "--keep-duplicates")
        call("curate", made.url, "--labels", "folder", "-o", str(folder / form), *more)
    return made.url, folder


def test_a_store_gives_the_people_whom_the_user_named(store: tuple[str, Path]) -> None:
    found = read_faces(store[0])
    assert found.names == ["Ann", "Bob"] and len(found) == 30
    assert found.counts().tolist() == [6, 6] and (found.label == -1).sum() == 18
    ann = found.take(np.flatnonzero(found.label == 0)).astype(float)
    expected = np.stack([picture(0, i) for i in range(6)]).astype(float)
    assert np.abs(ann - expected).mean() < 12  # they are WebP


def test_a_store_knows_where_a_model_of_its_people_lies(store: tuple[str, Path], tmp_path: Path) -> None:
    said = refused("train", "--store", store[0], "-o", str(tmp_path / "m"), "--finetune", "bundled")
    assert "found 2 in the people of a store" in said and "facecluster review" in said
    budget = ("--steps", "1", "--batch", "2", "--hold-out", "0")
    call("train", "--store", store[0], "-o", str(tmp_path / "m"), "--init", tiny_model(tmp_path), *budget)
    assert [row["where"] for row in read_copies(Store(store[0])) if row["kind"] == "trained model"] == [str(tmp_path / "m")]
    assert read_card(tmp_path / "m" / "card.toml").slope == 10.0  # nobody was held out: the reading is that of the model before


@pytest.mark.parametrize("form", ["parquet", "imagefolder"])
def test_a_data_set_of_curate_keeps_its_splits(store: tuple[str, Path], form: str) -> None:
    folder = store[1] / form
    found = read_faces(str(folder / "imagefolder" if form == "imagefolder" else folder))
    with (folder / "manifest.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"]]
    split = {row["person"]: row["split"] for row in rows}
    assert len(split) == 5 and len(rows) == 30
    assert len(found) == sum(row["split"] != UNUSED for row in rows) < 30, "test is not opened"
    parts = part(found, 0.0, 0)
    held = {found.names[i] for i in found.label[parts.held_out]}
    assert set(parts.people) == {p for p, s in split.items() if s == TRAIN} and held == {p for p, s in split.items() if s == HELD_OUT}
    assert held


def test_people_are_held_out_whole_by_the_seed_and_the_names() -> None:
    some = faces([4, 6, 3, 5, 4, 6, 1, 5], unnamed=3)
    parts = part(some, 0.3, 1, min_faces=2)
    held = set(some.label[parts.held_out].tolist())
    learnt = set(some.label[parts.learn].tolist())
    assert held and held.isdisjoint(learnt) and 6 not in held | learnt and -1 not in learnt
    assert 0.15 < len(parts.held_out) / 33 < 0.45
    assert (parts.counts() == [some.counts()[some.names.index(name)] for name in parts.people]).all()
    again, other = part(some, 0.3, 1, min_faces=2), part(some, 0.3, 3, min_faces=2)
    assert np.array_equal(again.held_out, parts.held_out) and not np.array_equal(other.held_out, parts.held_out)
    with_nobody = part(some, 0.3, 1, min_faces=2, unnamed=True)
    assert len(with_nobody.learn) == len(parts.learn) + 3 and (with_nobody.label[-3:] == -1).all()
    with pytest.raises(InputError, match="expected two people or more with 9 faces"):
        part(some, 0.3, 1, min_faces=9)


def test_many_faces_are_decoded_when_they_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = faces([3, 3])
    monkeypatch.setattr(learning, "KEPT_DECODED", 0)
    lazy = faces([3, 3])
    assert np.array_equal(lazy.take([4, 0, 4]), kept.take([4, 0, 4])) and lazy.take([]).shape == (0, 112, 112, 3)
    with pytest.raises(InputError, match="found none that can be used"):
        LearningFaces([b"no"], ["Ann"], "nothing")
