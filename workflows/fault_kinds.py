"""The kinds of faults: each runs a command once while something goes wrong, and puts it right again. For `faults.py`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
from fault_cases import Case, user_of
from fault_conditions import shift_clock, without_privileges
from fault_process import CALLS, Command, Ended, User, has_strace, run_traced
from fault_workers import cluster, descendants, fork_workers

ERRORS = {"rename": ("EIO", "EACCES"), "write": ("ENOSPC", "EIO"), "fsync": ("EIO",), "names": ("ENOSPC", "EACCES", "EIO")}


@dataclass
class Bench:
    """Where faults happen, and what this machine can do."""

    root: Path
    mounted: bool  # root is a tmpfs of its own
    strace: bool = field(default_factory=has_strace)
    is_root: bool = field(default_factory=lambda: os.geteuid() == 0)


@dataclass
class Fault:
    """What went wrong, and how the command took it."""

    detail: str
    ended: list[Ended]
    rows: bool = True  # whether the tables must be those of an unfaulted run to the row; else only what counts of them
    touched: list[str] = field(default_factory=list)  # photos that the fault itself changed, as paths in root


@dataclass(frozen=True)
class Setting:
    """One fault that is to happen: a command with its words filled in, and how it went without a fault."""

    bench: Bench
    case: Case
    words: list[str]
    usual: Ended
    grown: int  # bytes
    rng: np.random.Generator

    @property
    def user(self) -> User | None:
        """Who does something with the command meanwhile."""
        return user_of(self.case, self.bench.root)

    def moment(self) -> float:
        return float(self.rng.uniform(0.02, 1.05)) * self.usual.seconds

    def run(self, before: Callable[[], None] | None = None) -> Ended:
        return self.start(before).end()

    def start(self, before: Callable[[], None] | None = None, words: Sequence[str] = ()) -> Command:
        def first() -> None:
            if self.case.workers:
                fork_workers()
            if before is not None:
                before()

        user = self.user if words in ((), self.words) else None
        return Command(words or self.words, fakes=self.case.fakes, before=first, user=user)


def kill(it: Setting) -> Fault:
    return _signal(it, signal.SIGKILL)


def interrupt(it: Setting) -> Fault:
    return _signal(it, [signal.SIGINT, signal.SIGTERM][it.rng.integers(2)])


def _signal(it: Setting, number: signal.Signals) -> Fault:
    moment = it.moment()
    command = it.start()
    if not command.wait(moment):
        command.signal(number)
    return Fault(f"{number.name} after {moment:.3f} s of {it.usual.seconds:.3f}", [command.end()])


def _at_call(kind: str, what: str) -> Callable[[Setting], Fault | None]:
    """A fault at a system call of a kind: "KILL", or "error"."""

    def fault(it: Setting) -> Fault | None:
        places = [i for i, inside in enumerate(it.usual.calls.get(kind, []), start=1) if inside]
        if not places or not it.bench.strace:
            return None
        place = int(it.rng.choice(places))
        if what == "KILL":
            inject = f"signal=KILL:when={place}"
        else:
            inject = f"error={it.rng.choice(ERRORS[kind])}:when={place}" + ("+" if it.rng.random() < 0.5 else "")
        ended = run_traced(it.words, it.bench.root, inject, kind, fakes=it.case.fakes, user=it.user)
        return Fault(f"{inject} of {len(places)} {kind}", [ended]) if ended.hit else None

    return fault


def disk_full(it: Setting) -> Fault | None:
    if not it.bench.mounted:
        return None
    free = int(it.rng.integers(0, max(it.grown, 8192)))
    used = shutil.disk_usage(it.bench.root).used
    _remount(it.bench.root, f"size={(used + free) // 1024 + 4}k")
    try:
        return Fault(f"{free} bytes free of {it.grown} that it needs", [it.run()])
    finally:
        _remount(it.bench.root, "size=2g")


def read_only(it: Setting) -> Fault | None:
    if not it.bench.mounted:
        return None
    _remount(it.bench.root, "ro")
    try:
        return Fault("everything is read-only", [it.run()])
    finally:
        _remount(it.bench.root, "rw")


def _remount(root: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(root)], check=True)


def permissions(it: Setting) -> Fault | None:
    """The command may not write into, or not enter, one folder."""
    if not it.bench.is_root:
        return None
    root = it.bench.root
    folders = [path for path in (root, root / "store", root / "out", root / "photos", root / "photos" / "0", root / "new") if path.is_dir()]
    folders += [path for path in sorted((root / "store").rglob("*")) if path.is_dir()]
    folder = folders[it.rng.integers(len(folders))]
    mode, before = int(it.rng.choice([0o500, 0o100, 0o000])), folder.stat().st_mode
    folder.chmod(mode)
    try:
        ended = it.run(without_privileges)
    finally:
        folder.chmod(before)
    return Fault(f"{folder.relative_to(root)} has mode {mode:o}", [ended], rows=not it.case.reads_photos)


def vanish(it: Setting) -> Fault | None:
    """Photos go while the command is at work, and come back."""
    if not it.case.reads_photos:
        return None
    photos = _some_photos(it)
    aside, moment, command = it.bench.root.parent / "aside", it.moment(), it.start()
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    command.wait(moment)
    gone = []
    for number, path in enumerate(photos):
        with suppress(FileNotFoundError):
            data = path.stat(), path.read_bytes()
            path.unlink()
            gone.append((path, *data))
        command.wait(moment + (number + 1) * it.usual.seconds / 20)
    ended = command.end()
    for path, stat, content in gone:
        if not path.exists() and not path.is_symlink():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    names = [str(path.relative_to(it.bench.root)) for path, *_ in gone]
    return Fault(f"{', '.join(names)} go after {moment:.3f} s", [ended], rows=False, touched=names)


def change(it: Setting) -> Fault | None:
    """Photos are cut off or overwritten while the command is at work, and then saved again as they were."""
    if not it.case.reads_photos or it.case.moves_photos:
        return None
    photos, moment, command = _some_photos(it), it.moment(), it.start()
    command.wait(moment)
    before = {path: path.read_bytes() for path in photos}
    for path, data in before.items():
        path.write_bytes(data[: len(data) // 2] if it.rng.random() < 0.5 else data + b"more")
        command.wait(moment + it.usual.seconds / 10)
    ended = command.end()
    for path, data in before.items():
        path.write_bytes(data)
        os.utime(path)
    names = [str(path.relative_to(it.bench.root)) for path in photos]
    return Fault(f"{', '.join(names)} change after {moment:.3f} s", [ended], rows=False, touched=names)


def _some_photos(it: Setting) -> list[Path]:
    photos = sorted(path for name in ("new", "photos") for path in (it.bench.root / name).rglob("*.jpg"))
    return [photos[i] for i in it.rng.choice(len(photos), 4, replace=False)]


def clock(it: Setting) -> Fault:
    """The clock of the command is years behind, centuries ahead, or jumps back at every look."""
    jump = [timedelta(days=-9000), timedelta(days=365 * 374), None][it.rng.integers(3)]
    if jump is not None and it.case.reads_photos:
        for path in _some_photos(it)[:2]:
            os.utime(path, (13e9, 13e9))  # in 2381
    ended = it.run(lambda: shift_clock(jump))
    return Fault(f"clock {'jumps back' if jump is None else jump}", [ended], rows=not it.case.reads_photos)


def two_at_once(it: Setting) -> Fault:
    """The same command twice, or a command that reads beside it."""
    delay = float(it.rng.uniform(0, 0.7)) * it.usual.seconds
    other = it.words if it.rng.random() < 0.6 else ["people", str(it.bench.root / "store")]
    first = it.start()
    first.wait(delay)
    second = it.start(words=other)
    return Fault(f"{other[0]} {delay:.3f} s later", [first.end(), second.end()])


def lost_worker(it: Setting) -> Fault | None:
    """A worker process is killed."""
    if not it.case.workers:
        return None
    moment = it.moment()
    command = it.start()
    killed = 0
    if not command.wait(moment):
        children = descendants(command.pid)
        if children:
            killed = children[int(it.rng.integers(len(children)))]
            with suppress(ProcessLookupError):
                os.kill(killed, signal.SIGKILL)
    return Fault(f"process of {'a worker' if killed else 'no worker'} killed after {moment:.3f} s", [command.end()])


def lost_scheduler(it: Setting) -> Fault | None:
    """The Dask scheduler is killed."""
    if not it.case.workers:
        return None
    moment = it.moment()
    with cluster() as (address, kill_scheduler):
        words = [*it.words[: it.words.index("--workers")], "--scheduler", address]
        command = it.start(words=words)
        command.wait(moment)
        kill_scheduler()
        ended = command.end()
    return Fault(f"scheduler killed after {moment:.3f} s", [ended])


KINDS: dict[str, Callable[[Setting], Fault | None]] = {
    "kill": kill,
    **{f"kill at {kind}": _at_call(kind, "KILL") for kind in CALLS},
    **{f"error at {kind}": _at_call(kind, "error") for kind in CALLS},
    "interrupt": interrupt,
    "disk full": disk_full,
    "read-only": read_only,
    "permissions": permissions,
    "photos vanish": vanish,
    "photos change": change,
    "clock": clock,
    "two at once": two_at_once,
    "worker lost": lost_worker,
    "scheduler lost": lost_scheduler,
}
