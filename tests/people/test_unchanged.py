"""A grouping and a report that are asked for again when nothing has changed: they are not made again, and say the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import people_store
import pytest

from facecluster import pipeline
from facecluster.people.unchanged import FILE
from facecluster.photos.gone import GoneFolder
from facecluster.photos.places import write_gone_places
from facecluster.report.run_report import write_run_report
from facecluster.store import Store

ONE, TWO = people_store.face_ids(0, 1)[0], people_store.face_ids(5, 1)[0]  # of two people


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found, ids, _ = people_store.ungrouped_store(tmp_path, [5, 4, 3])
    people_store.add_boxes(found, "00000", ids, people_store.np.tile([10.0, 10, 50, 60], (len(ids), 1)))
    said(found)
    return found


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each grouping that is really done."""
    done: list[int] = []
    grouping = pipeline._cluster

    def counted(*args: Any, **options: Any) -> pipeline.Clustered:
        done.append(1)
        return grouping(*args, **options)

    monkeypatch.setattr(pipeline, "_cluster", counted)
    return done


def said(store: Store, *options: str) -> str:
    """What `cluster` says, without progress bars."""
    lines = people_store.call("cluster", store.url, *options).output.splitlines()
    return "\n".join(line for line in lines if line and "faces linked" not in line and not line.startswith("links: "))


def files(store: Store) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(Path(store.url).rglob("*")) if p.is_file()}


def test_nothing_is_done_again(store: Store, work: list[int]) -> None:
    """Also not after decisions; what is to be said of them each time (a line can't be read, names of one person differ) is said again."""
    for command in (["name", store.url, ONE, "Ada"], ["name", store.url, TWO, "Bea"], ["same", store.url, ONE, TWO]):
        people_store.call(*command)
    with Path(store.path("decisions.jsonl")).open("a") as journal:
        journal.write("{cut off\n")
    said(store)
    assert work.pop() and not work
    quick, before = said(store), files(store)
    assert "can't be read and is skipped" in quick
    quick_json = people_store.call("cluster", store.url, "--json").stdout
    assert not work and files(store) == before
    os.unlink(store.path(*FILE))
    assert (said(store), work.pop(), work) == (quick, 1, [])
    os.unlink(store.path(*FILE))
    assert people_store.call("cluster", store.url, "--json").stdout == quick_json


def rewrite(path: str) -> None:
    """Other bytes, as many: the last one changed."""
    data = Path(path).read_bytes()
    os.unlink(path)
    Path(path).write_bytes(data)


CHANGES: dict[str, Callable[[Store], object]] = {
    "a name": lambda s: people_store.call("name", s.url, ONE, "Ada"),
    "people.csv": lambda s: Path(s.path("people.csv")).write_text(Path(s.path("people.csv")).read_text(encoding="utf-8-sig") + "\r\n"),
    "a place": lambda s: write_gone_places(s, {"/photos/1.jpg": True}),
    "a shard written again": lambda s: rewrite(s.shard_path("embeddings/bundled", "00000")),
    "another shard": lambda s: people_store.add(s, "00001", people_store.people([2], seed=5)[0], start=100),
    "links gone": lambda s: os.unlink(s.shard_path("links/bundled", "00000")),
    "no run": lambda s: os.unlink(s.path("runs", "current.json")),
    "damaged": lambda s: Path(s.path(*FILE)).write_text("{"),
    "something else": lambda s: Path(s.path(*FILE)).write_text("[]"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_seen(store: Store, work: list[int], change: str) -> None:
    CHANGES[change](store)
    said(store)
    assert len(work) == 1
    said(store)
    assert len(work) == 1


@pytest.mark.parametrize("options", [["--full"], ["--margin", "0.9"], ["--algorithm", "hdbscan"], ["--min-recognisability", "0"]])
def test_other_settings_are_another_grouping(store: Store, work: list[int], options: list[str]) -> None:
    said(store, *options)
    assert len(work) == 1


def test_a_dry_run_of_the_same_does_nothing(store: Store, work: list[int]) -> None:
    before = files(store)
    assert "nothing changed" in said(store, "--dry-run")
    assert not work and files(store) == before


def test_a_report_is_written_again_only_if_it_would_differ(store: Store) -> None:
    def write(gone: list[GoneFolder] | None) -> bool:
        """Whether it was."""
        index = Path(store.path("report", "index.html"))
        before = index.stat().st_ino if index.exists() else 0
        summary = write_run_report(store, "runs/00001/identities", gone=gone)
        assert summary.faces == 12 and summary.index == str(index)
        return index.stat().st_ino != before

    disk = [GoneFolder("/photos", True, ["/photos/1.jpg"], frozenset("x"))]
    assert [write([]), write([]), write([])] == [True, False, False]
    assert [write(disk), write(disk), write([])] == [True, False, True]
    people_store.call("name", store.url, ONE, "Ada")
    assert [write([]), write([])] == [True, False]
    assert "Ada" in Path(store.path("report", "index.html")).read_text(encoding="utf-8")
    os.unlink(next(Path(store.path("report", "people")).iterdir()))
    assert [write([]), write([])] == [True, False]
    assert [write(None), write(None)] == [True, True]
