"""Work on Dask: processes of this machine, or a running cluster. The only file that imports distributed."""

from __future__ import annotations

import asyncio
import logging
import os
import pkgutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from facecluster import __version__
from facecluster.engine import Step, Tick, keep_memory
from facecluster.errors import EngineError, FaceclusterError, InputError
from facecluster.grouping.free_memory import give_memory_back
from facecluster.store import ShardResult

CONNECT = 20.0  # seconds to wait for a scheduler
CLOSE = 5.0  # seconds to wait until a client is closed
FIRST_WORKER = 60.0  # seconds to wait until it has a worker
LOOK = 5.0  # seconds after which a run looks again how many workers there are

_AGAIN = "What is done is kept: run the same command again to go on"
BACK = 2.0  # seconds between two times that a process gives memory back: getting it again takes up to a tenth of a second

T = TypeVar("T")


class _Last:
    """What this process did last: a step of a shard (None), or this task; and when it gave memory back."""

    task: Callable[..., Any] | None = None
    given = -BACK


def _after(run: Callable[..., ShardResult], shard: str, before: ShardResult | None) -> ShardResult:
    keep_memory()
    _Last.task = None
    return run(shard)


def _mapped(task: Callable[..., T], *call: Any) -> T:
    now = time.monotonic()
    if _Last.task is not task and (_Last.task is None or now >= _Last.given + BACK):  # other tasks have other arrays
        _Last.given = now
        give_memory_back()
    _Last.task = task
    return task(*call)


