"""What a folder of `fault_ground.py` holds, without what differs from one run to the next: times, random ids. For `faults.py`.

`tables` are compared row by row; `meaning` is what counts of them, whatever rows older than the newest there are.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from facecluster.decisions import active, read
from facecluster.people import current_run, read_current_people
from facecluster.photos.drawn import drawn_shards
from facecluster.photos.places import current_photos
from facecluster.store import FACES, TEMPORARY, Store

_TIME = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|\+00:00| UTC)?")
_STAMPED = re.compile(r"\d{8}-\d{6}(-\d+)?")  # a time in the name of a file
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MINUTES = re.compile(rb"^minutes = [0-9.]+", re.M)  # of a training, in a card
_SUM = re.compile(rb', "sum": "[0-9a-f]{16}"')
_TEXT = (".csv", ".json", ".html", ".md", ".xmp", ".jsonl", ".txt", ".svg", ".log", ".toml")
_DRAWN = re.compile(r"([0-9a-f]{24})-[89a-f][0-9a-f]{3}\b")  # the id of a drawn face, of which the last part is random
_DRAWN_BYTES = re.compile(_DRAWN.pattern.encode())
_NOT_COMPARED = re.compile(  # files of a store that hold times, secrets or the history of runs, or that may be deleted
    r"store\.json|runs/.*|.*\.lock|decisions\.jsonl|forgotten/.*|dedup/(undo|plan|pages|page).*|report/.*\.(html|svg|json)|exports\.json|index/.*|damaged/.*|plan/.*"
    r"|(identities|reading|recognisability|linking)/.*|archives/.*|gone/.*|.*\.parquet|known/.*"
)


def _known(text: str) -> str:
    """A text with the ids of drawn faces as all runs have them."""
    return _DRAWN.sub(r"\1-drawn", text)


def _bytes(path: Path) -> str:
    """A digest of what a file says."""
    if path.suffix in (".sqlite", ".db"):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as base:
            data = "\n".join(base.iterdump()).encode()
        base.close()
    elif path.suffix == ".parquet":
        data = repr(pq.ParquetFile(path, pre_buffer=False).read(use_threads=False).to_pydict()).encode()
    else:
        data = path.read_bytes()
    if path.suffix in (*_TEXT, ".sqlite", ".db"):
        data = _DRAWN_BYTES.sub(rb"\1-drawn", data)
        data = _MINUTES.sub(b"", _SUM.sub(b"", _UUID.sub(b"ID", _TIME.sub(b"TIME", data))))
    return hashlib.sha256(data).hexdigest()[:16]


def files(root: Path, stores: Sequence[str] = ("store", "fresh")) -> dict[str, str]:
    """Everything outside the stores, by path: a digest, or where a link leads."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file() and name != "undo.jsonl" and not name.startswith(tuple(f"{store}/" for store in stores)):
            found[_STAMPED.sub("TIME", name)] = _bytes(path)
    return found


def temporary(root: Path) -> list[str]:
    """Temporary files of commands outside the stores."""
    return [name for name in files(root) if TEMPORARY.fullmatch(name.rsplit("/", 1)[-1])]


def journal(store: Store) -> list[str]:
    """The decisions in force, each once, without their ids and times."""
    keep = ("act", "faces", "others", "name", "person", "origin")
    said = ([sorted(v) if isinstance(v := getattr(d, key), tuple) else v for key in keep] for d in active(read(store).decisions))
    said = ([row[0], *row[3:]] if row[0] == "name" else row for row in said)  # twice said, a name may be said of other faces of the person
    return sorted({_known(json.dumps(row)) for row in said})


def people(store: Store) -> dict[str, Any]:
    """The people of the current run under all decisions, by lasting id: name, whether ignored, faces."""
    if current_run(store) is None:
        return {}
    current = read_current_people(store)[0]
    found, faces = current.people, current.faces
    of: list[list[str]] = [[] for _ in found.person_ids]
    for face, identity in zip(faces.ids, faces.identity.tolist(), strict=True):
        if identity >= 0:
            of[identity].append(face)
    rows = zip(found.person_ids, found.names, found.ignored, of, strict=True)
    return {person: [name, bool(ignored), sorted(map(_known, faces))] for person, name, ignored, faces in rows}


