"""The whole job needs no network: in a namespace without one, and with Python's own connections refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import need

# every command that works on a store; those that open a page or take long have tests of their own
JOB = """
import sys

def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg", "urllib.Request"):
        raise SystemExit(f"{event} {args[1:]} in {command}")

sys.addaudithook(refuse)
from facecluster.cli import main

photos, store, out, person = "demo/photos", "demo/store", "out", "1"
for command in (
    ["demo", "-o", "demo", "--people", "6", "--photos", "2"],
    ["name", store, person, "Ada"],
    ["run", photos, "-o", store],
    ["cluster", store, "--full"],
    ["people", store],
    ["questions", store],
    ["show", store, "Ada"],
    ["evaluate", store, "--truth", "demo/truth.csv"],
    ["export", store, "--format", "csv", "--out", out],
    ["dedup", store],
    ["curate", store, "-o", "data"],
    ["check", store],
    ["plan", "--photos", "1000"],
    ["models", "list"],
    ["doctor"],
    ["forget", store, "Ada", "--yes"],
):
    try:
        main.main(args=command, standalone_mode=False)
    except SystemExit as end:
        if end.code:
            raise
print("done without a network")
"""


def run(tmp_path: Path, *before: str) -> str:
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")} | {"OMP_NUM_THREADS": "1"}
    command = [*before, sys.executable, "-c", JOB]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    return done.stdout


def test_the_whole_job_without_a_network(tmp_path: Path) -> None:
    there = shutil.which("unshare") is not None and subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0
    need(there, "unshare, and the right to make a network namespace")
    assert "done without a network" in run(tmp_path, "unshare", "-rn")


def test_the_hook_refuses(tmp_path: Path) -> None:
    """The check itself: a connection ends the job."""
    code = JOB.split("from facecluster.cli")[0] + "command = 'this'\nimport socket\nsocket.create_connection(('127.0.0.1', 9))\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "in this" in done.stderr


if sys.platform != "linux":
    pytestmark = pytest.mark.skip(reason="network namespaces are Linux's")
