"""Arrays in encrypted files, for the grouping of an encrypted store: they are opened into memory, where others are mapped."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facecluster.store.cipher import HEAD, Cipher, file_key_id

Array: TypeAlias = NDArray[Any]
Read: TypeAlias = Callable[[int, int], bytes]  # the bytes of a file between two places

_PLACE = "grouping"  # that is authenticated: these files are of work that may be thrown away
_HEADER = 1 << 12  # bytes; more than the header of any array


def seal_array(array: Array, key_id: str, url: str) -> bytes:
    """An array as the bytes of an encrypted .npy file, with the key of an id."""
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return Cipher(key_id, url).seal(out.getbuffer(), _PLACE)


def open_array(read: Read, size: int, url: str) -> Array | None:
    """The array of a file of `size` bytes; None if it is not encrypted."""
    if (key := file_key_id(read(0, min(HEAD, size)))) is None:
        return None
    found: Array = np.load(io.BytesIO(Cipher(key, url).open(read(0, size), _PLACE)), allow_pickle=False)
    return found


def open_rows(read: Read, size: int, url: str, start: int, stop: int) -> Array | None:
    """Rows start to stop of it: no other blocks are read; None if it is not encrypted."""
    if (key := file_key_id(read(0, min(HEAD, size)))) is None:
        return None
    cipher = Cipher(key, url)
    head = io.BytesIO(cipher.open_range(read, size, _PLACE, 0, _HEADER))
    version = np.lib.format.read_magic(head)
    shape, _, dtype = getattr(np.lib.format, f"read_array_header_{version[0]}_0")(head)
    start, stop = min(start, shape[0]), min(stop, shape[0])
    row = dtype.itemsize * int(np.prod(shape[1:]))
    data = cipher.open_range(read, size, _PLACE, head.tell() + start * row, head.tell() + stop * row) if stop > start else b""
    return np.frombuffer(data, dtype=dtype).reshape(-1, *shape[1:])
