"""Bursts: one camera, one scene, two moments. And what detection keeps is not read again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from dedup_photos import coded, cut, moved, scaled, scene, silent, write_store
from PIL import Image

from facecluster.dedup import DedupConfig, find_duplicates, make_plan, store_photos
from facecluster.dedup.same_scene import SAME, SAME_WITH_PEOPLE, found_share
from facecluster.faces.detect import DetectConfig, detect_shard
from facecluster.photos.collect import collect
from facecluster.store import Store

NOON = datetime(2020, 5, 6, 12)


def grey(image: Image.Image) -> np.ndarray:
    return np.asarray(scaled(image, 160 / max(image.size)).convert("L"))


def later(image: Image.Image, seed: int) -> tuple[Image.Image, Image.Image]:
    """Two moments: the camera shifts and turns, something moves."""
    rng = np.random.default_rng(seed)
    turned = moved(image, 0.04).rotate(float(rng.uniform(-1.5, 1.5)), resample=Image.Resampling.BICUBIC)
    x, y = rng.uniform(0.02, 0.06, 2)
    return cut(image, 0.04, 0.04, 0.94, 0.94), cut(turned, x, y, x + 0.9, y + 0.9)


def test_the_next_moment_is_found_and_another_scene_is_not() -> None:
    bursts = [found_share(grey(a), grey(b)) for a, b in (later(scene(i), i) for i in range(12))]
    assert min(bursts) >= SAME > SAME_WITH_PEOPLE
    others = [found_share(grey(scene(i)), grey(scene(j))) for i in range(10) for j in range(10, 18)]
    assert max(others) < SAME_WITH_PEOPLE
    assert found_share(np.full((90, 120), 99, np.uint8), grey(scene(1))) == 0


def camera(make: str, serial: str = "") -> bytes:
    tags = Image.Exif()
    if make:
        tags[0x010F], tags[0x0110] = make, "X100"
    tags[0x8769] = {0x9003: "2020:05:06 12:00:00"} | ({0xA431: serial} if serial else {})
    return tags.tobytes()


@pytest.mark.parametrize(
    "one, two, same",
    [
        (("Canon", ""), ("Canon", ""), True), (("Canon", "12"), ("Canon", ""), True), (("", ""), ("", ""), True),
        (("Canon", ""), ("Apple", ""), False), (("Canon", "12"), ("Canon", "13"), False), (("Canon", ""), ("", ""), False),
    ],
)  # fmt: skip
def test_photos_of_one_second_are_a_burst_only_if_one_camera_took_them(
    one: tuple[str, str], two: tuple[str, str], same: bool, tmp_path: Path
) -> None:
    first, second = later(scene(3), 3)
    for name, image, (make, serial) in (("a.jpg", first, one), ("b.jpg", second, two)):
        (tmp_path / name).write_bytes(coded(image, exif=camera(make, serial)))
    store = write_store(tmp_path / "store", [tmp_path / "a.jpg", tmp_path / "b.jpg"], {"a.jpg": NOON, "b.jpg": NOON})
    with find_duplicates(store, DedupConfig(), bars=silent) as found:
        assert len(found.bursts) == same


def test_after_detection_no_photo_is_opened_to_find_that_there_are_no_duplicates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p").mkdir()
    for i in range(3):
        (tmp_path / "p" / f"{i}.jpg").write_bytes(coded(scene(i), exif=camera("Canon")))
    store = Store(str(tmp_path / "store"))
    store.create()
    collect([str(tmp_path / "p")], store)
    for shard in store.shards("files"):
        detect_shard(shard, store=store, config=DetectConfig(), device="cpu")
    opened: list[str] = []
    monkeypatch.setattr(store_photos, "read_file", lambda uri: opened.append(uri))
    with find_duplicates(store, DedupConfig(), bars=silent) as found:
        assert make_plan(found).rows == [] and found.fingerprints.exists.all()
        assert [found.facts.origins.of(p).camera for p in range(3)] == ["Canon X100"] * 3
    assert opened == []
