"""The array files that this process has open: mapped where they lie; one of another machine from a copy, which is deleted at once."""

from __future__ import annotations

import io
import math
import os
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from functools import partial
from typing import Any, TypeAlias

import fsspec
import numpy as np
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray

from facecluster.grouping.sealed_arrays import open_array

Array: TypeAlias = NDArray[Any]

_MAPPED = 512  # files that a process keeps open
_LOOK = 1.0  # seconds after which it looks which of them another process has deleted
_IDLE = 10.0  # seconds without use after which it closes one of this machine: its pages, and the disk of a deleted one, are free then
_SMALL = 1 << 20  # bytes of an array that it keeps in memory, where it can't be mapped
_ONE_REQUEST = 1 << 24  # bytes of a file elsewhere that are read at once


class MappedFiles:
    """The files that this process has mapped, the last used last."""

    def __init__(self) -> None:
        self.arrays: OrderedDict[str, Array] = OrderedDict()
        self.used: dict[str, float] = {}  # when each was used last
        self.looked = 0.0  # when it looked for deleted ones last
        self.lock = threading.Lock()

    def open(self, url: str) -> Array:
        with self.lock:
            if url in self.arrays:
                return self._keep(url, self.arrays[url], again=True)
        found = self._map(url)
        if not isinstance(found, np.memmap) and found.nbytes > _SMALL:
            return found
        with self.lock:
            return self._keep(url, found)

    def _keep(self, url: str, array: Array, *, again: bool = False) -> Array:
        now = time.monotonic()
        if not again:
            self.used[url] = now if "://" not in url or url.startswith("file:") else math.inf  # a copy of a file elsewhere stays
        elif self.used[url] != math.inf:
            self.used[url] = now
        self.arrays[url] = array
        self.arrays.move_to_end(url)
        while len(self.arrays) > _MAPPED or self.used[next(iter(self.arrays))] < now - _IDLE:
            del self.used[self.arrays.popitem(last=False)[0]]
        if now > self.looked + _LOOK:
            self.looked = now
            here = [other for other, used in self.used.items() if used != math.inf and other != url]
            for gone in [other for other in here if not os.path.exists(_path(other))]:
                del self.arrays[gone], self.used[gone]
        return array

    def _map(self, url: str) -> Array:
        fs, path = fsspec.core.url_to_fs(url)
        size = fs.size(path)
        data = fs.cat_file(path) if not isinstance(fs, LocalFileSystem) and size <= _ONE_REQUEST else b""
        if (opened := open_array((lambda a, b: data[a:b]) if data else partial(fs.cat_file, path), size, url)) is not None:
            return opened
        if isinstance(fs, LocalFileSystem):
            return _mapped(path)
        with tempfile.NamedTemporaryFile(suffix=".npy") as copy:  # the mapping keeps what was deleted; Windows does not
            with io.BytesIO(data) if data else fs.open(path, "rb") as file:
                shutil.copyfileobj(file, copy, _ONE_REQUEST)
            copy.flush()
            return _mapped(copy.name)

    def forget(self, url: str) -> None:
        with self.lock:
            self.arrays.pop(url, None)
            self.used.pop(url, None)

    def forget_within(self, folder: str) -> None:
        with self.lock:
            for url in [url for url in self.arrays if url.startswith(f"{folder}/")]:
                del self.arrays[url], self.used[url]


FILES = MappedFiles()


def _path(url: str) -> str:
    return str(fsspec.core.url_to_fs(url)[1])


def _mapped(path: str) -> Array:
    found: Array = np.load(path, mmap_mode="r")
    return found
