"""What the system refuses is one line that says what and where; a bug stays a traceback."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from fsspec.implementations.local import LocalFileSystem

from facecluster.cli.errors import handle_errors
from facecluster.errors import StoreError
from facecluster.people import current_run
from facecluster.store import FACES, Store


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


def made_by(module: str, base: type[Exception] = Exception) -> type[Exception]:
    """An exception of a package."""
    return type("SomeError", (base,), {"__module__": module})


@pytest.mark.parametrize(
    "error",
    [made_by("botocore.exceptions")("Could not connect\nto the endpoint URL"), PermissionError("Please reduce your request rate."),
     ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), made_by("aiohttp.client", OSError)("no answer"), TimeoutError()],
)  # fmt: skip
def test_a_bucket_that_does_not_answer_is_one_line(error: Exception) -> None:
    """File systems of other machines have exceptions of their own: these were tracebacks."""

    @click.command
    @handle_errors
    def command() -> None:
        raise error

    done = CliRunner().invoke(command)
    assert done.exit_code == 1 and done.stderr.count("\n") == 1, done.exception
    assert done.stderr.startswith("facecluster: expected to reach the store and the photos, found: ") and "run it again" in done.stderr
    assert "reduce" in done.stderr or "reduce" not in str(error)


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), made_by("numpy.linalg")("x"), BrokenPipeError(errno.EPIPE, "broken")])
def test_what_is_no_matter_of_the_network_is_raised(error: Exception) -> None:
    @handle_errors
    def command() -> None:
        raise error

    with pytest.raises(type(error)):
        command()


@pytest.mark.parametrize("error", [made_by("botocore.exceptions")("x"), OSError(errno.EIO, "I/O error"), PermissionError("slow down")])
def test_nothing_is_to_be_repaired_or_deleted_for_what_may_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    store = Store(str(tmp_path / "store"))
    store.create()
    store.write("faces", "00000", FACES.empty_table(), {"table": "faces"})
    store.write_bytes(b'{"run": 1}', "runs", "current.json")
    monkeypatch.setattr(Store, "is_local", False)

    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(LocalFileSystem, "open", fail)
    monkeypatch.setattr(LocalFileSystem, "cat_file", fail)
    for read in (lambda: store.read("faces", "00000"), lambda: store.stamp("faces", "00000"), lambda: current_run(store), store.check):
        with pytest.raises(StoreError, match=r"Check the disk or the connection, and your access, and run it again$"):
            read()
