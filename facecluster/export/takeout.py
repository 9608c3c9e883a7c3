"""Google Takeout's people: a JSON file beside each photo lists names, without a place in the picture.

    {"title": "photo.jpg", "people": [{"name": "Ann"}], ...}

Its name follows that of the photo (photos/companions.py), but an edited photo (photo-edited.jpg, in the language of the account:
photo-bearbeitet.jpg) has none of its own. Google does not document it; this follows what users report (github.com/ente-io/ente pull 4956,
TheLastGimbus/GooglePhotosTakeoutHelper issues 8, 353, 448).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection
from typing import Any

_EDITED = (
    "-edited", "-effects", "-bearbeitet", "-modifié", "-editado", "-ha editado", "-modificato", "-bewerkt", "-edytowane", "-編集済み",
)  # fmt: skip


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


def photos_of(json_name: str, title: str, owners: Collection[str], there: Collection[str]) -> list[str]:
    """The photos that a JSON is about: none, or a photo and its edited versions.

    Args:
        json_name: the name of the JSON, without its folder.
        title: that it states.
        owners: the files of the folder that it belongs to by its name.
        there: the names of the store's photos in the folder.
    """
    number = re.search(r"(\(\d+\))\.json$", json_name, re.IGNORECASE)
    names = [*owners, _with(title, number[1] if number else "")]
    versions = ([_with(n, more) for more in ("", *_EDITED)] for n in names)
    return next((found for several in versions if (found := [n for n in several if n in there])), [])


def _with(name: str, more: str) -> str:
    """A file name with something before its ending."""
    stem, ending = os.path.splitext(name)
    return f"{stem}{more}{ending}"
