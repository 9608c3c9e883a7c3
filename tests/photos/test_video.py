"""Videos: upright frames at the right times, whatever the container says; damaged ones are errors of one line."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import needs
from numpy.typing import NDArray
from PIL import Image
from video_files import write_video

from facecluster.errors import PhotoError
from facecluster.photos import extras, video
from facecluster.photos.images import content_id
from facecluster.photos.passed_over import movie_seconds
from facecluster.photos.video import Look, looks, open_video

Pixels = NDArray[np.uint8]


def quarters(width: int = 320, height: int = 192) -> Pixels:
    """Red, green, blue and grey."""
    picture = np.full((height, width, 3), 60, np.uint8)
    picture[: height // 2, : width // 2] = (200, 30, 30)
    picture[: height // 2, width // 2 :] = (30, 200, 30)
    picture[height // 2 :, : width // 2] = (30, 30, 200)
    return picture


def plain(grey: int, number: int, width: int = 320, height: int = 192) -> list[Pixels]:
    return [np.full((height, width, 3), grey, np.uint8)] * number


def seen(path: Path, every: float = 2.0, max_side: int = 2000) -> list[Look]:
    return list(looks(open_video(str(path)), every, max_side))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_rotation_is_honoured(rotation: int, mirrored: bool, tmp_path: Path) -> None:
    """NumPy turns and mirrors as the container was told to."""
    write_video(tmp_path / "a.mp4", [quarters()] * 5, rotation=rotation, mirrored=mirrored)
    expected = np.rot90(quarters(), rotation // 90)
    expected = expected[:, ::-1] if mirrored else expected
    found = open_video(str(tmp_path / "a.mp4"))
    assert (found.height, found.width) == expected.shape[:2]
    (look,) = looks(found, 2, 2000)
    assert look.picture.pixels.shape == expected.shape
    assert np.abs(look.picture.pixels.astype(int) - expected).mean() < 6


def test_size_reduction_and_pixels_that_are_not_square(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [quarters(640, 384)] * 5)
    picture = seen(tmp_path / "a.mp4", max_side=200)[0].picture
    assert (picture.width, picture.height) == (640, 384) and picture.pixels.shape == (128, 213, 3)
    assert picture.scale == pytest.approx(1 / 3, rel=.01)
    write_video(tmp_path / "wide.mp4", [quarters()] * 5, aspect=(2, 1))
    picture = seen(tmp_path / "wide.mp4")[0].picture
    assert (picture.width, picture.height, picture.pixels.shape) == (640, 192, (192, 640, 3))


@pytest.mark.parametrize("name, codec, format", [("a.mp4", "libx264", "MP4"), ("a.mov", "libx264", "MOV"), ("a.mkv", "libx264", "MKV"),
                                                 ("a.webm", "libvpx", "MKV"), ("a.avi", "mpeg4", "AVI"), ("a.ts", "mpeg2video", "MPEGTS"),
                                                 ("a.mpg", "mpeg2video", "MPEG"), ("a.3gp", "mpeg4", "MP4")])  # fmt: skip
def test_containers(name: str, codec: str, format: str, tmp_path: Path) -> None:
    """A change of scene is looked at when it comes, besides every two seconds."""
    path = tmp_path / name
    write_video(path, [*plain(40, 75), *plain(200, 50)], codec=codec, rate=25)
    found = open_video(str(path))
    assert (found.format, found.width, found.height) == (format, 320, 192) and format in extras.VIDEO_FORMATS
    assert (found.content, found.size) == (content_id(path.read_bytes()), path.stat().st_size)
    shown = seen(path)
    assert [look.cut for look in shown] == [False, False, True]
    assert [look.at_ms for look in shown] == pytest.approx([0, 2000, 3000], abs=500)
    assert [int(look.picture.pixels.mean()) for look in shown] == pytest.approx([40, 40, 200], abs=8)


def test_every_few_seconds(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", plain(90, 100, 64, 48), rate=10)
    for every in (0.5, 1, 3):
        times = [look.at_ms for look in seen(tmp_path / "a.mp4", every)]
        assert times == pytest.approx(np.arange(0, 10, every) * 1000, abs=101)


def test_only_key_frames_are_decoded_where_they_are_dense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    frames = video._Reader.frames

    def counted(self: video._Reader) -> object:
        nonlocal count
        for frame in frames(self):
            count += 1
            yield frame

    monkeypatch.setattr(video._Reader, "frames", counted)
    pictures = [np.full((48, 64, 3), 40 + i, np.uint8) for i in range(100)]
    write_video(tmp_path / "all.avi", pictures, codec="mjpeg", rate=10)  # every frame is a key frame
    write_video(tmp_path / "sparse.mp4", pictures, rate=10)
    assert len(seen(tmp_path / "all.avi")) == len(seen(tmp_path / "sparse.mp4")) == 5
    count = 0
    seen(tmp_path / "sparse.mp4", every=2)
    sparse = count
    assert sparse >= 100
    count = 0
    seen(tmp_path / "sparse.mp4", every=60)
    assert count < 5


def test_a_long_video_is_looked_at_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.mp4", plain(90, 100, 64, 48), rate=10)
    monkeypatch.setattr(video, "MAX_LOOKS", 4)
    times = [look.at_ms for look in seen(tmp_path / "a.mp4", 0.1)]
    assert len(times) == 4 and max(b - a for a, b in pairwise(times)) <= 2600


def test_flashing_lights_do_not_make_endless_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flashes = [frame for i in range(50) for frame in plain(20 + 200 * (i % 2), 3, 64, 48)]
    write_video(tmp_path / "a.mp4", flashes, rate=10)
    assert len(seen(tmp_path / "a.mp4")) > 30
    monkeypatch.setattr(video, "MAX_LOOKS", 5)
    monkeypatch.setattr(video, "_DENSE", 0)
    assert len(seen(tmp_path / "a.mp4")) == 10


@pytest.mark.parametrize("metadata, expected", [
    ({"creation_time": "2024-05-06T07:08:09Z"}, datetime(2024, 5, 6, 7, 8, 9)),
    ({"creation_time": "2024-05-06T07:08:09Z", "com.apple.quicktime.creationdate": "2024-05-06T09:08:09+0200"},
     datetime(2024, 5, 6, 9, 8, 9)),
    ({"creation_time": "1904-01-01T00:00:00Z"}, None),
    ({}, None),
])  # fmt: skip
def test_taken_at(metadata: dict[str, str], expected: datetime | None, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mov", [quarters()] * 3, **metadata)
    assert open_video(str(tmp_path / "a.mov")).taken_at == expected


def test_the_picture_is_the_same_after_the_metadata_was_edited(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [quarters()] * 50)
    write_video(tmp_path / "b.mp4", [quarters()] * 50, title="a day at the sea")
    write_video(tmp_path / "c.mp4", [quarters()[::-1]] * 50)
    write_video(tmp_path / "d.mp4", [quarters()] * 60)
    a, b, c, d = (open_video(str(tmp_path / f"{name}.mp4")) for name in "abcd")
    assert a.picture == b.picture and a.content != b.content
    assert len({a.picture, c.picture, d.picture}) == 3


@pytest.mark.parametrize("kind, says", [
    ("empty", "an empty file"), ("noise", "can't be opened as one"), ("list", "can't be opened as one"),
    ("photo", "can't be opened as one"),
    ("head", "."), ("gone", "no file"), ("sound", "without moving pictures"), ("folder", "not a file"),
])  # fmt: skip
def test_what_is_no_video(kind: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, [quarters()] * 20)
    whole = path.read_bytes()
    if kind == "sound":
        av = needs("av")
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=8000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 8000
            container.mux([*stream.encode(frame), *stream.encode()])
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "gone":
        path.unlink()
    elif kind == "photo":
        Image.fromarray(quarters()).save(tmp_path / "a.png")
        (tmp_path / "a.png").rename(path)
    else:
        noise = np.random.default_rng(1).integers(0, 256, 5000).astype(np.uint8).tobytes()
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\n{tmp_path}/secret.ts\n".encode()
        path.write_bytes({"empty": b"", "noise": noise, "list": playlist, "head": whole[:40]}[kind])
    with pytest.raises(PhotoError, match=says) as caught:
        open_video(str(path))
    assert "\n" not in str(caught.value)


def test_a_video_that_ends_early_counts_as_far_as_it_goes(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", [np.full((96, 128, 3), i, np.uint8) for i in range(200)], rate=10)
    whole = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(whole[: len(whole) // 2])
    shown = seen(tmp_path / "a.mkv")
    assert 2 <= len(shown) < 10


def test_a_video_that_takes_too_long_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that takes no longer for each of its seconds than a video may is looked at to its end."""
    write_video(tmp_path / "a.mp4", [np.full((96, 128, 3), i, np.uint8) for i in range(100)], rate=10)
    opened, clock = open_video(str(tmp_path / "a.mp4")), iter(range(10_000))
    monkeypatch.setattr(video.time, "process_time", lambda: 0.5 * next(clock))  # half a second a packet, of a tenth of a second
    monkeypatch.setattr(video, "SECONDS", 20)
    assert [look.at_ms for look in looks(opened, 2.0, 2000)][-1] == 8000
    monkeypatch.setattr(video, "SECONDS_A_SECOND", 2)
    with pytest.raises(PhotoError, match="expected a video that can be decoded in time, found one that took") as caught:
        list(looks(opened, 2.0, 2000))
    assert "\n" not in str(caught.value)


