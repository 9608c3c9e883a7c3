"""Google Takeout's people: a JSON file beside each photo lists names, without a place in the picture.

    photo.jpg    -> photo.jpg.json, or since 2024 photo.jpg.supplemental-metadata.json
    photo(1).jpg -> photo.jpg(1).json, or photo.jpg.supplemental-metadata(1).json (a second photo.jpg)
    {"title": "photo.jpg", "people": [{"name": "Ann"}], ...}

The JSON's name is cut to 46 characters before its ending, so that parts of "supplemental-metadata" or of the photo's name may be missing.
An edited photo (photo-edited.jpg) has no JSON of its own. Not documented by Google; this follows what users report
(github.com/ente-io/ente pull 4956, TheLastGimbus/GooglePhotosTakeoutHelper issues 8, 353, 448).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection
from typing import Any

MAX_STEM = 46  # characters of a JSON's name before .json, without a number in parentheses
_MORE = ".supplemental-metadata"


def read_people(data: bytes) -> tuple[str, list[str]] | None:
    """The photo's title and the names in a JSON file; None if it is not Takeout's."""
    try:
        found: Any = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("title"), str) or not {"photoTakenTime", "people", "url"} & set(found):
        return None
    people = found.get("people")
    rows = people if isinstance(people, list) else []
    names = [row["name"].strip() for row in rows if isinstance(row, dict) and isinstance(row.get("name"), str)]
    return found["title"], list(dict.fromkeys(n for n in names if n))


def photos_of(json_name: str, title: str, there: Collection[str]) -> list[str]:
    """The files of a folder that a JSON belongs to: none, or a photo and its edited version.

    Args:
        json_name: the name of the JSON, without its folder.
        title: that it states.
        there: the names of the photos in the folder.
    """
    stem = json_name[: -len(".json")]
    number = re.search(r"\(\d+\)$", stem)
    copy = number[0] if number else ""
    base = stem[: len(stem) - len(copy)]
    last = base.rfind(".")
    bases = [base, base[:last]] if last > 0 and _MORE.startswith(base[last:]) else [base]
    names = [*(_with(b, copy) for b in bases), _with(title, copy)]
    if len(base) >= MAX_STEM:  # the photo's name may be cut, too
        like = [n for n in there if n.startswith(bases[-1]) and os.path.splitext(n)[0].endswith(copy)]
        names += like if len(like) == 1 else []
    wanted = next((n for n in names if n in there), names[0])
    return [n for n in (wanted, _with(wanted, "-edited")) if n in there]


def _with(name: str, more: str) -> str:
    """A file name with something before its ending."""
    stem, ending = os.path.splitext(name)
    return f"{stem}{more}{ending}"
