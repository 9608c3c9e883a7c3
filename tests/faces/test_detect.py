"""The detect stage on synthetic people: rows of photos, also for copies and changed files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from PIL import Image

from facecluster.demo import make_collection
from facecluster.errors import StampError
from facecluster.faces.detect import (
    CPU_PIXELS,
    PHOTOS_TOGETHER,
    DetectConfig,
    Faces,
    detect_faces,
    detect_shard,
    open_for_search,
    searched_together,
)
from facecluster.geometry import iou
from facecluster.models.detector import Detector
from facecluster.models.int8_layers import multiplication
from facecluster.photos.collect import collect
from facecluster.photos.images import Photo
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


def faces_of(photo: Path, config: DetectConfig | None = None) -> tuple[Faces, Photo]:
    opened = open_for_search(photo.read_bytes(), str(photo), config or DetectConfig())
    return detect_faces(opened.pixels, config, scale=opened.scale, device="cpu"), opened


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_faces_of_a_photo_on_its_side_are_found_in_place(group_photo: Path, tmp_path: Path, turn: int) -> None:
    upright, _ = faces_of(group_photo)
    with Image.open(group_photo) as image:
        lying = image.rotate(turn, expand=True)  # counterclockwise
    lying.save(tmp_path / "lying.png")
    found, photo = faces_of(tmp_path / "lying.png")
    assert len(found.scores) == len(upright.scores) and found.turn == turn
    boxes = upright.boxes
    height, width = (photo.height, photo.width) if turn == 180 else (photo.width, photo.height)
    for _ in range(turn // 90):
        boxes = np.stack((boxes[:, 1], width - boxes[:, 0] - boxes[:, 2], boxes[:, 3], boxes[:, 2]), axis=1)
        height, width = width, height
    assert iou(boxes, found.boxes).max(axis=1).min() > 0.7


def test_the_orientation_of_a_sidecar_counts_more_than_that_of_the_file(group_photo: Path, tmp_path: Path) -> None:
    upright, _ = faces_of(group_photo)
    with Image.open(group_photo) as image:
        image.rotate(90, expand=True).save(tmp_path / "a.png")  # to be turned clockwise: EXIF 6
    (tmp_path / "a.xmp").write_text('<rdf:Description tiff:Orientation="6"/>')
    found, photo = faces_of(tmp_path / "a.png")
    assert photo.orientation == 6 and found.turn == 0
    assert iou(upright.boxes, found.boxes).max(axis=1).min() > 0.9


@pytest.mark.parametrize("side", [1280, 4000])
def test_the_size_of_decoding_does_not_decide_which_faces_are_found(group_photo: Path, tmp_path: Path, side: int) -> None:
    with Image.open(group_photo) as image:
        image.resize((5400, 5400 * image.height // image.width), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg", quality=95)
    usual, opened = faces_of(tmp_path / "large.jpg")
    other, other_opened = faces_of(tmp_path / "large.jpg", DetectConfig(max_side=side))
    assert len(usual.scores) == len(other.scores) >= 2 and opened.scale != other_opened.scale
    assert iou(usual.boxes / opened.scale, other.boxes / other_opened.scale).max(axis=1).min() > 0.7


def test_faces_of_a_long_photo_are_found(group_photo: Path, tmp_path: Path) -> None:
    with Image.open(group_photo) as image:
        photo = image.convert("RGB")
    copies = 12
    wide = Image.new("RGB", (photo.width * copies, photo.height))
    for i in range(copies):
        wide.paste(photo, (i * photo.width, 0))
    wide.save(tmp_path / "wide.jpg", quality=95)
    alone, _ = faces_of(group_photo)
    found, opened = faces_of(tmp_path / "wide.jpg")
    everywhere = np.concatenate([alone.boxes + (i * photo.width, 0, 0, 0) for i in range(copies)])
    assert (iou(everywhere, found.boxes / opened.scale).max(axis=1) > 0.5).mean() > 0.95


def test_too_small_a_size_of_decoding_is_refused() -> None:
    with pytest.raises(ValueError, match="max_side of at least 1280 px, found 800"):
        DetectConfig(max_side=800)


def test_photos_that_an_earlier_detector_searched_keep_their_faces(group_photo: Path, tmp_path: Path) -> None:
    folder, store = tmp_path / "photos", Store(str(tmp_path / "store"))
    folder.mkdir()
    store.create()
    shutil.copy(group_photo, folder / "a.jpg")
    detect(folder, store)
    older = DetectConfig().stamp() | {"detector": "0" * 64, "threshold": 0.57}
    faces, photos = store.read("faces", "00000"), store.read("photos", "00000")
    store.write("faces", "00000", faces.slice(0, 1), older)
    store.write("photos", "00000", photos, older | {"table": "photos"})
    with Image.open(group_photo) as image:
        image.save(folder / "b.jpg", quality=80)
    assert detect(folder, store)["b.jpg"][0] >= 2  # by the detector of today
    assert store.read("faces", "00000").num_rows == 1 and store.stamp("photos", "00000")["threshold"] == 0.57  # type: ignore[index]
    store.write("photos", "00000", photos, DetectConfig().stamp() | {"threshold": 0.3, "table": "photos"})
    with pytest.raises(StampError, match="threshold"):
        detect_shard("00000", store=store, config=DetectConfig())


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_photos_are_searched_in_order_in_small_batches(device: str) -> None:
    """Any photos, too: those that can't be used are in the batches, and one that is larger than a batch may be is searched alone."""
    rng = np.random.default_rng(0)
    sides: list[int | None] = [500] * 20
    sides += [None if rng.random() < 0.2 else int(rng.choice([10, 500, 2500, 5000])) for _ in range(60)]
    blank = np.broadcast_to(np.uint8(0), (5000, 5000, 3))
    photos = [
        None if side is None else Photo(blank[:side, :side], side, side, 1.0, "PNG", 1, None)
        for side in sides
    ]  # fmt: skip
    rows = [({"uri": str(i)}, photo) for i, photo in enumerate(photos)]
    batches = list(searched_together(iter(rows), device))
    assert [row for batch in batches for row, _ in batch] == [row for row, _ in rows]
    sizes = [sum(0 if p is None else p.pixels.shape[0] * p.pixels.shape[1] for _, p in batch) for batch in batches]
    assert max(map(len, batches)) == PHOTOS_TOGETHER
    if device == "cpu":
        assert all(size <= CPU_PIXELS or len([p for _, p in batch if p]) == 1 for size, batch in zip(sizes, batches, strict=True))
        for i in range(len(batches) - 1):  # as many as may be
            assert len(batches[i]) == PHOTOS_TOGETHER or sizes[i] + sizes[i + 1] > CPU_PIXELS


def test_neighbours_do_not_change_what_is_found(tmp_path: Path) -> None:
    """A photo has the same faces whether it is searched alone or with others of other sizes."""
    make_collection(str(tmp_path), people=6, photos=2, seed=4)
    paths = sorted((tmp_path / "photos").rglob("*.jpg"))[:8]
    images = [np.asarray(Image.open(p).convert("RGB")) for p in paths if p.stat().st_size > 5000]
    images += [images[0][:300], np.ascontiguousarray(np.rot90(images[1])), np.zeros((1, 1, 3), np.uint8)]
    for arithmetic in ("float32", "bfloat16", *(["int8"] if multiplication() else [])):
        detector = Detector.load(arithmetic=arithmetic)
        assert detector.arithmetic == arithmetic
        for one, image in zip(detector.search(images), images, strict=True):
            alone = detector.search([image])[0]
            assert one.turn == alone.turn
            for together, single in zip(one.faces, alone.faces, strict=True):
                np.testing.assert_array_equal(together, single)
