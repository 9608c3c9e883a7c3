"""A disk that is full: one line and exit code 1, no traceback, and nothing half written. On a small tmpfs in a namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import need
from people_store import call

COMMANDS = {
    "xmp": ["export", "{store}", "--format", "xmp", "--out", "{small}/x"],
    "folders": ["export", "{store}", "--format", "folders", "--out", "{small}/f"],
    "curate": ["curate", "{store}", "-o", "{small}/d"],
    "dedup": ["dedup", "{store}", "--move-to", "{small}/m"],
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    call("demo", "-o", str(folder), "--people", "6", "--photos", "2")
    first = next((folder / "photos").rglob("*.jpg"))
    shutil.copy(first, first.with_name("copy.jpg"))
    call("run", str(folder / "photos"), "-o", str(folder / "store"))
    call("name", str(folder / "store"), "1", "Ada")
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs in a namespace is Linux's")
@pytest.mark.parametrize("what", COMMANDS)
def test_a_full_disk_is_one_line(demo: Path, tmp_path: Path, what: str) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["unshare", "-rm", "mount", "-t", "tmpfs", "x", str(small)]
    may = shutil.which("unshare") is not None and subprocess.run(mount, capture_output=True).returncode == 0
    need(may, "the right to mount a tmpfs in a namespace")
    command = [word.format(store=demo / "store", small=small) for word in COMMANDS[what]]
    full = f"mount -t tmpfs -o size=64k x '{small}' && head -c 60000 /dev/zero > '{small}/fill'"
    script = f"{full} && \"$@\"; code=$?; find '{small}' -name '*.tmp'; exit $code"
    program = [sys.executable, "-c", "from facecluster.cli import main; main()", *command]
    before = sorted(p for p in (demo / "photos").rglob("*"))
    done = subprocess.run(["unshare", "-rm", "bash", "-c", script, "bash", *program], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert not [line for line in done.stdout.splitlines() if line.endswith(".tmp")], done.stdout
    assert done.stderr.strip().splitlines()[-1].startswith("facecluster: expected to "), done.stderr
    assert sorted(p for p in (demo / "photos").rglob("*")) == before
