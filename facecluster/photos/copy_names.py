"""Which of the files of one photo is shown: one that is not named like a copy, not in a folder of copies, and not only in an archive."""

from __future__ import annotations

import os
import re

import pyarrow as pa
import pyarrow.compute as pc

from facecluster.photos.archives.uris import KINDS

_IN_NAME = r"copy|kopie|copie|copia"
_END = r"\(\d+\)|~\d*"
_BEGIN = r"whatsapp|img-\d{8}-wa|received_"
_COPY = re.compile(rf"{_IN_NAME}|({_END})\Z|^({_BEGIN})", re.IGNORECASE)
_FOLDER = r"back[ _-]?up|sicherung|sauvegarde|respaldo|copies|kopien|copias|trash|papierkorb|recycle"
_COPY_URI = rf"(?i)(^|/)(({_BEGIN})[^/]*|[^/]*({_IN_NAME})[^/]*(\.[^./]*)?|[^/]*({_END})(\.[^./]*)?)$"
_FOLDER_URI = rf"(?i)(^|/)[^/]*({_FOLDER})[^/]*/"
_ARCHIVE_URI = rf"^({'|'.join(sorted(set(KINDS.values())))}):.*!/"


def named_like_copy(uri: str) -> bool:
    """Whether a file's name is one that programs give to copies: "photo (1).jpg", "photo copy.jpg", "IMG-20210506-WA0001.jpg"."""
    return bool(_COPY.search(os.path.splitext(uri.rsplit("/", 1)[-1])[0]))


def copy_marks(uris: pa.ChunkedArray | pa.Array) -> pa.Array:
    """How many of these hold for each of `uris` (n,): its name is one of a copy, its folder one of copies, it is in an archive."""
    marks = [pc.match_substring_regex(uris, pattern).cast(pa.int8()) for pattern in (_COPY_URI, _FOLDER_URI, _ARCHIVE_URI)]
    found = pc.add(pc.add(marks[0], marks[1]), marks[2])
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def by_place(table: pa.Table, first: str = "photo_id") -> pa.Array:
    """The order of a table of places by `first`, then: the places that are there, the fewest marks, the shortest path, the path.

    Args:
        table: `first`, gone and uri.
        first: column by which rows belong together.
    """
    keys = pa.table({
        "first": table[first], "gone": table["gone"], "marks": copy_marks(table["uri"]), "length": pc.utf8_length(table["uri"]),
        "uri": table["uri"],
    })  # fmt: skip
    return pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names])
