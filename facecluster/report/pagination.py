"""Which faces and photos are on which page. A page is bounded in its number of items and in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.report.report_data import ReportData

MAX_PEOPLE, MAX_FACES, MAX_PHOTOS, MAX_FAILED = 200, 200, 100, 1000  # of a page
PAGE_BYTES = 1_200_000  # at most, as estimated below; with 100,000 faces the largest page had 1.18 MB
FACE_BYTES = 1100  # of a face's HTML without its crop, with the photo that it is in
SMALL_BYTES = 7000  # of the small picture of a photo that browsers may not show
INDEX_BYTES = PAGE_BYTES - 350_000  # the first page also contains the list that its search reads


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its path in the report, and its items (indices of people, faces, photos or failures in ReportData)."""

    path: str
    items: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pagination:
    """All pages. `people` has the pages of each person, in the order of ReportData.people."""

    index: list[Page]  # people by size
    names: list[Page]  # those who have a name, by name; none if nobody has one
    people: list[list[Page]]
    nobody: list[Page]
    unclear: list[Page]
    photos: list[Page]
    failed: list[Page]
    face_path: list[str]  # of each face, the path of its page
    photo_path: list[str]  # of each photo, the path of its page

    def __len__(self) -> int:
        others = (self.index, self.names, self.nobody, self.unclear, self.photos, self.failed)
        return sum(map(len, self.people)) + sum(map(len, others))


def paginate(data: ReportData) -> Pagination:
    """Distribute people, faces, photos and failures over pages."""
    face = data.crops.size * 4 // 3 + FACE_BYTES
    nobody = _pages("nobody/nobody", data.nobody, face[data.nobody], MAX_FACES)
    unclear = _pages("unclear/unclear", data.unclear, face[data.unclear], MAX_FACES)
    dated = [data.by_date(p.rows) for p in data.people]
    seen = face + SMALL_BYTES * data.photos.small[data.photo]  # with the photo
    people = [_pages(f"people/person-{p.number:05d}", rows, seen[rows], MAX_FACES) for p, rows in zip(data.people, dated, strict=True)]
    photos = _pages("photos/photos", np.arange(len(data.photos)), photo_bytes(data), MAX_PHOTOS)
    cards = np.array([face[p.best_face] for p in data.people], np.int64)
    named = sorted((i for i, p in enumerate(data.people) if p.name and not p.ignored), key=lambda i: (data.people[i].name.casefold(), i))
    names = np.array(named, np.int64)
    failed = np.array([200 + 2 * len(uri) + 2 * len(why) for uri, why in data.failed], np.int64)
    face_path, photo_path = [""] * len(data.identity), [""] * len(data.photos)
    for page in [*nobody, *unclear, *(page for pages in people for page in pages)]:
        for row in page.items:
            face_path[row] = page.path
    for page in photos:
        for i in page.items:
            photo_path[i] = page.path
    return Pagination(
        index=_pages("index", np.arange(len(data.people)), cards, MAX_PEOPLE, INDEX_BYTES) or [Page("index.html", np.arange(0))],
        names=_pages("names", names, cards[names], MAX_PEOPLE),
        people=people,
        nobody=nobody,
        unclear=unclear,
        photos=photos,
        failed=_pages("failed", np.arange(len(data.failed)), failed, MAX_FAILED),
        face_path=face_path,
        photo_path=photo_path,
    )


def photo_bytes(data: ReportData) -> NDArray[np.int64]:
    """Estimated bytes (p,) of each photo on its page."""
    sizes = np.bincount(data.photo, data.crops.size, minlength=len(data.photos)).astype(np.int64)
    crops = np.minimum(sizes * 4 // 3, PAGE_BYTES // 2)
    texts = 2 * FACE_BYTES * data.photos.faces + 800 + 3 * data.photos.uri_characters
    return np.asarray(crops + texts + SMALL_BYTES * data.photos.small, dtype=np.int64)


def split_by_weight(weights: Sequence[int] | NDArray[np.int64], most: int, limit: int) -> list[slice]:
    """Cut items into pages, in order: at most `most` items a page, and at most the weight `limit` unless one item alone exceeds it."""
    pages, start, total = [], 0, 0
    for i, weight in enumerate(weights):
        if i > start and (i - start == most or total + weight > limit):
            pages.append(slice(start, i))
            start, total = i, 0
        total += int(weight)
    return [*pages, slice(start, len(weights))] if len(weights) else []


def _pages(stem: str, items: NDArray[np.int64], weights: NDArray[np.int64], most: int, limit: int = PAGE_BYTES) -> list[Page]:
    return [Page(f"{stem}{f'-{n}' if n else ''}.html", items[s]) for n, s in _numbered(split_by_weight(weights, most, limit))]


def _numbered(slices: list[slice]) -> list[tuple[int, slice]]:
    """The first page has no number, the next is 2."""
    return [(i + 1 if i else 0, s) for i, s in enumerate(slices)]
