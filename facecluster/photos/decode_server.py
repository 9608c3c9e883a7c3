"""The process in which photos are decoded that may take too long: `decode_process` starts it, and it lives as long as its input."""

from __future__ import annotations

import json
import math
import resource
import sys
from contextlib import suppress
from typing import Any, BinaryIO

from facecluster.errors import PhotoError
from facecluster.photos import images


class _Ask:
    """Entered before a large photo is decoded: waits until the caller lets it."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source, self._sink = source, sink
        self.asked = False

    def __enter__(self) -> None:
        self.asked = True
        _say(self._sink, {"large": True})
        self._source.readline()

    def __exit__(self, *_: object) -> None:
        pass


def serve() -> None:
    """Decode the photos that come in, one after another, until no more come."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    _say(sink, {"ready": True})
    with suppress(BrokenPipeError):
        while line := source.readline():
            options = dict(json.loads(line))
            data = source.read(options.pop("bytes"))
            _limit(options.pop("seconds"))
            ask = _Ask(source, sink)
            try:
                photo = images.open_here(data, **options, large=ask)
            except PhotoError as e:
                _say(sink, {"error": str(e), "was_large": ask.asked})
                continue
            said = {name: getattr(photo, name) for name in ("width", "height", "scale", "format", "orientation")}
            said["taken_at"] = None if photo.taken_at is None else photo.taken_at.isoformat()
            _say(sink, said | {"shape": photo.pixels.shape, "was_large": ask.asked}, photo.pixels.tobytes())


def _say(sink: BinaryIO, words: dict[str, Any], data: Any = b"") -> None:
    sink.write(json.dumps(words | {"bytes": len(data)}).encode() + b"\n")
    sink.write(data)
    sink.flush()


def _limit(seconds: int) -> None:
    """Have the system end this process after some more seconds of processor time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    end = math.ceil(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (end if most == resource.RLIM_INFINITY else min(end, most), most))
