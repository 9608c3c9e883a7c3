"""The photos of a report, as arrays: objects are made of those that a page shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.people.thumbnails import Thumbnails
from facecluster.photos.extras import VIDEO_FORMATS
from facecluster.photos.places import places_by_photo, where_it_is
from facecluster.report.text import file_url
from facecluster.store import Ids, Store

MAX_URIS = 50  # of one photo that its page lists
BROWSER_FORMATS = frozenset(["JPEG", "MPO", "PNG", "GIF", "WEBP", "AVIF", "BMP"])  # that every browser shows


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo and where it is. Sizes are in px of the upright photo; `taken_at` is ISO 8601 or ''."""

    uris: list[str]  # where it is, the one to show first, at least one; where it was if it is gone
    gone: bool  # at none of its places
    width: int
    height: int
    taken_at: str
    video: bool
    rows: NDArray[np.int64]  # its faces, from left to right


class Photos:
    """The photos by date, then name; at the end those without a date. Arrays are (p,)."""

    def __init__(self, store: Store) -> None:
        places = places_by_photo(store, ["format", "width", "height", "taken_at"], look=True)
        self._places, self._order = places, places.by_date()
        self._index = np.argsort(self._order)
        order = pa.array(self._order)
        self.gone = places.gone[self._order]
        self.first_uri = places.first("uri").take(order)
        self.taken = np.asarray(places.first("taken_at").take(order), "datetime64[s]")  # NaT: unknown
        self.taken_at = pa.array(map(iso_date, self.taken), pa.string())  # ISO 8601; '': unknown
        self.width, self.height = (np.asarray(pc.fill_null(places.first(side).take(order), 0), np.int64) for side in ("width", "height"))
        self.video = np.asarray(pc.is_in(places.first("format").take(order), value_set=pa.array(sorted(VIDEO_FORMATS))), bool)
        shown = np.asarray(pc.is_in(places.first("format").take(order), value_set=pa.array(sorted(BROWSER_FORMATS))), bool)
        here = np.fromiter((file_url(uri) is not None for uri in self.first_uri.to_pylist()), bool, len(shown))
        self.small = ~self.gone & ~self.video & ~(shown & here)  # those of which browsers may need the thumbnail
        self._thumbnails = Thumbnails(store)
        counts = np.append(0, np.cumsum(places.shown))[places.start]
        self.uris = np.diff(counts)[self._order]  # how many
        listed = places.shown & (np.arange(len(places.shown)) - np.repeat(places.start[:-1], np.diff(places.start)) < MAX_URIS)
        characters = np.append(0, np.cumsum(np.where(listed, pc.utf8_length(places.table["uri"]), 0)))
        self.uri_characters = np.diff(characters[places.start])[self._order]  # of those that its page lists
        self._faces, self._start = np.zeros(0, np.int64), np.zeros(len(places) + 1, np.int64)

    def index(self, photo_ids: Ids) -> NDArray[np.int64]:
        """The photo (m,) of each photo_id; -1 if there is none."""
        return np.append(self._index, -1)[self._places.ids.rows_of(photo_ids)]

    def put_faces(self, photo: NDArray[np.int64], left: NDArray[np.floating]) -> None:
        """Tell which faces are in them: the photo (n,) and the left side (n,) of each."""
        self._faces = np.lexsort((left, photo))
        self._start = np.searchsorted(photo[self._faces], np.arange(len(self) + 1))

    def thumbnail(self, number: int) -> bytes:
        """The store's small picture of a photo that some browsers, or all, can't show; b"" of others, and without one."""
        return self._thumbnails.picture(self._places.ids[int(self._order[number])]) if self.small[number] else b""

    @property
    def faces(self) -> NDArray[np.int64]:
        """How many faces each has."""
        return np.diff(self._start)

    @property
    def years(self) -> NDArray[np.int64]:
        """The year of each; 0 without a date."""
        years = self.taken.astype("datetime64[Y]").astype(np.int64) + 1970
        return np.where(np.isnat(self.taken), 0, years)

    def __len__(self) -> int:
        return len(self._order)

    def some(self, numbers: NDArray[np.int64]) -> Iterator[Photo]:
        """Photos by their numbers."""
        for i, places in zip(numbers.tolist(), self._places.rows(self._order[numbers]), strict=True):
            row, uris = places[0], [place["uri"] for place in where_it_is(places)]
            rows, video = self._faces[self._start[i] : self._start[i + 1]], row["format"] in VIDEO_FORMATS
            yield Photo(uris, row["gone"], row["width"] or 0, row["height"] or 0, self.taken_at[i].as_py(), video, rows)


def iso_date(moment: np.datetime64) -> str:
    """A moment of whole seconds in ISO 8601; '' for NaT."""
    return "" if np.isnat(moment) else str(moment)
