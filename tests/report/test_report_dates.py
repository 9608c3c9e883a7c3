"""The report by date: people from year to year with their ages, photos under years and months, people by name."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import report_store as syn
from hypothesis import given
from hypothesis import strategies as st
from test_report import Page

from facecluster.report import plot, write_report
from facecluster.report.dates import Part, age, ages, parts
from facecluster.report.photo_tiles import SHAPES, Shapes
from facecluster.report.report_data import PersonInfo
from facecluster.store import Store

TEXTS = ("2021-03-04", "2012-05-02", "", "2012-06-30", "2013-07-01", "2021-01-01", "2021-03-09")
DAYS = [datetime.fromisoformat(day) if day else None for day in TEXTS]
PEOPLE = {0: PersonInfo("Zoë", "p-00000001", born="2012-05-03"), 1: PersonInfo("ada"), 2: PersonInfo(), 3: PersonInfo("Bob", ignored=True)}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dates")
    store = Store(str(folder / "store"))
    store.create()
    (folder / "album").mkdir()
    for i in range(len(DAYS)):
        (folder / "album" / f"{i}.jpg").write_bytes(b"x")
    syn.write_photos(store, "0", [(syn.photo_id(i), str(folder / "album" / f"{i}.jpg"), day, None) for i, day in enumerate(DAYS)])
    faces = [(syn.face_id(i, j), syn.photo_id(i)) for j in range(4) for i in range(len(DAYS)) if j < 1 or i < 2]
    syn.write_faces(store, "0", faces, [syn.crop((20, 30, 40))] * len(faces))
    syn.write_identities(store, [(f, int(f[-1]), 0.99 - i / 100) for i, (f, _) in enumerate(faces)])
    write_report(store, "identities/bundled", str(folder / "report"), people=PEOPLE)
    return folder / "report"


def test_a_person_is_shown_from_year_to_year_with_ages(report: Path) -> None:
    source = (report / "people" / "person-00001.html").read_text(encoding="utf-8")
    page = Page(report / "people" / "person-00001.html")
    assert [v for v in page.values("id") if v.startswith("face-")] == [f"face-{i}" for i in (1, 3, 4, 5, 0, 6, 2)]
    headings = [re.sub(r"<[^>]+>|\s+", " ", h).split() for h in re.findall(r'<h3 id="y\d+">(.*?)</h3>', source, re.S)]
    assert [" ".join(h) for h in headings] == ["2012 before the birth to 1 month", "2013 13 months", "2021 8 years", "Without a date"]
    assert re.findall(r'class="age">(.*?)<', source) == ["before the birth", "1 month", "13 months", *["8 years"] * 3]
    assert 'Born <time datetime="2012-05-03">' in source
    assert re.findall(r'<a href="(person-00001.html#y\d+)" aria-label="(\d+: \d faces?)', source) == [
        (f"person-00001.html#y{year}", f"{year}: {n} face{'s' * (n > 1)}") for year, n in ((2012, 2), (2013, 1), (2021, 3))
    ]
    other = (report / "people" / "person-00002.html").read_text(encoding="utf-8")
    assert "Born" not in other and 'class="age"' not in other and 'id="y2021"' in other


def test_faces_without_dates_are_not_offered_by_date(tmp_path: Path, report: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.create()
    syn.write_photos(store, "0", [(syn.photo_id(i), f"/{i}.jpg", None, None) for i in range(2)])
    faces = [(syn.face_id(i, 0), syn.photo_id(i)) for i in range(2)]
    syn.write_faces(store, "0", faces, [syn.crop((20, 30, 40))] * 2)
    syn.write_identities(store, [(face, 0, 0.9) for face, _ in faces])
    write_report(store, "identities/bundled", str(tmp_path / "report"))
    orders = [
        re.findall(r'<option value="(\w+)">', (folder / "people" / "person-00001.html").read_text(encoding="utf-8"))
        for folder in (tmp_path / "report", report)
    ]
    assert orders == [["sure", "unsure"], ["date", "sure", "unsure"]]


def test_photos_stand_under_years_and_months(report: Path) -> None:
    source = (report / "photos" / "photos.html").read_text(encoding="utf-8")
    told = re.findall(r'<h2 id="(y\d+)">(.*?)</h2>|id="photo-(\d)"|<h3>(.*?)</h3>', source)
    wanted = "2012 0 May 1 June 2013 2 July 2021 3 January 4 March 5"
    assert ["".join(t[1:]) for t in told] == [*wanted.split(), "Without a date", "6"]
    assert re.findall(r'<a href="(photos.html#y\d+)">', source) == [f"photos.html#y{year}" for year in (2012, 2013, 2021)]
    assert ">8 years<" in source and len(re.findall("<h2 id=\"y2021\"", source)) == 1


def test_people_by_name_and_by_size(report: Path) -> None:
    def names(page: str) -> list[str]:
        return re.findall(r"<strong><bdi>(.*?)</bdi>", (report / page).read_text(encoding="utf-8"))

    assert names("names.html") == ["ada", "Zoë"] and names("index.html") == ["Zoë", "ada", "Person 3", "Bob"]
    assert "names.html" in set(Page(report / "index.html").values("href"))
    assert "index.html" in set(Page(report / "names.html").values("href"))


def test_ages() -> None:
    assert age("2012-05-03", "2012-05-03T10:00:00") == "0 months" and age("2012-05-03", "2012-05-02") == "before the birth"
    assert age("2012-05-03", "2014-05-02") == "23 months" and age("2012-05-03", "2014-05-03") == "2 years" and age("", "2014-05-03") == ""
    assert ages("2012-05-03", ["2021-12-31", "", "2021-01-01"]) == "8 to 9 years"
    assert ages("2012-05-03", [""]) == "" == ages("", ["2021-01-01"])
    assert ages("2012-05-03", ["2014-04-01", "2014-06-01"]) == "22 months to 2 years"
    assert ages("2012-05-03", ["2012-06-03", "2012-08-01"]) == "1 to 2 months"


days = st.sampled_from(["", "1999-12-31T10:00:00", "2000-01-01T00:00:00", "2000-01-31", "2012-05-03"])


@given(st.lists(days), st.sampled_from([4, 7]))
def test_parts_hold_all_in_order_each_under_its_own_heading(some: list[str], length: int) -> None:
    found: list[Part[int]] = list(parts(zip(some, range(len(some)), strict=True), length))
    assert [i for part in found for i in part.items] == list(range(len(some)))
    assert all(some[i][:length] == part.key and part.year == int(some[i][:4] or 0) for part in found for i in part.items)
    assert all(a.key != b.key for a, b in zip(found, found[1:], strict=False))


@given(st.lists(st.integers(0, 40).map(lambda y: y and 1980 + y), max_size=50))
def test_the_timeline_counts_every_dated_face(years: list[int]) -> None:
    bars = plot.timeline(np.array(years, np.int64))
    assert {b.year: b.count for b in bars} == {y: years.count(y) for y in years if y}
    assert [b.x for b in bars] == sorted(b.x for b in bars) and all(0 <= b.y and b.y + b.height == plot.STRIP for b in bars)


def test_a_photo_with_a_wrong_clock_leaves_the_other_years_in_sight() -> None:
    bars = plot.timeline(np.array([1904, 2011, 2012, 2014, 2036]))
    steps = np.diff([b.x for b in bars]) / plot.STRIP_WIDTH
    assert steps.tolist() == [plot.MAX_GAP + 1, 1, 2, plot.MAX_GAP + 1]


def test_tiles_have_the_shapes_of_their_photos() -> None:
    shapes = Shapes()
    sizes = ((400, 300), (300, 400), (800, 600), (0, 0), (9000, 100), (1, 900))
    assert [shapes.of(*size) for size in sizes] == ["r0", "r1", "r0", "r0", "r2", "r3"]
    assert shapes.css == f".r0{{--r:1.333}}.r1{{--r:0.75}}.r2{{--r:{SHAPES[1]:g}}}.r3{{--r:{SHAPES[0]:g}}}" and Shapes().css == ""
