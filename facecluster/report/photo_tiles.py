"""Photos as tiles of justified rows: what the templates need of each, and the style that gives a tile its shape.

A tile has the shape of its photo. Shapes are classes, r0, r1, ..., with a rule each in a style element of the page, which the page's policy
allows by its hash; it allows no style attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.language import Language
from facecluster.photos.picture_type import image_data_url
from facecluster.report import text
from facecluster.report.dates import age
from facecluster.report.hide_faces import Faces
from facecluster.report.pagination import PAGE_BYTES, Pagination
from facecluster.report.photos import MAX_URIS, Photo
from facecluster.report.report_data import Person, ReportData

SHAPES = 0.25, 6.0  # width over height: of a tile at least and at most; others are cut at their sides
_SQUARE = 1.333  # of a photo of unknown size


class Shapes:
    """The shapes of the tiles on one page."""

    def __init__(self) -> None:
        self._classes: dict[float, str] = {}

    def of(self, width: int, height: int) -> str:
        """The class of a photo of this size in px."""
        ratio = round(min(max(width / height, SHAPES[0]), SHAPES[1]), 3) if width > 0 and height > 0 else _SQUARE
        return self._classes.setdefault(ratio, f"r{len(self._classes)}")

    @property
    def css(self) -> str:
        """The rules; '' without tiles."""
        return "".join(f".{name}{{--r:{ratio:g}}}" for ratio, name in self._classes.items())


class PhotoTiles:
    """The photos of a report as the templates take them."""

    def __init__(
        self, data: ReportData, pagination: Pagination, people: Mapping[int, Person], faces: Faces, language: Language
    ) -> None:  # fmt: skip
        self.data, self.pagination, self.people, self.faces, self.language = data, pagination, people, faces, language

    def link(self, index: int) -> dict[str, str]:
        """Where a photo is shown, its name and its date."""
        photos = self.data.photos
        taken = photos.taken_at[index].as_py()
        return {
            "href": f"{self.pagination.photo_path[index]}#photo-{index}", "name": text.short_name(photos.first_uri[index].as_py()),
            "date": taken, "day": taken[:10],
        }  # fmt: skip

    def small(self, index: int, rows: NDArray[np.int64], shapes: Shapes) -> dict[str, Any]:
        """A photo with the faces of one person marked."""
        photos = self.data.photos
        width, height = int(photos.width[index]), int(photos.height[index])
        boxes = [[round(float(v), 1) for v in self.data.box[row]] for row in rows.tolist()]
        marks = [{"x": x, "y": y, "w": max(w, 0.0), "h": max(h, 0.0)} for x, y, w, h in boxes]
        return self.link(index) | {
            "url": self._url(photos.first_uri[index].as_py(), index, width, height), "small": self._small(index),
            "width": width, "height": height, "marks": marks, "shape": shapes.of(width, height),
        }  # fmt: skip

    def _url(self, uri: str, index: int, width: int, height: int) -> str | None:
        shown = self.faces is Faces.SHOW and width > 0 and height > 0 and not self.data.photos.video[index]
        return text.file_url(uri) if shown and not self.data.photos.gone[index] else None

    def _small(self, index: int) -> str | None:
        """The thumbnail as a URL, of a photo that browsers may not show."""
        return image_data_url(self.data.photos.thumbnail(index)) if self.faces is Faces.SHOW else None

    def large(self, index: int, photo: Photo, shapes: Shapes, crop: Callable[[int], str | None]) -> dict[str, Any]:
        """A photo with all that is known of it. `crop` gives the picture of a face as a URL."""
        faces, room = [], PAGE_BYTES // 2
        for row in photo.rows.tolist():
            room -= int(self.data.crops.size[row]) * 4 // 3
            faces.append(self._face_box(row, photo, crop(row) if room >= 0 else None))
        sized = photo.width > 0 and photo.height > 0
        urls = [url for url in map(text.file_url, photo.uris) if url is not None] if self.faces is Faces.SHOW else []
        return {
            "index": index, "photo": photo, "url": urls[0] if urls and sized and not photo.video else None,
            "small": self._small(index) if sized else None, "video": urls[0] if urls and photo.video else None,
            "name": self.link(index)["name"], "uris": photo.uris[:MAX_URIS],
            "more": max(len(photo.uris) - MAX_URIS, 0), "faces": faces, "font": round(max(photo.width, photo.height, 1) / 24, 1),
            "shape": shapes.of(photo.width, photo.height), "month": 0,
        }  # fmt: skip

    def _face_box(self, row: int, photo: Photo, crop: str | None) -> dict[str, Any]:
        """A face on the page of its photo: its box, its person, and the link to the person."""
        data = self.data
        person = self.people.get(int(data.identity[row]))
        x, y, w, h = (round(float(v), 1) for v in data.box[row])
        label = text.one_line(person.label(self.language)) if person else self.language.tp("face", "unknown")
        return {
            "label": label, "short": label if len(label) <= 24 else label[:23] + "…", "known": person is not None,
            "href": f"{self.pagination.face_path[row]}#face-{row}", "probability": float(data.probability[row]), "crop": crop,
            "age": age(person.born, photo.taken_at, self.language) if person else "",
            "at": text.clock(at) if (at := data.table["at_ms"][row].as_py()) is not None else "",
            "x": x, "y": y, "w": max(w, 0.0), "h": max(h, 0.0),
        }  # fmt: skip
