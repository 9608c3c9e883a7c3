"""Workers and schedulers of Dask as forks of this process, which can be lost. For `faults.py`."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fault_process import Forked, pretend


def fork_workers() -> None:
    """Workers are forks of the command, which have imported everything and have the fakes."""
    import dask

    dask.config.set({"distributed.worker.multiprocessing-method": "fork"})


def descendants(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if Path(f"/proc/{pid}").exists() else []
    return [int(child) for child in found] + [grand for child in found for grand in descendants(int(child))]


@contextmanager
def cluster() -> Any:
    """A scheduler and a worker, forks too; gives the address, and what kills the scheduler."""
    reader, writer = os.pipe()
    scheduler = Forked(lambda: _serve_scheduler(writer))
    address = os.read(reader, 200).decode()
    worker = Forked(lambda: _serve_worker(address))
    try:
        yield address, scheduler.kill
    finally:
        worker.kill()
        scheduler.kill()
        os.close(reader)
        os.close(writer)


def _serve_scheduler(writer: int) -> None:
    import asyncio

    from distributed import Scheduler

    async def serve() -> None:
        async with Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as scheduler:
            os.write(writer, scheduler.address.encode())
            await scheduler.finished()

    asyncio.run(serve())


def _serve_worker(address: str) -> None:
    import asyncio

    from distributed import Worker

    pretend()

    async def serve() -> None:
        async with Worker(address, nthreads=1, dashboard_address="127.0.0.1:0") as worker:
            await worker.finished()

    asyncio.run(serve())
