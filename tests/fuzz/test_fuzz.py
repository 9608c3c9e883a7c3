"""Every reader of foreign files ends in a result or in one line; `workflows/fuzz.py` makes more inputs, led by coverage."""

from __future__ import annotations

import importlib.util

import pytest
from conftest import need
from workflow_runs import ran

INPUTS = 300
BROKEN = """
import fuzz, fuzz_targets, json, pathlib, tempfile
from fuzz_targets import Target

def read(data, folder):
    if data[:1] != b"a":
        raise (KeyError if data[:1] > b"a" else fuzz_targets.InputError)("two\\nlines")

fuzz_targets.TARGETS["broken"] = Target(read=read, seeds=lambda: [b"abc"])
print(json.dumps(fuzz.plain("broken", 200, pathlib.Path(tempfile.mkdtemp()))))
"""


@pytest.mark.timeout(1200)  # a minute on a core of its own; a busy machine gives less
def test_every_reader_ends_in_a_result_or_in_one_line() -> None:
    found = ran("fuzz.py", "--plain", str(INPUTS))["targets"]
    assert {name: row["findings"] for name, row in found.items() if row["findings"]} == {}
    need(all(importlib.util.find_spec(name) for name in ("av", "lmdb")), "the extras video and lmdb")
    assert len(found) == 21 and all(row["inputs"] > INPUTS for row in found.values())
    few = {name: row["whole"] for name, row in found.items() if 3 * row["whole"][0] < row["whole"][1]}
    assert few == {}, "inputs that are no good lead nowhere"


@pytest.mark.timeout(1200)
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris, of the dependency group dev")
def test_coverage_leads_to_what_blind_changes_do_not_find() -> None:
    found = ran("fuzz.py", "--planted", "--seconds", "60")
    assert [row["what"].split()[0] for row in found["led"]["findings"]] == ["PlantedError"], found["led"]
    assert found["plain"]["inputs"] >= found["led"]["inputs"] > 1000 and found["plain"]["findings"] == []


def test_what_is_no_line_for_the_user_is_a_finding() -> None:
    found = ran("-c", BROKEN)["findings"]
    assert {row["what"].split()[0] for row in found} == {"KeyError", "AssertionError"} and all(row["input"] for row in found)
