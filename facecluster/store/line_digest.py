"""A digest in a JSON object, by which a changed bit of it is found: for the files of a store that are no tables, and lines of the journal.

It is the object's last key, `sum`: the first 16 hex digits of SHA-256 of all bytes before the comma that comes before it. An object
without it is of an earlier version, or was written by hand.
"""

from __future__ import annotations

import hashlib
import re

from facecluster.store.digest import DamageError

_SUM = re.compile(rb', "sum": "([0-9a-f]{16})"\}\s*\Z')


def with_sum(data: bytes) -> bytes:
    """A JSON object with its digest; other data, and an empty object, as they are."""
    head = data.rstrip()
    if not (head.startswith(b"{") and head.endswith(b"}")) or head[:-1].rstrip() == b"{" or _SUM.search(data):
        return data
    head = head[:-1].rstrip()
    return head + b', "sum": "' + _digest(head) + b'"}'


def without_sum(data: bytes) -> bytes:
    """The object as it was before it got its digest. Raises DamageError if it has changed since."""
    found = _SUM.search(data)
    if found is None:
        return data
    if _digest(data[: found.start()]) != found[1]:
        raise DamageError("it has changed since it was written (its sum differs)")
    return data[: found.start()] + b"}"


def is_as_written(data: bytes) -> bool:
    """Whether an object is as it was written, as far as its digest says; one without a digest may be."""
    found = _SUM.search(data)
    return found is None or _digest(data[: found.start()]) == found[1]


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest()[:16].encode()
