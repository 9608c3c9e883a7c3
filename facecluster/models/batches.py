"""Batches for a GPU: large ones, which are halved where its memory does not suffice."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_IN_FLIGHT = 2  # batches that a GPU has to do while the next is prepared


class HalvedBatches:
    """A function of batches (n, ...) -> (n, ...) that works on parts of a batch once a GPU's memory did not suffice for all of it.

    What was done is kept, and the size that did fit is remembered. A single row that does not fit raises torch.OutOfMemoryError.
    """

    def __init__(self, run: Callable[[Tensor], Tensor]) -> None:
        self._run = run
        self._most = sys.maxsize  # numbers of a batch

    def rows(self, numbers: int) -> int:
        """How many rows of so many numbers it would try at once."""
        return max(1, self._most // numbers)

    def __call__(self, x: Tensor) -> Tensor:
        found: list[Tensor] = []
        at = 0
        while at < len(x):
            some = x[at : at + self.rows(x[0].numel())]
            try:
                found.append(self._run(some))
                at += len(some)
                continue
            except torch.OutOfMemoryError:
                if len(some) == 1:
                    raise
                self._most = (len(some) + 1) // 2 * x[0].numel()
            torch.cuda.empty_cache()  # here, where the exception no longer holds what the network had allocated
        return found[0] if len(found) == 1 else torch.cat(found)


def to_device(x: NDArray[np.uint8], device: str) -> Tensor:
    """An array as a tensor on a device; to a GPU it is copied while this thread goes on."""
    tensor = torch.from_numpy(np.ascontiguousarray(x))
    return tensor.pin_memory().to(device, non_blocking=True) if device.startswith("cuda") else tensor.to(device)


def run_batches(run: Callable[[Tensor], Tensor], x: NDArray[np.uint8], batch: int, device: str) -> NDArray[np.float32]:
    """`run` of rows (n, ...), n at least 1, `batch` at a time on a device; its float32 results (n, ...) come back once, at the end.

    The next batch is prepared while the device works, and at most a few batches wait for it.
    """
    found: list[Tensor] = []
    waiting: deque[torch.cuda.Event] = deque()
    for i in range(0, len(x), batch):
        found.append(run(to_device(x[i : i + batch], device)))
        if device.startswith("cuda"):
            waiting.append(torch.cuda.Event())  # type: ignore[no-untyped-call]
            waiting[-1].record(torch.cuda.current_stream(device))
            if len(waiting) > _IN_FLIGHT:
                waiting.popleft().synchronize()
    out: NDArray[np.float32] = torch.cat(found).cpu().numpy()
    return out
