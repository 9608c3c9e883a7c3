"""Several processes that learn together, each from its part of every batch: torch's DistributedDataParallel, over NCCL on GPUs, else Gloo.

The variables of torchrun (RANK, WORLD_SIZE, MASTER_ADDR, ...) say who takes part; `start` starts processes on this machine without it.
All processes draw the same faces, and take their own part of them. The first one's clock and Ctrl-C count for all.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from facecluster.errors import EngineError


class World:
    """The processes that take part; one alone needs nothing."""

    def __init__(self) -> None:
        self.rank, self.size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)

    def part(self, rows: Tensor) -> Tensor:
        """This process's part of a batch (n, ...)."""
        each = len(rows) // self.size
        return rows[self.rank * each : (self.rank + 1) * each]

    def wrap(self, network: nn.Module) -> nn.Module:
        """A network whose backward pass leaves the mean gradient of all processes."""
        if self.size == 1:
            return network
        device = next(network.parameters()).device
        return DistributedDataParallel(network, device_ids=[device.index] if device.type == "cuda" else None)

    def mean(self, x: Tensor) -> Tensor:
        """The mean of a tensor over the processes, in place."""
        if self.size > 1:
            dist.all_reduce(x)
            x /= self.size
        return x

    def gather(self, x: Tensor) -> Tensor:
        """The tensors of all processes, of one shape, joined; without a gradient."""
        if self.size == 1:
            return x
        parts = [torch.empty_like(x) for _ in range(self.size)]
        dist.all_gather(parts, x.detach().contiguous())
        return torch.cat(parts)

    def first_says(self, values: Sequence[float], device: torch.device) -> list[float]:
        """The values that the first process gave."""
        if self.size == 1:
            return list(values)
        x = torch.tensor(values, dtype=torch.float64, device=device)
        dist.broadcast(x, 0)
        return [float(v) for v in x.tolist()]


@contextmanager
def joined(device: str) -> Iterator[World]:
    """Join the processes that the variables of torchrun name, if there are any."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield World()
        return
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield World()
    finally:
        dist.destroy_process_group()


def own_device(device: str) -> str:
    """The GPU of this process among those of its machine; a CPU, and a GPU that was named, stay."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" and "LOCAL_RANK" in os.environ else device


def start(work: Callable[..., None], arguments: Sequence[Any], processes: int) -> None:
    """Run `work(*arguments)` in processes on this machine that find each other, and wait. Ctrl-C reaches them, and they end by themselves.

    Raises:
        EngineError: one of them failed.
        KeyboardInterrupt: they were stopped.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        children: Any = torch.multiprocessing.start_processes(  # type: ignore[attr-defined, no-untyped-call]
            _child, (work, tuple(arguments), processes, port), nprocs=processes, join=False, start_method="spawn"
        )
        while not children.join():
            pass
    except torch.multiprocessing.ProcessExitedException as e:  # type: ignore[attr-defined]
        if e.exit_code == 130:
            raise KeyboardInterrupt from None
        found = f"found that one ended with {e.exit_code}"
        raise EngineError(f"expected that {processes} processes learn together, {found}: try --processes 1") from e
    except torch.multiprocessing.ProcessRaisedException as e:  # type: ignore[attr-defined]
        last = str(e).strip().splitlines()[-1]
        raise EngineError(f"expected that {processes} processes learn together, found: {last}") from e
    finally:
        signal.signal(signal.SIGINT, before)


def _child(rank: int, work: Callable[..., None], arguments: tuple[Any, ...], processes: int, port: int) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)
    }  # fmt: skip
    try:
        work(*arguments)
    except KeyboardInterrupt:
        os._exit(130)


@contextmanager
def noted_interrupt() -> Iterator[list[bool]]:
    """Note Ctrl-C in a list instead of stopping in the middle of a step; a second one stops at once. Only in the main thread."""
    pressed = [False]

    def note(number: int, frame: Any) -> None:
        if pressed[0]:
            raise KeyboardInterrupt
        pressed[0] = True

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # another thread
        yield pressed
        return
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
