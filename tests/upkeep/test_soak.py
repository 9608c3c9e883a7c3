"""A store that grew by little and often holds what one run gives; `workflows/soak.py` lets it grow a thousand times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

WORKFLOW = Path(__file__).parents[2] / "workflows" / "soak.py"


def test_a_store_that_grew_by_little_and_often_is_that_of_one_run() -> None:
    words = [sys.executable, str(WORKFLOW), "--growths", "30", "--every", "10", "--seed", "1"]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["growths"] == 30 and found["named"] and found["forgotten"], found
