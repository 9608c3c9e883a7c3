"""Commands as processes of their own, which faults can happen to. For `faults.py`.

A command is a fork of a process that has imported the whole program, since that takes longer than most commands. It waits at a gate until
strace has attached to it, if it is to have a fault at a system call.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from coloured_photos import Detector, Embedder

CALLS = {  # system calls by what they do
    "rename": "rename,renameat,renameat2",
    "write": "write,pwrite64,writev",
    "fsync": "fsync,fdatasync",
    "names": "link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,ftruncate",
}
LIMIT = 180.0  # seconds; a command that takes longer hangs
_CALL = re.compile(r"^(\d+) +(\w+)\(")
User = Callable[["Command"], None]
_PRETENDING = f"""import sys
sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
from fault_process import pretend
pretend()
from facecluster.cli import main
main(prog_name="facecluster")
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int  # negative: the signal that ended it
    said: str
    seconds: float
    calls: dict[str, list[bool]] = field(default_factory=dict)  # by kind: of each call of the main thread, whether it was in the folder
    hit: bool = False  # whether a system call in the folder had the fault

    @property
    def is_traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.said


def load_everything() -> None:
    """Import the program, so that its forks need not."""
    import facecluster

    for module in pkgutil.walk_packages(facecluster.__path__, "facecluster."):
        if not module.name.startswith("facecluster.data"):
            importlib.import_module(module.name)


def pretend() -> None:
    """Fakes that find and tell apart coloured squares, here and in programs that review starts."""
    detector, embedder = Detector(), Embedder()
    fakes = (("faces.detect._detector", detector), ("faces.draw.load_detector", detector), ("faces.embed.load_embedder", embedder))
    for name, fake in fakes:
        patch(f"facecluster.{name}", lambda *_, fake=fake, **__: fake).start()
    regroup = importlib.import_module("facecluster.review.regroup")
    patch.object(regroup.Regroup.__init__, "__defaults__", ((sys.executable, "-c", _PRETENDING), "en")).start()


class Forked:
    """A function that runs in a process of its own."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._pid = os.fork()
        if not self._pid:
            try:
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, 1)
                os.dup2(null, 2)
                function()
            finally:
                os._exit(0)

    def kill(self) -> None:
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0


class Command:
    """A command that is running, or waits at its gate; `user` does something with it meanwhile, in a process of its own."""

    def __init__(
        self, words: Sequence[str], *, fakes: bool = True, before: Callable[[], None] | None = None, gate: bool = False,
        user: User | None = None,
    ) -> None:  # fmt: skip
        self.out = tempfile.TemporaryFile()
        reader, self._gate = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.began = time.monotonic()
        self.pid = os.fork()
        if not self.pid:
            os.close(self._gate)
            self._run(words, fakes, before, reader)
        os.close(reader)
        self._user = Forked(lambda: user(self)) if user else None
        if not gate:
            self.open_gate()

    def _run(self, words: Sequence[str], fakes: bool, before: Callable[[], None] | None, reader: int) -> None:
        code = 70
        try:
            os.setsid()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.dup2(self.out.fileno(), 1)
            os.dup2(self.out.fileno(), 2)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            if fakes:
                pretend()
            if before is not None:
                before()
            os.read(reader, 1)
            try:
                sys.argv = ["facecluster", *words]
                importlib.import_module("facecluster.cli").main(list(words), prog_name="facecluster")
            except SystemExit as e:
                code = e.code if isinstance(e.code, int) else int(e.code is not None)
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)

    def open_gate(self) -> None:
        with suppress(OSError):
            os.write(self._gate, b"x")
            os.close(self._gate)
        self.began = time.monotonic()

    def wait(self, until: float | None = None) -> bool:
        """Wait until it has ended, or for some seconds since it began; gives whether it has."""
        end = self.began + (LIMIT if until is None else until)
        while time.monotonic() < end:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return True
            time.sleep(0.002)
        return False

    def said(self) -> str:
        """What it has said up to now."""
        return os.pread(self.out.fileno(), 1 << 20, 0).decode("utf-8", "replace")

    def is_running(self) -> bool:
        """Also for another process than the one that started it."""
        with suppress(OSError):
            return not re.search(r"^State:\s+[ZX]", Path(f"/proc/{self.pid}/status").read_text(), re.M)
        return False

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def end(self) -> Ended:
        """Wait for its end."""
        hangs = not self.wait()
        if hangs:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # workers that it has left
        if self._user is not None:
            self._user.kill()
        said = self.said()
        self.out.close()
        return Ended(code, said + ("\nTraceback (most recent call last): it hung" if hangs else ""), time.monotonic() - self.began)


def run(words: Sequence[str], *, fakes: bool = True, before: Callable[[], None] | None = None, user: User | None = None) -> Ended:
    """Run a command to its end."""
    return Command(words, fakes=fakes, before=before, user=user).end()


def call(function: Callable[..., Any], *values: Any, **options: Any) -> Any:
    """What a function gives, computed in a fork: a process that has used Arrow's or FAISS's threads must not be forked again."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reader)
            data = json.dumps(function(*values, **options)).encode()
            with os.fdopen(writer, "wb") as out:
                out.write(data)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as found:
        data = found.read()
    os.waitpid(pid, 0)
    if not data:
        raise RuntimeError(f"{function.__name__} failed")
    return json.loads(data)


