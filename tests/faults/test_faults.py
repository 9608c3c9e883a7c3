"""Faults that happen to the commands as processes lose nothing, and a second run puts it right; `workflows/faults.py` makes more."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import need

WORKFLOWS = Path(__file__).parents[2] / "workflows"
FAULTS = 30
# a store whose files are written in place: a command that is killed while it writes leaves half a file
IN_PLACE = """
import json, os
import faults
from facecluster.store import Store
from fault_cases import CASES

faults.load_everything()

def write_bytes(store, data, *parts):
    os.makedirs(os.path.dirname(store.path(*parts)), exist_ok=True)
    with open(store.path(*parts), "wb", buffering=0) as f:
        for start in range(0, len(data), 512):
            f.write(data[start : start + 512])

Store.write_bytes = write_bytes
found = faults.go(range(12), [case for case in CASES if case.name == "embed"], mounted=False, kinds=["kill at write"], tell=False)
print(json.dumps(found))
"""


def ran(*words: str) -> dict[str, Any]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=WORKFLOWS, env=environment)
    assert done.stdout.strip(), done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def may_do_all() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("strace") is not None and shutil.which("unshare") is not None


@pytest.mark.timeout(1200)  # a minute on a core of its own; a busy machine gives less
@pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")
def test_nothing_is_lost_and_a_second_run_puts_everything_right() -> None:
    found = ran("faults.py", "--faults", str(FAULTS), "--quick")
    assert found["wrong"] == []
    assert found["faults"] == FAULTS and len(found["commands"]) == FAULTS
    assert found["ended_by_the_fault"] > FAULTS / 4, "these faults are none"
    need(may_do_all(), "root, strace and namespaces for all kinds of faults")
    assert len(found["kinds"]) >= 9


@pytest.mark.timeout(1200)  # a minute on a core of its own; a busy machine gives less
@pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")
def test_a_program_that_writes_in_place_is_found_wrong() -> None:
    need(shutil.which("strace") is not None, "strace")
    found = ran("-c", IN_PLACE)
    assert found["faults"] == 12 and found["wrong"], found
