"""Files of a store that are no tables, without what is forgotten: lines and rows go, and what can be made again goes as a whole."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from facecluster.curate.output_folder import MARK as DATA_SET_MARK
from facecluster.dedup.undo_file import store_key, without_lines
from facecluster.errors import StoreError
from facecluster.export.begun_files import BEGUN, read_begun
from facecluster.export.output_folder import MANIFEST as EXPORT_MANIFEST
from facecluster.photos.files import local_path
from facecluster.privacy.forget_plan import ForgetPlan
from facecluster.report.report_folder import MANIFEST as REPORT_MANIFEST
from facecluster.report.report_folder import remove_report
from facecluster.store import TEMPORARY, Store
from facecluster.store.replace_file import recover


def change_people_csv(store: Store, name: str, plan: ForgetPlan, write: bool) -> int:
    """people.csv or its copy: rows of people who go, by id or by name; gives their number. All else stays as the user saved it."""
    if store.is_local:
        recover(store.path(name))
    data = _read(store, name)
    if data is None:
        return 0
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as `read_sheet` reads it
    text = data.decode("utf-16", "surrogatepass") if wide else data.decode("utf-8", "surrogateescape")
    mark, body = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    first = next((line for line in body.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    rows = list(csv.reader(io.StringIO(body, newline=""), delimiter=delimiter))
    header = [cell.strip().lower() for cell in next((row for row in rows if any(row)), [])]
    columns = [header.index(column) for column in ("person_id", "name") if column in header]

    def goes(row: list[str]) -> bool:
        cells = [row[at].strip() for at in columns if at < len(row)]
        return any(cell in plan.people or plan.has_name(cell) or plan.has_name(cell.removeprefix("'")) for cell in cells)

    kept = [row for row in rows if not goes(row)]
    if len(kept) < len(rows) and write:
        out = io.StringIO(newline="")
        csv.writer(out, delimiter=delimiter, lineterminator="\r\n" if "\r\n" in body else "\n").writerows(kept)
        coding = ("utf-16", "surrogatepass") if wide else ("utf-8", "surrogateescape")
        store.write_bytes((mark + out.getvalue()).encode(*coding), *name.split("/"))
    return len(rows) - len(kept)


def change_sources(store: Store, name: str, plan: ForgetPlan, write: bool) -> int:
    """files/sources.json: forgotten photos that were given by their own paths; gives their number."""
    data = _read(store, name)
    try:
        found = [] if data is None else list(json.loads(data))
    except (ValueError, TypeError):
        found = []
    kept = [source for source in found if source not in plan.uris]
    if len(kept) < len(found) and write:
        store.write_bytes(json.dumps(kept).encode(), *name.split("/"))
    return len(found) - len(kept)


def change_undo_files(store: Store, name: str, plan: ForgetPlan, write: bool) -> int:
    """dedup/undo-*.jsonl: lines that name forgotten photos; gives their number. Those moves can't be undone any more."""
    paths, total = {path for uri in plan.uris for path in (uri, local_path(uri)) if path}, 0
    for path in _files_in(store, name, re.compile(r"undo-.*\.jsonl")):
        data = store.read_bytes(path)
        kept, gone = without_lines(data, store_key(store, make=False), lambda line: not paths.isdisjoint(_texts(line)))
        total += gone
        if gone and write:
            store.write_bytes(kept, *path.split("/"))
    return total


def _texts(line: Mapping[str, Any]) -> list[str]:
    return [value for value in line.values() if isinstance(value, str)]


def drop_plans(store: Store, name: str, plan: ForgetPlan, write: bool) -> int:
    """dedup/plan*.csv that name forgotten photos: `dedup` makes plans anew."""
    total = 0
    for path in _files_in(store, name, re.compile(r"plan.*\.csv")):
        text = store.read_bytes(path).decode("utf-8", "surrogateescape")
        cells = {cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row} if plan.uris else set[str]()
        if not cells.isdisjoint(plan.uris):
            total += 1
            if write:
                store.fs.rm_file(store.path(path))
    return total


def drop_folder(store: Store, name: str, plan: ForgetPlan, write: bool) -> int:
    """A folder that is made anew when it is needed; gives the number of its files."""
    folder = store.path(name)
    store.fs.invalidate_cache()
    found = store.fs.find(folder) if store.fs.isdir(folder) else []
    if found and write:
        if store.is_local:
            shutil.rmtree(folder)
        else:
            store.fs.rm(folder, recursive=True)
    return len(found)


def drop_file(store: Store, name: str, plan: ForgetPlan, write: bool) -> int:
    """A file that is made anew when it is needed."""
    there = store.exists(*name.split("/"))
    if there and write:
        store.fs.rm_file(store.path(name))
    return int(there)


def drop_temporary(store: Store, name: str, plan: ForgetPlan, write: bool) -> int:
    """What commands that were stopped left, anywhere in the store."""
    store.fs.invalidate_cache()
    found = [path for path in store.fs.find(store.root) if TEMPORARY.fullmatch(str(path).rsplit("/", 1)[-1])]
    for path in found if write else ():
        store.fs.rm_file(path)
    return len(found)


def drop_outputs(store: Store, name: str, plan: ForgetPlan, write: bool) -> int:
    """Reports, exports and data sets that were written into the store: their files, of a data set the whole folder; gives their number."""
    total = 0
    for folder, files in output_folders(store):
        total += len(files)
        if write:
            remove_report(str(folder))
            for path in files:
                path.unlink(missing_ok=True)
            for inside, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):  # there are other files in it
                    os.rmdir(inside)
    return total


def output_folders(store: Store) -> Iterator[tuple[Path, list[Path]]]:
    """Folders in the store that a report, an export or `curate` wrote, and their files; last the one by which they are known."""
    if not store.is_local:
        return
    for place, folders, names in os.walk(store.root):
        folder = Path(place)
        if DATA_SET_MARK in names:
            folders.clear()
            found = [path for path in folder.rglob("*") if path.is_file()]
            yield folder, [*(path for path in found if path.name != DATA_SET_MARK), folder / DATA_SET_MARK]
        for manifest in {REPORT_MANIFEST, EXPORT_MANIFEST} & set(names):
            listed = _listed(folder / manifest)
            inside = [folder / name for name in listed if ".." not in Path(name).parts and not os.path.isabs(name)]
            yield folder, [*(path for path in inside if os.path.lexists(path)), folder / manifest]
        if BEGUN in names:  # an export that was stopped
            yield folder, [*(folder / name for name in read_begun(folder)), folder / BEGUN]
        for name in [name for name in folders if name.startswith(".") and name.endswith(".partial")]:
            folders.remove(name)
            yield folder / name[1 : -len(".partial")], [path for path in (folder / name).rglob("*") if path.is_file()]


def _listed(manifest: Path) -> list[str]:
    try:
        return [str(name) for name in json.loads(manifest.read_bytes())["files"]]
    except (OSError, ValueError, TypeError, KeyError) as e:
        raise StoreError(f"expected a readable {manifest}, found a damaged one: delete that folder, and run this again") from e


def _files_in(store: Store, folder: str, name: re.Pattern[str]) -> list[str]:
    """Paths in the store of the files of a folder whose names match, sorted."""
    place = store.path(folder)
    if not store.fs.isdir(place):
        return []
    found = sorted(str(path).rsplit("/", 1)[-1] for path in store.fs.ls(place, detail=False))
    return [f"{folder}/{one}" for one in found if name.fullmatch(one)]


def _read(store: Store, name: str) -> bytes | None:
    try:
        return store.read_bytes(name)
    except FileNotFoundError:
        return None
