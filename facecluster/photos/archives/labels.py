"""What lies beside a photo in a WebDataset tar and says whom it shows: KEY.cls, KEY.json or KEY.txt, where KEY ends at the first dot of the
name (WebDataset's convention).

The label is the text of KEY.cls; of KEY.json one of the values in `_KEYS`; of KEY.txt its only line. A number in KEY.cls gives way to a
person in KEY.json: `curate` writes both, and the numbers of two data sets mean different people. Odd input: a file that is too long for a
label, or damaged, says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from facecluster.errors import PhotoError
from facecluster.photos.archives.opened import read_member
from facecluster.photos.archives.uris import Member, Range

_PERSON = ("person", "identity")
_KEYS = (*_PERSON, "label", "name", "class", "cls")
_MOST_BYTES = 1 << 16  # of a file
_MOST_LETTERS = 200  # of a label


def label_beside(archive: str, mtime_ns: int, key: str, members: Mapping[str, Member]) -> str | None:
    """The label of a photo of a tar; None if there is none."""
    folder, slash, name = key.rpartition("/")
    stem = folder + slash + name.partition(".")[0]
    said = _label(_text(archive, mtime_ns, members.get(stem + ".cls")))
    if said and not said.isdecimal():
        return said
    written = _text(archive, mtime_ns, members.get(stem + ".json"))
    if said:
        return _label(_from_json(written, _PERSON)) or said
    return _label(_from_json(written, _KEYS)) or _label(_text(archive, mtime_ns, members.get(stem + ".txt")))


def _text(archive: str, mtime_ns: int, beside: Member | None) -> str:
    """The text of a file; '' if there is none, or it is too long or damaged."""
    if beside is None or beside.size > _MOST_BYTES:
        return ""
    try:
        return read_member("tar", archive, beside.key, Range(beside.offset, beside.size, mtime_ns)).decode("utf-8", "replace")
    except PhotoError:
        return ""


def _label(text: str) -> str | None:
    label = text.strip()
    return label if label and len(label) <= _MOST_LETTERS and "\n" not in label else None


def _from_json(text: str, keys: Sequence[str]) -> str:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    values = (found.get(key) for key in keys) if isinstance(found, dict) else ()
    return next((str(v) for v in values if isinstance(v, (str, int)) and not isinstance(v, bool) and str(v)), "")
