"""Temporary files of commands that were killed go; those of commands at work, and files that only look like them, stay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from facecluster.store import TEMPORARY, temporary_files
from facecluster.store.replace_file import _short, tidy
from facecluster.store.temporary_files import left_over, remove_left_over, temporary_name


def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def of_dead(path: Path, monkeypatch: pytest.MonkeyPatch, *digests: str, link: bool = False) -> Path:
    pid = dead()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: pid)
        return Path(temporary_name(str(path), digests, link=link))


def test_what_a_killed_command_left_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left, ours = of_dead(tmp_path / "a.jpg", monkeypatch), Path(temporary_name(str(tmp_path / "a.jpg")))
    link = of_dead(tmp_path / "a.jpg", monkeypatch, link=True)
    exchanged = of_dead(tmp_path / "a.jpg", monkeypatch, 16 * "0", 16 * "1")
    others = [tmp_path / ".facecluster-export.json", tmp_path / ".facecluster-0-1-2.tmp", tmp_path / "photo.tmp"]
    for path in (left, ours, link, exchanged, *others):
        path.write_bytes(b"x")
    assert all(TEMPORARY.fullmatch(path.name) for path in (left, ours, link, exchanged))
    remove_left_over(str(tmp_path))
    assert sorted(tmp_path.iterdir()) == sorted([ours, link, exchanged, *others])
    monkeypatch.setattr(temporary_files.platform, "node", lambda: "another machine")
    assert list(left_over(str(tmp_path))) == [] == list(left_over(str(tmp_path / "none")))


def test_after_a_kill_in_an_exchange_what_was_saved_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.xmp"
    digests = _short(b"new"), _short(b"old")
    for there, aside, expected in (
        (b"old", b"new", b"old"),  # killed before the exchange
        (b"new", b"old", b"new"),  # after it
        (b"new", b"saved in between", b"saved in between"),
    ):
        path.write_bytes(there)
        of_dead(path, monkeypatch, *digests).write_bytes(aside)
        tidy(str(tmp_path))
        assert path.read_bytes() == expected and list(tmp_path.iterdir()) == [path]
    kept = of_dead(path, monkeypatch, *digests)
    kept.write_bytes(b"of nobody knows whom")
    tidy(str(tmp_path))
    assert kept.exists() and path.read_bytes() == b"saved in between"
