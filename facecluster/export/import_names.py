"""Names that other programs gave to faces: read from XMP sidecars and from photos with XMP, and matched to the store's faces.

Regions and faces are matched one to one by their overlap, from an IoU of .2 (other programs draw whole heads). Regions that this program
wrote itself and nobody changed since are skipped. Odd input: a file that can't be read, is no XMP, or whose photo is not in the store
is a row of `skipped` with a reason in one line; a region without a name is not imported.
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
from facecluster.export import face_regions, xmp_packet
from facecluster.export.photo_library import Face, Photo, PhotoLibrary
from facecluster.geometry import iou
from facecluster.photos.images import local_path

MIN_OVERLAP = 0.2  # IoU


@dataclass(frozen=True, slots=True)
class RegionName:
    """The name of a region of a photo."""

    source: str  # the sidecar, or the photo itself
    photo: Photo
    name: str
    box: face_regions.Box  # x, y, w, h in px of the upright photo
    face: Face | None  # the store's face in the region
    overlap: float  # IoU with it; 0 without


@dataclass(slots=True)
class ImportedNames:
    """The result of reading names."""

    files: int = 0  # with XMP
    names: list[RegionName] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (file, why)


def read_names(sources: Iterable[str], library: PhotoLibrary) -> ImportedNames:
    """Read names from sidecars, photos and folders of both. Raises InputError if a source is missing."""
    by_id = {p.photo_id: p for p in library.photos}
    by_path = {os.path.realpath(local): p for p in library.photos for uri in p.uris if (local := local_path(uri)) is not None}
    by_stem: dict[str, list[Photo]] = {}
    for local, photo in by_path.items():
        by_stem.setdefault(os.path.splitext(local)[0], []).append(photo)
    found = ImportedNames()
    seen: set[tuple[str, str]] = set()
    for path in _files(sources, by_path):
        try:
            data = path.read_bytes() if path.suffix.lower() == ".xmp" else _embedded(path)
            if data is None:
                continue
            document = xmp_packet.parse(data)
            found.files += 1
            photo = _photo_of(path, document, by_id, by_path, by_stem)
            for row in _names_in(str(path), document, photo, library.faces(photo), found):
                key = (row.face.face_id if row.face else str(row.box), row.name)
                if key not in seen:  # a sidecar and the photo itself often have the same names
                    seen.add(key)
                    found.names.append(row)
        except OSError as e:
            found.skipped.append((str(path), f"expected a readable file, found: {e.strerror}"))
        except InputError as e:
            found.skipped.append((str(path), str(e)))
    return found


def name_decisions(names: Iterable[RegionName], before: Iterable[Decision]) -> list[Decision]:
    """New names as decisions of at most CORE_FACES faces each; the faces of one decision are linked. Known names are not repeated.

    Args:
        names: as read; regions without a face are left out.
        before: the decisions so far.
    """
    known = {(face, d.name) for d in active(before) if d.act == "name" for face in d.faces}
    faces: dict[str, dict[str, Face]] = {}
    for row in names:
        if row.face is not None and (row.face.face_id, row.name) not in known:
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
        start = Path(os.path.expanduser(source))
        if start.is_dir():
            for folder, folders, names in os.walk(start):
                folders.sort()
                paths = [Path(folder, n) for n in sorted(names)]
                yield from (p for p in paths if p.suffix.lower() == ".xmp")
                yield from (p for p in paths if os.path.realpath(p) in photos)
        elif start.exists():
            yield start
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
    """The photo that a file belongs to: by the photo_id that this program wrote in it, else by its name."""
    for description in xmp_packet.descriptions(document):
        written = by_id.get(xmp_packet.text(xmp_packet.fields(description).get((face_regions.OURS, "PhotoId"))))
        if written is not None:
            return written
    real = os.path.realpath(path)
    stem = real[: -len(".xmp")] if path.suffix.lower() == ".xmp" else real
    found = [by_path[stem]] if stem in by_path else by_stem.get(stem, []) if stem != real else []
    if len(found) != 1:
        raise InputError(f"expected a sidecar of one photo of the store, found {len(found)} photos with its name: embed the photo first, "
                         "or rename the sidecar to photo.jpg.xmp")  # fmt: skip
    return found[0]


def _names_in(source: str, document: Document, photo: Photo, faces: list[Face], found: ImportedNames) -> Iterator[RegionName]:
    there = [r for r in face_regions.read_regions(document) if r.kind in ("Face", "")]
    foreign = [r for r in there if r.name and not (r.face_id and r.name == r.written_name)]
    if not foreign:
        return
    orientation = face_regions.region_orientation(document, photo)
    if orientation is None:
        w, h = face_regions.dimensions(document) or (0, 0)
        raise InputError(f"expected regions of a {photo.width} x {photo.height} photo, found some for {w:g} x {h:g}: was it cropped?")
    # all regions take part in the matching: a face in a region without a name must not get the name of a neighbouring region
    boxes = np.array([face_regions.to_box(face_regions.to_upright(r.area, orientation), photo.width, photo.height) for r in there])
    overlap = iou(boxes, np.array([f.box for f in faces]).reshape(-1, 4))
    pairs = {int(i): int(j) for i, j in zip(*linear_sum_assignment(-overlap), strict=True) if overlap[i, j] >= MIN_OVERLAP}
    ids = {f.face_id: f for f in faces}
    for i, region in enumerate(there):
        if region in foreign:
            face = ids.get(region.face_id) or (faces[pairs[i]] if i in pairs else None)
            x, y, w, h = boxes[i].tolist()
            face_overlap = float(iou(boxes[i : i + 1], np.array([face.box]))[0, 0]) if face else 0.0
            try:
                name = clean_name(region.name)
            except InputError as e:  # an id that this program wrote in place of a name
                found.skipped.append((source, str(e)))
            else:
                yield RegionName(source, photo, name, (x, y, w, h), face, face_overlap)
