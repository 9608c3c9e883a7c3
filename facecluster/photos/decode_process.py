"""Decoding a photo in another process, which is ended if it takes too long.

A decoder can't be stopped from within: a picture of a few kilobytes may keep it busy for minutes. So photos whose time their size does not
bound are decoded by `decode_server` in a process of its own. Between the two go lines of JSON, each followed by as many bytes as it says.

Odd inputs: where no process can be started the caller decodes here. A process that the caller leaves behind ends by itself, since its
input ends. A fork starts processes of its own.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import AbstractContextManager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.errors import PhotoError

SECONDS = 20  # of processor time for a photo
_WAIT = 10 * SECONDS  # seconds by the clock: a busy machine gives a process little of its time
_KEPT = 2  # processes that wait for more work
_PROGRAM = "from facecluster.photos.decode_server import serve; serve()"


class CanNotStart(Exception):
    """There is no such process on this machine."""


class _Process:
    """One process, for one photo at a time."""

    def __init__(self) -> None:
        package = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
        try:
            given = {name: value for name, value in os.environ.items() if not name.startswith("FACECLUSTER_KEY")}  # it opens no store
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                start_new_session=True, env=given | {"PYTHONPATH": path},
            )  # fmt: skip
        except OSError as e:
            raise CanNotStart from e
        if self._answer() is None:  # it ended at once
            self.close()
            raise CanNotStart

    def decode(self, data: bytes, options: dict[str, Any], large: AbstractContextManager[Any]) -> tuple[dict[str, Any], bytearray] | None:
        """What the server says of a photo, and the bytes of its pixels; None if it ended. `large`: entered while a large one is decoded."""
        clock = threading.Timer(_WAIT, self._process.kill)
        clock.daemon = True
        clock.start()
        try:
            self._say(options | {"bytes": len(data), "seconds": SECONDS}, data)
            found = self._answer()
            if found is not None and found[0].get("large"):
                with large:
                    self._say({"go": True})
                    return self._answer()
            return found
        except (OSError, ValueError):
            return None
        finally:
            clock.cancel()

    def _say(self, words: dict[str, Any], data: bytes = b"") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def _answer(self) -> tuple[dict[str, Any], bytearray] | None:
        assert isinstance(self._process.stdout, BufferedReader)
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            return None
        words = dict(json.loads(line))
        size = int(words.get("bytes", 0))
        data, at = bytearray(size), 0  # an array over it can be written to
        while at < size and (more := self._process.stdout.readinto(memoryview(data)[at:])):
            at += more
        return (words, data) if at == size else None

    def close(self) -> int:
        """End it; gives how it ended."""
        with suppress(OSError):
            self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if stream is not None:
                    stream.close()
        return self._process.wait()

    def end(self) -> int:
        """How it ended by itself; it is ended if it has not."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        return self.close()


_idle: list[_Process] = []
_lock = threading.Lock()


def decode(data: bytes, options: dict[str, Any], large: AbstractContextManager[Any]) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """Decode a photo in another process.

    Args:
        data: the bytes of the file.
        options: of `open_photo`.
        large: entered while a large photo is decoded.

    Returns:
        the fields of a Photo but its pixels, with `taken_at` as text, and the pixels (h, w, 3).

    Raises:
        PhotoError: the photo can't be used, takes too long, or ends its decoder.
        CanNotStart: there is no other process.
    """
    with _lock:
        process = _idle.pop() if _idle else None
    process = process or _Process()
    try:
        found = process.decode(data, options, large)
    except BaseException:
        process.close()
        raise
    if found is None:
        raise PhotoError(_why(process.end()))
    words, pixels = found
    with _lock:
        keep = not words.pop("was_large", False) and len(_idle) < _KEPT
        if keep:
            _idle.append(process)
    if not keep:
        process.close()
    if "error" in words:
        raise PhotoError(str(words["error"]))
    words.pop("bytes")
    return words, np.frombuffer(pixels, np.uint8).reshape(words.pop("shape"))


def _why(code: int) -> str:
    if code in (-getattr(signal, "SIGXCPU", 0), -getattr(signal, "SIGKILL", 0)):
        return f"expected a photo that is decoded in {SECONDS} s, found one that takes longer: save it anew by another program"
    return f"expected a whole photo, found one that ends its decoder (code {code}): save it anew by another program"


def close_all() -> None:
    """End the processes that wait for work."""
    with _lock:
        waiting, _idle[:] = list(_idle), []
    for process in waiting:
        process.close()


def _forget_all() -> None:
    """In a fork: the processes are those of the other one."""
    global _lock
    _lock = threading.Lock()
    for process in _idle:
        process._process.returncode = 0  # not its child: there is nothing to wait for
    _idle.clear()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
