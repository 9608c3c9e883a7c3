"""Every place of a store, and how it is freed of what is forgotten. A test holds this list against what the commands write.

The order is that of the work: first what a later run would bring it back by, last what it is found by.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from facecluster.decisions import FILE as JOURNAL
from facecluster.decisions import append, read, rewrite
from facecluster.decisions.decision import parse
from facecluster.people import all_runs, current_run, people_csv
from facecluster.people.runs import make_current
from facecluster.people.stand_ins import TABLE as STAND_INS_TABLE
from facecluster.people.unchanged import FILE as UNCHANGED
from facecluster.photos.fingerprint import LOOKS_TABLE
from facecluster.photos.followed import FOLLOWED_TABLE
from facecluster.photos.forgotten import TABLE as FORGOTTEN_TABLE
from facecluster.photos.origin import ORIGINS_TABLE
from facecluster.photos.places import GONE_TABLE
from facecluster.privacy import files, runs, tables
from facecluster.privacy.decisions import change
from facecluster.privacy.forget_plan import ForgetPlan
from facecluster.store import COMPACTING, FORGETTING, STORE_FILE, Store
from facecluster.store.copies import COPIES

# frees a table or file of a store, by its name, of what goes, or (the last argument False) counts only; gives the number of rows or files
Free = Callable[[Store, str, ForgetPlan, bool], int]


@dataclass(frozen=True, slots=True)
class Place:
    """A kind of table or file, and what frees it; `pattern` is of paths in the store, the name of a table is that of its folder."""

    pattern: str
    what: str  # in the receipt and for the user
    free: Free


def _change_journal(store: Store, name: str, plan: ForgetPlan, write: bool) -> int:
    if write:
        texts = [text.encode() for text in (*plan.faces, *plan.photos, *plan.names, *plan.people)]
        rewrite(store, lambda d: change(d, plan), lambda line: not any(text in line for text in texts))
        there = {d.id for d in read(store).decisions}
        append(store, [d for d in (parse(json.loads(line)) for line in plan.lines) if d.id not in there])
    return len(plan.said)


def _change_runs(store: Store, name: str, plan: ForgetPlan, write: bool) -> int:
    found = sum(runs.change_run(store, run, plan, write=write) for run in all_runs(store))
    if write and (run := current_run(store)) is not None:
        make_current(store, run)  # a review page that is open sees that the people have changed
    return found


PLACES = (
    Place(JOURNAL, "decisions", _change_journal),
    Place(people_csv.FILE, "rows of people.csv", files.change_people_csv),
    Place(people_csv.THEIRS, "rows of people.csv.theirs", files.change_people_csv),
    Place("/".join(people_csv.LAST_WRITTEN), "rows of the copy of people.csv", files.change_people_csv),
    Place("runs", "faces and people of runs", _change_runs),
    Place("identities/*", "faces of identities", runs.change_identities),
    Place("links/*", "links", runs.change_links),
    Place("index", "files of the index of match", files.drop_folder),
    Place("linking", "files of the linking", files.drop_folder),
    Place("grouping", "files of the grouping", files.drop_folder),
    Place("/".join(UNCHANGED), "notes of the last grouping", files.drop_file),
    Place(STAND_INS_TABLE, "faces that stand for others", tables.change_pairs),
    Place(FOLLOWED_TABLE, "faces of edited photos", tables.change_pairs),
    Place("dedup", "plans of dedup", files.drop_plans),
    Place("dedup", "lines of undo files of dedup", files.change_undo_files),
    Place(".", "files of reports, exports and data sets in the store", files.drop_outputs),
    Place(LOOKS_TABLE, "thumbnails", tables.change_looks),
    Place(ORIGINS_TABLE, "origins of files", tables.change_contents),
    Place("dedup/pixels", "hashes of pixels", tables.change_contents),
    Place("dedup/traces", "traces of JPEG", tables.change_contents),
    Place("known/*", "pictures of known people", tables.change_known),
    Place("embeddings/*", "vectors", tables.change_faces),
    Place("attributes/*", "attributes", tables.change_faces),
    Place("faces", "faces with box, landmarks and crop", tables.change_faces),
    Place("photos", "rows of photos", tables.change_photos),
    Place(GONE_TABLE, "places that are gone", tables.change_gone),
    Place("files", "rows of files", tables.change_files),
    Place("files/sources.json", "sources", files.change_sources),
    Place("damaged", "files that check had set aside", files.drop_folder),
    Place("*.tmp", "temporary files", files.drop_temporary),
)
# vectors of forgotten people whom the user wants to be known again; and what says nothing of a single face or photo:
# the list of copies elsewhere, marks, what archives there are, figures fitted to many faces
WITHOUT = (STORE_FILE, FORGETTING, COMPACTING, COPIES, "*.lock", "archives/*", f"{FORGOTTEN_TABLE}/*", "calibration/*", "recognisability/*",
           "runs/current.json", "dedup/undo.key", "review-*.html", "suppressed/*")  # fmt: skip
_PARTS = ("decisions/*", "dedup/plan*.csv", "dedup/undo-*.jsonl")  # of these places


def is_known(path: str) -> bool:
    """Whether a file of a store, by its path there, is one that this list knows."""
    patterns = [*WITHOUT, *_PARTS, *(p for place in PLACES for p in (place.pattern, f"{place.pattern}/*") if p not in (".", "./*"))]
    return any(fnmatchcase(path, pattern) for pattern in patterns if pattern != "dedup/*")


def free_all(store: Store, plan: ForgetPlan, write: bool) -> dict[str, int]:
    """Free every place of what goes, or with `write` False count what there is; gives the numbers that are not 0, by place."""
    found: dict[str, int] = {}
    for place in PLACES:
        for name in _names(store, place.pattern):
            found[place.what] = found.get(place.what, 0) + place.free(store, name, plan, write)
    return {what: number for what, number in found.items() if number}


def _names(store: Store, pattern: str) -> Iterator[str]:
    """The tables or files of a pattern: in `a/*` each folder of a."""
    folder, _, star = pattern.rpartition("/")
    if star != "*":
        yield pattern
        return
    place = store.path(folder)
    store.fs.invalidate_cache()
    for path in sorted(map(str, store.fs.ls(place, detail=False))) if store.fs.isdir(place) else ():
        yield f"{folder}/{path.rstrip('/').rsplit('/', 1)[-1]}"
