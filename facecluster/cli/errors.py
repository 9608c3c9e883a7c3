"""What a command prints, and its exit code, when it fails or is stopped."""

from __future__ import annotations

import errno
import functools
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from facecluster.errors import FaceclusterError

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
        except OSError as e:
            if e.errno != errno.ENAMETOOLONG:
                raise
            found = f"one that is too long: {str(e.filename)[:200]!r}"
            click.echo(f"facecluster: expected a path that this system takes, found {found}: choose another", err=True)
            sys.exit(code)
        except KeyboardInterrupt:
            click.echo("\nfacecluster: stopped. What is done is kept: run the same command again to go on.", err=True)
            sys.stderr.flush()
            os._exit(130)  # decoding threads would keep the process alive until their photo is done

    return run  # type: ignore[return-value]
