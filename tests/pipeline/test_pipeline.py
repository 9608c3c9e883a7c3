"""The main job on synthetic people, and what it says to bad input. See also test_killed.py, test_dask.py, test_s3.py, test_bad_input.py."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from small_shards import use

from facecluster.cli import main
from facecluster.demo import make_collection
from facecluster.photos.collect import collect
from facecluster.store import FACES, PHOTOS, Store, embeddings_schema, table_of


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_collection(str(tmp_path_factory.mktemp("demo")), people=6, photos=2).photos


@pytest.fixture(scope="module")
def whole(photos: str, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = tmp_path_factory.mktemp("whole") / "store"
    result = CliRunner().invoke(main, ["run", photos, "-o", str(store)])
    assert result.exit_code == 0, result.output
    assert (store / "report" / "index.html").exists()
    return Store(str(store))


def test_people_are_found(whole: Store) -> None:
    assert whole.read_all("faces", FACES).num_rows >= 16
    assert sum(e is not None for e in whole.read_all("photos", PHOTOS)["error"].to_pylist()) == 1  # the broken file of the collection


def test_a_second_run_does_nothing_new(whole: Store, photos: str) -> None:
    before = Path(whole.shard_path("faces", "00000")).stat().st_mtime_ns
    result = CliRunner().invoke(main, ["embed", photos, "-o", whole.url])
    assert result.exit_code == 0 and "0 photos looked at" in result.output
    assert Path(whole.shard_path("faces", "00000")).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "{tmp}/missing", "-o", "{tmp}/s"], "missing"),
        (["run", "{tmp}/empty", "-o", "{tmp}/s"], "expected photos"),
        (["run", "{tmp}/empty", "-o", "{tmp}/other"], "other files"),
        (["run", "{tmp}/empty", "-o", "{tmp}/other/note.txt"], "found a file"),
        (["cluster", "{tmp}/empty"], "expected a store"),
        (["report", "{tmp}/empty"], "expected a store"),
        (["cluster", "{tmp}/s", "--model", "huge"], "bundled"),
    ],
)
def test_bad_input_is_one_clear_line(arguments: list[str], says: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "note.txt").write_text("mine")
    Store(str(tmp_path / "s")).create()
    result = CliRunner().invoke(main, [a.format(tmp=tmp_path) for a in arguments])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1 and says in result.stderr
    assert (tmp_path / "other" / "note.txt").read_text() == "mine"


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_a_model_trained_further_goes_on_from_the_faces(whole: Store, photos: str, tmp_path: Path, workers: tuple[str, ...]) -> None:
    store = Store(str(tmp_path / "store"))
    shutil.copytree(whole.url, store.url)
    call = CliRunner().invoke
    assert call(main, ["name", store.url, first_person(store), "Ada"]).exit_code == 0
    table, ours = "embeddings/bundled", store.read("embeddings/bundled", "00000")
    rng = np.random.default_rng(0)
    old = rng.normal(size=(len(ours), 128)).astype(np.float16)  # other weights see other likenesses
    stamp = store.stamp(table, "00000")
    assert stamp is not None
    columns = {"face_id": ours["face_id"].combine_chunks(), "embedding": old}
    store.write(table, "00000", table_of(embeddings_schema(128), columns), stamp | {"weights": "0" * 64})
    before = Path(store.shard_path("faces", "00000")).stat().st_mtime_ns
    refused = call(main, ["cluster", store.url])
    assert refused.exit_code == 1 and refused.stderr.count("\n") == 1 and "facecluster embed" in refused.stderr
    done = call(main, ["embed", photos, "-o", store.url, *workers])
    assert done.exit_code == 0 and "0 photos looked at" in done.stderr, done.output
    assert f"faces: 100%|██████████| {len(ours)}/{len(ours)}" in done.stderr
    assert Path(store.shard_path("faces", "00000")).stat().st_mtime_ns == before
    assert store.stamp(table, "00000") == stamp
    again = np.stack(store.read(table, "00000")["embedding"].to_numpy()).astype(float)
    assert (again * np.stack(ours["embedding"].to_numpy()).astype(float)).sum(axis=1).min() > 0.99
    assert call(main, ["cluster", store.url]).exit_code == 0
    assert "Ada" in Path(store.path("people.csv")).read_text(encoding="utf-8-sig")


def first_person(store: Store) -> str:
    return Path(store.path("people.csv")).read_text(encoding="utf-8-sig").splitlines()[1].split(",")[0]


def test_other_settings_stop_the_run(whole: Store, photos: str) -> None:
    result = CliRunner().invoke(main, ["embed", photos, "-o", whole.url, "--threshold", "0.9"])
    assert result.exit_code == 1 and "threshold" in result.stderr


def test_copies_count_once_in_what_a_run_says_and_in_the_report(photos: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is searched in a shard of its own: a copy, and one with other metadata, are found to be the same photo afterwards."""
    use(monkeypatch.setattr, photos=1)
    one = next(p for p in sorted(Path(photos).rglob("IMG_*.jpg")))
    folder = tmp_path / "photos"
    folder.mkdir()
    data = one.read_bytes()
    for name, begin in (("a", data[:2]), ("b", data[:2]), ("c", data[:2] + b"\xff\xfe\x00\x07hello")):
        (folder / f"{name}.jpg").write_bytes(begin + data[2:])
    told = CliRunner().invoke(main, ["run", str(folder), "-o", str(tmp_path / "store")])
    assert told.exit_code == 0, told.output
    looked, shown = (int(re.search(p, told.output)[1]) for p in (r"3 photos looked at: (\d+) faces?\b", r"in (\d+) faces? of 1 "))
    assert looked == shown > 0
    assert Store(str(tmp_path / "store")).read_all("faces", FACES).num_rows == 3 * looked


def test_photos_that_a_stopped_run_only_planned_were_not_known(tmp_path: Path) -> None:
    for i in range(3):
        Image.new("RGB", (64, 64), (i, 0, 0)).save(tmp_path / f"{i}.png")
    store = Store(str(tmp_path / "store"))
    store.create()
    collect([str(tmp_path)], store)  # stopped after this
    done = CliRunner().invoke(main, ["embed", str(tmp_path), "-o", store.url])
    assert "3 photos looked at: 0 faces" in done.output, done.output
    done = CliRunner().invoke(main, ["embed", str(tmp_path), "-o", store.url])
    assert "0 photos looked at, 3 known before: 0 faces" in done.output, done.output
