"""A grouping in shards, from files and by processes, is the grouping in memory, to the bit; and it goes on where it was stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_grouping import people_with_ties, planted

from facecluster.grouping import mapped_files, work
from facecluster.grouping.candidate_edges import LinkShard
from facecluster.grouping.face_vectors import FaceVectors
from facecluster.grouping.group import group, group_links
from facecluster.grouping.groups import Groups
from facecluster.grouping.identify import IdentifyConfig
from facecluster.grouping.link import nearest
from facecluster.grouping.work import Filed, FolderShelf, LocalCrew, Shelf, load

CONFIG = IdentifyConfig(impostor_mean=0.0, impostor_sd=0.125)


class Processes:
    """A crew of other processes: whatever a task gets and gives must pickle."""

    def __init__(self, folder: Path, most: int | None = None) -> None:
        self.shelf: Shelf = FolderShelf(str(folder))
        self.pool, self.left = ProcessPoolExecutor(2), most

    def map(self, task: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Sequence[Any]:
        jobs = []
        for call in calls:
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise KeyboardInterrupt
            jobs.append(self.pool.submit(task, *call))
        return [job.result() for job in jobs]


def sharded(links: tuple[NDArray[np.int32], NDArray[np.float32]], rows: int) -> list[LinkShard]:
    return [LinkShard(i, *(part[i : i + rows] for part in links)) for i in range(0, len(links[0]), rows)]


def on_files(shelf: Shelf, x: NDArray[np.float32], rows: int) -> FaceVectors:
    """Vectors that float16 holds, in parts on a shelf."""
    starts = [*range(0, len(x), rows), len(x)]
    parts = tuple(shelf.keep(f"x/{i}", x[i : i + rows].astype(np.float16)) for i in starts[:-1])
    return FaceVectors(parts, tuple(starts), x.shape[1])


def same(one: Groups, other: Groups) -> bool:
    names = ("labels", "margins", "probabilities", "outlier_scores")
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in names)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 8]), st.booleans(), st.booleans())
def test_shards_change_nothing(seed: int, rows: int, ruled: bool, grown: bool) -> None:
    x, rng = people_with_ties(seed), np.random.default_rng(seed + 1)
    n = len(x)
    links = nearest(x, int(rng.choice([3, 8, 20])))
    config = IdentifyConfig(impostor_mean=0.0, impostor_sd=x.shape[1] ** -0.5)
    rules: dict[str, Any] = {}
    if ruled:
        rules = {"photos": rng.integers(0, n, n), "weak": rng.random(n) < 0.2, "recognisability": rng.random(n)}
        rules |= {"must": rng.integers(0, n, (2, 2)), "cannot": rng.integers(0, n, (3, 2))}
    if grown:
        rules["before"] = np.where(rng.random(n) < 0.7, rng.integers(0, 1 + n // 3, n), -1)
    assert same(group(x, *links, config, **rules), group_links(x, sharded(links, rows), config, **rules))


def collection() -> tuple[NDArray[np.float32], dict[str, Any]]:
    """400 faces whose vectors float16 holds, some poor, some of one photo."""
    x, _ = planted([9] * 20 + [3] * 20 + [1] * 160, noise=0.7)
    rng = np.random.default_rng(3)
    rules = {"photos": rng.integers(0, 250, 400), "weak": rng.random(400) < 0.05, "cannot": np.array([[0, 1], [20, 30]])}
    return x.astype(np.float16).astype(np.float32), rules


def test_files_and_processes_change_nothing(tmp_path: Path) -> None:
    x, rules = collection()
    links = nearest(x, 16)
    plain = group(x, *links, CONFIG, **rules)
    assert plain.labels.max() > 20
    crew = LocalCrew(FolderShelf(str(tmp_path / "threads")))
    assert same(plain, group_links(on_files(crew.shelf, x, 90), sharded(links, 70), CONFIG, crew=crew, **rules))
    team = Processes(tmp_path / "processes")
    assert same(plain, group_links(on_files(team.shelf, x, 400), sharded(links, 150), CONFIG, crew=team, **rules))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_what_was_stopped_goes_on(tmp_path: Path, share: float) -> None:
    x, rules = collection()
    links = sharded(nearest(x, 16), 150)
    whole = Processes(tmp_path / "whole", 10**6)
    plain = group_links(x, links, CONFIG, crew=whole, **rules)
    assert whole.left is not None
    tasks = 10**6 - whole.left
    stopped = Processes(tmp_path / "again", int(share * tasks))
    with pytest.raises(KeyboardInterrupt):
        group_links(x, links, CONFIG, crew=stopped, **rules)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "again").rglob("*.npy") if "/quantiles" in str(path)}
    again = Processes(tmp_path / "again")
    assert same(plain, group_links(x, links, CONFIG, crew=again, **rules))
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())
    shutil.rmtree(tmp_path / "again")


def test_a_grouping_stopped_again_and_again_ends(tmp_path: Path) -> None:
    """Each try gets one pass further than the one before, so it is stopped in every one: also between two rounds of one linkage."""
    x, rules = collection()
    links = sharded(nearest(x, 16), 150)
    config = replace(CONFIG, margin=99.0)  # HDBSCAN finds nothing, so average linkage takes many rounds
    plain, tries, most = group_links(x, links, config, **rules), 0, 0

    class Impatient(LocalCrew):
        left = 0

        def map(self, task: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Sequence[Any]:
            Impatient.left -= 1
            if Impatient.left < 0:
                raise KeyboardInterrupt
            return super().map(task, calls)

    while True:
        tries, most = tries + 1, most + 1
        Impatient.left = most
        try:
            found = group_links(x, links, config, crew=Impatient(FolderShelf(str(tmp_path)), 1), **rules)
            break
        except KeyboardInterrupt:
            continue
    assert tries > 20 and same(plain, found)


def test_rows_of_parts_are_those_of_the_whole(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float16).astype(np.float32)
    parts = on_files(FolderShelf(str(tmp_path)), x, 7)
    rng = np.random.default_rng(1)
    some = rng.integers(0, 50, 30), rng.random(50) < 0.3, 21, np.int64(49)
    for rows in (slice(0, 50), slice(3, 5), slice(6, 8), slice(20, 20), slice(50, 50), slice(40, 99), *some):
        assert np.array_equal(parts[rows], x[rows]) and parts[rows].dtype == np.float32
    assert parts.shape == (50, 8) and len(parts) == 50 and parts[np.zeros(0, dtype=int)].shape == (0, 8)


def test_files_that_nobody_uses_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a worker holds the pages and the disk of what was deleted long ago."""
    files, now = mapped_files.MappedFiles(), [0.0]
    monkeypatch.setattr(mapped_files, "FILES", files)
    monkeypatch.setattr(work, "FILES", files)
    monkeypatch.setattr(mapped_files.time, "monotonic", lambda: now[0])
    old, new, far = (FolderShelf(str(tmp_path)).keep(name, np.arange(3)) for name in ("old", "new", "far"))
    for stored in (old, new):
        assert load(stored).tolist() == [0, 1, 2]
    now[0] = 0.9 * mapped_files._IDLE
    load(new)
    now[0] = 1.1 * mapped_files._IDLE
    load(far)
    assert isinstance(old, Filed) and isinstance(new, Filed) and isinstance(far, Filed)
    assert list(files.arrays) == list(files.used) == [new.url, far.url]
    assert load(old).tolist() == [0, 1, 2]
    files.forget(new.url)
    files.forget_within(str(tmp_path))
    assert not files.arrays and not files.used


def test_files_that_another_process_deleted_are_closed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, now = mapped_files.MappedFiles(), [0.0]
    monkeypatch.setattr(mapped_files, "FILES", files)
    monkeypatch.setattr(work, "FILES", files)
    monkeypatch.setattr(mapped_files.time, "monotonic", lambda: now[0])
    gone, stays, more = (FolderShelf(str(tmp_path)).keep(name, np.arange(3)) for name in ("gone", "stays", "more"))
    assert isinstance(gone, Filed) and isinstance(stays, Filed) and isinstance(more, Filed)
    in_use = load(gone)
    load(stays)
    Path(gone.url).unlink()
    now[0] = 1.1 * mapped_files._LOOK
    load(more)
    assert now[0] < mapped_files._IDLE and list(files.arrays) == list(files.used) == [stays.url, more.url]
    assert in_use.tolist() == [0, 1, 2]
