"""Warnings of decoders, which say nothing to the user, are silenced; thread-safe."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image


class _SilencedWarnings:
    """Counts the threads that silence warnings. They share one list of filters: the first thread changes it, the last restores it."""

    lock = threading.Lock()
    inside = 0
    catcher: warnings.catch_warnings[Any] | None = None


@contextmanager
def silence_warnings() -> Iterator[None]:
    """Silence the warnings of decoders; thread-safe."""
    with _SilencedWarnings.lock:
        _SilencedWarnings.inside += 1
        if _SilencedWarnings.inside == 1:
            _SilencedWarnings.catcher = warnings.catch_warnings()
            _SilencedWarnings.catcher.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
            warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    try:
        yield
    finally:
        with _SilencedWarnings.lock:
            _SilencedWarnings.inside -= 1
            if _SilencedWarnings.inside == 0 and _SilencedWarnings.catcher is not None:
                _SilencedWarnings.catcher.__exit__(None, None, None)
