"""Stores that lack tables or shards, after a small backup or a damaged disk: `run` makes them anew, and photos keep their ids."""

from __future__ import annotations

import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from archive_files import picture

from facecluster.check import check
from facecluster.faces import detect as stage
from facecluster.faces.detect import DetectConfig, Faces, detect_shard
from facecluster.faces.embed import EmbedConfig
from facecluster.photos.collect import collect
from facecluster.photos.images import content_id
from facecluster.photos.places import current_photos
from facecluster.pipeline import embed_photos
from facecluster.store import Store

ONE = Faces(np.float32([[2, 2, 20, 20]]), np.float32([[[8, 9], [16, 9], [12, 13], [9, 17], [15, 17]]]), np.float32([0.9]))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose detector sees one face in each photo, with photos 1 to 3 in the folder `photos` beside it."""
    monkeypatch.setattr(stage, "_detect", lambda images, config, scales, device: [ONE] * len(images))
    (tmp_path / "photos").mkdir()
    for i in (1, 2, 3):
        (tmp_path / "photos" / f"{i}.jpg").write_bytes(picture(i))
    store = Store(str(tmp_path / "store"))
    store.create()
    search(store)
    return store


def photos_of(store: Store) -> Path:
    return Path(store.url).parent / "photos"


def search(store: Store, folder: Path | None = None) -> None:
    collect([str(folder or photos_of(store))], store, shard_size=2)
    for shard in store.shards("files"):
        detect_shard(shard, store=store, config=DetectConfig(), device="cpu")


def write_comment(path: Path) -> None:
    """What a photo manager does: the same picture in other bytes."""
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xfe\x00\x06text" + data[2:])


def shown(store: Store) -> dict[str, str]:
    """The face of each photo that is there, by the file's name, if its shard holds it."""
    held = {face for shard in store.shards("faces") for face in store.read("faces", shard)["face_id"].to_pylist()}
    table = current_photos(store, ["uri", "photo_id"], look=True)
    faces = {os.path.basename(r["uri"]): f"{r['photo_id'][:24]}-0000" for r in table.to_pylist() if not r["gone"]}
    return {name: face if face in held else "" for name, face in faces.items()}


def lose(store: Store, *tables: str) -> None:
    for table in tables:
        shutil.rmtree(store.path(table))


@pytest.mark.parametrize("lost", [("faces",), ("faces", "photos"), ("photos",)])
def test_tables_that_are_lost_whole_are_made_anew_with_the_ids_that_names_hang_on(store: Store, lost: tuple[str, ...]) -> None:
    """Each photo was written to since, most moved: searched as it is now, it would have another id."""
    folder = photos_of(store)
    write_comment(folder / "1.jpg")
    (folder / "2.jpg").rename(folder / "moved.jpg")
    search(store)
    write_comment(folder / "moved.jpg")
    search(store)
    first = shown(store)
    assert sorted(first) == ["1.jpg", "3.jpg", "moved.jpg"] and sorted(first.values()) == sorted(
        f"{content_id(picture(i))[:24]}-0000" for i in (1, 2, 3)
    )
    lose(store, *lost)
    if "photos" not in lost:
        write_comment(folder / "1.jpg")  # once more, after the loss
        write_comment(folder / "3.jpg")
    search(store)
    search(store)
    assert shown(store) == first


@pytest.mark.parametrize("lost", [("faces",), ("faces", "photos")])
def test_tables_that_are_lost_are_made_anew_where_the_photos_are_elsewhere(store: Store, tmp_path: Path, lost: tuple[str, ...]) -> None:
    """A small backup of a store, put back on another computer: no place of the store is there."""
    write_comment(photos_of(store) / "1.jpg")
    search(store)
    first = shown(store)
    lose(store, *lost)
    photos_of(store).rename(tmp_path / "elsewhere")
    search(store, tmp_path / "elsewhere")
    assert shown(store) == (first if "photos" not in lost else first | {"1.jpg": shown(store)["1.jpg"]}) and all(shown(store).values())


def test_a_photo_that_moved_out_of_a_shard_that_is_made_anew_is_searched_by_the_same_run(store: Store) -> None:
    """The faces are there still when the run begins: it is the new shard that has none for the old place."""
    folder = photos_of(store)
    (folder / "1.jpg").rename(folder / "moved.jpg")
    search(store)
    first = shown(store)
    os.remove(store.shard_path("photos", "00000"))
    search(store)
    assert shown(store) == first and all(first.values())


@pytest.mark.parametrize("tables", [("files", "faces"), ("faces",)])
def test_a_photo_that_moved_and_was_written_to_at_once_is_searched_if_the_faces_of_its_picture_are_lost(
    store: Store, tables: tuple[str, ...]
) -> None:
    """It has faces of its own under another id, which do not count: those of the first photo with this picture do."""
    folder = photos_of(store)
    write_comment(folder / "1.jpg")
    (folder / "1.jpg").rename(folder / "moved.jpg")
    search(store)
    first = shown(store)
    for table in tables:
        os.remove(store.shard_path(table, "00000"))
    search(store)
    assert all(shown(store).values()) and ("files" not in tables or shown(store) == first)


def test_faces_whose_shard_of_files_is_lost_get_the_vectors_of_another_model(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """`check --repair` sets a damaged shard of files aside; a change of the model then left out all its faces."""
    def embed() -> int:
        options = {"bars": lambda what, total: nullcontext(lambda n: None), "shard_size": 2, "device": "cpu"}
        embed_photos([str(photos_of(store))], store, DetectConfig(), EmbedConfig(), **options)  # type: ignore[arg-type]
        return sum(store.read("embeddings/bundled", shard).num_rows for shard in store.shards("embeddings/bundled"))

    path = Path(store.shard_path("files", "00000"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    assert check(store, mend=True).repaired == ["files/part-00000.parquet"] and not path.exists()
    assert embed() == 3
