"""Face regions in XMP sidecars, merged into existing sidecars.

The rules of merging:
- Content that this program does not know is preserved.
- A region belongs to another program if its name is not the one that this program wrote. It is never renamed, moved or removed.
- A face that lies in a region of another program (IoU .5 or more) gets no region of its own. If that region has no name, it gets ours.
- Regions and names that this program wrote are updated, and removed when their face is gone.
- A sidecar that is no XMP, or whose regions belong to a picture with another aspect ratio (cropped since), is not changed, and one line
  says so.

A sidecar is called photo.jpg.xmp. If photo.xmp exists and belongs to the photo alone, photo.xmp is used (photos/companions.py); so it is
where photo.jpg.xmp is too long for a file's name. Photos that are gone get none, and no folder is made beside photos.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from xml.dom.minidom import Document

import numpy as np

from facecluster.errors import FaceclusterError, InputError, WriteError
from facecluster.export import face_regions, region_frames, xmp_packet
from facecluster.export.output_folder import OutputFolder
from facecluster.export.photo_library import Face, Photo, PhotoLibrary
from facecluster.geometry import iou
from facecluster.permissions import as_user
from facecluster.photos.companions import CompanionFinder
from facecluster.photos.followed import PHOTO_CHARS
from facecluster.photos.images import local_path
from facecluster.photos.places import is_gone
from facecluster.store.replace_file import replace_file, tidy

MAX_NAME = 255  # bytes of a file's name on most filesystems
MIN_OVERLAP = 0.5  # IoU from which a region of another program shows the same face


@dataclass(frozen=True, slots=True)
class SidecarResult:
    """What was done for one file of a photo, or would be done without a dry run."""

    photo: str  # uri
    sidecar: str
    state: str  # new, merged, unchanged, skipped
    faces: int
    why: str = ""  # the reason why it was skipped
    failed: bool = False  # the system refused to write it


def merge_sidecar(data: bytes | None, photo: Photo, faces: list[tuple[Face, str]], said: Collection[str] | None = None) -> bytes | None:
    """The new content of a sidecar.

    Args:
        data: its current content; None if it does not exist.
        photo: that it belongs to.
        faces: the faces to write, each with its name or ''.
        said: names, in lower case, that this store ever gave: where a face has none, another one that facecluster wrote stays, as it is
            from another store; None: no such name stays.

    Returns:
        None if nothing changes.

    Raises:
        InputError: `data` is no XMP, or its regions belong to a picture with another aspect ratio.
    """
    document = xmp_packet.parse(data)
    renewed = _renew_edited(document, photo, faces)
    there = face_regions.read_regions(document, face_regions.stored_size(photo))
    orientation = region_frames.region_orientation(document, photo, [f.box for f, _ in faces])
    if orientation is None or not photo.width or not photo.height:
        w, h = face_regions.dimensions(document) or (0, 0)
        raise InputError(f"expected regions of a {photo.width} x {photo.height} photo, found some for {w:g} x {h:g}: was it cropped? "
                         "Let the program that wrote the regions write them again, or remove them")  # fmt: skip
    changed = _update_ours(there, {f.face_id: name for f, name in faces}, photo, said) or renewed
    own = {r.face_id for r in there}
    free = [r for r in there if not r.face_id and r.is_face]
    for face, name in faces:
        if face.face_id in own:
            continue
        area = face_regions.to_stored(face_regions.to_area(face.box, photo.width, photo.height), orientation)
        other = _overlapping_region(area, free)
        if other is None:
            w, h = (photo.height, photo.width) if orientation >= 5 else (photo.width, photo.height)
            face_regions.append_region(face_regions.region_container(document, w, h), area, face.face_id, name)
            changed = True
        else:
            free.remove(other)
            if name and not other.name:
                xmp_packet.set_field(other.node, face_regions.MWG, "mwg-rs", "Name", name)
                face_regions.write_provenance(other.node, face.face_id, name, created=False)
                changed = True
    if not changed:
        return None
    xmp_packet.set_field(xmp_packet.first_description(document), face_regions.OURS, "facecluster", "PhotoId", photo.photo_id)
    return xmp_packet.serialise(document)


def _renew_edited(document: Document, photo: Photo, faces: list[tuple[Face, str]]) -> bool:
    """Move regions that this program wrote before the photo was edited to where their faces are now; gives whether anything changed.

    A region of another program only learns which face it shows now. If all regions are ours, they get the size of the photo as it is.
    """
    before = {old[:PHOTO_CHARS] for old in photo.former}
    there = face_regions.read_regions(document) if before else []
    boxes = {face.face_id: face.box for face, _ in faces}
    edited = [r for r in there if r.face_id[:PHOTO_CHARS] in before]
    for region in edited:
        now = photo.former.get(region.face_id, "")
        kept = now if now in boxes else ""
        if region.created and not kept and region.name == region.written_name and region.node.parentNode is not None:
            region.node.parentNode.removeChild(region.node)
            continue
        face_regions.write_provenance(region.node, kept, region.written_name, created=region.created)
        if region.created and kept:
            area = face_regions.to_area(boxes[kept], photo.width, photo.height)
            face_regions.write_area(region.node, face_regions.to_stored(area, face_regions.stored_orientation(photo)))
    if edited and all(r.created for r in there):
        face_regions.write_dimensions(document, photo)
    return bool(edited)


def _update_ours(there: list[face_regions.Region], names: dict[str, str], photo: Photo, said: Collection[str] | None) -> bool:
    """Update regions and names that this program wrote; returns whether anything changed."""
    changed = False
    for region in there:
        if not region.face_id.startswith(photo.photo_id[:24]) or region.name != region.written_name:
            continue
        wanted = names.get(region.face_id)
        if wanted == region.written_name:
            continue
        if wanted == "" and said is not None and region.name.casefold() not in said and not face_regions.is_key(region.name):
            continue
        changed = True
        if wanted is None and region.created and region.node.parentNode is not None:
            region.node.parentNode.removeChild(region.node)
            continue
        xmp_packet.set_field(region.node, face_regions.MWG, "mwg-rs", "Name", wanted or None)
        face_regions.write_provenance(region.node, "" if wanted is None else region.face_id, wanted or "", created=region.created)
    return changed


def _overlapping_region(area: face_regions.Box, free: list[face_regions.Region]) -> face_regions.Region | None:
    if not free:
        return None
    boxes = np.array([face_regions.to_box(r.area, 1, 1) for r in free])
    overlap = iou(np.array([face_regions.to_box(area, 1, 1)]), boxes)[0]
    best = int(overlap.argmax())
    return free[best] if overlap[best] >= MIN_OVERLAP else None


def export(
    library: PhotoLibrary, out: OutputFolder | None, names: Mapping[str, str], *, ids: bool = False, dry_run: bool = False
) -> Iterator[SidecarResult]:
    """Write a sidecar for each file of each photo that has faces, and update sidecars that an earlier export wrote.

    Args:
        library: the store.
        out: the folder for them; None: beside the photos (photos on this machine only).
        names: path in the folder of each uri.
        ids: write the lasting id (p-0d4f21aa) of a person without a name; else such a person's region has no name.
        dry_run: write nothing, only report.
    """
    finder, among = CompanionFinder(), cache(lambda: Counter(os.path.splitext(name)[0] for name in names.values()))
    tidied: set[Path] = set()
    for photo, found in library.with_files():
        faces = named_faces(found, ids)
        for uri in photo.uris:
            path = local_path(uri)
            try:
                if path is not None and is_gone(path):
                    raise InputError("expected a photo, found nothing where it was")
                beside = None if path is None else sidecar_path(Path(path), finder)
                target = beside if out is None else Path(out.folder, _sidecar_name(names[uri], among))
                if target is None:
                    raise InputError("expected a photo on this machine, found one elsewhere: use -o DIR in place of --beside")
                if not dry_run and target.parent not in tidied:
                    tidy(str(target.parent))
                    tidied.add(target.parent)
                yield _export_one(photo, uri, beside, faces, target, dry_run, library.names_said, make_folder=out is not None)
            except FaceclusterError as e:
                yield SidecarResult(uri, "", "skipped", len(faces), str(e), isinstance(e, WriteError))
            except OSError as e:  # a path that is too long, a disk that is gone: one photo never ends the export
                yield SidecarResult(uri, "", "skipped", len(faces), f"expected to read and write beside it, found: {e.strerror}", True)


def named_faces(faces: list[Face], ids: bool) -> list[tuple[Face, str]]:
    """Faces, each with the name to write or ''; `ids`: people without a name are named by their lasting id."""
    return [(f, (f.person.name or (f.person.key if ids else "")) if f.person else "") for f in faces]


def _export_one(
    photo: Photo, uri: str, beside: Path | None, faces: list[tuple[Face, str]], target: Path, dry_run: bool,
    said: Collection[str] | None, *, make_folder: bool,
) -> SidecarResult:  # fmt: skip
    there = next((p for p in (target, beside) if p is not None and p.is_file()), None)
    try:
        if there is not None and there.stat().st_size > xmp_packet.MAX_BYTES:
            raise InputError(f"expected a sidecar of at most {xmp_packet.MAX_BYTES >> 20} MiB, found {there}: move it away")
        before = there.read_bytes() if there is not None else None
    except OSError as e:
        raise InputError(f"expected a readable sidecar, found {there}: {e.strerror}. Check its permissions") from e
    if before is None and not faces:
        return SidecarResult(uri, str(target), "unchanged", 0)
    try:
        after = merge_sidecar(before, photo, faces, said)
    except InputError as e:
        raise InputError(f"{there}: {e}") from e
    if after is None and there == target:
        return SidecarResult(uri, str(target), "unchanged", len(faces))
    if after is None and not faces:
        return SidecarResult(uri, str(target), "unchanged", 0)
    if not dry_run:
        if make_folder:
            _make_folder(target.parent)
        _replace(target, after if after is not None else before or b"", before if there == target else None, among_photos=not make_folder)
    return SidecarResult(uri, str(target), "new" if before is None else "merged", len(faces))


def sidecar_path(photo: Path, finder: CompanionFinder | None = None) -> Path:
    """The path of a photo's sidecar, whether or not it exists."""
    long, short = photo.with_name(photo.name + ".xmp"), photo.with_suffix(".xmp")
    if not _fits(photo.name + ".xmp"):
        stems = Counter(os.path.splitext(name)[0] for name in os.listdir(photo.parent) if not name.lower().endswith(".xmp"))
        return photo.with_name(_sidecar_name(photo.name, lambda: stems))
    if long.exists() or not short.exists():
        return long
    return short if str(short) in (finder or CompanionFinder()).of(str(photo)) else long


