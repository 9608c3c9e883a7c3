"""Write the report of a store."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from facecluster.report.data import Data, Suspect, Title, read_data
from facecluster.report.export import write_summary, write_tables
from facecluster.report.pages import Pages
from facecluster.report.place import finish, swapped_in
from facecluster.report.plan import make_plan
from facecluster.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a report holds. `index` is the path of its first page."""

    index: str
    people: int
    faces: int
    nobody: int  # faces of nobody
    photos: int  # different photos that could be used
    failed: int  # photos that could not
    copies: int  # further places of the same photos
    pages: int


def write_report(
    store: Store,
    identities: str,
    out: str,
    *,
    names: Mapping[int, str] | None = None,
    people: Mapping[int, Title] | None = None,
    suspects: Sequence[Suspect] = (),
    created: datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Write the report of a store: pages that open from disk without a network, and tables.

    Args:
        store: where the tables are.
        identities: the table with the grouping, for instance "identities/bundled".
        out: a local folder: new, empty, or an older report, which is replaced whole (files in it that are not the report's are kept).
        names: what people are called, by identity; the others are "Person 0", "Person 1", ...
        people: in place of names, these with lasting ids and who is ignored.
        suspects: people to check first, in this order; shown above the others.
        created: the time written in the report; now if None.
        progress: called with (pages written, all pages) after each page.

    Raises:
        InputError: `out` holds other things or can't be written, or another run writes there.
        StoreError: a table is missing or damaged.
    """
    store.check()
    titles = people or {number: Title(name) for number, name in (names or {}).items()}
    when = created or datetime.now(UTC)
    with swapped_in(out) as folder:
        with tempfile.TemporaryFile(dir=folder.parent) as spool:
            data = read_data(store, identities, titles, spool)
            plan = make_plan(data)
            counts = _counts(data) | {"pages": len(plan)}
            pages = Pages(data, plan, counts, when.strftime("%Y-%m-%d %H:%M %Z").strip(), suspects)
            for done, _ in enumerate(pages.write(folder), start=1):
                if progress is not None:
                    progress(done, len(plan))
        write_tables(folder, data)
        write_summary(folder, store, identities, counts, when)
        finish(folder)
    return Summary(index=os.path.join(out, "index.html"), **counts)


def _counts(data: Data) -> dict[str, int]:
    return {
        "people": len(data.people),
        "faces": len(data.identity),
        "nobody": len(data.nobody),
        "photos": sum(bool(p.uris) for p in data.photos),
        "failed": len(data.failed),
        "copies": data.copies,
    }
