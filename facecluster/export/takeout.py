"""Google Takeout's people: a JSON file beside each photo lists names, without a place in the picture.

    {"title": "photo.jpg", "people": [{"name": "Ann"}], ...}

photos/takeout.py knows which photos it is about, by its name.
"""

from __future__ import annotations

import json
from typing import Any


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
