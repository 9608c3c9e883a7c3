"""A temporary file for what a command reads of a store: crops, thumbnails. Of an encrypted store it is memory: nothing plain on a disk."""

from __future__ import annotations

import io
import tempfile
from typing import BinaryIO

from facecluster.store.store import Store


def scratch_file(store: Store) -> BinaryIO:
    """An empty file without a name, to write and read; it is gone when it is closed."""
    return tempfile.TemporaryFile() if store.cipher is None else io.BytesIO()
