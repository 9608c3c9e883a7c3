"""The main job on synthetic people, and what it says to bad input. See also test_killed.py, test_dask.py, test_s3.py, test_bad_input.py."""

from __future__ import annotations

from pathlib import Path

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


def test_people_are_found(whole: Store) -> None:
    assert whole.read_all("faces", FACES).num_rows >= 16
    assert sum(e is not None for e in whole.read_all("photos", PHOTOS)["error"].to_pylist()) == 1  # the broken file of the collection


def test_a_second_run_does_nothing_new(whole: Store, photos: str) -> None:
    before = Path(whole.part("faces", "00000")).stat().st_mtime_ns
    result = CliRunner().invoke(main, ["embed", photos, "-o", whole.url])
    assert result.exit_code == 0 and "0 photos looked at" in result.output
    assert Path(whole.part("faces", "00000")).stat().st_mtime_ns == before


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