def has_strace() -> bool:
    """Whether system calls can be traced here."""
    if shutil.which("strace") is None:
        return False
    child = subprocess.Popen(["sleep", "9"])
    try:
        tracer = _attach(child.pid, ["-e", "trace=fsync"], os.devnull)
        tracer.terminate()
        tracer.wait()
        return True
    except OSError:
        return False
    finally:
        child.kill()
        child.wait()


def _attach(pid: int, options: list[str], log: str) -> subprocess.Popen[bytes]:
    words = ["strace", "-f", "-y", "-qq", "-s", "0", "-o", log, "-p", str(pid), *options]
    tracer = subprocess.Popen(words, stderr=subprocess.PIPE)
    end = time.monotonic() + 30
    while time.monotonic() < end and tracer.poll() is None:
        status = Path(f"/proc/{pid}/status").read_text()
        if not re.search(r"TracerPid:\s+0\n", status):
            return tracer
        time.sleep(0.005)
    tracer.kill()
    raise OSError("strace can't attach")


def run_traced(
    words: Sequence[str], folder: Path, inject: str = "", kind: str = "", *, fakes: bool = True, user: User | None = None
) -> Ended:  # fmt: skip
    """Run a command under strace.

    Args:
        words: of the command.
        folder: whose files count.
        inject: what strace does with a call, as `error=EIO:when=3`; empty: calls are only counted.
        kind: the calls, of CALLS; empty: all of them.
        fakes: whether coloured squares are faces.
        user: what somebody does with it meanwhile; then the calls of its busiest thread, or of that of a program that it starts, count,
            else those of the main one.
    """
    calls = CALLS[kind] if kind else ",".join(CALLS.values())
    options = ["-e", f"trace={calls}"] + (["-e", f"inject={calls}:{inject}"] if inject else [])
    with tempfile.NamedTemporaryFile("r", errors="replace") as log:
        command = Command(words, fakes=fakes, gate=True, user=user)
        tracer = _attach(command.pid, options, log.name)
        command.open_gate()
        ended = command.end()
        tracer.wait()
        threads: dict[str, list[tuple[str, bool, bool]]] = {str(command.pid): []}  # of each call its kind, whether in the folder, and hit
        for line in log:
            if match := _CALL.match(line):
                name = next(name for name, calls in CALLS.items() if match[2] in calls.split(","))
                is_hit = "(INJECTED)" in line or "signal=KILL" in inject and line.rstrip().endswith("= ?")
                threads.setdefault(match[1], []).append((name, str(folder) in line, is_hit))
    calls_of = threads[str(command.pid)] if user is None else max(threads.values(), key=lambda of: sum(inside for _, inside, _ in of))
    found = {name: [inside for kind, inside, _ in calls_of if kind == name] for name in CALLS}
    hit = any(inside and is_hit for of in ([calls_of] if user is None else threads.values()) for _, inside, is_hit in of)
    last = bool(calls_of) and calls_of[-1][1]
    return Ended(ended.code, ended.said, ended.seconds, found, hit or bool(inject) and ended.code == -signal.SIGKILL and last)
