"""What the files of photos say about their origin (photos.origin), and what lies beside them.

Detection keeps the origins while it has the bytes. For photos of older stores they are read from the files when they are asked for, which
is for photos of groups only, and kept in the same table.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from facecluster.dedup.content_table import ContentTable
from facecluster.dedup.store_photos import PhotoFile, Photos, read_content
from facecluster.errors import PhotoError
from facecluster.photos.companions import companions
from facecluster.photos.images import local_path
from facecluster.photos.origin import ORIGINS, ORIGINS_STAMP, Origin, origin_of
from facecluster.store import Store

_FILMS = (".mov", ".mp4", ".mp")
_SIDECARS = (".xmp", ".aae", ".json")


class Origins:
    """Origins by number of the photo."""

    def __init__(self, store: Store, photos: Photos) -> None:
        self._photos = photos
        self._table = ContentTable(store, photos, ORIGINS, ORIGINS_STAMP, self._compute)
        self._listings: dict[str, list[str]] = {}  # by folder
        self._companions: dict[str, list[str]] = {}  # by path
        self.save = self._table.save

    def of(self, photo: int) -> Origin:
        """The origin of a photo; an empty one if it can't be read."""
        row = self._table.of(photo)
        return Origin() if row is None else Origin(**row)

    def same_camera(self, a: int, b: int) -> bool:
        """Whether two photos may come from one camera: make and model are equal, or missing in both, and so are serials that both state."""
        one, two = self.of(a), self.of(b)
        return (one.make, one.model) == (two.make, two.model) and (one.serial == two.serial or "" in (one.serial, two.serial))

    def has_film(self, file: PhotoFile) -> bool:
        """Whether the film of a live photo lies beside a file."""
        return any(name.lower().endswith(_FILMS) for name in self._beside(file))

    def has_sidecar(self, file: PhotoFile) -> bool:
        """Whether a sidecar lies beside a file: of XMP, Apple's edits, what Google Takeout says."""
        return any(name.lower().endswith(_SIDECARS) for name in self._beside(file))

    def _beside(self, file: PhotoFile) -> list[str]:
        """What belongs to a file (photos.companions)."""
        path = local_path(file.uri)
        if path is None:
            return []
        if path not in self._companions:
            folder, name = os.path.split(path)
            if folder not in self._listings:
                try:
                    self._listings[folder] = os.listdir(folder)
                except OSError:
                    self._listings[folder] = []
            begins = os.path.splitext(name)[0][:4].casefold()  # a folder may hold a hundred thousand names
            near = [other for other in self._listings[folder] if other.casefold().startswith(begins)]
            self._companions[path] = companions(name, near)
        return self._companions[path]

    def _compute(self, photo: int) -> dict[str, Any] | None:
        try:
            return asdict(origin_of(read_content(self._photos, photo)[0]))
        except PhotoError:
            return None
