"""A folder with videos, RAW and motion photos, from run to exports: what the user sees."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from video_files import scenes, write_video

from facecluster.cli import main
from facecluster.demo.collection import make_collection
from facecluster.photos.images import open_photo
from facecluster.store import FACES, IDENTITIES, PHOTOS, Store


def go(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of synthetic people, a video of some of them in which person 1 comes twice, and a store of both."""
    folder = tmp_path_factory.mktemp("home")
    make_collection(str(folder), people=6, photos=3, seed=5)
    films = scenes((0, 1), (2,), (1, 3))
    write_video(folder / "photos" / "party.mp4", (frame for scene in films for frame in scene.frames()))
    (folder / "photos" / "notes.txt").write_text("none")
    said = go("run", folder / "photos", "-o", folder / "store").stderr
    assert "passed over: 1 other file (1 .txt)" in said
    return folder


def faces_of_video(store: Store) -> list[dict[str, object]]:
    return [f for f in store.read_all("faces", FACES).to_pylist() if f["at_ms"] is not None]


def test_two_appearances_in_a_video_may_be_one_person(home: Path) -> None:
    """Two faces of one photo are kept apart; tracks of one video are not, unless they were seen at once."""
    store = Store(str(home / "store"))
    tables = [t for t in ("identities/bundled",) if store.shards(t)]
    identity = {r["face_id"]: r["identity"] for r in store.read_all(tables[0], IDENTITIES).to_pylist()}
    tracks = faces_of_video(store)
    found = [identity[str(t["face_id"])] for t in tracks]
    assert len(tracks) == 5 and len(set(found[:2])) == 2
    assert len({i for i in found if i >= 0}) < len([i for i in found if i >= 0])


def test_the_report_shows_faces_of_videos_with_their_times(home: Path) -> None:
    pages = "".join(p.read_text() for p in (home / "store" / "report" / "photos").glob("*.html"))
    at = pages.index('title="party.mp4"')
    article = pages[at : pages.index("</div>", at)]
    assert "Open the video" in article and "<img src=\"file:" not in article and "<svg" not in article
    for track in faces_of_video(Store(str(home / "store"))):
        assert f"at 0:{int(str(track['at_ms'])) // 1000:02}" in article


@pytest.mark.parametrize("kind", ["xmp", "coco", "fiftyone", "labelstudio"])
def test_formats_with_boxes_leave_videos_out_and_say_so(kind: str, home: Path, tmp_path: Path) -> None:
    done = go("export", home / "store", "--format", kind, "-o", tmp_path, "--json")
    assert "left out 1 video" in done.stderr and json.loads(done.stdout)["videos_left_out"] == 1
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and "party.mp4" in p.name + p.read_text(errors="replace")]


@pytest.mark.parametrize("kind", ["folders", "csv", "sqlite"])
def test_formats_without_boxes_have_videos(kind: str, home: Path, tmp_path: Path) -> None:
    assert "left out" not in go("export", home / "store", "--format", kind, "-o", tmp_path).stderr
    if kind == "folders":
        assert list(tmp_path.glob("*/party.mp4"))
    else:
        assert any(b"party.mp4" in p.read_bytes() for p in tmp_path.iterdir())


def test_other_commands_pass_videos_by(home: Path, tmp_path: Path) -> None:
    said = go("dedup", home / "store")
    assert "video" in said.output and "party.mp4" not in (home / "store" / "dedup" / "plan.csv").read_text(encoding="utf-8")
    done = CliRunner().invoke(main, ["match", str(home / "photos" / "party.mp4"), "--store", str(home / "store")])
    assert done.exit_code == 1 and "expected a photo, found a video" in done.output
    go("questions", home / "store")
    go("curate", home / "store", "-o", tmp_path / "set")


def test_an_edited_video_is_the_same(home: Path) -> None:
    """Other metadata, the same pictures: nothing is searched again, and faces keep their ids."""
    store = Store(str(home / "store"))
    before = [t["face_id"] for t in faces_of_video(store)]
    films = scenes((0, 1), (2,), (1, 3))
    write_video(home / "photos" / "party.mp4", (frame for scene in films for frame in scene.frames()), title="A party")
    said = go("embed", home / "photos", "-o", home / "store").stderr
    assert "1 photo looked at" in said and ": 0 faces" in said
    assert [t["face_id"] for t in faces_of_video(store)] == before
    rows = [r for r in store.read_all("photos", PHOTOS).to_pylist() if r["uri"].endswith("party.mp4")]
    assert len(rows) == 2 and rows[0]["photo_id"] == rows[1]["photo_id"] and rows[0]["content"] != rows[1]["content"]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_motion_photo_is_its_still(kind: str, tmp_path: Path) -> None:
    """Google's and Samsung's phones append an MP4 to the photo."""
    picture = scenes((0,))[0].picture
    out = io.BytesIO()
    Image.fromarray(picture).save(out, kind, quality=95)
    write_video(tmp_path / "a.mp4", [picture[:, :640]] * 10)
    motion = out.getvalue() + b"MotionPhoto_Data" + (tmp_path / "a.mp4").read_bytes()
    found = open_photo(motion)
    assert found.format == kind and np.array_equal(found.pixels, open_photo(out.getvalue()).pixels)
