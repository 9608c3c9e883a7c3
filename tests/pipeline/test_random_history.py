"""Random histories of acts and of changed photos mean what a person means; `workflows/random_history.py` goes through more of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKFLOW = Path(__file__).parents[2] / "workflows" / "random_history.py"


@pytest.mark.parametrize("seed", [0, 6])  # one that was once wrong
def test_a_random_history_is_as_it_is_meant(seed: int) -> None:
    words = [sys.executable, str(WORKFLOW), "--seeds", "1", "--first", str(seed), "--acts", "300"]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    said = done.stdout + done.stderr
    assert done.returncode == 0 and json.loads(done.stdout.splitlines()[-1]) == {"seeds": 1, "acts": 300, "wrong": []}, said
