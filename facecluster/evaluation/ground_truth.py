"""Known answers (the person of each face): read from a CSV file and matched to the faces of a store.

Columns: `face_id`, or `photo_id` (SHA-256), or `path` (or `photo`), and `person`. `box` ("x,y,w,h") or `x`, `y`, `w`, `h` in px of the
upright photo select one of several faces of a photo. All other columns are attributes by which figures can be broken down.

Odd inputs: a row without a person ('' or -1) is left out, and so is a row whose photo or face is not in the store, each with its reason.
A face that occurs twice with the same values counts once; with different values it is an InputError. A table without any usable row is an
InputError too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from facecluster.errors import InputError
from facecluster.evaluation.csv_file import LeftOut, Sheet, Tally, group_columns, listed, read_sheet
from facecluster.evaluation.photo_lookup import Faces, Library, Photo, folder_of, joined
from facecluster.geometry import iou

MATCH = 0.3  # IoU from which a box selects a face
_OWN = frozenset(["face_id", "photo_id", "path", "photo", "person", "person_name", "box", "x", "y", "w", "h"])
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Answers:
    """The persons of n faces, from a file or from the user's decisions."""

    source: str
    faces: list[str]  # (n,) face_id, each once
    people: list[str]  # (n,) any text that is equal for faces of one person; not ''
    groups: dict[str, list[str]] = field(default_factory=dict)  # columns (n,) of text, '' = not stated
    given: int = 0  # rows of the source
    left_out: list[LeftOut] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)  # columns with too many different values for a breakdown


def read_answers(
    path: str, library: Library, *, images: str | None = None, several: str | None = None, groups: Sequence[str] = ()
) -> Answers:
    """Read a CSV file of answers.

    Args:
        path: path or URL of the file.
        library: the store's photos and faces.
        images: the folder of relative paths; None for the folder of the file.
        several: the face to take if a photo has several and the row has no box: "centre", "largest", or None for none of them.
        groups: the columns to break figures down by; if empty, all columns with few different values (see sheet.VALUES).

    Raises:
        InputError: the file can't be used; see the module.
    """
    sheet = read_sheet(path)
    person, key = sheet.find("person"), sheet.find("face_id", "photo_id", "path", "photo")
    if person is None or key is None:
        raise InputError(
            f"expected the columns 'path,person' or 'face_id,person' in {path}, found {listed(sheet.header)}: rename or add them"
        )
    columns, passed_over = group_columns(sheet, groups, _OWN)
    tally = Tally()
    rows = []
    for i, row in enumerate(sheet.rows):
        if row[person] in ("", "-1"):
            tally.add("no person stated", f"line {sheet.lines[i]}")
        else:
            rows.append(i)
    found = _faces(sheet, rows, key, library, images or folder_of(path), several, tally)
    kept = _once(sheet, rows, found, [person, *columns.values()], tally)
    if not kept:
        reasons = listed(f"{out.rows} {out.reason} ({out.example})" for out in tally.result())
        raise InputError(
            f"expected rows of {path} that match faces of {library.store.url}, found none of {len(sheet.rows)}: {reasons}. "
            "Check the paths (--images says where relative ones start)"
        )
    who = [sheet.rows[i][person] for i in kept.values()]
    split = {name: [sheet.rows[i][at] for i in kept.values()] for name, at in columns.items()}
    return Answers(path, list(kept), who, split, len(sheet.rows), tally.result(), passed_over)


def _once(sheet: Sheet, rows: Sequence[int], faces: Sequence[str | None], columns: Sequence[int], tally: Tally) -> dict[str, int]:
    """The row of each face that was found. Raises InputError if two rows of a face differ in one of the columns."""
    kept: dict[str, int] = {}
    for i, face in zip(rows, faces, strict=True):
        if face is None:
            continue
        first = kept.setdefault(face, i)
        if first == i:
            continue
        for column in columns:
            a, b = sheet.rows[first][column], sheet.rows[i][column]
            if a != b:
                raise InputError(
                    f"expected one {sheet.header[column]} for a face in {sheet.source}, found {a!r} in line {sheet.lines[first]} and "
                    f"{b!r} in line {sheet.lines[i]} for {face}: correct one of the lines"
                )
        tally.add("face given before", f"line {sheet.lines[i]}")
    return kept


