"""In several processes the tests that take longest begin first."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import conftest
import pytest

FIRST, SECOND = (f"tests/{name}" for name in conftest.LONGEST[:2])
NAMES = ["tests/test_b.py::x", f"{SECOND}::a[b::c]", "tests/test_a.py::y", "tests/test_a.py::x", f"{FIRST}::z"]


@pytest.mark.parametrize(("processes", "order"), [("2", [4, 1, 2, 3, 0]), ("1", [0, 1, 2, 3, 4])])
def test_the_longest_files_come_first(processes: str, order: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", processes)
    items: list[Any] = [SimpleNamespace(nodeid=name) for name in NAMES]
    conftest.pytest_collection_modifyitems(items)
    assert [item.nodeid for item in items] == [NAMES[i] for i in order]


def test_the_order_is_kept(pytestconfig: pytest.Config) -> None:
    pytest.importorskip("xdist")
    assert pytestconfig.getoption("loadscopereorder") is False


def test_the_longest_files_are_there() -> None:
    here = Path(__file__).parent
    assert [name for name in conftest.LONGEST if not (here / name).is_file()] == [] and len(set(conftest.LONGEST)) == len(conftest.LONGEST)
