"""Lists of pairs to verify: pairs.txt of LFW, or a CSV file. Each pair is one person, or two.

pairs.txt: a line `10 300` (ten folds of 300 pairs of one person, then 300 of two), or `500` (one such part); then `name i j` for photos i
and j of one person, and `name1 i name2 j` for photos of two people. Photo i of a name is name/name_000i with any extension. Cells are
separated by tabs or spaces. CSV: `path1,path2,same` or `face_id1,face_id2,same`, and `fold` if there are folds. Other columns with few
values are attributes of a pair.

Odd inputs: a malformed line, or counts that differ from the first line, is an InputError with the number of the line. A pair whose photos
or faces are not in the store is left out with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from facecluster.errors import InputError
from facecluster.evaluation.csv_file import LeftOut, Tally, group_columns, listed, read_sheet, read_text
from facecluster.evaluation.photo_lookup import Library, Photo, folder_of, joined

_OWN = frozenset(["path1", "path2", "face_id1", "face_id2", "same", "fold"])
_YES, _NO = frozenset(["1", "true", "yes", "same"]), frozenset(["0", "false", "no", "different"])


@dataclass(frozen=True, slots=True)
class PairList:
    """Pairs as given; `kind` tells what the names are."""

    source: str
    kind: str  # "lfw" (paths without extension), "path", or "face_id"
    first: list[str]  # (n,)
    second: list[str]  # (n,)
    same: list[bool]  # (n,)
    fold: list[str] | None  # (n,)
    groups: dict[str, list[str]] = field(default_factory=dict)  # (n,) each
    passed_over: list[str] = field(default_factory=list)  # columns with too many different values for a breakdown


@dataclass(frozen=True, slots=True)
class PairAnswers:
    """Pairs of faces of a store, and whether they are one person."""

    source: str
    first: list[str]  # (n,) face_id
    second: list[str]  # (n,) face_id
    same: list[bool]  # (n,)
    fold: list[str] | None  # (n,) two different ones or more
    given: int
    left_out: list[LeftOut]
    groups: dict[str, list[str]] = field(default_factory=dict)  # (n,) each
    passed_over: list[str] = field(default_factory=list)


def read_pairs(path: str, groups: Sequence[str] = ()) -> PairList:
    """Read a list of pairs. `groups` are the columns to break figures down by; if empty, all columns with few values.

    Raises:
        InputError: the file is no list of pairs, or has no such column.
    """
    lines = [(i, line.split("\t" if "\t" in line else None)) for i, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]
    if lines and len(lines[0][1]) <= 2 and all(re.fullmatch(r"\s*\d+\s*", cell) for cell in lines[0][1]):
        return _read_lfw(path, [(i, [cell.strip() for cell in cells]) for i, cells in lines])
    return _read_csv(path, groups)


def _read_lfw(path: str, lines: Sequence[tuple[int, list[str]]]) -> PairList:
    header = [int(cell) for cell in lines[0][1]]
    parts, each = header if len(header) == 2 else (1, header[0])
    if len(lines) - 1 != 2 * parts * each or not each:
        raise InputError(f"expected {2 * parts * each} pairs in {path} as its first line says, found {len(lines) - 1}: take the whole file")
    found = PairList(path, "lfw", [], [], [], [] if parts > 1 else None)
    for n, (line, cells) in enumerate(lines[1:]):
        same = n % (2 * each) < each
        numbers = cells[1:] if len(cells) == 3 else cells[1::2]
        if len(cells) != (3 if same else 4) or not all(re.fullmatch(r"\d+", cell) for cell in numbers):
            wanted = "'name i j' for a pair of one person" if same else "'name1 i name2 j' for a pair of two people"
            raise InputError(f"expected {wanted} in line {line} of {path}, found {' '.join(cells)!r}: correct the line")
        other = cells[0] if same else cells[2]
        found.first.append(f"{cells[0]}/{cells[0]}_{int(cells[1]):04d}")
        found.second.append(f"{other}/{other}_{int(cells[-1]):04d}")
        found.same.append(same)
        if found.fold is not None:
            found.fold.append(str(n // (2 * each) + 1))
    return found


def _read_csv(path: str, wanted: Sequence[str]) -> PairList:
    sheet = read_sheet(path)
    same, fold = sheet.find("same"), sheet.find("fold")
    for kind in ("face_id", "path"):
        first, second = sheet.find(f"{kind}1"), sheet.find(f"{kind}2")
        if same is not None and first is not None and second is not None:
            break
    else:
        raise InputError(
            f"expected pairs of LFW's format, or the columns 'path1,path2,same' or 'face_id1,face_id2,same', in {path}, "
            f"found {listed(sheet.header)}: rename or add them"
        )
    for row, line in zip(sheet.rows, sheet.lines, strict=True):
        if row[same].lower() not in _YES | _NO:
            raise InputError(
                f"expected 1 (one person) or 0 (two people) as 'same' in line {line} of {path}, found {row[same]!r}: correct it"
            )
    columns, passed_over = group_columns(sheet, wanted, _OWN)
    return PairList(
        path, kind, [row[first] for row in sheet.rows], [row[second] for row in sheet.rows],
        [row[same].lower() in _YES for row in sheet.rows], None if fold is None else [row[fold] for row in sheet.rows],
        {name: [row[i] for row in sheet.rows] for name, i in columns.items()}, passed_over,
    )  # fmt: skip


def find_pairs(given: PairList, library: Library, *, images: str | None = None, several: str | None = None) -> PairAnswers:
    """The faces that a list of pairs means.

    Args:
        given: the list.
        library: the store's photos and faces.
        images: the folder that relative paths (and LFW's names) start from; the list's own if None.
        several: which face is meant in a photo of several: "centre", "largest", or None for none. LFW's rule is the centre (Huang et al.
            2007, section 3: the face that holds the middle of the photo), and is taken for its lists if None.

    Raises:
        InputError: no pair is left, or only pairs of one kind.
    """
    tally = Tally()
    faces = _faces(given, library, images or folder_of(given.source), several or ("centre" if given.kind == "lfw" else None))
    kept = []
    for i, names in enumerate(zip(given.first, given.second, strict=True)):
        reason = next(((why, name) for name in names for face, why in [faces[name]] if face is None), None)
        if reason:
            tally.add(f"pair with a {reason[0]}", repr(reason[1]))
        else:
            kept.append(i)
    same = [given.same[i] for i in kept]
    if not any(same) or all(same):
        reasons = "".join(f"; left out: {out.rows} {out.reason} ({out.example})" for out in tally.result())
        raise InputError(
            f"expected pairs of one person and of two in {given.source} with faces in {library.store.url}, found {sum(same)} and "
            f"{len(same) - sum(same)}{reasons}. Check the paths (--images says where relative ones start)"
        )
    first, second = ([str(faces[names[i]][0]) for i in kept] for names in (given.first, given.second))
    fold = [given.fold[i] for i in kept] if given.fold is not None else None
    folds = fold if fold is not None and len(set(fold)) > 1 else None
    groups = {name: [column[i] for i in kept] for name, column in given.groups.items()}
    return PairAnswers(given.source, first, second, same, folds, len(given.same), tally.result(), groups, given.passed_over)


def _faces(given: PairList, library: Library, base: str, several: str | None) -> dict[str, tuple[str | None, str]]:
    """The face of each name, or None and the reason."""
    names = sorted({*given.first, *given.second})
    if given.kind == "face_id":
        now = library.faces_now(names)
        return {name: (now[name], "") if name in now else (None, "face not in the store") for name in names}
    find = library.by_stem if given.kind == "lfw" else library.photo
    photos: dict[str, Photo | None] = {name: find(joined(base, name)) for name in names}
    found = library.faces({photo.photo_id for photo in photos.values() if photo})
    result: dict[str, tuple[str | None, str]] = {}
    for name, photo in photos.items():
        faces = found.get(photo.photo_id) if photo else None
        if photo is None or faces is None:
            result[name] = (
                None,
                "photo not in the store" if photo is None else "photo without a face" if photo.photo_id else "photo that failed",
            )
        elif len(faces.ids) > 1 and several is None:
            result[name] = (None, "photo of several faces")
        else:
            result[name] = (faces.choose(several or "centre", photo), "")
    return result
