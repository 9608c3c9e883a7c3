"""What the system refuses is one line that says what and where; a bug stays a traceback."""

from __future__ import annotations

import errno
import os
import tempfile

import click
import pytest
from click.testing import CliRunner

from facecluster.cli.errors import handle_errors


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ENOSPC, errno.EROFS, errno.EMFILE])
def test_a_refusal_is_one_line(number: int) -> None:
    @click.command
    @handle_errors
    def command() -> None:
        raise OSError(number, os.strerror(number), "/some\nwhere")

    done = CliRunner().invoke(command)
    assert done.exit_code == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("facecluster: expected to read and write files, found: ") and os.strerror(number) in done.stderr
    assert "where" in done.stderr


def test_without_a_temporary_folder_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose own file system is read-only, or where all of these are full."""

    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile._os, "open", refuse)

    @click.command
    @handle_errors
    def command() -> None:
        tempfile.gettempdir()

    done = CliRunner().invoke(command)
    assert done.exit_code == 1 and done.stderr.count("\n") == 1, done.exception
    assert done.stderr.startswith("facecluster: expected a folder for temporary files that can be written, found none of [")
    assert "set TMPDIR" in done.stderr


def test_a_bug_is_a_traceback() -> None:
    @click.command
    @handle_errors
    def command() -> None:
        raise FileNotFoundError(errno.ENOENT, "no such file", "x")

    assert isinstance(CliRunner().invoke(command).exception, FileNotFoundError)
