"""The main job on synthetic people: whole, killed and resumed, on a real Dask cluster; and what it says to bad input."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from facecluster.cli import main
from facecluster.demo import make_collection
from facecluster.tables import FACES, PHOTOS, Store


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


def same_tables(a: Store, b: Store) -> None:
    for table in ("files", "photos", "faces", "embeddings/bundled", "links/bundled", "identities/bundled"):
        assert a.shards(table) == b.shards(table) and a.shards(table)
        for shard in a.shards(table):
            assert a.read(table, shard).equals(b.read(table, shard), check_metadata=True), table


def test_people_are_found(whole: Store) -> None:
    assert whole.read_all("faces", FACES).num_rows >= 16
    assert sum(e is not None for e in whole.read_all("photos", PHOTOS)["error"].to_pylist()) == 1  # the broken file of the collection


def test_a_second_run_does_nothing_new(whole: Store, photos: str) -> None:
    before = Path(whole.part("faces", "00000")).stat().st_mtime_ns
    result = CliRunner().invoke(main, ["embed", photos, "-o", whole.url])
    assert result.exit_code == 0 and "0 photos looked at" in result.output
    assert Path(whole.part("faces", "00000")).stat().st_mtime_ns == before


def test_killed_and_run_again_the_tables_are_the_same(whole: Store, photos: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    command = [sys.executable, "-c", "from facecluster.cli import main; main()", "run", photos, "-o", store.url]
    for table in ("files", "faces", "embeddings/bundled", "links/bundled"):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not os.path.isdir(store.path(*table.split("/"))):
            time.sleep(0.005)
        process.kill()
        process.wait()
    assert subprocess.run(command, capture_output=True).returncode == 0
    same_tables(whole, store)


def test_a_cluster_of_processes_gives_the_same_faces(whole: Store, photos: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    command = [sys.executable, "-c", "if __name__ == '__main__':\n from facecluster.cli import main; main()"]
    script = tmp_path / "main.py"
    script.write_text(command[2])
    done = subprocess.run([sys.executable, str(script), "run", photos, "-o", store.url, "--workers", "2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert store.read_all("faces", FACES).equals(whole.read_all("faces", FACES))
    a, b = (
        s.read("embeddings/bundled", "00000")["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
        for s in (store, whole)
    )
    assert np.abs(a - b).max() < 0.01


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


def test_other_settings_stop_the_run(whole: Store, photos: str) -> None:
    result = CliRunner().invoke(main, ["embed", photos, "-o", whole.url, "--threshold", "0.9"])
    assert result.exit_code == 1 and "threshold" in result.stderr
