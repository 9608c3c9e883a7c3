"""Whether a file of a store has changed."""

from __future__ import annotations

from facecluster.errors import StoreError
from facecluster.store import Store


def file_state(store: Store, path: str) -> tuple[object, ...]:
    """Size and time of a file's last change; () if it does not exist."""
    try:
        info = store.fs.info(path)
    except FileNotFoundError:
        return ()
    except OSError as e:
        raise StoreError(f"expected to read {path}, found: {e}. Check its permissions") from e
    return tuple(str(info.get(key)) for key in ("size", "mtime", "ino", "ETag", "LastModified", "updated"))