def _fits(path: str) -> bool:
    """Whether most filesystems take a file of this name."""
    return len(os.fsencode(os.path.basename(path))) <= MAX_NAME


def _sidecar_name(name: str, among: Callable[[], Counter[str]]) -> str:
    """photo.jpg.xmp or, where that is too long, photo.xmp if `among` the files no other has that stem. Raises InputError."""
    stem = os.path.splitext(name)[0]
    found = next((n for n in (f"{name}.xmp", f"{stem}.xmp") if _fits(n)), None)
    if found is None or found == f"{stem}.xmp" and among()[stem] > 1:
        length = len(os.fsencode(os.path.basename(name)))
        raise InputError(f"expected a file name of at most {MAX_NAME - 4} bytes, so that its sidecar can bear it, found one of {length}: "
                         "rename the photo")  # fmt: skip
    return found


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise WriteError(f"expected to make {folder}, found: {e.strerror}. Check permissions and space") from e


def _replace(path: Path, data: bytes, before: bytes | None, *, among_photos: bool) -> None:
    """Write a file that held `before`, or did not exist; not if another program has saved it since."""
    try:
        with as_user() if among_photos else nullcontext():
            replaced = replace_file(str(path), data, before)
    except OSError as e:
        raise WriteError(f"expected to write {path}, found: {e.strerror}. Check permissions and space") from e
    if not replaced:
        raise InputError(f"expected {path} as it was read, found another, which a program saved meanwhile: export again")