def meaning(store: Store) -> dict[str, Any]:
    """What the tables say of the photos that count."""
    if not store.exists("store.json"):
        return {}
    photos = {row["uri"]: row for row in current_photos(store).to_pylist()}
    facts = ("photo_id", "size", "width", "height", "faces", "error", "content", "picture", "gone")
    counted = {row["photo_id"] for row in photos.values() if not row["error"]}
    rows = store.read_all("faces", FACES, ["face_id", "photo_id"]).to_pylist()
    faces = sorted({_known(row["face_id"]) for row in rows if row["photo_id"] in counted})
    of_user = Path(store.url) / "people.csv"
    said = list(csv.DictReader(io.StringIO(of_user.read_text("utf-8-sig")))) if of_user.exists() else []
    return {
        "photos": {uri: [row[name] for name in facts] for uri, row in sorted(photos.items())},
        "faces": faces,
        "people": people(store),
        "journal": journal(store),
        "people.csv": sorted(json.dumps(row, sort_keys=True) for row in said),
    }


def tables(store: Store) -> dict[str, Any]:
    """Every row of the tables that are made of photos, whatever shards they are in, and each shard's settings."""
    found: dict[str, Any] = {}
    root = Path(store.url)
    folders = sorted({path.parent.relative_to(root).as_posix() for path in root.rglob("part-*.parquet")})
    for table in folders:
        if not table.startswith(("files", "photos", "faces", "embeddings", "links", "dedup/", "attributes", "known")):
            continue
        parts = [store.read(table, shard) for shard in store.shards(table)]
        whole = pa.concat_tables([part.replace_schema_metadata(None) for part in parts], promote_options="default")
        rows = sorted(_known(repr(row)) for row in whole.to_pylist())
        found[table] = hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16], whole.num_rows
        stamps = [store.stamp(table, shard) or {} for shard in store.shards(table)]
        kept = [{key: v for key, v in stamp.items() if key != "inputs" or not drawn_shards(store)} for stamp in stamps]  # a digest of ids
        found[f"{table} made with"] = sorted({json.dumps(stamp, sort_keys=True) for stamp in kept})
    return found


def other_files(store: Store) -> dict[str, str]:
    """The store's files that are no tables of the pipeline."""
    root = Path(store.url)
    names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*")) if path.is_file()]
    kept = [name for name in names if not _NOT_COMPARED.fullmatch(name) and not TEMPORARY.fullmatch(name.rsplit("/", 1)[-1])]
    return {name: _bytes(root / name) for name in kept}


def state(root: Path, stores: Sequence[str] = ("store",), varies: Sequence[str] = (), *, rows: bool = True) -> dict[str, Any]:
    """Everything that is compared, but for files of the patterns `varies`; without `rows` what counts of the tables alone."""
    found: dict[str, Any] = {"files": {name: v for name, v in files(root, stores).items() if not any(fnmatch(name, p) for p in varies)}}
    for name in stores:
        store = Store(str(root / name))
        found |= {f"{name} {key}": value for key, value in meaning(store).items()}
        found[f"{name} files"] = other_files(store) if rows else {}
        found[f"{name} tables"] = tables(store) if rows and store.exists("store.json") else {}
    return found


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What differs, a line each."""
    lines = []
    for key in sorted({*expected, *found}):
        a, b = expected.get(key), found.get(key)
        if a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            lines += [f"{key}: {k}: {str(a.get(k))[:160]} != {str(b.get(k))[:160]}" for k in sorted({*a, *b}) if a.get(k) != b.get(k)]
        elif isinstance(a, list) and isinstance(b, list):
            lines += [f"{key}: lost {str(v)[:160]}" for v in a if v not in b] + [f"{key}: more {str(v)[:160]}" for v in b if v not in a]
        else:
            lines.append(f"{key}: {str(a)[:160]} != {str(b)[:160]}")
    return lines


def users_own(root: Path) -> dict[str, Any]:
    """What is the user's: photos and other files of theirs (whatever their places), lines of the journal, rows of people.csv."""
    store = root / "store"
    lines = (store / "decisions.jsonl").read_bytes().splitlines() if (store / "decisions.jsonl").exists() else []
    contents: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink() and store not in path.parents:
            contents.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), []).append(path.relative_to(root).as_posix())
    table = store / "people.csv"
    rows = list(csv.DictReader(io.StringIO(table.read_text("utf-8-sig")))) if table.exists() else []
    return {"journal": lines, "contents": contents, "people": [(row["person_id"], row["name"], row.get("note", "")) for row in rows]}


