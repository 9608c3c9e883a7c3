"""Stores that earlier versions wrote: every command opens them, and `upgrade` writes them in today's format, wherever it is stopped.

`workflows/golden_stores.py` has made them, by the code of these versions.
"""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from people_store import call

from facecluster.check import check
from facecluster.cli import main
from facecluster.people import read_current_people
from facecluster.store import Store
from facecluster.store.digest import check_file
from facecluster.upkeep.upgrade import upgrade

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.tar.gz"))
COMMANDS = (
    "people {s}", "people {s} --json", "questions {s}", "show {s} Ada", "undo {s} --list", "cluster {s} --list-runs",
    "cluster {s} --dry-run", "check {s}", "prune {s} --dry-run", "forget {s} Ada", "dedup {s}", "plan {s} --photos 1000",
    "upgrade {s} --dry-run", "compact {s} --dry-run", "report {s} --out {o}/report", "export {s} --format xmp -o {o}/xmp",
    "export {s} --format csv -o {o}/csv", "export {s} --format sqlite -o {o}/q", "export {s} --format coco -o {o}/coco",
    "export {s} --format fiftyone -o {o}/51", "export {s} --format labelstudio -o {o}/ls", "export {s} --format folders -o {o}/folders",
    "curate {s} -o {o}/set --min-quality 0", "evaluate {s} --truth {o}/truth.csv", "cluster {s}", "name {s} Ada Adele",
    "merge {s} Adele {b}", "undo {s}", "split {s} {b} {f}", "same {s} {f} {f2}", "ignore {s} {b}", "cluster {s} --full",
    "cluster {s} --return-to 1", "cluster {s}", "compact {s}", "check {s} --repair", "forget {s} Adele --yes", "cluster {s} --full",
)  # fmt: skip


@pytest.fixture(params=GOLDEN, ids=lambda path: path.name.split(".")[0])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    with tarfile.open(request.param) as tar:
        tar.extractall(tmp_path / "store", filter="data")
    return Store(str(tmp_path / "store"))


def says(store: Store) -> dict[str, Any]:
    """What a store says: people with their names and faces, and every row of every table."""
    current = read_current_people(store)[0]
    found: dict[str, Any] = {"names": current.people.names, "ids": current.people.person_ids, "ignored": list(current.people.ignored)}
    for path in sorted(Path(store.url).rglob("part-*.parquet")):
        table, shard = path.parent.relative_to(store.url).as_posix(), path.name[5:-8]
        rows = store.read(table, shard)
        found[f"{table} {shard}"] = [{k: v for k, v in row.items() if v is not None} for row in rows.to_pylist()], store.stamp(table, shard)
    return found


def test_there_is_one_of_each_version() -> None:
    assert len(GOLDEN) == 5 and all(path.stat().st_size < 40_000 for path in GOLDEN)


def test_every_command_opens_it(store: Store, tmp_path: Path) -> None:
    current = read_current_people(store)[0]
    assert sorted(name or "" for name in current.people.names) == ["", "Ada", "Bob Ärger"]
    faces = {name: current.representatives(i) for i, name in enumerate(current.people.names)}
    rows = "".join(f"{face},{name}\n" for name, of in faces.items() for face in of)
    (tmp_path / "truth.csv").write_text(f"face_id,person\n{rows}", encoding="utf-8")
    values = {"s": store.url, "o": str(tmp_path), "f": faces["Bob Ärger"][0], "f2": faces["Bob Ärger"][1]}
    values["b"] = current.people.person_ids[current.people.names.index("Bob Ärger")]
    for text in COMMANDS:
        words = [word.format(**values) for word in text.split()]
        done = CliRunner().invoke(main, words)
        assert done.exception is None or isinstance(done.exception, SystemExit), (text, done.output, done.exception)
        assert done.exit_code == 0 or done.stderr.startswith("facecluster: expected"), (text, done.output)
        no_photos = text.startswith(("dedup", "export {s} --format xmp", "export {s} --format folders"))
        assert done.exit_code == 0 or no_photos, (text, done.output)


def test_upgrade_changes_no_row_and_is_done_once(store: Store) -> None:
    root = Path(store.url)
    (root / "mine.txt").write_text("a file of the user's")
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    before, files = says(store), {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    dry = json.loads(call("upgrade", store.url, "--dry-run", "--json").stdout)
    assert {p: p.stat().st_mtime_ns for p in files} == files and dry["shards"] >= 10
    assert json.loads(call("upgrade", store.url, "--json").stdout) | {"dry_run": True, "modes": 0} == dry | {"modes": 0}
    assert says(store) == before
    assert all(check_file(path.read_bytes()) for path in root.rglob("part-*.parquet")) and not check(store).findings
    assert not [path for path in [root, *root.rglob("*")] if path.lstat().st_mode & 0o077]
    for table in ("photos", "files", "faces"):
        assert {"label", "at_ms"} & set(store.read(table, "00000").column_names)
    again = upgrade(store)
    assert (again.written, again.modes) == (0, 0)
    call("cluster", store.url)


def test_upgrade_that_is_stopped_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before, real, steps = says(store), os.replace, 0

    def stop(*arguments: Any, **options: Any) -> None:
        nonlocal steps
        steps += 1
        if steps % 3 == 0:
            raise KeyboardInterrupt
        real(*arguments, **options)

    for _ in range(30):
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", stop)
            try:
                upgrade(store)
                break
            except KeyboardInterrupt:
                assert says(store) == before
    assert says(store) == before and upgrade(store).written == 0
    assert not list(Path(store.url).rglob("*.tmp"))
