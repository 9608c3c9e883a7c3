"""kill -9 in the middle of each stage: what is done is kept, and the run that completes gives the tables of one that was never killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import jobs

from facecluster.store import Store

EMBEDDINGS, LINKS, IDENTITIES = "embeddings/bundled", "links/bundled", "identities/bundled"
# each run goes on where the one before died
POINTS = [("files", 4), ("photos", 3), ("faces", 3), (EMBEDDINGS, 3), (LINKS, 2), (IDENTITIES, 1), ("report", 3)]


def test_killed_in_the_middle_of_each_stage_and_run_again(tmp_path: Path) -> None:
    photos = jobs.small_photos(tmp_path)
    whole, store = Store(str(tmp_path / "whole")), Store(str(tmp_path / "store"))
    jobs.run("run", photos, "-o", whole.url)
    program = [sys.executable, str(Path(__file__).with_name("killed.py")), json.dumps(POINTS), "run", photos, "-o", store.url]
    done = subprocess.run(program, capture_output=True, text=True, env=os.environ | jobs.SETTINGS, timeout=240)
    left = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert [status for status, _ in left] == [signal.SIGKILL] * len(POINTS), done.stderr
    many = {table: len(whole.shards(table)) for table in jobs.TABLES}
    assert many["files"] == 10 and many[LINKS] >= 3
    embedded = {table: n for table, n in many.items() if table not in (LINKS, IDENTITIES)}
    counts = [{table: len(shards) for table, shards in parts.items() if shards} for _, parts in left]
    assert counts == [
        {"files": 3},
        {"files": 10, "photos": 2, "faces": 3, EMBEDDINGS: 2},  # the third shard's faces are there, what vouches for them is not
        {"files": 10, "photos": 4, "faces": 4, EMBEDDINGS: 4},
        {"files": 10, "photos": 7, "faces": 7, EMBEDDINGS: 6},
        embedded | {LINKS: 1},
        embedded | {LINKS: many[LINKS]},
        many,
    ]
    assert not (Path(store.url) / "report").exists()
    jobs.run("run", photos, "-o", store.url)
    jobs.same_tables(whole, store)
    for name in ("faces.csv", "people.csv"):
        assert (Path(store.url) / "report" / name).read_bytes() == (Path(whole.url) / "report" / name).read_bytes()
    for _, parts in left:
        for table in ("files", "photos", EMBEDDINGS):  # faces and links may be made anew
            for shard, written in parts[table].items():
                assert os.stat(store.shard_path(table, shard)).st_mtime_ns == written, f"{table} {shard} was done twice"
    assert [p.name for p in Path(store.url).iterdir() if ".partial" in p.name] == []
