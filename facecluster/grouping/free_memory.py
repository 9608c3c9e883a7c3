"""Free memory that a process keeps for its next arrays (engine.keep_memory), when other work comes that needs less of it."""

from __future__ import annotations

import ctypes
from contextlib import suppress

import pyarrow as pa


def give_memory_back() -> None:
    """Have Arrow and glibc give all free memory back to the kernel; with another C library only Arrow does."""
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