class DaskEngine:
    """On a Dask cluster: `workers` processes here, or a running one at `scheduler`. Use it in a with statement.

    Each step is a task of its own that waits for the one before it, so GPU workers embed while CPU workers detect. A later step goes
    before an earlier one of another shard, so vectors follow faces closely. Few tasks are in flight at a time (4 shards a worker), so a
    million shards do not fill the scheduler. Workers may come and go meanwhile. Encrypted connections (tls://) use the certificates that
    Dask's settings name.

    Raises:
        InputError: there is no scheduler at that address, or it has no workers.
        EngineError: workers have no facecluster or another one; later, from `run`: workers keep dying, or the cluster is gone.
    """

    def __init__(self, *, workers: int | None = None, scheduler: str | None = None) -> None:
        import distributed  # half a second that a run in this process need not pay

        self._kit: Any = distributed
        self._looked, self._found = -LOOK, (1, False)  # when it looked for workers last, and what it found
        self._stack = ExitStack()
        self._where = f"at {scheduler}" if scheduler else f"of {workers} processes"
        try:
            if scheduler:
                self._client = self._join(scheduler)
            else:
                with _deaf_to_interrupts(), self._worker_environment(workers):
                    cluster = self._kit.LocalCluster(
                        n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None,
                        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # a second cluster on this machine wants a port too
                        silence_logs=logging.CRITICAL,  # what a task says comes back as its exception
                    )  # fmt: skip
                    self._stack.enter_context(cluster)
                self._client = self._connect(cluster.scheduler_address)
        except BaseException as e:
            self._close(quiet=True)
            if isinstance(e, RuntimeError) and isinstance(e.__cause__, OSError):  # "Cluster failed to start"
                raise e.__cause__ from e
            raise

    @contextmanager
    def _worker_environment(self, workers: int | None) -> Iterator[None]:
        """Processes started in here have the variables of `worker_environment`; this one's stay as they are (Dask changes them)."""
        import dask
        from dask.system import CPU_COUNT

        before = dict(os.environ)
        try:
            settings = {
                "distributed.nanny.pre-spawn-environ": worker_environment(workers or CPU_COUNT, CPU_COUNT),
                "distributed.worker.profile.enabled": False,  # a look at each thread every 10 ms, which nobody reads
            }
            with dask.config.set(settings):
                yield
        finally:
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)

    def _join(self, scheduler: str) -> Any:
        client = self._connect(scheduler)
        with self._staying():
            try:
                client.wait_for_workers(1, timeout=FIRST_WORKER)
            except TimeoutError as e:
                raise InputError(
                    f"expected workers at {scheduler}, found none in {FIRST_WORKER:.0f} s: start some with 'dask worker {scheduler}'"
                ) from e
            # a worker that can't unpickle a task drops its connection and the task waits for ever; what is sent here is in every Python
            found = client.run(pkgutil.resolve_name, "facecluster:__version__", on_error="return")
        for worker, version in found.items():
            if version != __version__:
                raise EngineError(
                    f"expected facecluster {__version__} on every worker of {scheduler}, found {_line(version)} on {worker}: install it"
                )
        return client

    def _connect(self, scheduler: str) -> Any:
        """A client of the scheduler at this address, on a loop that this engine starts and stops.

        A client that fails while it is made must not be left to the garbage collector: it closes itself when it is collected, which may
        be while another loop starts, and then each waits for the other for ever. So the address is tried by a plain connection first,
        clients are made inside the running loop, and those that fail are closed there.
        """
        utils = self._kit.utils
        runner = utils.LoopRunner()
        runner.start()
        self._stack.callback(runner.stop)
        try:
            client = utils.sync(runner.loop, self._greeted, scheduler, time.monotonic() + CONNECT, callback_timeout=2 * CONNECT + CLOSE)
        except (OSError, ValueError, ImportError, AssertionError, TypeError) as e:
            raise InputError(
                f"expected a Dask scheduler at {scheduler}, found none: {_line(e)}. Start one with 'dask scheduler', or correct the address"
            ) from e
        self._stack.callback(client.close)
        return client

    async def _greeted(self, scheduler: str, end: float) -> Any:
        """A client that the scheduler has greeted. Raises OSError, ValueError, ImportError, AssertionError or TypeError."""
        async with asyncio.timeout(max(0.1, end - time.monotonic())):  # what takes a connection may still say nothing
            certificates = self._kit.Security().get_connection_args("client")
            probe = await self._kit.comm.connect(scheduler, timeout=CONNECT, **certificates)
            await probe.close()
        # distributed asserts that the greeting comes alone; now and then another message comes with it, and a second client does better
        for attempt in range(2):
            client = None
            try:
                left = max(0.1, end - time.monotonic())
                client = self._kit.Client(scheduler, asynchronous=True, set_as_default=False, timeout=left)
                async with asyncio.timeout(left):
                    return await client
            except BaseException as e:
                if client is not None:
                    await client.close(timeout=CLOSE)
                if attempt or not isinstance(e, AssertionError):
                    raise

    def __enter__(self) -> DaskEngine:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._close(quiet=kind is not None)

    def _close(self, *, quiet: bool) -> None:
        before = logging.root.manager.disable
        if quiet:  # whatever is cut off here would tell of it at length
            logging.disable(logging.CRITICAL)
        try:
            self._stack.close()
        finally:
            logging.disable(before)

    def run(self, shards: Iterable[str], steps: Sequence[Step], tick: Tick | None = None) -> Iterator[ShardResult]:
        todo = iter(shards)
        counts: dict[str, str] = {}  # by the key of a task
        running = self._kit.as_completed(loop=self._client.loop)

        def fill() -> None:
            workers, has_gpu = self._workers()
            for shard in islice(todo, max(0, 4 * workers - len(counts) // len(steps))):
                before: Any = None
                for position, step in enumerate(steps):
                    options = {"resources": {"GPU": 1}} if step.gpu and has_gpu else {}
                    before = self._client.submit(_after, step.run, shard, before, pure=False, priority=position, **options)
                    counts[before.key] = step.counts
                    running.add(before)

        fill()
        for future in running:
            result: ShardResult = self._result(future)
            if (what := counts.pop(future.key)) and tick:
                tick(getattr(result, what))
            yield result
            fill()

    @contextmanager
    def _staying(self) -> Iterator[None]:
        """Raise EngineError if the connection to the cluster is cut off in the block."""
        try:
            yield
        except OSError as e:  # distributed's CommClosedError is one
            raise self._gone(e) from e

    def _gone(self, error: BaseException) -> EngineError:
        text = f"expected the Dask cluster {self._where} to stay, found it gone: {_line(error)}. Start it again. {_AGAIN}"
        return EngineError(text)

    def _workers(self) -> tuple[int, bool]:
        """How many workers there are (1 if none), and whether one has a GPU. Asked anew after some seconds: they come and go."""
        if time.monotonic() >= self._looked + LOOK:
            self._looked = time.monotonic()
            with self._staying():
                info = self._client.scheduler_info(n_workers=-1).get("workers", {}).values()
            self._found = max(1, len(info)), any("GPU" in w.get("resources", {}) for w in info)
        return self._found

    def map(self, task: Callable[..., T], calls: Iterable[tuple[Any, ...]]) -> list[T]:
        todo, place = enumerate(calls), dict[str, int]()  # place: by the key of a task
        running, found = self._kit.as_completed(loop=self._client.loop), dict[int, T]()

        def fill() -> None:
            for number, call in islice(todo, max(0, 4 * self._workers()[0] - len(place))):
                future = self._client.submit(_mapped, task, *call, pure=False)
                place[future.key] = number
                running.add(future)

        fill()
        for future in running:
            found[place.pop(future.key)] = self._result(future)
            fill()
        return [found[number] for number in range(len(found))]

    def _result(self, future: Any) -> Any:
        try:
            return future.result()
        except FaceclusterError:
            raise
        except self._kit.KilledWorker as e:
            raise EngineError(
                f"expected workers {self._where} that live, found that several died over one shard, mostly for want of memory: "
                f"use fewer at a time. {_AGAIN}"
            ) from e
        except Exception as e:
            if future.status == "error":  # ours: the step itself failed
                raise
            raise self._gone(e) from e


def worker_environment(workers: int, cores: int) -> dict[str, str]:
    """The variables with which each of `workers` processes on a machine of `cores` cores starts: its share of them for torch, OpenMP, BLAS.

    What the user has set in the environment stays.
    """
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(max(1, cores // workers)))


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes and threads started in here take no Ctrl-C, which a terminal sends to all: the first process ends them. One that comes
    meanwhile is dealt with at the end."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # else multiprocessing does it with the first process, and then unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _line(error: object) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
