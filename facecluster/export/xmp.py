"""Face regions into XMP sidecars, merged with what is there.

The rules of merging. Whatever this program does not know stays as it is. A region whose name is not the one that this program wrote is
someone else's, who is believed: it is never renamed, moved or removed. A face that lies in someone else's region (IoU of .5 and more) gets
no region of its own; if that region has no name, it gets ours. Regions and names that this program wrote are kept up to date, and go when
their face goes. A sidecar that is no XMP, or whose regions belong to a picture of another shape (cropped since), is left alone, with one
line that says so.

A sidecar is called photo.jpg.xmp; photo.xmp is used where that is there already and no other file of the folder has that stem.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facecluster.errors import FaceclusterError, InputError
from facecluster.export import packet, regions
from facecluster.export.library import Face, Library, Photo
from facecluster.export.out import Out
from facecluster.geometry import iou
from facecluster.photos.images import local_path

OVERLAP = 0.5  # IoU from which a region of another program is about the same face


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, or would be done in a dry run, about one file of a photo."""

    photo: str  # uri
    sidecar: str
    state: str  # new, merged, unchanged, skipped
    faces: int
    why: str = ""  # it was skipped


def merge(data: bytes | None, photo: Photo, faces: list[tuple[Face, str]]) -> bytes | None:
    """A sidecar's new content.

    Args:
        data: what is there; None if nothing is.
        photo: of which it is.
        faces: the faces to write, each with its name or ''.

    Returns:
        None if nothing is to be changed.

    Raises:
        InputError: `data` is no XMP, or its regions belong to a picture of another shape.
    """
    document = packet.parse(data)
    there = regions.read(document)
    orientation = regions.frame(document, photo)
    if orientation is None or not photo.width or not photo.height:
        w, h = regions.dimensions(document) or (0, 0)
        raise InputError(f"expected regions of a {photo.width} x {photo.height} photo, found some for {w:g} x {h:g}: cropped since? "
                         "Have the program that wrote them write them again, or remove them")  # fmt: skip
    changed = _keep_up(there, {f.face_id: name for f, name in faces}, photo)
    own = {r.face_id for r in there}
    free = [r for r in there if not r.face_id and r.kind in ("Face", "")]
    for face, name in faces:
        if face.face_id in own:
            continue
        area = regions.turned(regions.to_area(face.box, photo.width, photo.height), orientation)
        other = _same_place(area, free)
        if other is None:
            w, h = (photo.height, photo.width) if orientation >= 5 else (photo.width, photo.height)
            regions.append(regions.make_list(document, w, h), area, face.face_id, name)
            changed = True
        else:
            free.remove(other)
            if name and not other.name:
                packet.set_field(other.node, regions.MWG, "mwg-rs", "Name", name)
                regions.sign(other.node, face.face_id, name, made=False)
                changed = True
    if not changed:
        return None
    packet.set_field(packet.first_description(document), regions.OURS, "facecluster", "PhotoId", photo.photo_id)
    return packet.write(document)


def _keep_up(there: list[regions.Region], names: dict[str, str], photo: Photo) -> bool:
    """Bring regions and names that this program wrote up to date; whether anything changed."""
    changed = False
    for region in there:
        if not region.face_id.startswith(photo.photo_id[:24]) or region.name != region.written:
            continue
        wanted = names.get(region.face_id)
        if wanted == region.written:
            continue
        changed = True
        if wanted is None and region.made and region.node.parentNode is not None:
            region.node.parentNode.removeChild(region.node)
            continue
        packet.set_field(region.node, regions.MWG, "mwg-rs", "Name", wanted or None)
        regions.sign(region.node, "" if wanted is None else region.face_id, wanted or "", made=region.made)
    return changed


def _same_place(area: regions.Box, free: list[regions.Region]) -> regions.Region | None:
    if not free:
        return None
    boxes = np.array([regions.to_box(r.area, 1, 1) for r in free])
    overlap = iou(np.array([regions.to_box(area, 1, 1)]), boxes)[0]
    best = int(overlap.argmax())
    return free[best] if overlap[best] >= OVERLAP else None


def export(library: Library, out: Out | None, names: dict[str, str], *, ids: bool = False, dry_run: bool = False) -> Iterator[Done]:
    """Write a sidecar for each place of each photo that has faces, and bring those up to date that an earlier export wrote.

    Args:
        library: the store.
        out: the folder for them; None: beside the photos (photos on this machine only).
        names: path in the folder of each uri.
        ids: write the lasting id (p-0d4f21aa) where a person has no name; else such faces get a region without one.
        dry_run: only say what would be done.
    """
    for photo, found in library:
        faces = [(f, (f.person.name or (f.person.key if ids else "")) if f.person else "") for f in found]
        for uri in photo.uris:
            path = local_path(uri)
            try:
                if out is None and path is None:
                    raise InputError("expected a photo on this machine, found one elsewhere: use -o DIR in place of --beside")
                yield _export_one(photo, uri, path, faces, out, names[uri], dry_run)
            except FaceclusterError as e:
                yield Done(uri, "", "skipped", len(faces), str(e))


def _export_one(
    photo: Photo, uri: str, path: str | None, faces: list[tuple[Face, str]], out: Out | None, name: str, dry_run: bool
) -> Done:
    beside = None if path is None else sidecar_of(Path(path))
    target = Path(out.folder, name + ".xmp") if out is not None else beside
    assert target is not None
    there = next((p for p in (target, beside) if p is not None and p.is_file()), None)
    try:
        before = there.read_bytes() if there is not None else None
    except OSError as e:
        raise InputError(f"expected a readable sidecar, found {there}: {e.strerror}. Check its permissions") from e
    if before is None and not faces:
        return Done(uri, str(target), "unchanged", 0)
    try:
        after = merge(before, photo, faces)
    except InputError as e:
        raise InputError(f"{there}: {e}") from e
    if after is None and there == target:
        return Done(uri, str(target), "unchanged", len(faces))
    if after is None and not faces:
        return Done(uri, str(target), "unchanged", 0)
    if not dry_run:
        _replace(target, after if after is not None else before or b"")
    return Done(uri, str(target), "new" if before is None else "merged", len(faces))


def sidecar_of(photo: Path) -> Path:
    """Where the sidecar of a photo is, or would be."""
    long, short = photo.with_name(photo.name + ".xmp"), photo.with_suffix(".xmp")
    if long.exists() or not short.exists():
        return long
    same = [p for p in photo.parent.glob(_pattern(photo.stem) + ".*") if p.suffix.lower() != ".xmp"]
    return short if same == [photo] else long


def _pattern(text: str) -> str:
    """Text as a pattern that means itself."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, with the permissions of the one that was there."""
    beside = path.with_name(f".{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.chmod(beside, path.stat().st_mode & 0o777)
        os.replace(beside, path)
    except OSError as e:
        raise InputError(f"expected to write {path}, found: {e.strerror}. Check permissions and space") from e
    finally:
        beside.unlink(missing_ok=True)
