"""The receipt of a forgetting lists temporary folders of the user's own commands, also while some of them end."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from facecluster.privacy.forget import _temporary


def test_folders_of_others_and_those_that_go_meanwhile_are_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("facecluster-mine", "facecluster-of-others", "facecluster-ends", "another"):
        (tmp_path / name).mkdir()
    (tmp_path / "facecluster-file").touch()
    lstat = Path.lstat

    def looked_at(path: Path) -> os.stat_result:
        found = list(lstat(path))
        if path.name == "facecluster-ends":
            raise FileNotFoundError(path)
        found[4] += path.name == "facecluster-of-others"
        return os.stat_result(found)

    monkeypatch.setattr(Path, "lstat", looked_at)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert [path.name for path in _temporary()] == ["facecluster-mine"]


def test_without_a_folder_for_temporary_files_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container whose own file system is read-only: forgetting ended half way."""

    def refuse(*args: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile._os, "open", refuse)
    assert list(_temporary()) == []
