"""Which files of a folder belong to a photo, by their names: sidecars, the film of a live photo, edits, what Google Takeout says.

    photo.jpg.xmp, photo.jpg.*            whatever has the photo's whole name before its own ending (but no photo, RAW or film)
    photo.jpg_original                    exiftool's backup
    photo_01.jpg.xmp                      darktable's second version
    photo.xmp, .aae, .thm, .wav           if no other photo has that stem
    IMG_O1234.AAE                         Apple's edits of IMG_1234
    photo.mov, .mp4, photo_HEVC.MOV       the film of a live photo, if one photo has that stem
    PXL_1.MP, PXL_1.MP.mp4                the film of PXL_1.MP.jpg
    photo.jpg.json, photo.jpg.supplemental-metadata.json, cut to 46 characters; photo.jpg(1).json of photo(1).jpg: Google Takeout

A file that belongs to a companion belongs to the photo too (IMG_1.MOV.xmp). One that several photos may share, as photo.xmp beside RAW +
JPEG, belongs to none of them alone. RAW and JPEG of one stem are one shot but two photos: see `one_shot`. Names are compared without regard
to case and to how accents are composed; a name that fits to the letter wins. `.picasa.ini` is about a whole folder, so it stays. A film too
long for a live photo is a video of its own.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import partial
from typing import BinaryIO

from facecluster.photos.extras import EXTRAS, RAW, VIDEO
from facecluster.photos.names import EXTENSIONS
from facecluster.photos.passed_over import LIVE, extension_of, is_short, still_names
from facecluster.photos.takeout import is_about, split_number

_PHOTOS = EXTENSIONS.union(*(extra.extensions for extra in EXTRAS)) - VIDEO.extensions
_BY_STEM = frozenset(["xmp", "aae", "thm", "wav"])
_BACKUP = "_original"


class Companions:
    """Who belongs to whom in one folder."""

    def __init__(self, listing: Collection[str]) -> None:
        """Takes the names of all files of the folder."""
        self._whole: defaultdict[str, list[str]] = defaultdict(list)  # photos and films by their folded names
        self._stems: defaultdict[str, list[str]] = defaultdict(list)  # photos by their folded stems
        for name in sorted(listing):
            if extension_of(name) in _PHOTOS:
                self._stems[_stem(name)].append(name)
            if extension_of(name) in _PHOTOS | VIDEO.extensions:
                self._whole[_folded(name)].append(name)
        self._films: defaultdict[str, list[str]] = defaultdict(list)  # films that are no companions, by their folded stems
        for name in [name for names in self._whole.values() for name in names]:
            if extension_of(name) in VIDEO.extensions and not self._film(name):
                self._films[_stem(name)].append(name)
        self._of: defaultdict[str, list[tuple[str, frozenset[str]]]] = defaultdict(list)  # companions by owner, each with all its owners
        for name in sorted(listing):
            owners = frozenset(self._roots(name))
            for owner in owners - {name}:
                self._of[owner].append((name, owners))

    def of(self, name: str, without: Collection[str] = ()) -> list[str]:
        """The files that belong to the file `name` alone, sorted; `without`: files of the folder that are no longer there."""
        return [companion for companion, owners in self._of.get(name, []) if owners - set(without) == {name}]

    def owners(self, name: str) -> list[str]:
        """The photos that the file `name` may belong to, sorted; none if it is a photo itself."""
        return sorted(self._roots(name))

    def _roots(self, name: str) -> set[str]:
        """The photos that a file may belong to at last; none if it is a photo itself."""
        return {root for owner in self._owners(name) for root in self._roots(owner) or {owner}}

    def _owners(self, name: str) -> list[str]:
        """The photos and films that a file may belong to directly."""
        extension, stem = extension_of(name), _stem(name)
        if extension in _PHOTOS:
            return []
        if extension in LIVE | VIDEO.extensions:
            return self._film(name)
        if name.endswith(_BACKUP):
            base = name.removesuffix(_BACKUP)
            return _best(self._whole[_folded(base)], base) or self._owners(base)
        numbered = extension == "json" and bool(split_number(stem)[1])
        found = (self._takeout(stem) if numbered else []) or self._by_whole_name(name)
        if not found and extension == "json":
            found = self._takeout(stem)
        if not found and extension in _BY_STEM:
            apple = re.fullmatch(r"img_o(\d+)", stem)
            of_stem = self._stems[stem] + self._films[stem]
            found = of_stem or (self._stems[f"img_{apple[1]}"] if apple and extension == "aae" else [])
        return _best(found, name)

    def _by_whole_name(self, name: str) -> list[str]:
        """The photos or films whose whole name, the longest one, this name begins with."""
        folded = _folded(name)
        for end in [at.start() for at in re.finditer(r"\.", folded)][::-1]:
            version = re.fullmatch(r"(.+)_\d\d(\.[^.]+)", folded[:end]) if folded[end:] == ".xmp" else None
            found = self._whole[folded[:end]] or (self._whole[version[1] + version[2]] if version else [])
            if found:
                return found
        return []

    def _film(self, name: str) -> list[str]:
        """The photos that a film may be the moving part of."""
        groups = ({photo for still in stills for photo in self._whole.get(_folded(still), ())} for stills in still_names(name))
        return _best(sorted(next(filter(None, groups), set())), name)

    def _takeout(self, stem: str) -> list[str]:
        """The photo whose JSON's name Takeout numbered or cut, by the JSON's folded stem."""
        found = [name for folded, names in self._whole.items() if is_about(stem, folded) for name in names]
        return list({root for name in found for root in self._roots(name) or {name}})


class CompanionFinder:
    """Finds companions of files on this machine, in each folder as it was when first asked about."""

    def __init__(self) -> None:
        self._folders: dict[str, Companions] = {}

    def of(self, path: str, without: Iterable[str] = ()) -> list[str]:
        """Paths of the files that belong to the file at `path` alone, sorted; `without`: paths of files that are no longer there."""
        folder, name = os.path.split(path)
        if folder not in self._folders:
            try:
                with os.scandir(folder or ".") as entries:
                    names = [e.name for e in entries if not _is_long_film(e)]
            except OSError:
                names = []
            self._folders[folder] = Companions(names)
        gone = {os.path.basename(other) for other in without if os.path.dirname(other) == folder}
        return [os.path.join(folder, other) for other in self._folders[folder].of(name, gone)]


def companions(name: str, listing: Collection[str]) -> list[str]:
    """The files of a folder that belong to the file `name` alone, sorted; `listing` are the names of all its files."""
    return Companions(listing).of(name)


def renamed(companion: str, name: str, new: str) -> str:
    """The name of a companion of `name` when that is renamed to `new`, so that it belongs to it again."""
    if name == new:
        return companion
    stems = (os.path.splitext(name)[0], os.path.splitext(new)[0])
    for old, now in ((name, new), stems) if extension_of(companion) != "json" or companion.startswith(name) else ():
        if _folded(companion).startswith(_folded(old)) and companion[len(old) : len(old) + 1] in (".", "_"):
            return now + companion[len(old) :]
    return f"{new}{os.path.splitext(companion)[1]}"  # Takeout's numbers and cut names, Apple's IMG_O1234.AAE


def one_shot(a: str, b: str) -> bool:
    """Whether two files are RAW and developed photo of one shot: of one folder and stem, and just one of them RAW. Paths or URIs."""
    (one, ending), (two, other) = os.path.splitext(a), os.path.splitext(b)
    endings = {ending[1:].lower(), other[1:].lower()}
    return _folded(one) == _folded(two) and len(endings) == 2 and len(endings & RAW.extensions) == 1 and endings <= _PHOTOS


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _stem(name: str) -> str:
    return _folded(os.path.splitext(name)[0])


def _best(names: Collection[str], name: str) -> list[str]:
    """Those of several owners that `name` fits to the letter, if it does that with one; else all."""
    for exact in ([n for n in names if name.startswith(n)], [n for n in names if name.startswith(os.path.splitext(n)[0])]):
        if len(exact) == 1:
            return exact
    return list(names)


def _is_long_film(entry: os.DirEntry[str]) -> bool:
    """Whether a file is a film too long for a live photo."""
    if extension_of(entry.name) not in LIVE:
        return False
    try:
        return not is_short(entry.stat().st_size, partial(_open, entry.path))
    except OSError:
        return False


def _open(path: str) -> BinaryIO:
    return open(path, "rb")
