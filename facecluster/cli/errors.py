"""What a command prints, and its exit code, when it fails or is stopped."""

from __future__ import annotations

import errno
import functools
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from facecluster.errors import AT_ANOTHER_TIME, FaceclusterError, is_refusal, lacks_temporary_folder, may_pass

F = TypeVar("F", bound=Callable[..., Any])


def handle_errors(function: F, code: int = 1) -> F:
    """An error that the user can correct is one line and exit `code`; Ctrl-C says how to go on and exits with 130; a bug is a traceback."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except FaceclusterError as e:
            click.echo(f"facecluster: {' '.join(str(e).split())}", err=True)
            sys.exit(code)
        except Exception as e:
            text = _of_system(e)
            if not text:
                raise
            click.echo(f"facecluster: {text}", err=True)
            sys.exit(code)
        except KeyboardInterrupt:
            click.echo("\nfacecluster: stopped. What is done is kept: run the same command again to go on.", err=True)
            sys.stderr.flush()
            os._exit(130)  # decoding threads would keep the process alive until their photo is done

    return run  # type: ignore[return-value]


def _of_system(error: Exception) -> str:
    """What an error of the system or of a network means to the user, on one line; '' if it is none of those that a user can correct."""
    name = str(getattr(error, "filename", ""))[:200]
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"expected a path that this system takes, found one that is too long: {name!r}: choose another"
    if not isinstance(error, OSError) or not is_refusal(error):
        if isinstance(error, BrokenPipeError) or not may_pass(error):  # who reads the output has ended, or it is a bug
            return ""
        found = " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
        return f"expected to reach the store and the photos, found: {found}. {AT_ANOTHER_TIME}: what is done is kept"
    if lacks_temporary_folder(error):
        found = (error.strerror or "").replace("No usable temporary directory found in ", "none of ")
        return f"expected a folder for temporary files that can be written, found {found}: set TMPDIR to one with free space"
    where = "" if error.filename is None else f" ({name!r})"
    return f"expected to read and write files, found: {error.strerror}{where}. Correct that and run it again: what is done is kept"
