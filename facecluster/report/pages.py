"""The HTML pages of the report. A page reads only its own crops, so memory is bounded for any collection.

The templates escape all text. The only trusted text is base.css, style.css and report.js. The Content-Security-Policy allows them by
their hash, and forbids every other script and style and any network access.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from numpy.typing import NDArray

from facecluster.language import ENGLISH, Language
from facecluster.language.script import language_script
from facecluster.language.templates import environment
from facecluster.photos.picture_type import image_data_url
from facecluster.report import plot, text
from facecluster.report.dates import MONTHS, age, ages, parts
from facecluster.report.face_notes import FaceNotes
from facecluster.report.hide_faces import Faces, shown
from facecluster.report.pagination import Page, Pagination
from facecluster.report.photo_tiles import PhotoTiles, Shapes
from facecluster.report.report_data import Person, PersonToCheck, ReportData
from facecluster.report.styles import BASE_CSS, template

SEARCH_BYTES = 350_000  # of the list that the search on the first page reads: enough for about 12,000 people without a name


class PageWriter:
    """Writes the pages of a report to a folder."""

    def __init__(
        self, data: ReportData, pagination: Pagination, counts: dict[str, int], created: str, to_check: Sequence[PersonToCheck] = (),
        faces: Faces = Faces.SHOW, language: Language = ENGLISH, notes: FaceNotes | None = None,
    ) -> None:  # fmt: skip
        self.data, self.pagination, self.counts, self.to_check = data, pagination, counts, to_check
        self.faces, self.language, self.notes = faces, language, notes or FaceNotes(data)
        self.person = {p.identity: p for p in data.people}
        self.tiles = PhotoTiles(data, pagination, self.person, faces, language)
        self.first_page = {p.identity: pages[0].path for p, pages in zip(data.people, pagination.people, strict=True)}
        self.env = environment("facecluster.report", language)
        self.env.filters |= {"confidence_word": text.confidence_word, "one_line": text.one_line}
        self.env.filters |= {
            "label": lambda person: person.label(language), "sure": lambda probability: language.t(text.confidence_word(probability)),
            "month": lambda number: language.t(MONTHS[number - 1]),
        }  # fmt: skip
        script = template("report.js")
        self.css, self.js = template(BASE_CSS) + template("style.css"), language_script(language, script) + script
        self.env.globals |= {"css": Markup(self.css), "js": Markup(self.js), "counts": counts, "created": created}
        self.env.globals["shows_photos"] = faces is Faces.SHOW
        self.env.globals |= {f"has_{name}": bool(getattr(pagination, name)) for name in ("names", "photos", "nobody", "unclear", "failed")}

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
            yield self._page("index.html", every.index, n, by_name=False, **self._index(page, n))
        for n, page in enumerate(every.names):
            yield self._page("index.html", every.names, n, by_name=True, **self._cards(page))
        for person, pages in zip(data.people, every.people, strict=True):
            years = self._years(person, pages)
            for n, page in enumerate(pages):
                looks = self._looks(person, page) if n == 0 else []
                yield self._page("person.html", pages, n, person=person, years=years, plot=plot, looks=looks, **self._person(person, page))
        for n, page in enumerate(every.nobody):
            yield self._page("nobody.html", every.nobody, n, unclear=False, **self._faces(page.items))
        for n, page in enumerate(every.unclear):
            yield self._page("nobody.html", every.unclear, n, unclear=True, **self._faces(page.items))
        photo_years = self._photo_years()
        for n, page in enumerate(every.photos):
            yield self._page("photos.html", every.photos, n, years=photo_years, **self._photos(page))
        for n, page in enumerate(every.failed):
            yield self._page("failed.html", every.failed, n, failed=[data.failed[i] for i in page.items])

    def _page(self, name: str, pages: list[Page], n: int, shapes: Shapes | None = None, **values: Any) -> tuple[str, str]:
        path = pages[n].path
        pager = [p.path.rsplit("/", 1)[-1] for p in pages]
        up = "../" if "/" in path else ""
        css = shapes.css if shapes else ""
        section = "unclear" if values.get("unclear") else name.removesuffix(".html")
        values |= {"section": section, "up": up, "pager": pager, "here": n, "more_css": Markup(css), "policy": self._policy(css)}
        return path, self.env.get_template(name).render(**values)

    def _policy(self, more_css: str) -> Markup:
        """The policy of a page with the style sheet, the script, and more rules of its own."""
        styles = " ".join(_hash(css) for css in (self.css, more_css) if css)
        allowed = f"style-src {styles}; script-src {_hash(self.js)}"
        return Markup(f"default-src 'none'; img-src data: file:; {allowed}; base-uri 'none'; form-action 'none'")

    def _index(self, page: Page, n: int) -> dict[str, Any]:
        sizes = np.array([len(p.rows) for p in self.data.people], np.int64)
        search_index = self._search_index(page) if n == 0 else []
        shown = [s for s in self.to_check if s.identity in self.person and not self.person[s.identity].ignored] if n == 0 else []
        check_first = [{"person": self.person[s.identity], "href": self.first_page[s.identity], "shares": s} for s in shown]
        bars = plot.bars(sizes, self.language) if n == 0 else []
        return self._cards(page) | {"check_first": check_first, "bars": bars, "search_index": search_index, "plot": plot}

    def _cards(self, page: Page) -> dict[str, Any]:
        people = [self.data.people[i] for i in page.items]
        cards = [{"person": p, "href": self.first_page[p.identity], "crop": self._crop(p.best_face)} for p in people]
        return {"cards": cards, "check_first": [], "bars": [], "search_index": []}

    def _years(self, person: Person, pages: list[Page]) -> list[dict[str, Any]]:
        """The years of a person, with the page on which each begins."""
        of = self.data.photos.years[self.data.photo[person.rows]]
        page_of: dict[int, str] = {}
        for page in pages:
            for year in self.data.photos.years[self.data.photo[page.items]].tolist():
                page_of.setdefault(year, page.path.rsplit("/", 1)[-1])
        days: dict[int, list[str]] = {}
        for year, photo in zip(of.tolist(), self.data.photo[person.rows].tolist(), strict=True) if person.born else ():
            days.setdefault(year, []).append(self.data.photos.taken_at[photo].as_py())
        return [{"bar": bar, "href": f"{page_of[bar.year]}#y{bar.year}", "ages": ages(person.born, days.get(bar.year, []), self.language)}
                for bar in plot.timeline(of)]  # fmt: skip

    def _person(self, person: Person, page: Page) -> dict[str, Any]:
        """A page of a person's faces by date, and the photos that they are in."""
        data, shapes = self.data, Shapes()
        faces = [self._face(int(row)) for row in page.items]
        years = list(parts(((face["photo"]["day"], face) for face in faces), 4))
        photo = data.photo[page.items]
        photos = [self.tiles.small(i, page.items[photo == i], shapes) for i in np.unique(photo).tolist()]  # their numbers are by date
        if not any(tile["url"] or tile["small"] for tile in photos):
            shapes = Shapes()
        told = {part.year: ages(person.born, [face["photo"]["day"] for face in part.items], self.language) for part in years}
        return {"parts": years, "faces": faces, "ages": told, "photos": photos, "shapes": shapes}

    def _photos(self, page: Page) -> dict[str, Any]:
        """A page of photos by date."""
        shapes = Shapes()
        photos = zip(page.items.tolist(), self.data.photos.some(page.items), strict=True)
        made = [(photo.taken_at, self.tiles.large(i, photo, shapes, self._crop)) for i, photo in photos]
        for month in parts(made, 7):
            month.items[0]["month"] = month.month  # the first of a month says which it is
        return {"parts_by_year": list(parts(made, 4)), "shapes": shapes}

    def _photo_years(self) -> list[tuple[int, str]]:
        """The years of the photos, and where each begins."""
        found: dict[int, str] = {}
        for page in self.pagination.photos:
            for year in np.unique(self.data.photos.years[page.items]).tolist():
                found.setdefault(year, f"{page.path.rsplit('/', 1)[-1]}#y{year}")
        return sorted((year, href) for year, href in found.items() if year)

    def _search_index(self, page: Page) -> list[tuple[str, int, int]]:
        """(label, number, faces) of people on other pages, for the search: named people first, up to SEARCH_BYTES."""
        others = sorted(self.data.people[len(page.items) :], key=lambda p: not p.name)
        rows, room = [], SEARCH_BYTES
        for person in others:
            rows.append((person.label(self.language), person.number, len(person.rows)))
            room -= len(str(htmlsafe_json_dumps(rows[-1])))
            if room < 0:
                break
        return rows

    def _crop(self, row: int) -> str | None:
        return None if self.faces is Faces.NONE else image_data_url(shown(self.data.crops[row], self.faces))

    def _looks(self, person: Person, page: Page) -> list[dict[str, Any]]:
        """Pictures of where the model looks on the surest faces of a person; if they were asked for."""
        made = []
        for row, picture in self.notes.looks(person.rows):
            path = self.pagination.face_path[row]
            href = f"{'' if path == page.path else path.rsplit('/', 1)[-1]}#face-{row}"
            made.append({"href": href, "url": image_data_url(picture)})
        return made

    def _faces(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        faces = [self._face(int(row)) for row in rows]
        photos = [self.tiles.link(int(i)) for i in np.unique(self.data.photo[rows])]
        return {"faces": faces, "photos": photos}

    def _face(self, row: int) -> dict[str, Any]:
        data = self.data
        person = self.person.get(int(data.identity[row]))
        photo = self.tiles.link(int(data.photo[row]))
        return {
            "row": row, "crop": self._crop(row), "probability": float(data.probability[row]), "quality": float(data.quality[row]),
            "recognisability": float(data.recognisability[row]), "photo": photo,
            "age": age(person.born, photo["day"], self.language) if person else "",
            "notes": self.notes.of(row, self.language),
        }  # fmt: skip


@lru_cache(maxsize=64)
def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
