"""Runs programs of workflows/ as a user does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

WORKFLOWS = Path(__file__).parents[1] / "workflows"


def ran(*words: str) -> dict[str, Any]:
    """Run Python with these words in workflows/, on one core; gives the JSON of the last line that it prints."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=WORKFLOWS, env=environment)
    assert done.stdout.strip(), done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))