def test_joined_recordings_get_the_time_of_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.ts", [np.full((96, 128, 3), i, np.uint8) for i in range(100)], rate=10)
    (tmp_path / "joined.ts").write_bytes((tmp_path / "a.ts").read_bytes() * 3)  # times jump back twice
    opened, clock = open_video(str(tmp_path / "joined.ts")), iter(range(10_000))
    monkeypatch.setattr(video.time, "process_time", lambda: 0.5 * next(clock))  # 150 s for 300 packets of a tenth of a second
    monkeypatch.setattr(video, "SECONDS", 20)
    monkeypatch.setattr(video, "SECONDS_A_SECOND", 6)
    assert [look.at_ms for look in looks(opened, 2.0, 2000)] == pytest.approx(range(0, 30_000, 2000), abs=301)
    monkeypatch.setattr(video, "SECONDS_A_SECOND", 4)
    with pytest.raises(PhotoError, match="in time"):
        list(looks(opened, 2.0, 2000))


@pytest.mark.parametrize("name", ["joined.ts", "joined.mpg"])
def test_each_of_the_joined_recordings_is_looked_at(name: str, tmp_path: Path) -> None:
    """The times of the file begin anew with each recording, so that a face in the second has the time of one in the first."""
    codec = {".ts": "libx264", ".mpg": "mpeg2video"}[Path(name).suffix]
    greys = (40, 120, 200)
    for grey in greys:
        write_video(tmp_path / f"{grey}{Path(name).suffix}", plain(grey, 150, 64, 48), codec=codec, rate=25)
    (tmp_path / name).write_bytes(b"".join((tmp_path / f"{grey}{Path(name).suffix}").read_bytes() for grey in greys))
    found = seen(tmp_path / name)
    times = [look.at_ms for look in found]
    assert all(a < b for a, b in pairwise(times)) and times == pytest.approx(range(0, 18_000, 2000), abs=301)
    shown = [min(greys, key=lambda grey, look=look: abs(grey - float(look.picture.pixels.mean()))) for look in found]  # type: ignore[misc]
    assert shown == [40] * 3 + [120] * 3 + [200] * 3
    assert [look.cut for look in found] == [False, False, False, True, False, False, True, False, False]


