"""Names that other programs gave to faces, matched to the store's faces.

Regions and faces are matched one to one by their overlap, from an IoU of .2 (other programs draw whole heads). Regions that this program
wrote itself and nobody changed since are passed over. A name without a place in the photo (Google Takeout, IPTC's persons shown) is used
only if it is the photo's only such name, the photo has one face, and that face has no other name; else it is a hint.
A person who has a name is renamed only if the files give another one to most of the person's faces; of fewer faces it is a hint.

Odd input: a file that can't be read, is no XMP, or whose photo is not in the store is a row of `skipped` with a reason in one line; what
is passed over is counted by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from facecluster.decisions import CORE_FACES, Decision, active, clean_name, new_id
from facecluster.errors import InputError
from facecluster.export import face_regions
from facecluster.export.name_sources import NameFiles, Tagged
from facecluster.export.people_tag import PeopleTag
from facecluster.export.photo_library import Face, Photo, PhotoLibrary
from facecluster.export.region_frames import best_frame
from facecluster.geometry import iou
from facecluster.photos.followed import Followed, later_ids

MIN_OVERLAP = 0.2  # IoU
OTHER_NAME = "names of a few faces of somebody who has another name"


@dataclass(frozen=True, slots=True)
class RegionName:
    """A name that a file gives to somebody in a photo."""

    source: str  # the sidecar, the photo itself, Picasa's or Takeout's file
    photo: Photo
    name: str
    box: face_regions.Box | None  # x, y, w, h in px of the upright photo; None: the file states no place
    face: Face | None  # the store's face there
    overlap: float  # IoU with it; 0 without
    placed: bool = True  # whether the file states the place


@dataclass(slots=True)
class ImportedNames:
    """The result of reading names."""

    files: int = 0  # that say something about people
    names: list[RegionName] = field(default_factory=list)
    hints: list[tuple[RegionName, str]] = field(default_factory=list)  # names that are not used, each with the reason
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (file, why)
    passed_over: Counter[str] = field(default_factory=Counter)  # why -> how many


def read_names(
    sources: Iterable[str], library: PhotoLibrary, undone: Collection[str] = (), *, exported: bool = True
) -> ImportedNames:  # fmt: skip
    """Read names from sidecars, photos, Picasa's and Takeout's files, and folders of them; the faces `undone` do not count.

    Args:
        sources: files and folders.
        library: the photos of the store.
        undone: face_ids.
        exported: whether the store has exported XMP: then what facecluster wrote, with a name that the store ever gave, says nothing new.

    Raises:
        InputError: a source is missing.
    """
    def faces_in(photo: Photo) -> list[Face]:
        return [face for face in library.faces(photo) if face.face_id not in undone]

    reader = NameFiles(library, exported)
    found = ImportedNames(skipped=reader.skipped, passed_over=reader.passed_over)
    seen: set[tuple[str, str]] = set()
    without_place: dict[str, dict[str, RegionName]] = {}  # photo_id -> name, case aside -> one that states it
    for tagged in reader.read(sources):
        for row in _names_in(tagged, faces_in(tagged.photo), found):
            if row.box is None:
                without_place.setdefault(row.photo.photo_id, {}).setdefault(row.name.casefold(), row)
                continue
            key = (row.face.face_id if row.face else f"{row.photo.photo_id} {row.box}", row.name)
            if key not in seen:  # a sidecar and the photo itself often have the same names
                seen.add(key)
                found.names.append(row)
    _place(without_place, faces_in, found)
    _leave_named(found)
    found.files = reader.files
    found.passed_over = +found.passed_over  # without those that are 0
    return found


def name_decisions(
    names: Iterable[RegionName], before: Iterable[Decision], *, batch: str | None = None, followed: Followed | None = None
) -> list[Decision]:
    """New names as decisions of at most CORE_FACES faces each; the faces of one decision are linked. Known names are not repeated,
    in whatever case they are written. Who marked a face and named it said so of this face; a name without a place is said of the photo.

    Args:
        names: as read; regions without a face are left out.
        before: the decisions so far.
        batch: of the decisions; None for a new one.
        followed: faces of photos that were edited, which were named under other face_ids.
    """
    named = [(face, str(d.name).casefold()) for d in active(before) if d.act == "name" for face in d.faces]
    known = {(later, name) for face, name in named for later in later_ids(face, followed or {})}
    faces: dict[tuple[str, bool], dict[str, Face]] = {}
    for row in names:
        if row.face is not None and (key := (row.face.face_id, row.name.casefold())) not in known:
            known.add(key)
            faces.setdefault((row.name, row.placed), {})[row.face.face_id] = row.face
    batch, made = batch or new_id(), []
    for (name, placed), found in faces.items():
        several = list(found.values())
        for start in range(0, len(several), CORE_FACES):
            part = several[start : start + CORE_FACES]
            boxes = {face.face_id: face.box for face in part}
            each = None if placed and len(part) == 1 else placed
            made.append(Decision(act="name", name=name, faces=tuple(boxes), boxes=boxes, batch=batch, each=each))
    return made


def _names_in(tagged: Tagged, faces: list[Face], found: ImportedNames) -> Iterator[RegionName]:
    """The names in a file that are not ours, each with the face that it belongs to."""
    new = [t for t in tagged.tags if t.name and not t.ours]
    found.passed_over["regions without a name"] += sum(not t.name for t in tagged.tags)
    found.passed_over["regions that facecluster wrote"] += sum(bool(t.name) and t.ours for t in tagged.tags)
    placed = [t for t in tagged.tags if t.area is not None]
    photo = tagged.photo
    wanted = any(t in new for t in placed)
    frame = best_frame(tagged.frames, [t.area for t in placed if t.area], photo, [f.box for f in faces]) if wanted else None
    if wanted and frame is None:
        w, h = tagged.size
        found.skipped.append((tagged.source, f"expected regions of a {photo.width} x {photo.height} photo, found some for {w:g} x {h:g}: "
                                             "was it cropped?"))  # fmt: skip
    elif frame is not None:
        yield from _match(tagged, placed, new, faces, frame, found)
    for tag in new:
        name = _clean(tag, tagged.source, found) if tag.area is None else ""
        if name:
            yield RegionName(tagged.source, photo, name, None, None, 0.0, placed=False)


def _match(
    tagged: Tagged, placed: list[PeopleTag], new: list[PeopleTag], faces: list[Face], frame: int, found: ImportedNames
) -> Iterator[RegionName]:
    # all regions take part in the matching: a face in a region without a name must not get the name of a neighbouring region
    photo, found_boxes = tagged.photo, [f.box for f in faces]
    areas = [t.area for t in placed if t.area is not None]
    boxes = np.array([face_regions.to_box(face_regions.to_upright(area, frame), photo.width, photo.height) for area in areas])
    overlap = iou(boxes, np.array(found_boxes).reshape(-1, 4))
    pairs = {int(i): int(j) for i, j in zip(*linear_sum_assignment(-overlap), strict=True) if overlap[i, j] >= MIN_OVERLAP}
    ids = {f.face_id: f for f in faces}
    for i, tag in enumerate(placed):
        name = _clean(tag, tagged.source, found) if tag in new else ""
        if name:
            face = ids.get(tag.face_id) or (faces[pairs[i]] if i in pairs else None)
            x, y, w, h = boxes[i].tolist()
            face_overlap = float(iou(boxes[i : i + 1], np.array([face.box]))[0, 0]) if face else 0.0
            yield RegionName(tagged.source, photo, name, (x, y, w, h), face, face_overlap)


def _clean(tag: PeopleTag, source: str, found: ImportedNames) -> str:
    try:
        return clean_name(tag.name)
    except InputError as e:  # an id that this program wrote in place of a name
        found.skipped.append((source, str(e)))
        return ""


def _place(without: dict[str, dict[str, RegionName]], faces_in: Callable[[Photo], list[Face]], found: ImportedNames) -> None:
    """Give names without a place to faces where only one face can be meant; the others become hints."""
    boxed: dict[str, list[RegionName]] = {}
    for row in found.names:
        boxed.setdefault(row.photo.photo_id, []).append(row)
    for photo_id, rows in without.items():
        there = boxed.get(photo_id, [])
        left = [row for name, row in rows.items() if name not in {r.name.casefold() for r in there}]
        for row in left:
            faces = faces_in(row.photo)
            known = faces[0].person.name if len(faces) == 1 and faces[0].person else None
            if len(faces) != 1:
                why = f"names without a place, in photos with {'several faces' if faces else 'no face'}"
            elif len(left) > 1 or any(r.face for r in there):
                why = "names without a place, more than the photo has faces"
            elif known and known.casefold() != row.name.casefold():
                why = "names without a place, where the only face has another name"
            else:
                found.names.append(replace(row, box=faces[0].box, face=faces[0]))
                continue
            found.hints.append((row, why))
            found.passed_over[why] += 1


def _leave_named(found: ImportedNames) -> None:
    """Make hints of names that would rename a whole person by at most half of the person's faces."""
    faces: dict[tuple[str, str], set[str]] = {}
    for row in found.names:
        if row.face and row.face.person:
            faces.setdefault((row.face.person.key, row.name.casefold()), set()).add(row.face.face_id)
    kept = []
    for row in found.names:
        person = row.face.person if row.face else None
        other = person is not None and person.name is not None and person.name.casefold() != row.name.casefold()
        if person is None or not other or 2 * len(faces[person.key, row.name.casefold()]) > person.faces:
            kept.append(row)
            continue
        found.hints.append((row, OTHER_NAME))
        found.passed_over[OTHER_NAME] += 1
    found.names = kept
