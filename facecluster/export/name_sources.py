"""Files that say who is in photos, and the photo that each belongs to.

| file | people |
|---|---|
| XMP sidecars, photos with XMP | MWG's regions, and Microsoft's and IPTC's where MWG has no name; IPTC's persons shown |
| `.picasa.ini`, `contacts.xml` | faces of Picasa |
| `photo.jpg.json`, `photo.jpg.supplemental-metadata.json` | people of Google Photos, from Takeout |

Files are other people's input: large ones and special files are not read. Whatever is passed over is counted with a reason.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.dom.minidom import Document

from facecluster.errors import InputError
from facecluster.export import face_regions, iptc_people, microsoft_people, picasa, region_frames, takeout, xmp_packet
from facecluster.export.folder_names import file_key
from facecluster.export.people_tag import PeopleTag, join_tags
from facecluster.export.photo_library import Photo, PhotoLibrary
from facecluster.export.photo_packets import packets_in
from facecluster.export.region_frames import Frames
from facecluster.photos.companions import Companions
from facecluster.photos.images import local_path
from facecluster.photos.takeout import photos_of

MAX_BYTES = 16 << 20  # of an ini or JSON file


@dataclass(frozen=True, slots=True)
class Tagged:
    """What a file says about a photo."""

    source: str
    photo: Photo
    tags: list[PeopleTag]
    frames: Frames  # orientations that may turn the areas upright; none: the picture had another shape
    size: tuple[float, float] = (0, 0)  # of that picture, px


@dataclass(slots=True)
class NameFiles:
    """Reads files for a store's photos."""

    library: PhotoLibrary
    exported: bool = True  # whether the store has exported XMP; else regions that facecluster wrote are another one's, as a lost one's
    files: int = 0  # that say something about people
    passed_over: Counter[str] = field(default_factory=Counter)  # why -> how many
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (file, why) of files that can't be used
    _by_id: dict[str, Photo] = field(default_factory=dict)
    _folders: dict[str, dict[str, Photo]] = field(default_factory=dict)  # real path of a folder -> file name -> photo
    _companions: dict[str, Companions] = field(default_factory=dict)  # of each folder, by its real path
    _contacts: dict[str, str] = field(default_factory=dict)  # of Picasa: id -> name

    def __post_init__(self) -> None:
        for photo in self.library.photos:
            self._by_id[photo.photo_id] = photo
            for path in filter(None, map(local_path, photo.uris)):
                folder, name = os.path.split(os.path.realpath(path))
                self._folders.setdefault(folder, {})[name] = photo

    def read(self, sources: Iterable[str]) -> Iterator[Tagged]:
        """Read files and folders of them. Raises InputError if a source is missing."""
        paths = [p for source in sources for p in self._paths(source)]
        inis = []
        for path in dict.fromkeys(paths):
            try:
                if path.name.lower() in picasa.INI:
                    ini = picasa.read_ini(_content(path))
                    inis.append((path, ini))
                    self._contacts |= ini.contacts
                elif path.name.lower() == picasa.CONTACTS:
                    self._contacts |= picasa.read_contacts(_content(path))
                elif path.suffix.lower() == ".json":
                    yield from self._takeout(path)
                else:
                    yield from self._xmp(path)
            except OSError as e:
                self.skipped.append((str(path), f"expected a readable file, found: {e.strerror}"))
            except InputError as e:
                self.skipped.append((str(path), str(e)))
        for path, ini in inis:  # contacts may stand in another folder's file
            yield from self._picasa(path, ini)

    def _paths(self, source: str) -> Iterator[Path]:
        """Files that may name people; in each folder sidecars come before photos."""
        start = Path(os.path.expanduser(source))
        if not start.exists():
            raise InputError(f"expected sidecars, photos, files of Picasa or Takeout, or folders of them, found nothing at {source}: check "
                             "the path")  # fmt: skip
        if not start.is_dir():
            yield start
            return
        for folder, folders, names in os.walk(start):
            folders.sort()
            known = self._folders.get(os.path.realpath(folder), {})
            kinds: tuple[list[Path], list[Path]] = [], []
            for name in sorted(names):
                path, lower = Path(folder, name), name.lower()
                if lower.endswith((".xmp", ".json")) or lower in (*picasa.INI, picasa.CONTACTS):
                    kinds[0].append(path)
                elif name in known or self._photo_at(path) is not None:
                    kinds[1].append(path)
                else:
                    self.passed_over[f"files that are no photo of the store ({path.suffix.lower() or 'no ending'})"] += 1
            yield from (*kinds[0], *kinds[1])

    def _photo_at(self, path: Path) -> Photo | None:
        folder, name = os.path.split(os.path.realpath(path))
        return self._folders.get(folder, {}).get(name)

    def _xmp(self, path: Path) -> Iterator[Tagged]:
        is_sidecar = path.suffix.lower() == ".xmp"
        packets = [_content(path, xmp_packet.MAX_BYTES)] if is_sidecar else packets_in(path)
        if not packets:
            self.passed_over["photos without XMP"] += 1
            return
        self.files += 1
        for packet in packets:
            try:
                document = xmp_packet.parse(packet)
            except InputError as e:  # of several packets the others count
                self.skipped.append((str(path), str(e)))
                continue
            photo = self._photo_of(path, document)
            size, tags = face_regions.dimensions(document) or (0, 0), self._tags(document, photo)
            self.passed_over["files whose XMP names nobody and has no region of a face"] += not tags
            yield Tagged(str(path), photo, tags, region_frames.frames_of(document, photo), size)

    def _photo_of(self, path: Path, document: Document) -> Photo:
        """The photo that a file with XMP is or belongs to: of a sidecar by the photo_id that this program wrote in it, else by its name."""
        itself = self._photo_at(path)
        if itself is not None:  # a photo may have the XMP of the one that it was made from
            return itself
        for description in xmp_packet.descriptions(document):
            written = self._by_id.get(xmp_packet.text(xmp_packet.fields(description).get((face_regions.OURS, "PhotoId"))))
            if written is not None:
                return written
        known = self._folders.get(os.path.dirname(os.path.realpath(path)), {})
        found = [known[n] for n in self._owners(path) if n in known]
        if len(found) != 1:
            raise InputError(f"expected a sidecar of one photo of the store, found {len(found)} photos with its name: embed the photo "
                             "first, or rename the sidecar to photo.jpg.xmp")  # fmt: skip
        return found[0]

    def _owners(self, path: Path) -> list[str]:
        """The files of its folder that a file belongs to by its name."""
        folder, name = os.path.split(os.path.realpath(path))
        if folder not in self._companions:
            self._companions[folder] = Companions([*os.listdir(folder), *self._folders.get(folder, {})])
        return self._companions[folder].owners(name)

    def _may_have_written(self, name: str) -> bool:
        """Whether this store may have exported a name, and no other one."""
        said = self.library.names_said
        return said is None or face_regions.is_key(name) or self.exported and name.casefold() in said

    def _tags(self, document: Document, photo: Photo) -> list[PeopleTag]:
        """The people in a packet: MWG's regions, then those of Microsoft, then IPTC's."""
        tags = []
        stored = face_regions.stored_size(photo)
        there = face_regions.read_regions(document, stored)
        for region in there:
            if region.is_face:
                ours = bool(region.face_id) and region.name == region.written_name and self._may_have_written(region.name)
                tags.append(PeopleTag(region.name, region.area, ours, region.face_id))
            else:
                self.passed_over[f"regions of the type {region.kind}"] += 1
        self.passed_over["regions without a rectangle"] += face_regions.count_regions(document) - len(there)
        return join_tags(tags, microsoft_people.read_tags(document), iptc_people.read_tags(document, stored))

    def _takeout(self, path: Path) -> Iterator[Tagged]:
        found = takeout.read_people(_content(path))
        if found is None:
            self.passed_over["JSON files that are not Google Takeout's"] += 1
            return
        title, names = found
        if not names:
            self.passed_over["Google Takeout's files without people"] += 1
            return
        self.files += 1
        known = self._folders.get(os.path.realpath(path.parent), {})
        photos = photos_of(path.name, title, self._owners(path), known)
        if not photos:
            self.passed_over["names of Google Takeout for files that are no photo of the store"] += len(names)
        for name in photos:
            yield Tagged(str(path), known[name], [PeopleTag(n, None) for n in names], Frames((1,)))

    def _picasa(self, path: Path, ini: picasa.PicasaFolder) -> Iterator[Tagged]:
        self.files += bool(ini.faces)
        known = self._folders.get(os.path.realpath(path.parent), {})
        folded = {file_key(name): photo for name, photo in known.items()}  # Windows, from which the files come, ignores case
        for name, faces in ini.faces.items():
            photo = known.get(name) or folded.get(file_key(name))
            if photo is None:
                self.passed_over["faces of Picasa in files that are no photo of the store"] += len(faces)
                continue
            unknown = sum(bool(who) and who not in self._contacts and who not in ini.contacts for _, who in faces)
            self.passed_over[f"faces of Picasa whose name is in no [Contacts2] and no {picasa.CONTACTS}"] += unknown
            tags = [PeopleTag(ini.contacts.get(who) or self._contacts.get(who, ""), area) for area, who in faces]
            frames = tuple(dict.fromkeys((face_regions.stored_orientation(photo), 1)))
            yield Tagged(str(path), photo, tags, Frames(frames[::-1] if picasa.is_upright(name) else frames))


def _content(path: Path, most: int = MAX_BYTES) -> bytes:
    """The bytes of a plain file of bounded size."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would block
        raise InputError("expected a file, found something else: leave it out")
    if found.st_size > most:
        raise InputError(f"expected at most {most >> 20} MiB, found {found.st_size >> 20} MiB: leave the file out")
    return path.read_bytes()
