"""Names that other programs gave: read from XMP sidecars, and from photos that carry XMP, and matched to the store's faces.

A region belongs to the face that it overlaps most, if they overlap by an IoU of .2 (other programs draw whole heads); each face takes one
region. What this program wrote itself, and nobody changed since, is passed over. Odd input: a file that can't be read, is no XMP, or
whose photo is not in the store is a row of `skipped` with one line; a region without a name tells nothing.
"""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.dom.minidom import Document

import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment

from facecluster.decisions import CORE_FACES, Decision, active, clean_name
from facecluster.errors import InputError
from facecluster.export import packet, regions
from facecluster.export.library import Face, Library, Photo
from facecluster.geometry import iou
from facecluster.photos.images import local_path

LEAST = 0.2  # IoU


@dataclass(frozen=True, slots=True)
class Named:
    """A name for a region of a photo."""

    source: str  # the sidecar, or the photo itself
    photo: Photo
    name: str
    box: regions.Box  # x, y, w, h in px of the upright photo
    face: Face | None  # the face that lies there
    overlap: float  # IoU with it; 0 without


@dataclass(slots=True)
class Found:
    """What reading names found."""

    files: int = 0  # with XMP
    named: list[Named] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (file, why)


def read_names(sources: Iterable[str], library: Library) -> Found:
    """Read names from sidecars, photos and folders of both. Raises InputError if a source is missing."""
    by_id = {p.photo_id: p for p in library.photos}
    by_path = {os.path.realpath(local): p for p in library.photos for uri in p.uris if (local := local_path(uri)) is not None}
    by_stem: dict[str, list[Photo]] = {}
    for local, photo in by_path.items():
        by_stem.setdefault(os.path.splitext(local)[0], []).append(photo)
    found = Found()
    seen: set[tuple[str, str]] = set()
    for path in _files(sources, by_path):
        try:
            data = path.read_bytes() if path.suffix.lower() == ".xmp" else _embedded(path)
            if data is None:
                continue
            document = packet.parse(data)
            found.files += 1
            photo = _photo_of(path, document, by_id, by_path, by_stem)
            for row in _named(str(path), document, photo, library.faces(photo), found):
                key = (row.face.face_id if row.face else str(row.box), row.name)
                if key not in seen:  # a sidecar and the photo itself often say the same
                    seen.add(key)
                    found.named.append(row)
        except OSError as e:
            found.skipped.append((str(path), f"expected a readable file, found: {e.strerror}"))
        except InputError as e:
            found.skipped.append((str(path), str(e)))
    return found


def decisions(named: Iterable[Named], before: Iterable[Decision]) -> list[Decision]:
    """New names as decisions of CORE_FACES faces each, which are then linked. What an earlier decision said is not said again.

    Args:
        named: what was read; regions without a face say nothing.
        before: the decisions so far.
    """
    said = {(face, d.name) for d in active(before) if d.act == "name" for face in d.faces}
    faces: dict[str, dict[str, Face]] = {}
    for row in named:
        if row.face is not None and (row.face.face_id, row.name) not in said:
            faces.setdefault(row.name, {})[row.face.face_id] = row.face
    batch, made = uuid.uuid4().hex[:8], []
    for name, found in faces.items():
        several = list(found.values())
        for start in range(0, len(several), CORE_FACES):
            part = several[start : start + CORE_FACES]
            boxes = {face.face_id: face.box for face in part}
            made.append(Decision(act="name", name=name, faces=tuple(boxes), boxes=boxes, batch=batch))
    return made


def _files(sources: Iterable[str], photos: dict[str, Photo]) -> Iterator[Path]:
    """Files that may hold XMP, sidecars before photos in each folder."""
    for source in sources:
        place = Path(os.path.expanduser(source))
        if place.is_dir():
            for folder, folders, names in os.walk(place):
                folders.sort()
                paths = [Path(folder, n) for n in sorted(names)]
                yield from (p for p in paths if p.suffix.lower() == ".xmp")
                yield from (p for p in paths if os.path.realpath(p) in photos)
        elif place.exists():
            yield place
        else:
            raise InputError(f"expected sidecars (.xmp), photos or folders of them, found nothing at {source}: check the path")


def _embedded(path: Path) -> bytes | None:
    """The XMP packet in a photo; None if it has none that can be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                data = image.info.get("xmp")
    except Exception:  # noqa: BLE001  decoders raise nearly anything on damaged files
        return None
    return data.encode() if isinstance(data, str) else data


def _photo_of(
    path: Path, document: Document, by_id: dict[str, Photo], by_path: dict[str, Photo], by_stem: dict[str, list[Photo]]
) -> Photo:
    """The photo that a file is about: by the content that this program noted in it, else by its name."""
    for description in packet.descriptions(document):
        noted = by_id.get(packet.text(packet.fields(description).get((regions.OURS, "PhotoId"))))
        if noted is not None:
            return noted
    real = os.path.realpath(path)
    stem = real[: -len(".xmp")] if path.suffix.lower() == ".xmp" else real
    found = [by_path[stem]] if stem in by_path else by_stem.get(stem, []) if stem != real else []
    if len(found) != 1:
        raise InputError(f"expected a sidecar of one photo of the store, found {len(found)} called like it: embed the photo first, "
                         "or rename the sidecar to photo.jpg.xmp")  # fmt: skip
    return found[0]


def _named(source: str, document: Document, photo: Photo, faces: list[Face], found: Found) -> Iterator[Named]:
    there = [r for r in regions.read(document) if r.kind in ("Face", "")]
    news = [r for r in there if r.name and not (r.face_id and r.name == r.written)]
    if not news:
        return
    orientation = regions.frame(document, photo)
    if orientation is None:
        w, h = regions.dimensions(document) or (0, 0)
        raise InputError(f"expected regions of a {photo.width} x {photo.height} photo, found some for {w:g} x {h:g}: cropped since?")
    # all regions take part: a face that lies in a region without a name must not go to its neighbour
    boxes = np.array([regions.to_box(regions.upright(r.area, orientation), photo.width, photo.height) for r in there])
    overlap = iou(boxes, np.array([f.box for f in faces]).reshape(-1, 4))
    pairs = {int(i): int(j) for i, j in zip(*linear_sum_assignment(-overlap), strict=True) if overlap[i, j] >= LEAST}
    ids = {f.face_id: f for f in faces}
    for i, region in enumerate(there):
        if region in news:
            face = ids.get(region.face_id) or (faces[pairs[i]] if i in pairs else None)
            x, y, w, h = boxes[i].tolist()
            sure = float(iou(boxes[i : i + 1], np.array([face.box]))[0, 0]) if face else 0.0
            try:
                name = clean_name(region.name)
            except InputError as e:  # an id that this program wrote in place of a name
                found.skipped.append((source, str(e)))
            else:
                yield Named(source, photo, name, (x, y, w, h), face, sure)
