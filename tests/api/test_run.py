"""`facecluster.run`: the same tables as the command, progress by a callback, and errors before any work is done."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from jobs import run as command
from jobs import same_tables, small_photos

import facecluster
from facecluster.store import Store


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_photos(tmp_path_factory.mktemp("photos"), 12)


Calls = list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def made(photos: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[facecluster.RunSummary, Calls]:
    """What a whole run gave, and how it called the function for progress."""
    calls: Calls = []
    return facecluster.run(photos, tmp_path_factory.mktemp("made") / "store", progress=lambda *call: calls.append(call)), calls


def rows(store: Store, table: str, key: str) -> pa.Table:
    """A table whole: the tests of commands have smaller shards."""
    found = store.read_all(table, store.read(table, store.shards(table)[0]).schema).sort_by(key)
    return found.drop_columns(["mtime_ns"] if table == "photos" else [])


def test_it_makes_what_the_command_makes(made: tuple[facecluster.RunSummary, Calls], photos: str, tmp_path: Path) -> None:
    command("run", photos, "-o", str(tmp_path / "command"))
    script, other = Store(made[0].store), Store(str(tmp_path / "command"))
    for table, key in (("faces", "face_id"), ("embeddings/bundled", "face_id"), ("identities/bundled", "face_id"), ("photos", "uri")):
        assert rows(script, table, key).equals(rows(other, table, key)), table
    summaries = [json.loads(script.fs.cat_file(s.path("report", "summary.json"))) for s in (script, other)]
    assert summaries[0]["counts"] == summaries[1]["counts"]


def test_it_says_what_it_did(made: tuple[facecluster.RunSummary, Calls]) -> None:
    summary, calls = made
    assert summary.report == os.path.join(summary.store, "report", "index.html") and Path(summary.report).is_file()
    assert summary.run == 1 and summary.new_photos == 12 and [Path(uri).name for uri, _ in summary.failed] == ["98.jpg"]
    opened = summary.open()
    assert summary.faces == opened.faces.num_rows and summary.people == len(opened) >= 2
    assert summary.nobody == opened.faces["person_id"].null_count and "first run" in summary.changes[0]
    check_progress(calls)


def check_progress(calls: Calls) -> None:
    """Each stage begins at 0, rises, and ends at its total."""
    stages: dict[str, list[tuple[int, int]]] = {}
    for what, done, total in calls:
        stages.setdefault(what, []).append((done, total))
    assert list(stages) == ["photos", "faces linked", "report pages"] and len(stages["photos"]) > 6
    for what, steps in stages.items():
        counts = [done for done, _ in steps]
        assert counts == sorted(counts) and counts[-1] == steps[-1][1] and len({total for _, total in steps}) == 1, what


def test_photos_are_added_and_what_is_done_is_kept(photos: str, tmp_path: Path) -> None:
    first = [str(Path(photos) / f"{i:02}.jpg") for i in range(6)]
    before = facecluster.run(first, tmp_path / "store", report=False)
    assert before.report is None and not (tmp_path / "store" / "report").exists() and before.new_photos == 6
    calls: list[str] = []
    after = facecluster.run([Path(photos)], tmp_path / "store", progress=lambda what, done, total: calls.append(what))
    assert after.new_photos == 6 and after.faces > before.faces and "photos" in calls
    again = facecluster.run(photos, tmp_path / "store")
    assert again.new_photos == 0 and (again.run, again.people) == (after.run, after.people)


def test_a_callback_that_raises_stops_the_run_and_the_next_goes_on(
    made: tuple[facecluster.RunSummary, Calls], photos: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what == "faces linked":
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        facecluster.run(photos, tmp_path / "store", progress=stop)
    assert facecluster.run(photos, tmp_path / "store", report=False).new_photos == 0
    same_tables(Store(str(tmp_path / "store")), Store(made[0].store))
    assert capfd.readouterr() == ("", "")  # a library says nothing


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"photos": 7}, "expected the path of photos, or several, found int"),
        ({"photos": [b"a"]}, "as photos, found bytes"),
        ({"photos": "nowhere"}, "expected .*nowhere"),
        ({"photos": []}, "expected .*photos"),
        ({"store": None}, "as store, found NoneType"),
        ({"threshold": 2}, "expected a threshold from 0 to 1, found 2"),
        ({"threshold": "low"}, "expected a number as threshold"),
        ({"model": None}, "expected a path or an address as model, found NoneType"),
        ({"detector": 3}, "as detector, found int"),
        ({"workers": 0}, "expected a whole number from 1 on as workers, found 0"),
        ({"workers": 1.5}, "as workers, found 1.5"),
        ({"progress": "bar"}, "expected a function as progress, found 'bar'"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: dict[str, Any], message: str, photos: str, tmp_path: Path) -> None:
    with pytest.raises(facecluster.InputError, match=message):
        facecluster.run(**{"photos": photos, "store": tmp_path / "store", **arguments})


def test_a_store_in_use_and_a_wrong_model_are_one_line(photos: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.create()
    with store.lock(), pytest.raises(facecluster.StoreError, match="found another run at work"):
        facecluster.run(photos, store.url)
    with pytest.raises(facecluster.ModelError, match="expected the model 'bundled'"):
        facecluster.run(photos, store.url, model="another")
    with pytest.raises(facecluster.ModelError, match="nothing.toml"):
        facecluster.run(photos, store.url, model=tmp_path / "nothing.toml")


def test_a_process_of_its_own_makes_the_same_tables(made: tuple[facecluster.RunSummary, Calls], photos: str, tmp_path: Path) -> None:
    facecluster.run(photos, tmp_path / "other", report=False, workers=1)
    same_tables(Store(str(tmp_path / "other")), Store(made[0].store))
