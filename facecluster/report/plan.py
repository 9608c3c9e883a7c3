"""Which face and photo stands on which page: pages hold at most so many things, and so many bytes of crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.report.data import Data

PEOPLE, FACES, PHOTOS, FAILED = 200, 200, 100, 1000  # on a page, at most
BYTES = 1_200_000  # of a page, as estimated below; with 100,000 faces the largest page was 1.18 MB
FACE_BYTES = 700  # of a face's HTML without its crop
INDEX_BYTES = BYTES - 350_000  # the first page also holds the list that its search reads


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its path in the report, and the things on it (indices of people, faces, photos or failures in Data)."""

    path: str
    items: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Plan:
    """All pages. `people` has the pages of each person, in the order of Data.people; the paths are by number of face and photo."""

    index: list[Page]
    people: list[list[Page]]
    nobody: list[Page]
    photos: list[Page]
    failed: list[Page]
    face_path: list[str]
    photo_path: list[str]

    def __len__(self) -> int:
        return len(self.index) + sum(map(len, self.people)) + len(self.nobody) + len(self.photos) + len(self.failed)


def make_plan(data: Data) -> Plan:
    """Spread what `data` holds over pages."""
    face = data.crops.size * 4 // 3 + FACE_BYTES
    nobody = _pages("nobody/nobody", data.nobody, face[data.nobody], FACES)
    people = [_pages(f"people/person-{p.identity:05d}", p.rows, face[p.rows], FACES) for p in data.people]
    weights = np.array([photo_bytes(data, i) for i in range(len(data.photos))], np.int64)
    photos = _pages("photos/photos", np.arange(len(data.photos)), weights, PHOTOS)
    cards = np.array([face[p.best] for p in data.people], np.int64)
    failed = np.array([200 + 2 * len(uri) + 2 * len(why) for uri, why in data.failed], np.int64)
    face_path, photo_path = [""] * len(data.identity), [""] * len(data.photos)
    for page in [*nobody, *(page for pages in people for page in pages)]:
        for row in page.items:
            face_path[row] = page.path
    for page in photos:
        for i in page.items:
            photo_path[i] = page.path
    return Plan(
        index=_pages("index", np.arange(len(data.people)), cards, PEOPLE, INDEX_BYTES) or [Page("index.html", np.arange(0))],
        people=people,
        nobody=nobody,
        photos=photos,
        failed=_pages("failed", np.arange(len(data.failed)), failed, FAILED),
        face_path=face_path,
        photo_path=photo_path,
    )


def photo_bytes(data: Data, index: int) -> int:
    """About the bytes of a photo on its page."""
    photo = data.photos[index]
    crops = min(int(data.crops.size[photo.rows].sum()) * 4 // 3, BYTES // 2)
    return crops + 2 * FACE_BYTES * len(photo.rows) + 800 + sum(3 * len(uri) for uri in photo.uris[:50])


def split(weights: Sequence[int] | NDArray[np.int64], most: int, limit: int) -> list[slice]:
    """Cut a row of things into pages, in order: at most `most` on a page, at most `limit` of weight unless one thing alone is more."""
    pages, start, total = [], 0, 0
    for i, weight in enumerate(weights):
        if i > start and (i - start == most or total + weight > limit):
            pages.append(slice(start, i))
            start, total = i, 0
        total += int(weight)
    return [*pages, slice(start, len(weights))] if len(weights) else []


def _pages(stem: str, items: NDArray[np.int64], weights: NDArray[np.int64], most: int, limit: int = BYTES) -> list[Page]:
    return [Page(f"{stem}{f'-{n}' if n else ''}.html", items[s]) for n, s in _numbered(split(weights, most, limit))]


def _numbered(slices: list[slice]) -> list[tuple[int, slice]]:
    """The first page has no number, the next is 2."""
    return [(i + 1 if i else 0, s) for i, s in enumerate(slices)]
