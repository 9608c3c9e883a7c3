"""Face regions inside photos, merged into the XMP that they hold, by exiftool.

exiftool changes a photo's metadata only, never its pixels, and keeps the photo as it was beside it as photo.jpg_original, unless there is
one already. Each photo is replaced as a whole, so a stop leaves it old or new.

Odd input: a photo is left alone, with a reason in one line, if its file has changed since the store saw it, if it is raw or of a format
that exiftool does not write, or if its XMP is in two parts (over 64 kB in a JPEG).
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from facecluster.errors import FaceclusterError, InputError
from facecluster.export import face_regions, xmp_packet
from facecluster.export.photo_library import Face, Photo, PhotoLibrary
from facecluster.export.xmp import MAX_NAME, SidecarResult, merge_sidecar, named_faces
from facecluster.permissions import umask_of_user
from facecluster.photos.images import content_id, local_path, read_file

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "HEIF", "AVIF", "JPEG2000", "JXL")
_REFUSED = re.compile("Error (?:opening|creating|renaming|writing (?:output )?file)|Temporary file already exists")  # not: damaged photos
_AT_ONCE = 32  # photos a call of exiftool: it takes longer to start than to write one


@dataclass(slots=True)
class _Target:
    """A file to write into."""

    uri: str
    path: str  # of the file itself, not of a link to it
    photo: Photo
    faces: list[tuple[Face, str]]
    packet: bytes | None = None  # the new one; None: nothing to write
    state: str = "unchanged"
    why: str = ""
    failed: bool = False  # the system refused to write it


def export(library: PhotoLibrary, *, ids: bool = False, dry_run: bool = False) -> Iterator[SidecarResult]:
    """Write the regions of each photo into its files.

    Args:
        library: the store.
        ids: write the lasting id (p-0d4f21aa) of a person without a name; else such a person's region has no name.
        dry_run: write nothing, only report.

    Raises:
        InputError: exiftool is not installed.
    """
    program = shutil.which("exiftool")
    if program is None:
        raise InputError("expected exiftool, which writes into photos, found none: install it (Debian: apt install libimage-exiftool-perl, "
                         "macOS: brew install exiftool), or write sidecars with -o DIR or --beside")  # fmt: skip
    targets: dict[str, tuple[str, Photo]] = {}  # files, not the links to them: each is written once
    for photo in library.photos:
        for uri in photo.uris:
            targets.setdefault(os.path.realpath(local_path(uri) or uri), (uri, photo))
    files = iter(targets.items())
    while batch := [_Target(u, path, p, named_faces(library.faces(p), ids)) for path, (u, p) in itertools.islice(files, _AT_ONCE)]:
        _merge(program, batch, library.names_said)
        if not dry_run:
            _write(program, [t for t in batch if t.packet is not None])
        for t in batch:
            yield SidecarResult(t.uri, t.path, t.state, len(t.faces), t.why, t.failed)


def _merge(program: str, batch: Sequence[_Target], said: Collection[str] | None) -> None:
    """Fill in the new packets."""
    for target, (packet, _) in zip(batch, _run(program, [["-b", "-XMP", t.path] for t in batch]), strict=True):
        try:
            _check(target, packet)
            target.packet = merge_sidecar(packet or None, target.photo, target.faces, said) if packet or target.faces else None
        except FaceclusterError as e:
            target.state, target.why = "skipped", str(e)
        else:
            if target.packet is not None:
                target.state = "merged" if packet else "new"


def _check(target: _Target, packet: bytes) -> None:
    """Raise InputError or PhotoError for a file that must not be written to."""
    photo = target.photo
    if local_path(target.uri) is None:
        raise InputError("expected a photo on this machine, found one elsewhere: use -o DIR in place of --embed")
    if photo.format not in FORMATS:
        raise InputError(f"expected a photo that names are written into, found the format {photo.format}: use --beside or -o DIR")
    if b"HasExtendedXMP" in packet:
        raise InputError("expected XMP in one part, found two: use --beside or -o DIR")
    there = xmp_packet.descriptions(xmp_packet.parse(packet or None))
    ours = {xmp_packet.text(xmp_packet.fields(d).get((face_regions.OURS, "PhotoId"))) for d in there}  # an earlier call wrote it
    if content_id(read_file(target.uri)) != photo.contents.get(target.uri) and photo.photo_id not in ours:
        raise InputError("expected the photo that the store knows, found that the file has changed: use 'facecluster run' first")


def _write(program: str, batch: Sequence[_Target]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for i, target in enumerate(batch):
            Path(folder, f"{i}.xmp").write_bytes(target.packet or b"")
        done = _run(program, [[f"-XMP<={i}.xmp", t.path] for i, t in enumerate(batch)], folder)
    for target, (said, errors) in zip(batch, done, strict=True):
        if not re.search(rb"\b1 image files? updated", said):
            found = next((line for line in errors.decode(errors="replace").splitlines() if line.startswith("Error")), "no reason given")
            reason = found.removeprefix("Error: ").removesuffix(f" - {target.path}")
            is_too_long = len(os.fsencode(os.path.basename(target.path))) + len("_exiftool_tmp") > MAX_NAME
            target.failed = not is_too_long and _REFUSED.match(reason) is not None
            target.state, target.why = "skipped", f"expected that exiftool writes into the photo, found: {reason}. Use --beside or -o DIR"


def _run(program: str, commands: Sequence[Sequence[str]], folder: str | None = None) -> list[tuple[bytes, bytes]]:
    """What exiftool writes to stdout and stderr for each command. Names of files are arguments, so they may have any bytes."""
    if not commands:
        return []
    mark = uuid.uuid4().hex
    arguments = [a for command in commands for a in (*command, "-echo3", mark, "-echo4", mark, "-execute")]
    # in a session of its own, Ctrl-C does not reach it: it finishes its few photos
    process = subprocess.Popen(
        [program, "-config", "", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder,
        start_new_session=True, umask=umask_of_user(),
    )  # fmt: skip
    try:
        out, errors = process.communicate()
    except BaseException:
        process.communicate()
        raise
    parts = [stream.split(f"{mark}\n".encode()) for stream in (out, errors)]
    if len(parts[0]) <= len(commands):
        found = errors.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise InputError(f"expected that exiftool runs to its end, found: {found[0]}. Try 'exiftool -ver'")
    return list(zip(*parts, strict=False))[: len(commands)]
