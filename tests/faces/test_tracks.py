"""Faces of a video: one row a track, at its clearest, with its time; and how a whole shard copes with videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from video_files import Scene, scenes, write_video

from facecluster.faces.detect import DetectConfig, detect_shard
from facecluster.faces.tracks import GAP, MAX_TRACKS, Tracks
from facecluster.geometry import iou
from facecluster.photos.collect import collect
from facecluster.photos.frames import picture_numbers
from facecluster.store import FACES, PHOTOS, Store


def row(x: float, quality: float = .5, at_ms: int = 0) -> dict[str, Any]:
    return {"box": np.array([x, 0, 100, 100], np.float32), "quality": quality, "at_ms": at_ms}


def vector(angle: float) -> np.ndarray[Any, Any]:
    """A vector of length 1; two of them have the cosine of the difference of their angles."""
    return np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])


def add(tracks: Tracks, *faces: tuple[float, float, float], at: int, cut: bool = False) -> None:
    """Add a look with faces (x, angle, quality)."""
    tracks.add([row(x, quality, at) for x, _, quality in faces], np.array([vector(a) for _, a, _ in faces]).reshape(-1, 2), cut=cut)


def found(tracks: Tracks) -> list[tuple[int, float, float]]:
    return [(r["at_ms"], float(r["box"][0]), r["quality"]) for r in tracks.rows()]


def test_the_clearest_face_of_a_track_counts() -> None:
    tracks = Tracks()
    for at, x, quality in ((0, 0, .3), (1, 40, .8), (2, 80, .5)):
        add(tracks, (x, 10 * at, quality), at=at)
    assert found(tracks) == [(1, 40, .8)]


def test_people_who_change_places_are_told_by_their_looks() -> None:
    tracks = Tracks()
    add(tracks, (0, 0, .5), (300, 90, .5), at=0)
    add(tracks, (0, 90, .6), (300, 0, .7), at=1)
    assert found(tracks) == [(1, 0, .6), (1, 300, .7)]
    assert len(tracks.rows()) == 2


def test_the_same_place_counts_within_a_scene_only() -> None:
    """A face at a cosine of .3 to the one before in its place: a turned head, or after a change of scene somebody else."""
    angle = float(np.degrees(np.arccos(.3)))
    for cut, expected in ((False, 1), (True, 2)):
        tracks = Tracks()
        add(tracks, (0, 0, .5), at=0)
        add(tracks, (5, angle, .6), at=1, cut=cut)
        assert len(found(tracks)) == expected
    tracks = Tracks()
    add(tracks, (0, 0, .5), at=0)
    add(tracks, (0, 90, .6), at=1)  # a cosine of 0 is another person, wherever they are
    assert len(found(tracks)) == 2


def test_a_track_ends_when_nobody_is_seen_for_a_while() -> None:
    for missed, expected in ((GAP - 1, 1), (GAP, 2)):
        tracks = Tracks()
        add(tracks, (0, 0, .5), at=0)
        for at in range(missed):
            add(tracks, at=1 + at)
        add(tracks, (0, 0, .6), at=9)
        assert len(found(tracks)) == expected


def test_no_face_is_in_two_tracks_and_pairs_are_the_best_over_all() -> None:
    tracks = Tracks()
    add(tracks, (0, 0, .5), (500, 30, .5), at=0)
    add(tracks, (250, 14, .6), (700, 40, .6), at=1)  # both are nearest to 30; only together with 0 and 40 they are all at peace
    assert [x for _, x, _ in found(tracks)] == [250, 700]


def test_the_number_of_tracks_is_bounded() -> None:
    tracks = Tracks()
    rng = np.random.default_rng(3)
    qualities = []
    for at in range(0, 40 * (GAP + 2), GAP + 2):
        some = rng.uniform(0, 1, 40)
        qualities += some.tolist()
        tracks.add([row(0, q, at) for q in some], np.eye(40), cut=True)
        for _ in range(GAP + 1):
            tracks.add([], np.zeros((0, 40)), cut=False)
    kept = [r["quality"] for r in tracks.rows()]
    assert len(kept) == MAX_TRACKS and sorted(kept) == sorted(qualities)[-MAX_TRACKS:]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Scene]]:
    folder = tmp_path_factory.mktemp("video")
    made = scenes((0, 1), (2,), (1, 3))
    write_video(folder / "party.mp4", (frame for scene in made for frame in scene.frames()), creation_time="2024-05-06T07:08:09Z")
    return folder, made


def embedded(folder: Path, where: Path) -> Store:
    store = Store(str(where))
    store.create()
    for shard in collect([str(folder)], store).shards:
        detect_shard(shard, store=store, config=DetectConfig())
    return store


def test_a_row_for_each_person_of_each_scene(played: tuple[Path, list[Scene]], tmp_path: Path) -> None:
    """The boxes are where the people were drawn, at the time that the row says."""
    folder, made = played
    store = embedded(folder, tmp_path / "store")
    (photo,) = store.read_all("photos", PHOTOS).to_pylist()
    assert (photo["format"], photo["width"], photo["height"], photo["faces"], photo["error"]) == ("MP4", 640, 480, 5, None)
    assert str(photo["taken_at"]) == "2024-05-06 07:08:09" and photo["phash"] is None
    faces = store.read_all("faces", FACES).to_pylist()
    assert [f["face_id"] for f in faces] == [f"{photo['photo_id'][:24]}-{i:04x}" for i in range(5)]
    drawn = []
    for face in faces:
        number, at = divmod(face["at_ms"] / 1000, made[0].seconds)
        overlap = iou(np.array([face["box"]]), made[int(number)].boxes_at(at))[0]
        assert overlap.max() > .6
        drawn.append((int(number), int(overlap.argmax())))
    assert sorted(drawn) == [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)]
    numbers = picture_numbers(store, [f["face_id"] for f in faces])
    same = numbers[:, None] == numbers
    times = np.array([f["at_ms"] for f in faces])
    assert (same == (times[:, None] == times)).all()


def test_videos_never_stop_a_shard(played: tuple[Path, list[Scene]], tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    whole = (played[0] / "party.mp4").read_bytes()
    for name, data in {"copy": whole, "cut": whole[:5000], "empty": b"", "noise": bytes(range(256)) * 20, "whole": whole}.items():
        (folder / f"{name}.mp4").write_bytes(data)
    store = embedded(folder, tmp_path / "store")
    photos = {Path(p["uri"]).stem: p for p in store.read_all("photos", PHOTOS).to_pylist()}
    assert {name: (p["faces"], p["error"] is None) for name, p in photos.items()} == {
        "copy": (5, True), "whole": (5, True), "cut": (0, False), "empty": (0, False), "noise": (0, False),
    }  # fmt: skip
    assert store.read_all("faces", FACES).num_rows == 5


def test_a_video_that_breaks_while_it_is_looked_at(
    played: tuple[Path, list[Scene]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """An error of the decoder becomes the row's, and no face is kept."""

    def broken(*_: object) -> Any:
        raise ValueError("unknown pixel\nformat")

    monkeypatch.setattr("facecluster.photos.video._Reader.picture", broken)
    store = embedded(played[0], tmp_path / "store")
    (photo,) = store.read_all("photos", PHOTOS).to_pylist()
    assert photo["error"] == "expected a whole MP4 video, found a damaged one: unknown pixel format" and photo["faces"] == 0
    assert store.read_all("faces", FACES).num_rows == 0


def test_stamps_of_before_hold() -> None:
    assert "video_seconds" not in DetectConfig().stamp() and DetectConfig(video_seconds=1).stamp()["video_seconds"] == 1
    with pytest.raises(ValueError, match="video_seconds above 0"):
        DetectConfig(video_seconds=0)
