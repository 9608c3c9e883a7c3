"""A person from year to year on the review page: years, ages, faces and photos by date, the date of birth."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from people_store import add, call, people, photo_id
from report import report_store as syn
from sessions import close_sessions, session_of

from facecluster.decisions import read
from facecluster.errors import InputError
from facecluster.people import read_current_people
from facecluster.review import api
from facecluster.review.session import Session
from facecluster.store import Store

YEARS = [2012, 2012, 0, 2015, 2013, 2012, 2020, 0]  # of the largest person's photos


def dated_store(folder: Path) -> Store:
    """Two people; the photos of the larger one are of YEARS, in that order of face_id."""
    store = Store(str(folder / "store"))
    store.create()
    vectors, truth = people((len(YEARS), 4), 0.5)
    ids = add(store, "00000", vectors, photos=False)
    photos = [photo_id(i) for i in range(len(ids))]
    mine = np.flatnonzero(truth == 0).tolist()
    when = {i: datetime(year, 1 + n, 15, 10) if year else None for n, (i, year) in enumerate(zip(mine, YEARS, strict=True))}
    rows = [(p, f"/photos/{i}.jpg", when.get(i, datetime(1999, 1, 1)), None) for i, p in enumerate(photos)]
    syn.write_photos(store, "00000", rows)
    syn.write_faces(store, "00000", list(zip(ids, photos, strict=True)), [syn.crop((90, 120, 200))] * len(ids))
    call("cluster", store.url)
    return store


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    yield session_of(dated_store(tmp_path))
    close_sessions()


def largest(session: Session) -> str:
    return str(api.people(session, {})["people"][0]["id"])


def test_years_faces_and_photos_by_date(session: Session) -> None:
    who = {"id": largest(session)}
    found = api.person(session, who | {"order": "date"})
    taken = [face["taken"] for face in found["faces"]]
    dated = sorted(day for day in taken if day)
    assert [day[:4] for day in dated] == sorted(str(y) for y in YEARS if y) and taken == [*dated, "", ""] and found["total"] == len(YEARS)
    years = [(y["year"], y["faces"], y["ages"]) for y in found["years"]]
    assert years == [(2012, 3, ""), (2013, 1, ""), (2015, 1, ""), (2020, 1, ""), (0, 2, "")]
    assert [face["taken"][:4] for face in api.person(session, who | {"year": "2012"})["faces"]] == ["2012"] * 3
    assert [face["taken"] for face in api.person(session, who | {"year": "none"})["faces"]] == ["", ""]
    assert api.person(session, who | {"year": "1900"})["faces"] == []
    assert len(api.person(session, who | {"year": "x"})["faces"]) == len(YEARS)
    album = api.album(session, who)
    assert [p["face"] for p in album["photos"]] == [face["id"] for face in found["faces"]] and album["total"] == len(YEARS)
    assert [p["taken"][:4] for p in album["photos"]] == [*sorted(str(y) for y in YEARS if y), "", ""]
    assert album["photos"][0]["boxes"] == [[0.125, 0.2, 0.25, 0.4]] and album["photos"][0]["width"] == 400
    assert [p["taken"][:4] for p in api.album(session, who | {"year": "2012", "offset": "1", "limit": "1"})["photos"]] == ["2012"]
    with pytest.raises(InputError, match="who is there no more"):
        api.album(session, {"id": "p-00000000"})


def test_a_date_of_birth_gives_ages_and_is_undone(session: Session) -> None:
    who = largest(session)
    session.act({"act": "born", "person": who, "date": "2012-03-01"})
    found = api.person(session, {"id": who, "order": "date"})
    assert found["person"]["born"] == "2012-03-01"
    assert [(y["year"], y["ages"]) for y in found["years"]] == [
        (2012, "before the birth to 3 months"), (2013, "14 months"), (2015, "3 years"), (2020, "8 years"), (0, "")
    ]  # fmt: skip
    assert found["faces"][0]["age"] == "before the birth" and found["faces"][-1]["age"] == ""
    assert api.album(session, {"id": who})["photos"][-3]["age"] == "8 years"
    said = api.history(session, {})["decisions"][0]
    assert (said["act"], said["date"]) == ("born", "2012-03-01")
    other = api.people(session, {})["people"][1]["id"]
    assert api.person(session, {"id": other})["person"]["born"] == "" and read_current_people(session.store)[0].births == {0: "2012-03-01"}
    session.act({"act": "born", "person": who, "date": ""})
    assert api.person(session, {"id": who})["person"]["born"] == ""
    session.act({"act": "undo"})
    assert api.person(session, {"id": who})["person"]["born"] == "2012-03-01"


@pytest.mark.parametrize("wrong", ["yesterday", "2012-02-30", "9999-01-01", None, 7])
def test_what_is_no_date_makes_no_decision(session: Session, wrong: object) -> None:
    with pytest.raises(InputError):
        session.act({"act": "born", "person": largest(session), "date": wrong})
    assert read(session.store).decisions == []
