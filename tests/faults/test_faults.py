"""Faults that happen to the commands as processes lose nothing, and a second run puts it right; `workflows/faults.py` makes more."""

from __future__ import annotations

import os
import shutil
import sys

import pytest
from conftest import need
from workflow_runs import ran

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
