"""Workflows that call the command leave it the time to write its checkpoint after Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

WORKFLOWS = Path(__file__).parents[2] / "workflows"


def test_the_benchmark_waits_for_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(WORKFLOWS))
    monkeypatch.syspath_prepend(str(WORKFLOWS / "benchmarks"))
    for name in ("train", "embedder"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import train

    begun, ended = tmp_path / "begun", tmp_path / "ended"
    code = f"import time; open({str(begun)!r}, 'w').close(); time.sleep(1.5); open({str(ended)!r}, 'w').close()"
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a package that another test imports has one of its own
    timer = threading.Thread(target=lambda: (_until(begun), os.kill(os.getpid(), signal.SIGINT)))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            train.output_of([sys.executable, "-c", code])
    finally:
        timer.join()
        signal.signal(signal.SIGINT, handler)
    assert ended.exists()
    assert train.output_of([sys.executable, "-c", "print(5)"]) == "5\n"


def test_the_bundled_embedder_s_workflow_becomes_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(WORKFLOWS))
    import train_embedder

    became: list[Any] = []
    monkeypatch.setattr(train_embedder, "write_data_set", lambda *given: None)
    monkeypatch.setattr(os, "execv", lambda *given: became.append(given))
    out = str(tmp_path / "m")
    monkeypatch.setattr(sys, "argv", ["train_embedder.py", "--faces", "f.parquet", "--out", out, "--minutes", "3"])
    train_embedder.main()
    words = [sys.executable, "-m", "facecluster", "train", f"{out}-faces", "-o", out, "--recipe", "bundled"]
    assert became == [(sys.executable, [*words, "--licence", "Apache-2.0", "--minutes", "3"])]


def _until(path: Path) -> None:
    """A file is there."""
    while not path.exists():
        threading.Event().wait(0.05)
