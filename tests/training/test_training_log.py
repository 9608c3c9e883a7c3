"""TensorBoard gets what the CSV gets, and what was said after the checkpoint is taken back."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from facecluster.training.log import Log, read_log


def test_events_are_written_if_the_package_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    writer = SimpleNamespace(add_scalar=lambda *a: said.append(a), flush=lambda: None, close=lambda: said.append("closed"))
    made: list[Any] = []
    board = SimpleNamespace(SummaryWriter=lambda folder, purge_step: made.append((folder, purge_step)) or writer)
    find, load = importlib.util.find_spec, importlib.import_module
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True if name == "tensorboard" else find(name))
    monkeypatch.setattr(importlib, "import_module", lambda name: board if name == "torch.utils.tensorboard" else load(name))
    log = Log(tmp_path, 0)
    log.add({"step": 1, "faces": 8, "loss": 2.5, "held_out_tar": None})
    log.add({"step": 2, "faces": 16, "loss": 1.5, "held_out_tar": 0.25})
    log.close()
    assert said == [("loss", 2.5, 1), ("loss", 1.5, 2), ("held_out_tar", 0.25, 2), "closed"]
    Log(tmp_path, 1).draw()
    assert made == [(str(tmp_path / "events"), 1), (str(tmp_path / "events"), 2)]
    assert [row["step"] for row in read_log(tmp_path / "log.csv")] == ["1"] and "2.5" in (tmp_path / "log.svg").read_text()
    with (tmp_path / "log.csv").open("a") as file:
        file.write("2,16")  # cut off by a power cut
    assert [row["step"] for row in read_log(tmp_path / "log.csv")] == ["1"]
