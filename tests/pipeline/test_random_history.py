"""Random histories of acts and of changed photos mean what a person means; `workflows/random_history.py` and `random_years.py` go through
more of them."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from workflow_runs import ran

WORKFLOWS = Path(__file__).parents[2] / "workflows"


def test_the_program_goes_through_histories() -> None:
    found = ran("random_history.py", "--seeds", "2", "--first", "3", "--acts", "10")
    assert found == {"seeds": 2, "acts": 10, "wrong": []}


@pytest.mark.parametrize("seed", [0, 6])  # one that was once wrong
def test_a_random_history_is_as_it_is_meant(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(WORKFLOWS))
    assert importlib.import_module("random_history").history(seed, 300) == ""


def test_random_years_are_as_they_are_meant() -> None:
    assert ran("random_years.py", "--seeds", "2", "--acts", "150") == {"seeds": 2, "acts": 150, "wrong": []}