def test_frames_that_are_only_out_of_order_do_not_make_time(tmp_path: Path) -> None:
    class Frame:
        def __init__(self, time: float | None) -> None:
            self.time = time

    write_video(tmp_path / "a.mp4", plain(90, 5, 64, 48))
    with (tmp_path / "a.mp4").open("rb") as file:
        reader = video._Reader(file)
        said = [reader.time_of(Frame(at)) for at in (7.0, 7.1, 7.3, 7.2, 7.4, None, math.nan, 7.5, 3.0, 3.1, 90.0, 2.0, 2.5)]
    assert said == pytest.approx([0, 0.1, 0.3, 0.3, 0.4, 0.4, 0.4, 0.5, 0.6, 0.7, 87.6, 88.6, 89.1])


@pytest.mark.parametrize("wrong", [[0.0], [3.0, 3.5]])
def test_a_frame_with_a_wrong_time_moves_none_after_it(wrong: list[float], tmp_path: Path) -> None:
    """Damage gives single frames a time long before: what comes after them has its own time again."""
    write_video(tmp_path / "a.mp4", plain(90, 5, 64, 48))
    times = [10 + 0.5 * i for i in range(40)]
    times[20 : 20 + len(wrong)] = wrong
    with (tmp_path / "a.mp4").open("rb") as file:
        reader = video._Reader(file)
        said = [reader.time_of(SimpleNamespace(time=at)) for at in times]
    assert said == pytest.approx([0.5 * i for i in range(40)])


def test_damage_raises_nothing_else(tmp_path: Path) -> None:
    rng = random.Random(7)
    noise = np.random.default_rng(1)
    usable = 0
    for name, codec in (("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.mkv", "libx264")):
        write_video(tmp_path / name, [noise.integers(0, 256, (64, 96, 3)).astype(np.uint8) for _ in range(20)], codec=codec)
        whole = (tmp_path / name).read_bytes()
        for _ in range(40):
            data = bytearray(whole)
            for _ in range(rng.randint(1, 20)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            (tmp_path / name).write_bytes(data)
            try:
                usable += len(seen(tmp_path / name, 0.5)) > 0
            except PhotoError as e:
                assert "\n" not in str(e)
    assert usable > 20


def test_memory_of_a_large_file(tmp_path: Path) -> None:
    """A gigabyte behind the video costs no memory: it is hashed in pieces, and never held."""
    write_video(tmp_path / "a.mp4", [quarters()] * 20)
    with open(tmp_path / "a.mp4", "ab") as file:
        file.write((2**30).to_bytes(4) + b"free")
        file.truncate(file.tell() + 2**30 - 8)
    code = f"""
import resource
from facecluster.photos.video import open_video, looks
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
video = open_video({str(tmp_path / "a.mp4")!r})
assert video.size > 2**30 and list(looks(video, 2, 2000))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200  # MiB


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"any")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(PhotoError, match=r"pip install 'facecluster\[video\]'"):
        open_video(str(tmp_path / "a.mp4"))


@pytest.mark.parametrize("seconds", [2, 12])
def test_length_without_the_package(seconds: int, tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mov"):
        write_video(tmp_path / name, plain(90, 10 * seconds, 64, 48), rate=10)
        with open(tmp_path / name, "rb") as file:
            assert movie_seconds(file, (tmp_path / name).stat().st_size) == pytest.approx(seconds, abs=.11)
