"""Progress bars on stderr: with count, rate and time left; without a terminal, a plain line from time to time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


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
    """Open a bar whose total is not yet known; gives a function that takes how many are done, and of how many."""
    from tqdm import tqdm

    with tqdm(desc=what, unit="", mininterval=_seconds()) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update


def _seconds() -> float:
    """Seconds between two updates of a bar."""
    return 0.2 if sys.stderr.isatty() else 10
