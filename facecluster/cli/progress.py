"""Progress bars on stderr: with count, rate and time left; without a terminal, a plain line from time to time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tqdm import tqdm


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Open a bar for `total` things; gives a function that takes how many more are done. Nothing is shown if there is nothing to do."""
    if total <= 0:
        yield lambda n: None
        return
    from tqdm import tqdm  # a third of the time of --help

    with tqdm(total=total, desc=what, unit="", mininterval=_seconds(), smoothing=0.1) as bar:
        yield lambda n: None if bar.update(n) is None else None


@contextmanager
def open_progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Open a bar whose total is not yet known; gives a function that takes how many are done, and of how many. Nothing is shown before."""
    import tqdm as bars

    with ExitStack() as stack:
        bar: tqdm[NoReturn] | None = None

        def update(done: int, total: int) -> None:
            nonlocal bar
            if bar is None:
                bar = stack.enter_context(bars.tqdm(desc=what, total=total, unit="", mininterval=_seconds()))
            bar.update(done - bar.n)

        yield update


def _seconds() -> float:
    """Seconds between two updates of a bar."""
    return 0.2 if sys.stderr.isatty() else 10
