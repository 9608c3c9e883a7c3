"""Values that threads compute a few ahead of whoever takes them, in order: photos are opened while others are searched."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def computed_ahead(compute: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """compute(item) for each item, in order; at most twice as many as `threads` wait to be taken. Raises what `compute` raises."""
    pool = ThreadPoolExecutor(threads)
    ahead: deque[Future[R]] = deque()
    try:
        for item in items:
            ahead.append(pool.submit(compute, item))
            if len(ahead) > 2 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
