"""What was forgotten does not come back by a later run: the same file, touched, moved, saved with other metadata, or searched anew."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from full_store import contents, forms, noise, where
from hypothesis import given, settings
from hypothesis import strategies as st
from people_store import call
from PIL import Image

import facecluster.faces.detect as stage
from facecluster.faces.detect import Faces
from facecluster.photos.forgotten import Forgotten
from facecluster.photos.images import content_id
from facecluster.store import Store

LEFT, RIGHT = (40.0, 50.0, 80.0, 90.0), (250.0, 60.0, 90.0, 100.0)


def found(shift: float = 0) -> Faces:
    boxes = np.array([LEFT, RIGHT], np.float32) + np.float32(shift)
    points = np.float32([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    return Faces(boxes, boxes[:, None, :2] + boxes[:, None, 2:] * points, np.float32([0.9, 0.8]))


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three photos of noise, in each of which two faces are found."""
    monkeypatch.setattr(stage, "_detect", lambda images, config, scales, device: [found()] * len(images))
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        noise(i, 400, 300).save(folder / f"holiday {i}.jpg", quality=90)
    return folder


def faces_of(store: Store) -> list[str]:
    return sorted(face for shard in store.shards("faces") for face in store.read("faces", shard)["face_id"].to_pylist())


def painted(store: Store) -> set[str]:
    """Beginnings of the ids of photos in whose thumbnail the face at the right is painted over."""
    found = set()
    for row in store.read("dedup/looks", "00000").to_pylist():
        with Image.open(io.BytesIO(row["thumb"])) as image:
            x, y, w, h = (round(v * image.width / 400) for v in RIGHT)
            if np.asarray(image.convert("L"), np.float32)[y : y + h, x : x + w].std() < 4:
                found.add(row["photo_id"][:24])
    return found


def test_a_forgotten_photo_stays_away(photos: Path, tmp_path: Path) -> None:
    store, path = Store(str(tmp_path / "store")), photos / "holiday 1.jpg"
    call("embed", str(photos), "-o", store.url)
    call("forget", store.url, str(path), "--yes")
    gone = [*forms("holiday 1"), *forms(content_id(path.read_bytes())[:24])]

    def again(said: str) -> None:
        assert said in call("embed", str(photos), "-o", store.url).stderr
        assert where(tmp_path / "store", gone) == [] and len(faces_of(store)) == 4

    again("passed over: 1 photo that you had forgotten")
    os.utime(path, (1, 1))
    again("0 photos looked at")  # its bytes are known
    again("passed over: 1 photo that you had forgotten")
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xfe\0\x07hello" + data[2:])  # a comment: other bytes, the same picture
    again("0 photos looked at")
    path.rename(photos / "holiday 1 moved.jpg")
    again("0 photos looked at")
    again("passed over: 1 photo that you had forgotten")


def test_forgotten_faces_stay_away_when_a_photo_is_searched_anew(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    store = Store(str(tmp_path / "store"))
    call("embed", str(photos), "-o", store.url)
    all_faces = faces_of(store)
    face = f"{content_id((photos / 'holiday 0.jpg').read_bytes())[:24]}-0001"
    call("forget", store.url, face, "--yes")
    left = [one for one in all_faces if one != face]
    assert faces_of(store) == left and len(left) == 5
    assert store.read("photos", "00000")["faces"].to_pylist() == [1, 2, 2]
    assert painted(store) == {face[:24]}
    for shift in (0, 6):  # the second detector puts boxes elsewhere, a little
        monkeypatch.setattr(stage, "_detect", lambda images, config, scales, device, by=shift: [found(by)] * len(images))
        for table in ("faces", "photos", "embeddings/bundled", "dedup/looks"):
            store.remove(table)
        call("embed", str(photos), "-o", store.url)
        assert faces_of(store) == left
        assert store.read("embeddings/bundled", "00000").num_rows == 5
        assert painted(store) == {face[:24]}
    assert [name for name, data in contents(tmp_path / "store") if face.encode() in data] == []


box = st.tuples(st.floats(0, 4000), st.floats(0, 3000), st.floats(16, 900), st.floats(16, 900))


@settings(max_examples=30)
@given(box, st.floats(-0.24, 0.24), st.floats(-0.24, 0.24), st.floats(0.9, 1.1))
def test_a_box_a_little_elsewhere_is_the_same_face(box: tuple[float, ...], right: float, down: float, scale: float) -> None:
    """Its centre by up to a fifth of a side."""
    x, y, w, h = box
    plain = Forgotten(b"salt", frozenset())
    marks = Forgotten(b"salt", frozenset(plain.of_face("photo", box, None)))
    side = np.sqrt(w * h) * 0.8
    moved = (x + w / 2 + right * side - scale * w / 2, y + h / 2 + down * side - scale * h / 2, scale * w, scale * h)
    assert marks.kept([{"box": box}], "photo") == [False]
    assert marks.kept([{"box": moved}], "photo") == [False]
    assert marks.kept([{"box": box}], "another photo", None) == [True]
    assert marks.kept([{"box": (x + 0.9 * w, y + 0.9 * h, w, h)}], "photo") == [True], "a neighbour"
    assert Forgotten(b"other", marks.marks).kept([{"box": box}], "photo") == [True], "the salt counts"


def test_a_face_of_a_video_is_one_of_its_second() -> None:
    plain = Forgotten(b"salt", frozenset())
    marks = Forgotten(b"salt", frozenset(plain.of_face("film", LEFT, 10_300)))
    rows = [{"box": LEFT, "at_ms": at} for at in (10_300, 11_200, 13_000)]
    assert marks.kept(rows, "film") == [False, False, True]
