"""What lies beside a photo in a WebDataset tar and says whom it shows: KEY.cls, KEY.json or KEY.txt, where KEY ends at the first dot of the
name (WebDataset's convention).

The label is the text of KEY.cls; of KEY.json one of the values in `_KEYS`; of KEY.txt its only line. Odd input: a file that is too long for
a label, or damaged, says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from facecluster.errors import PhotoError
from facecluster.photos.archives.opened import read_member
from facecluster.photos.archives.uris import Member, Range

_KEYS = ("person", "identity", "label", "name", "class", "cls")
_MOST_BYTES = 1 << 16  # of a file
_MOST_LETTERS = 200  # of a label


def label_beside(archive: str, mtime_ns: int, key: str, members: Mapping[str, Member]) -> str | None:
    """The label of a photo of a tar; None if there is none."""
    folder, slash, name = key.rpartition("/")
    stem = folder + slash + name.partition(".")[0]
    for ending in (".cls", ".json", ".txt"):
        beside = members.get(stem + ending)
        if beside is None or beside.size > _MOST_BYTES:
            continue
        try:
            data = read_member("tar", archive, beside.key, Range(beside.offset, beside.size, mtime_ns))
        except PhotoError:
            continue
        text = (_from_json(data) if ending == ".json" else data.decode("utf-8", "replace")).strip()
        if text and len(text) <= _MOST_LETTERS and "\n" not in text:
            return text
    return None


def _from_json(data: bytes) -> str:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    values = (found.get(key) for key in _KEYS) if isinstance(found, dict) else ()
    return next((str(v) for v in values if isinstance(v, (str, int)) and not isinstance(v, bool) and str(v)), "")
