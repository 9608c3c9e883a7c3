"""Named regions of other programs in which the detector missed the face: they become drawn faces, as if the user had drawn them in review.

A region that somebody drew and named is a face for sure. What the detector sees in it, if it looks for faint faces too, is the face's box
and landmarks; else the region is. Whether the face says who it is shows its recognisability, as of any other face.

Odd inputs: a region that is too small, outside the photo or as large as the photo, one on a face that another region has, and one whose
photo is gone or can't be read, is not drawn; it is said why. Of regions with one name in one place one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from facecluster.decisions import append, read
from facecluster.errors import FaceclusterError, StoreError
from facecluster.export.face_regions import Box
from facecluster.export.import_names import RegionName, name_decisions
from facecluster.export.photo_library import Face, Photo, PhotoLibrary
from facecluster.geometry import iou
from facecluster.people.drawn_faces import changes_to_drawn, drawing, drawn_in, is_seen
from facecluster.people.undone_drawings import undone_drawings
from facecluster.photos.drawn import LEAST_SIDE, next_face_id
from facecluster.photos.followed import PHOTO_CHARS
from facecluster.photos.places import places_by_photo
from facecluster.store import Store

if TYPE_CHECKING:
    from facecluster.faces.embed import EmbedConfig

WHOLE = 0.9  # share of the photo from which a region says who is in it, not where
TOO_SMALL = f"smaller than {LEAST_SIDE:g} px in the photo"
OUTSIDE, AS_LARGE = "outside the photo", "as large as the photo"
TAKEN = "on a face that another region has"
UNDONE = "drawn before, and undone"
GONE = "in photos that are gone"
MAX_A_PHOTO = 500  # regions of one photo: files are other people's input
TOO_MANY = f"more than {MAX_A_PHOTO} in one photo"
_AT_ONCE = 32  # faces that are kept together: what is lost if the work is stopped


@dataclass(slots=True)
class DrawnRegions:
    """Named regions without a face, and what becomes of them."""

    drawn: list[RegionName] = field(default_factory=list)  # that can be drawn; after `draw_regions` those that are, with their faces
    refused: list[tuple[RegionName, str]] = field(default_factory=list)  # the others, each with the reason
    later: bool = False  # another program is at work in the store: the next run makes the faces
    boxes: dict[str, list[Box]] = field(default_factory=dict)  # photo_id -> of the faces that are there


def undone_faces(store: Store) -> frozenset[str]:
    """The drawn faces that are in the tables until the next run although the user took them back."""
    return frozenset(changes_to_drawn(store, read(store).decisions)[1])


def regions_to_draw(names: Iterable[RegionName], library: PhotoLibrary, store: Store, undone: Collection[str] = ()) -> DrawnRegions:
    """The named regions that can become drawn faces, and why the others can't. Nothing is opened or changed.

    Args:
        names: as `read_names` gives them.
        library: of the store, as it was read for them.
        store: whose journal says which faces were drawn.
        undone: faces that do not count.
    """
    found, said = DrawnRegions(), dict[str, list[tuple[Box, str]]]()  # photo_id -> the regions before, with their names
    decisions = read(store).decisions
    pending, unwanted = changes_to_drawn(store, decisions)[0], undone_drawings(store, decisions)  # not yet made; drawn by mistake
    for row in names:
        if row.face is not None or row.box is None:
            continue
        photo, box = row.photo, _within(row.box, row.photo)
        if photo.photo_id not in found.boxes:
            found.boxes[photo.photo_id] = [face.box for face in library.faces(photo) if face.face_id not in undone]
        before = said.setdefault(photo.photo_id, [])
        if len(before) == MAX_A_PHOTO:
            found.refused.append((row, TOO_MANY))
            continue
        drawn = [other for face, other in pending.items() if face.startswith(photo.photo_id[:PHOTO_CHARS])]
        drawn += [other for other, name in before if name == row.name]
        if is_seen(box, drawn):
            continue
        why = _why_not(box, photo)
        if not why and unwanted.has(photo.photo_id, box, row.name):
            why = UNDONE
        if not why and is_seen(box, [*found.boxes[photo.photo_id], *(other for other, _ in before)]):
            why = TAKEN
        if why:
            found.refused.append((row, why))
        else:
            before.append((box, row.name))
            found.drawn.append(row)
    return found


def draw_regions(
    store: Store, found: DrawnRegions, embed: EmbedConfig, *, batch: str, device: str = "auto", tick: Callable[[int], None] = lambda n: None
) -> DrawnRegions:
    """Draw the faces of `regions_to_draw` with their names, some at a time: what was kept stays if the work is stopped.

    Args:
        store: gets decisions, faces and vectors. While another program is at work in it, its next run makes the faces.
        found: what `regions_to_draw` gave.
        embed: the model of the vectors.
        batch: of the decisions, by which they are undone.
        device: where the models run.
        tick: told of each region that is done.

    Raises:
        ModelError: the model can't be loaded.
        StoreError: the journal can't be written.
    """
    from facecluster.people.make_drawn import PLACE_COLUMNS, save_drawn, with_vectors  # with torch, which takes seconds

    done = DrawnRegions(refused=list(found.refused), boxes={photo: list(boxes) for photo, boxes in found.boxes.items()})
    places = places_by_photo(store, PLACE_COLUMNS)
    decisions = read(store).decisions
    taken = {photo: drawn_in(photo, decisions) for photo in {region.photo.photo_id for region in found.drawn}}
    for start in range(0, len(found.drawn), _AT_ONCE):
        rows = []
        for region in found.drawn[start : start + _AT_ONCE]:
            photo = region.photo.photo_id
            row = _row(store, region, places[photo], next_face_id(photo, taken[photo]), done, device)
            if row is not None:
                rows.append(row)
                taken[photo].add(row["face_id"])
            tick(1)
        if not rows:
            continue
        vectors = with_vectors(rows, embed, device)
        append(store, [*(drawing(row, batch) for row in rows), *name_decisions(done.drawn[-len(rows) :], (), batch=batch)])
        try:
            with store.lock():
                save_drawn(store, rows, *vectors)
        except StoreError:
            done.later = True
    return done


def _row(
    store: Store, region: RegionName, places: list[dict[str, Any]], face: str, done: DrawnRegions, device: str
) -> dict[str, Any] | None:  # fmt: skip
    """The row of `faces` of a region, which goes to `done.drawn`; or None, and it goes to `done.refused`."""
    from facecluster.faces.detect import DetectConfig
    from facecluster.people.make_drawn import look

    assert region.box is not None
    box, there = _within(region.box, region.photo), done.boxes[region.photo.photo_id]
    try:
        row = look(store, region.photo.photo_id, places, box, face, DetectConfig(), device)
    except FaceclusterError as e:
        done.refused.append((region, str(e)))
        return None
    made = _face(row)
    if is_seen(made.box, there):
        done.refused.append((region, TAKEN))
        return None
    there.append(made.box)
    overlap = float(iou(np.array([region.box]), np.array([made.box]))[0, 0])
    done.drawn.append(replace(region, face=made, overlap=overlap))
    return row


def _face(row: Mapping[str, Any]) -> Face:
    x, y, w, h = (float(v) for v in row["box"])
    marks = tuple(float(v) for v in row["landmarks"])
    score, sharpness, yaw, quality = (float(row[name]) for name in ("score", "sharpness", "yaw", "quality"))
    return Face(row["face_id"], (x, y, w, h), marks, score, sharpness, yaw, quality, person=None, probability=0.0)


def _within(box: Sequence[float], photo: Photo) -> Box:
    """The part of a box that lies in a photo."""
    x, y, w, h = box
    left, right = (min(max(v, 0.0), float(photo.width)) for v in (x, x + w))
    top, below = (min(max(v, 0.0), float(photo.height)) for v in (y, y + h))
    return left, top, right - left, below - top


def _why_not(box: Box, photo: Photo) -> str:
    """Why a region can't be drawn; '' if it can, as far as its place says."""
    _, _, w, h = box
    if photo.gone:
        return GONE
    if w <= 0 or h <= 0:
        return OUTSIDE
    if w * h >= WHOLE * photo.width * photo.height:
        return AS_LARGE
    return TOO_SMALL if min(w, h) < LEAST_SIDE else ""
