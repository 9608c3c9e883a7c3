"""TensorBoard gets what the CSV gets, and what was said after the checkpoint is taken back."""

from __future__ import annotations

import importlib
import importlib.util
import xml.etree.ElementTree as ET
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


def test_the_benchmarks_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "workflows" / "benchmarks"))
    from train_plot import draw

    log = Log(tmp_path, 0)
    for step, tar in ((1, 0.5), (2, None), (3, 0.75)):
        log.add({"step": step, "minutes": float(step), "held_out_tar": tar})
    ways = {name: {"head": [1.0, 0.8], "body": [1.0, tar], "tail": [1.0, 0.4]} for name, tar in (("before", 0.5), ("balanced", 0.6))}
    logs = {"from the bundled weights": tmp_path / "log.csv", "from scratch": tmp_path / "none.csv"}
    drawn = ET.fromstring(draw({"before": {"tar at far 0.01": 0.9}}, logs, ways))
    kinds = [e.tag.rpartition("}")[2] for e in drawn.iter()]
    heights = [float(e.get("height", "0")) for e in drawn.iter() if e.tag.endswith("rect")]
    assert kinds.count("path") == 1 and kinds.count("circle") == 2 and len(heights) == 6
    assert heights[3] / heights[2] == pytest.approx(0.6 / 0.5, abs=0.01)  # the bodies
    assert "body 0.6000" in ET.tostring(drawn, "unicode") and "from scratch" not in ET.tostring(drawn, "unicode")
    assert not [e for e in ET.fromstring(draw({}, {}, {})).iter() if e.tag.endswith(("path", "rect"))]
