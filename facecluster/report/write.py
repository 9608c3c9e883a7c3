"""Write the report of a store."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from facecluster.language import ENGLISH, Language
from facecluster.report.face_notes import FaceNotes, Look
from facecluster.report.hide_faces import Faces
from facecluster.report.pages import PageWriter
from facecluster.report.pagination import paginate
from facecluster.report.report_data import PersonInfo, PersonToCheck, ReportData, read_report_data
from facecluster.report.report_folder import is_made_from, replace_folder, write_manifest
from facecluster.report.tables import write_summary, write_tables
from facecluster.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a report contains. `index` is the path of its first page."""

    index: str
    people: int
    faces: int
    nobody: int  # faces of nobody that can be recognised
    photos: int  # distinct photos that could be used
    failed: int  # photos that could not be used
    copies: int  # further files that show the picture of another
    pages: int
    unclear: int = 0  # faces too unclear to tell, and places that are no face
    gone: int = 0  # of the photos, those that are at none of their places
    ungrouped: int = 0  # of the faces of nobody, those that are newer than the grouping


def write_report(
    store: Store,
    identities: str,
    out: str,
    *,
    names: Mapping[int, str] | None = None,
    people: Mapping[int, PersonInfo] | None = None,
    to_check: Sequence[PersonToCheck] = (),
    created: datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
    made_from: str = "",
    faces: Faces = Faces.SHOW,
    language: Language = ENGLISH,
    look: Look | None = None,
) -> Summary:
    """Write the report of a store: pages that open from disk without a network, and tables.

    Args:
        store: where the tables are.
        identities: the table with the grouping, for instance "identities/bundled".
        out: a local folder: new, empty, or an older report, which is replaced (files in it that are not part of the report are kept).
        names: names of people by identity; people without one are called "Person 1", "Person 2", ...
        people: instead of `names`: names with lasting ids and whether the person is ignored.
        to_check: people to check first, in this order; shown above the others.
        created: the time written in the report; now if None.
        progress: called with (pages written, all pages) after each page.
        made_from: a hash of what the report shows; kept in it, for `current_summary`.
        faces: how faces are shown. Blurred or left out, photos are not shown either.
        look: makes pictures of where the model looks, for the surest faces of each person; None: there are none.
        language: of the pages; tables are the same in every language.

    Raises:
        InputError: `out` contains other files or can't be written, or another run writes there.
        StoreError: a table is missing or damaged.
    """
    store.check()
    infos = people or {number: PersonInfo(name) for number, name in (names or {}).items()}
    when = created or datetime.now(UTC)
    with replace_folder(out) as folder:
        with tempfile.TemporaryFile(dir=folder.parent) as spool:
            data = read_report_data(store, identities, infos, spool)
            pagination = paginate(data)
            counts = _counts(data) | {"pages": len(pagination)}
            notes = FaceNotes(data, store, look) if faces is Faces.SHOW else None
            moment = when.strftime("%Y-%m-%d %H:%M %Z").strip()
            pages = PageWriter(data, pagination, counts, moment, to_check, faces, language, notes)
            for done, _ in enumerate(pages.write(folder), start=1):
                if progress is not None:
                    progress(done, len(pagination))
        write_tables(folder, data)
        write_summary(folder, store, identities, counts, when)
        write_manifest(folder, made_from, faces.value)
    return Summary(index=os.path.join(out, "index.html"), **counts)


def current_summary(out: str, made_from: str) -> Summary | None:
    """The summary of the report at `out` if it shows what has this hash, and is whole; else None."""
    folder = Path(os.path.realpath(out))
    if not is_made_from(folder, made_from):
        return None
    counts = json.loads((folder / "summary.json").read_bytes())["counts"]
    return Summary(index=os.path.join(out, "index.html"), **counts)


def _counts(data: ReportData) -> dict[str, int]:
    return {
        "people": len(data.people),
        "faces": len(data.identity),
        "nobody": len(data.nobody),
        "unclear": len(data.unclear),
        "ungrouped": data.ungrouped,
        "photos": len(data.photos),
        "gone": int(data.photos.gone.sum()),
        "failed": len(data.failed),
        "copies": data.copies,
    }
