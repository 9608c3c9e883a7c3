"""docs/cli.md is what the commands' help says, at a fixed width."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

WORKFLOWS = Path(__file__).parents[2] / "workflows"


@pytest.fixture
def docs(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(WORKFLOWS))
    yield importlib.import_module("build_cli_docs")
    del sys.modules["build_cli_docs"]


@pytest.mark.parametrize("columns", ["40", "200"])
def test_the_page_is_current_whatever_the_terminal(docs: ModuleType, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert docs.PAGE.read_text(encoding="utf-8") == docs.build_page(), "run python workflows/build_cli_docs.py"


def test_old_spellings_are_not_on_the_page(docs: ModuleType) -> None:
    page = docs.build_page()
    assert "--min-probability" in page and "--reset-calibration" in page
    assert [old for old in ("--anew", "--uncalibrate", "--low", "--sure", "--cap", "--to ", "--several", "--bursts") if old in page] == []