def _faces(sheet: Sheet, rows: Sequence[int], key: int, library: Library, base: str, several: str | None, tally: Tally) -> list[str | None]:
    """The face of each row; None if it is unknown, with the reason in the tally."""
    kind = sheet.header[key].lower()
    if kind == "face_id":
        ids = [sheet.rows[i][key] for i in rows]
        now = library.faces_now(ids)
        for unknown in (face for face in ids if face not in now):
            tally.add("face not in the store", repr(unknown))
        return [now.get(face) for face in ids]
    boxes = _boxes(sheet, rows)
    photos: list[Photo | None] = []
    for i in rows:
        name = sheet.rows[i][key]
        photos.append(library.by_content(name) if kind == "photo_id" else library.photo(joined(base, name)))
    found = library.faces({photo.photo_id for photo in photos if photo})
    result: list[str | None] = [None] * len(rows)
    together: dict[str, list[int]] = {}  # rows with a box, by photo: each face goes to at most one of them
    for at, (i, photo) in enumerate(zip(rows, photos, strict=True)):
        name = sheet.rows[i][key]
        faces = found.get(photo.photo_id) if photo else None
        if photo is None or faces is None:
            reason = "photo not in the store" if photo is None else "no face found in the photo" if photo.photo_id else "photo that failed"
            tally.add(reason, repr(name))
        elif boxes[at] is not None:
            together.setdefault(name, []).append(at)
        elif len(faces.ids) > 1 and several is None:
            tally.add("several faces in the photo and no box", repr(name))
        else:
            result[at] = faces.choose(several or "centre", photo)
    for name, places in together.items():
        photo = photos[places[0]]
        assert photo is not None
        for at, face in zip(places, match(found[photo.photo_id], [boxes[at] for at in places]), strict=True):
            result[at] = face
            if face is None:
                tally.add("no face at the box", repr(name))
    return result


def match(faces: Faces, boxes: Sequence[Box | None]) -> list[str | None]:
    """The face of each box of a photo, matched one to one with the greatest total IoU; None if no face has an IoU of .3 or more."""
    overlap = iou(np.array(boxes, np.float64), faces.boxes)
    result: list[str | None] = [None] * len(boxes)
    for i, j in zip(*linear_sum_assignment(np.where(overlap >= MATCH, overlap, 0), maximize=True), strict=True):
        if overlap[i, j] >= MATCH:
            result[i] = faces.ids[j]
    return result


def _boxes(sheet: Sheet, rows: Sequence[int]) -> list[Box | None]:
    """The box of each row; None if its cells are empty."""
    whole, parts = sheet.find("box"), [sheet.find(name) for name in "xywh"]
    result: list[Box | None] = []
    for i in rows:
        row = sheet.rows[i]
        if whole is not None:
            cells = row[whole].strip("[]() ").replace(",", " ").replace(";", " ").split()
        else:
            cells = [row[p] for p in parts if p is not None and row[p]] if None not in parts else []
        try:
            x, y, w, h = (float(cell) for cell in cells) if cells else (0.0, 0.0, 0.0, 0.0)
        except ValueError:
            raise InputError(
                f"expected a box of four numbers x, y, w, h in line {sheet.lines[i]} of {sheet.source}, found {listed(cells)}: correct it"
            ) from None
        if cells and not (w > 0 and h > 0 and np.isfinite([x, y, w, h]).all()):
            raise InputError(f"expected a box with a width and height in line {sheet.lines[i]} of {sheet.source}, found {listed(cells)}")
        result.append((x, y, w, h) if cells else None)
    return result
