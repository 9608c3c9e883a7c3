"""Random histories of acts and of changed photos mean what a person means; `workflows/random_history.py` and `random_years.py` go through
more of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKFLOWS = Path(__file__).parents[2] / "workflows"


@pytest.mark.parametrize(
    "workflow, seed, acts",
    [("random_history", 0, 300), ("random_history", 6, 300), ("random_years", 0, 150), ("random_years", 1, 150)],  # 6 was once wrong
)
def test_a_random_history_is_as_it_is_meant(workflow: str, seed: int, acts: int) -> None:
    words = [sys.executable, str(WORKFLOWS / f"{workflow}.py"), "--seeds", "1", "--first", str(seed), "--acts", str(acts)]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    said = done.stdout + done.stderr
    assert done.returncode == 0 and json.loads(done.stdout.splitlines()[-1]) == {"seeds": 1, "acts": acts, "wrong": []}, said
