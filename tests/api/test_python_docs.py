"""The code blocks of docs/python.md run, one after the other, as a reader would run them; and what they print is what the page shows."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import need

import facecluster

DOCS = Path(__file__).parents[2] / "docs" / "python.md"
BLOCKS = re.findall(r"```(python|text)\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "example"}
    left_out, printed = [], ""
    for kind, block in BLOCKS:
        if kind == "text":
            shown, found = (" ".join(re.sub(r"\(\d+, 112", "(N, 112", text).split()) for text in (block, printed))
            assert shown in found
        elif "needs pandas" in block and importlib.util.find_spec("pandas") is None:
            left_out.append(block)
        else:
            exec(compile(block, str(DOCS), "exec"), names)
            printed = capfd.readouterr().out
    assert names["summary"].people == len(names["store"]) <= names["grouping"].people  # the bare vectors do not tell faces from smears
    assert names["grouping"].labels.tolist() == names["labels"].tolist() and isinstance(names["store"], facecluster.Collection)
    assert names["portrait"].size[0] > 10 and names["crop"].size == (112, 112) and len(names["coarse"]) == len(names["ids"])
    assert names["bars"] == {}  # nothing was new
    need(not left_out, "pandas (PyPI)")
