"""Plain tables: CSV for spreadsheets, and a SQLite database with the same content.

Tables are photos (a row for each uri of a photo), faces and people. Boxes are in px of the upright photo. CSV is RFC 4180 in UTF-8, with a
byte order mark, without which Excel reads another encoding. A text cell that a spreadsheet could take for a formula gets a leading
apostrophe (SQLite does not need it).
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from typing import Any

from facecluster.export.output_folder import OutputFolder
from facecluster.export.photo_library import PhotoLibrary
from facecluster.report.text import csv_cell

Row = tuple[Any, ...]
_LINES = 10_000  # of a CSV file that are made at a time
# a column is its name, its type in SQL, and what it means
COLUMNS: dict[str, list[tuple[str, str, str]]] = {
    "people": [
        ("person", "TEXT PRIMARY KEY", "the lasting id"), ("name", "TEXT", "given by the user, or empty"),
        ("faces", "INTEGER NOT NULL", "number of faces"),
    ],
    "photos": [
        ("uri", "TEXT PRIMARY KEY", "path or URI"), ("photo_id", "TEXT NOT NULL", "stands for the picture; copies share it"),
        ("width", "INTEGER NOT NULL", "px of the upright photo"), ("height", "INTEGER NOT NULL", "px of the upright photo"),
        ("orientation", "INTEGER NOT NULL", "EXIF, 1 to 8"), ("taken_at", "TEXT", "by the camera's clock, ISO 8601"),
        ("format", "TEXT NOT NULL", "JPEG, PNG, ..."), ("gone", "INTEGER NOT NULL", "1: nothing is there now, 0: it is there"),
        ("sha256", "TEXT NOT NULL", "of the bytes"),
    ],
    "faces": [
        ("face_id", "TEXT PRIMARY KEY", "photo_id's first 24 digits and a number"), ("photo_id", "TEXT NOT NULL", "the photo"),
        ("person", "TEXT REFERENCES people(person)", "the person shown; empty for nobody known"),
        ("probability", "REAL NOT NULL", "that it shows that person, 0 to 1"),
        ("x", "REAL NOT NULL", "px from the left"), ("y", "REAL NOT NULL", "px from the top"), ("w", "REAL NOT NULL", "px"),
        ("h", "REAL NOT NULL", "px"), ("score", "REAL NOT NULL", "of the detector, 0 to 1"), ("quality", "REAL NOT NULL", "0 to 1"),
        ("sharpness", "REAL NOT NULL", "0 flat, 10 and up crisp"), ("yaw", "REAL NOT NULL", "degrees"),
        ("at_ms", "INTEGER", "of a video: milliseconds from its start to the frame of the box; empty for photos"),
        ("unclear", "INTEGER NOT NULL", "1: nobody's, because it is too unclear to tell; 0: else"),
    ],
}  # fmt: skip


def rows(library: PhotoLibrary, table: str) -> Iterator[Row]:
    """The rows of a table of COLUMNS."""
    if table == "people":
        yield from ((p.key, p.name, p.faces) for p in library.recognition.people if not p.ignored)
    for photo, faces in library if table != "people" else ():
        if table == "photos":
            for uri in photo.uris:
                shape = photo.width, photo.height, photo.orientation
                sha256 = photo.contents.get(uri, photo.photo_id)
                yield uri, photo.photo_id, *shape, photo.taken_at or None, photo.format, int(photo.gone), sha256
        else:
            for f in faces:
                person = f.person.key if f.person else None
                measured = f.score, f.quality, f.sharpness, f.yaw
                yield f.face_id, photo.photo_id, person, f.probability, *f.box, *measured, f.at_ms, int(f.unclear)


def export_csv(library: PhotoLibrary, out: OutputFolder) -> int:
    """Write people.csv, photos.csv and faces.csv; returns the number of faces."""
    for table in COLUMNS:
        out.write_parts(f"{table}.csv", _csv_parts(library, table))
    return library.face_count


def _csv_parts(library: PhotoLibrary, table: str) -> Iterator[bytes]:
    lines = chain([[name for name, _, _ in COLUMNS[table]]], ([_cell(v) for v in row] for row in rows(library, table)))
    yield codecs.BOM_UTF8
    while some := list(islice(lines, _LINES)):
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\r\n").writerows(some)
        yield text.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> Any:
    return csv_cell(value) if isinstance(value, str) else f"{value:.6g}" if isinstance(value, float) else "" if value is None else value


def export_sqlite(library: PhotoLibrary, out: OutputFolder) -> int:
    """Write faces.sqlite; returns the number of faces."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "faces.sqlite")
        base = sqlite3.connect(path)
        try:
            for table, columns in COLUMNS.items():
                lines = ",\n".join(f"  {name} {kind} /* {means} */" for name, kind, means in columns)
                base.execute(f"CREATE TABLE {table} (\n{lines}\n)")
                marks = ", ".join("?" * len(columns))
                base.executemany(f"INSERT INTO {table} VALUES ({marks})", (_encodable(r) for r in rows(library, table)))
            base.execute("CREATE INDEX faces_of_person ON faces(person)")
            base.execute("CREATE INDEX faces_of_photo ON faces(photo_id)")
            base.execute("CREATE INDEX places_of_photo ON photos(photo_id)")
            count = int(base.execute("SELECT count(*) FROM faces").fetchone()[0])
            base.commit()
            base.execute("VACUUM")
        finally:
            base.close()
        with open(path, "rb") as file:
            out.write_parts("faces.sqlite", iter(partial(file.read, 1 << 20), b""))
    return count


def _encodable(row: Row) -> Row:
    return tuple(v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for v in row)
