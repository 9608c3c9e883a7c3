"""How Google Takeout names things: which photos one of its JSON files is about.

    photo.jpg.json, photo.jpg.supplemental-metadata.json    cut to 46 characters before ".json"
    photo.jpg(1).json                                       of photo(1).jpg, of which Takeout made the number
    photo-edited.jpg                                        an edit, in the language of the account; it has no JSON of its own

Google does not document it; this follows what users report (github.com/ente-io/ente pull 4956, TheLastGimbus/GooglePhotosTakeoutHelper
issues 8, 353, 448).
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection

MAX_TAKEOUT = 46  # characters to which Takeout cuts a JSON's name before ".json"; a number in parentheses comes on top
_SUFFIX = ".supplemental-metadata"
_EDITED = (
    "-edited", "-effects", "-bearbeitet", "-modifié", "-editado", "-ha editado", "-modificato", "-bewerkt", "-edytowane", "-編集済み",
)  # fmt: skip


def split_number(stem: str) -> tuple[str, str]:
    """A stem without the number in parentheses at its end, and that number: ("photo.jpg", "(1)"), or ("photo.jpg", "")."""
    number = re.search(r"\(\d+\)$", stem)
    return (stem[: number.start()], number[0]) if number else (stem, "")


def is_about(stem: str, photo: str) -> bool:
    """Whether a JSON of this stem has the name that Takeout gives to that of a photo; both folded alike."""
    base, number = split_number(stem)
    own, ending = os.path.splitext(photo)
    for begin, its in {split_number(own), (own, "")}:  # the number may be Takeout's or the photo's own
        whole = f"{begin}{ending}"
        if its == number and (whole + _SUFFIX).startswith(base) and (len(base) >= len(whole) or len(base) == MAX_TAKEOUT):
            return True
    return False


def photos_of(json_name: str, title: str, owners: Collection[str], there: Collection[str]) -> list[str]:
    """The photos that a JSON is about: none, or a photo and its edited versions.

    Args:
        json_name: the name of the JSON, without its folder.
        title: that it states.
        owners: the files of the folder that it belongs to by its name (photos/companions.py).
        there: the names to choose from.
    """
    names = [*owners, _with(title, split_number(os.path.splitext(json_name)[0])[1])]
    versions = ([_with(n, more) for more in ("", *_EDITED)] for n in names)
    return next((found for several in versions if (found := [n for n in several if n in there])), [])


def _with(name: str, more: str) -> str:
    """A file name with something before its ending."""
    stem, ending = os.path.splitext(name)
    return f"{stem}{more}{ending}"
