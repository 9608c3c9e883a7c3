"""What another program saves while a command works on the same file stays; `workflows/races.py` makes a hundred of each race."""

from __future__ import annotations

import pytest
from workflow_runs import ran

TIMES = 5
CARELESS = """
import json, os
import races
from facecluster.dedup import files
from facecluster.export import output_folder, xmp
from facecluster.people import people_csv

def replace_file(path, data, expected):  # looks first, and then writes
    if (open(path, "rb").read() if os.path.exists(path) else None) != expected:
        return False
    with open(path, "wb") as f:
        f.write(data)
    return True

def remove_name(path, other):
    os.unlink(path)
    return True

people_csv.replace_file = xmp.replace_file = replace_file
files.remove_name = remove_name
races.time_of = lambda times, seed, rng: max(times - 1 - seed, 0)
races.place_of = lambda places, seed: next(place for place in places if place.startswith(GAP))
names = [case for case in races.CASES if case.name == CASE]
print(json.dumps(races.go(names, range(3))))
"""


@pytest.mark.timeout(1200)  # a minute on a core of its own; a busy machine gives less
def test_what_another_program_saves_meanwhile_stays() -> None:
    found = ran("races.py", "--times", str(TIMES))
    assert found["lost"] == []
    assert len(found["cases"]) == 14 and found["races"] == 14 * TIMES
    for name, row in found["cases"].items():
        assert row["saves while it worked"] >= TIMES - 2 and row["places of a save"] >= TIMES - 2 and row["places"] > 20, (name, row)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("case", "gap"), [("cluster, people.csv", "open"), ("dedup --move-to, a photo", "os.remove")])
def test_a_program_that_looks_and_then_writes_is_found_wrong(case: str, gap: str) -> None:
    found = ran("-c", f"CASE, GAP = {case!r}, {gap!r}\n{CARELESS}")
    assert found["races"] == 3 and found["lost"], found
