"""The HTML pages of the report. A page reads only its own crops, so memory is bounded for any collection.

The templates escape all text. The only trusted text is style.css and report.js. The Content-Security-Policy allows them by their hash, and
forbids every other script and style and any network access.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from numpy.typing import NDArray

from facecluster.report import plot, text
from facecluster.report.face_notes import FaceNotes
from facecluster.report.hide_faces import Faces, shown
from facecluster.report.pagination import PAGE_BYTES, Page, Pagination
from facecluster.report.photos import MAX_URIS, Photo
from facecluster.report.report_data import Person, PersonToCheck, ReportData

SEARCH_BYTES = 350_000  # of the list that the search on the first page reads: enough for about 12,000 people without a name
_MIME = ((b"RIFF", "image/webp"), (b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"))


def image_data_url(crop: bytes) -> str | None:
    """A crop as a data: URL; its type follows from its first bytes. None if it is no picture that browsers show."""
    mime = next((mime for start, mime in _MIME if crop.startswith(start)), None)
    return f"data:{mime};base64,{base64.b64encode(crop).decode()}" if mime else None


class PageWriter:
    """Writes the pages of a report to a folder."""

    def __init__(
        self, data: ReportData, pagination: Pagination, counts: dict[str, int], created: str, to_check: Sequence[PersonToCheck] = (),
        faces: Faces = Faces.SHOW, notes: FaceNotes | None = None,
    ) -> None:  # fmt: skip
        self.data, self.pagination, self.counts, self.to_check = data, pagination, counts, to_check
        self.faces, self.notes = faces, notes or FaceNotes(data)
        self.person = {p.identity: p for p in data.people}
        self.first_page = {p.identity: pages[0].path for p, pages in zip(data.people, pagination.people, strict=True)}
        self.env = jinja2.Environment(
            loader=jinja2.PackageLoader("facecluster.report"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.env.filters |= {"percent": text.percent, "confidence_word": text.confidence_word, "one_line": text.one_line}
        self.env.filters["plural"] = text.plural
        css, js = (_template(name) for name in ("style.css", "report.js"))
        policy = (
            f"default-src 'none'; img-src data: file:; style-src {_hash(css)}; script-src {_hash(js)}; base-uri 'none'; form-action 'none'"
        )
        self.env.globals |= {"css": Markup(css), "js": Markup(js), "policy": Markup(policy), "counts": counts, "created": created}
        self.env.globals["shows_photos"] = faces is Faces.SHOW
        self.env.globals |= {f"has_{name}": bool(getattr(pagination, name)) for name in ("photos", "nobody", "unclear", "failed")}

    def write(self, folder: Path) -> Iterator[str]:
        """Write one page after the other; yields the path of each page after it is written."""
        for name in ("people", "nobody", "unclear", "photos"):
            (folder / name).mkdir(exist_ok=True)
        for path, page in self._render():
            (folder / path).write_text(page, encoding="utf-8")
            yield path

    def _render(self) -> Iterator[tuple[str, str]]:
        every, data = self.pagination, self.data
        for n, page in enumerate(every.index):
            yield self._page("index.html", every.index, n, **self._index(page, n))
        for person, pages in zip(data.people, every.people, strict=True):
            for n, page in enumerate(pages):
                looks = self._looks(page.items) if n == 0 else []
                yield self._page("person.html", pages, n, person=person, looks=looks, **self._faces(page.items))
        for n, page in enumerate(every.nobody):
            yield self._page("nobody.html", every.nobody, n, unclear=False, **self._faces(page.items))
        for n, page in enumerate(every.unclear):
            yield self._page("nobody.html", every.unclear, n, unclear=True, **self._faces(page.items))
        for n, page in enumerate(every.photos):
            shown = list(map(self._photo, page.items.tolist(), data.photos.some(page.items)))
            yield self._page("photos.html", every.photos, n, photos=shown)
        for n, page in enumerate(every.failed):
            yield self._page("failed.html", every.failed, n, failed=[data.failed[i] for i in page.items])

    def _page(self, template: str, pages: list[Page], n: int, **values: Any) -> tuple[str, str]:
        path = pages[n].path
        pager = [p.path.rsplit("/", 1)[-1] for p in pages]
        up = "../" if "/" in path else ""
        return path, self.env.get_template(template).render(up=up, pager=pager, here=n, **values)

    def _index(self, page: Page, n: int) -> dict[str, Any]:
        people = [self.data.people[i] for i in page.items]
        sizes = np.array([len(p.rows) for p in self.data.people], np.int64)
        search_index = self._search_index(page) if n == 0 else []
        cards = [{"person": p, "href": self.first_page[p.identity], "crop": self._crop(p.best_face)} for p in people]
        shown = [s for s in self.to_check if s.identity in self.person and not self.person[s.identity].ignored] if n == 0 else []
        check_first = [{"person": self.person[s.identity], "href": self.first_page[s.identity], "shares": s} for s in shown]
        bars = plot.bars(sizes) if n == 0 else []
        return {"cards": cards, "check_first": check_first, "bars": bars, "search_index": search_index, "plot": plot}

    def _search_index(self, page: Page) -> list[tuple[str, int, int]]:
        """(label, identity, faces) of people on other pages, for the search: named people first, up to SEARCH_BYTES."""
        others = sorted(self.data.people[len(page.items) :], key=lambda p: not p.name)
        rows, room = [], SEARCH_BYTES
        for person in others:
            rows.append((person.label, person.identity, len(person.rows)))
            room -= len(str(htmlsafe_json_dumps(rows[-1])))
            if room < 0:
                break
        return rows

    def _crop(self, row: int) -> str | None:
        return None if self.faces is Faces.NONE else image_data_url(shown(self.data.crops[row], self.faces))

    def _looks(self, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
        """Pictures of where the model looks on the first of these faces; if they were asked for."""
        return [{"row": row, "url": image_data_url(picture)} for row, picture in self.notes.looks(rows)]

    def _faces(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        faces = [self._face(int(row)) for row in rows]
        photos = [self._photo_link(int(i)) for i in np.unique(self.data.photo[rows])]
        return {"faces": faces, "photos": photos}

    def _face(self, row: int) -> dict[str, Any]:
        data = self.data
        return {
            "row": row,
            "crop": self._crop(row),
            "probability": float(data.probability[row]),
            "quality": float(data.quality[row]),
            "photo": self._photo_link(int(data.photo[row])),
            "notes": self.notes.of(row),
        }

    def _photo_link(self, index: int) -> dict[str, str]:
        photos = self.data.photos
        return {
            "href": f"{self.pagination.photo_path[index]}#photo-{index}",
            "name": text.short_name(photos.first_uri[index].as_py()),
            "date": photos.taken_at[index].as_py().replace("T", " "),
        }

    def _photo(self, index: int, photo: Photo) -> dict[str, Any]:
        faces, room = [], PAGE_BYTES // 2
        for row in photo.rows.tolist():
            room -= int(self.data.crops.size[row]) * 4 // 3
            faces.append(self._face_box(row, crop=room >= 0))
        sized = photo.width > 0 and photo.height > 0
        urls = [url for url in map(text.file_url, photo.uris) if url is not None] if self.faces is Faces.SHOW else []
        return {
            "index": index,
            "photo": photo,
            "url": urls[0] if urls and sized and not photo.video else None,
            "video": urls[0] if urls and photo.video else None,
            "name": self._photo_link(index)["name"],
            "uris": photo.uris[:MAX_URIS],
            "more": max(len(photo.uris) - MAX_URIS, 0),
            "faces": faces,
            "font": round(max(photo.width, 1) / 45, 1),
        }

    def _face_box(self, row: int, *, crop: bool) -> dict[str, Any]:
        """A face on the page of its photo: its box, its person, and the link to the person."""
        data = self.data
        person: Person | None = self.person.get(int(data.identity[row]))
        x, y, w, h = (round(float(v), 1) for v in data.box[row])
        label = text.one_line(person.label) if person else "unknown"
        return {
            "label": label,
            "short": label if len(label) <= 24 else label[:23] + "…",
            "known": person is not None,
            "href": f"{self.pagination.face_path[row]}#face-{row}",
            "probability": float(data.probability[row]),
            "crop": self._crop(row) if crop else None,
            "at": text.clock(at) if (at := data.table["at_ms"][row].as_py()) is not None else "",
            "x": x,
            "y": y,
            "w": max(w, 0.0),
            "h": max(h, 0.0),
        }


def _template(name: str) -> str:
    return (files("facecluster.report") / "templates" / name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
