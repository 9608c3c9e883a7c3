"""What the system refuses is one line that says what and where; a bug stays a traceback."""

from __future__ import annotations

import errno
import os

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


def test_a_bug_is_a_traceback() -> None:
    @click.command
    @handle_errors
    def command() -> None:
        raise FileNotFoundError(errno.ENOENT, "no such file", "x")

    assert isinstance(CliRunner().invoke(command).exception, FileNotFoundError)
