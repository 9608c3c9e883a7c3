"""A person from year to year: the years of the faces with ages, faces and photos by date.

Odd inputs: a face of a photo without a date has year 0 and stands last; one of no photo is in no list of photos.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from facecluster.language import ENGLISH, Language
from facecluster.report.dates import age, ages
from facecluster.report.photos import iso_date
from facecluster.review.people_view import Ints, PeopleView
from facecluster.review.whole_photo import picture_size, share_of

Answer = dict[str, Any]


def by_date(view: PeopleView, rows: Ints) -> Ints:
    """Rows of faces by the date of their photos; those of one moment stay in their order."""
    return np.asarray(rows[np.argsort(view.run_data.details.taken[rows], kind="stable")], dtype=np.int64)


def of_year(view: PeopleView, rows: Ints, year: int) -> Ints:
    """The rows of a year; all if it is 0, those without a date if it is negative."""
    return rows if not year else np.asarray(rows[view.run_data.details.year[rows] == max(year, 0)], dtype=np.int64)


def years_of(view: PeopleView, number: int, language: Language = ENGLISH) -> list[Answer]:
    """The years in which a person has faces, how many, and the ages then; without a date at the end, as year 0."""
    rows, born = view.rows_of(number), view.current.births.get(number, "")
    years = view.run_data.details.year[rows]
    known = sorted(set(years.tolist()), key=lambda year: (year == 0, year))
    days = [iso_date(day) for day in view.run_data.details.taken[rows]] if born else []
    days_of = {year: [day for day, y in zip(days, years.tolist(), strict=bool(born)) if y == year] for year in known}
    told = {year: ages(born, days_of[year], language) for year in known}
    return [{"year": int(year), "faces": int((years == year).sum()), "ages": told[year]} for year in known]


def age_of(view: PeopleView, number: int, row: int, language: Language = ENGLISH) -> str:
    """How old the person of a face is on its photo; '' if it is not known."""
    born = view.current.births.get(number, "")
    return age(born, iso_date(view.run_data.details.taken[row]), language) if born else ""


def photos_of(view: PeopleView, number: int, year: int) -> Ints:
    """Numbers of a person's photos by date; of a year as in `of_year`."""
    photo = view.run_data.details.photo[of_year(view, by_date(view, view.rows_of(number)), year)]
    first = np.unique(photo, return_index=True)[1]
    return np.asarray([n for n in photo[np.sort(first)] if n >= 0], dtype=np.int64)


def photo_tiles(view: PeopleView, number: int, photos: Ints, language: Language = ENGLISH) -> list[Answer]:
    """What the page shows of photos of a person: size in px, date, age, and the boxes of the person's faces as shares of the picture."""
    details, mine = view.run_data.details, view.rows_of(number)
    rows_of: dict[int, list[int]] = {}
    for row in mine[np.isin(details.photo[mine], photos)].tolist():
        rows_of.setdefault(int(details.photo[row]), []).append(row)
    places = zip(photos.tolist(), details.places.rows(photos), strict=True)
    return [_tile(view, n, place[0], rows_of[n]) | {"age": age_of(view, number, rows_of[n][0], language)} for n, place in places]


def _tile(view: PeopleView, photo: int, place: Mapping[str, Any], rows: list[int]) -> Answer:
    width, height = picture_size(place)
    boxes = [box for row in rows if (box := share_of(view.current.faces.boxes[row].tolist(), place))]
    name, uri, taken = view.run_data.details.photo_of(rows[0])
    return {
        "id": view.run_data.details.places.ids[photo], "face": view.current.faces.ids[rows[0]], "name": name, "uri": uri, "taken": taken,
        "width": width, "height": height, "boxes": boxes, "gone": bool(place["gone"]),
    }  # fmt: skip
