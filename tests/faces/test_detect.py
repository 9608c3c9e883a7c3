"""The detect stage on synthetic people: rows of photos, also for copies and changed files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pytest

from facecluster.demo import make_collection
from facecluster.faces.detect import DetectConfig, detect_shard
from facecluster.photos.collect import collect
from facecluster.store import FACES, PHOTOS, Store


@pytest.fixture(scope="module")
def group_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo with several faces."""
    truth = make_collection(str(tmp_path_factory.mktemp("demo")), people=6, photos=2)
    names = [f.photo for f in truth.faces]
    return Path(truth.photos) / max(sorted(set(names)), key=names.count)


def detect(folder: Path, store: Store) -> dict[str, tuple[int, str | None]]:
    """Detect new photos; returns number of faces and error from the last row of each file."""
    for shard in collect([str(folder)], store, retry_failed=True, shard_size=2).shards:
        detect_shard(shard, store=store, config=DetectConfig())
    return {os.path.basename(r["uri"]): (r["faces"], r["error"]) for r in store.read_all("photos", PHOTOS).to_pylist()}


def test_the_number_of_faces_follows_from_the_content(group_photo: Path, tmp_path: Path) -> None:
    folder, store = tmp_path / "photos", Store(str(tmp_path / "store"))
    folder.mkdir()
    store.create()
    shutil.copy(group_photo, folder / "a.jpg")
    shutil.copy(group_photo, folder / "copy in the same shard.jpg")
    shutil.copy(group_photo, folder / "in another shard.jpg")
    n = detect(folder, store)["a.jpg"][0]
    assert n >= 2
    assert detect(folder, store) == {"a.jpg": (n, None), "copy in the same shard.jpg": (n, None), "in another shard.jpg": (n, None)}
    rows = store.read_all("faces", FACES).num_rows
    shutil.copy(group_photo, folder / "later copy.jpg")
    os.utime(folder / "a.jpg", ns=(5, 5))
    (folder / "in another shard.jpg").rename(folder / "moved.jpg")
    found = detect(folder, store)
    assert [found[name] for name in ("a.jpg", "later copy.jpg", "moved.jpg")] == [(n, None)] * 3
    faces = store.read_all("faces", FACES)
    assert faces.num_rows == rows and len(pc.unique(faces["face_id"])) == n  # nothing was detected again
    size = (folder / "a.jpg").stat().st_size
    (folder / "a.jpg").write_bytes(b"\xff\xd8\xff" + bytes(size - 3))  # of the same size as a known photo
    faces_of, error = detect(folder, store)["a.jpg"]
    assert faces_of == 0 and error and "damaged" in error


def test_lost_shards_are_detected_again(group_photo: Path, tmp_path: Path) -> None:
    folder, store = tmp_path / "photos", Store(str(tmp_path / "store"))
    folder.mkdir()
    store.create()
    shutil.copy(group_photo, folder / "a.jpg")
    detect(folder, store)
    faces, photos = store.read("faces", "00000"), store.read("photos", "00000")
    for table in ("faces", "photos"):
        os.unlink(store.shard_path(table, "00000"))
        assert not detect_shard("00000", store=store, config=DetectConfig()).skipped
        assert store.read("faces", "00000").equals(faces, check_metadata=True)
        assert store.read("photos", "00000").equals(photos, check_metadata=True)
    assert detect_shard("00000", store=store, config=DetectConfig()).skipped
