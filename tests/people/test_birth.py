"""Dates of birth: given, taken away, undone, kept over runs and by merges, and the ages that follow from them."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import people_store as syn
import pytest
from hypothesis import given
from hypothesis import strategies as st
from people_store import call, refused

from facecluster.check import check
from facecluster.decisions import BORN, Decision, append, read
from facecluster.decisions.birth import is_birth, months_old, read_birth
from facecluster.errors import InputError
from facecluster.people import decisions_to_come, read_current_people
from facecluster.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(str(tmp_path / "store"))
    made.create()
    vectors, _ = syn.people([6, 5, 4, 3], noise=0.5)
    syn.add(made, "00000", vectors)
    call("cluster", made.url)
    for number, name in enumerate(("Ada", "Bob", "Cy"), 1):
        call("name", made.url, str(number), name)
    return made


def births(store: Store) -> dict[str, str]:
    """By name, or else by lasting id."""
    known = read_current_people(store)[0]
    return {known.people.names[i] or known.people.person_ids[i]: day for i, day in known.births.items()}


def test_a_date_is_given_changed_taken_away_and_undone(store: Store) -> None:
    said = call("born", store.url, "Ada", "2012-05-03").output
    assert "Ada (p-" in said and "was born on 2012-05-03; 'facecluster undo" in said
    call("born", store.url, "2", "1977-06-05")
    assert births(store) == {"Ada": "2012-05-03", "Bob": "1977-06-05"}
    call("born", store.url, "Ada", "2012-05-04")
    assert births(store)["Ada"] == "2012-05-04"
    assert "no date of birth any more" in call("born", store.url, "Ada", "--unknown").output and "Ada" not in births(store)
    assert "born unknown" in call("undo", store.url).output and births(store)["Ada"] == "2012-05-04"
    call("undo", store.url)
    assert births(store)["Ada"] == "2012-05-03"
    assert "born 2012-05-03" in call("undo", store.url, "--list").output
    assert {f.path.partition("/")[0] for f in check(store).findings} == {"faces"}  # of which this store has vectors alone


def test_a_date_moves_no_face_and_stays_over_runs_merges_and_splits(store: Store) -> None:
    call("cluster", store.url)
    before = read_current_people(store)[0].faces.identity.tolist()
    call("born", store.url, "Ada", "2012-05-03")
    call("born", store.url, "Cy", "1990-01-31")
    assert decisions_to_come(store) == []
    call("cluster", store.url, "--full")
    assert read_current_people(store)[0].faces.identity.tolist() == before
    assert births(store) == {"Ada": "2012-05-03", "Cy": "1990-01-31"}
    known = read_current_people(store)[0]
    fourth = known.people.person_ids[3]
    call("merge", store.url, fourth, "Cy")  # who was born then is part of another now
    call("cluster", store.url)
    assert births(store) == {"Ada": "2012-05-03", "Cy": "1990-01-31"} and len(read_current_people(store)[0].people.faces) == 3
    known = read_current_people(store)[0]
    mine = [face for face, group in zip(known.faces.ids, known.faces.identity, strict=True) if group == known.find("Ada")]
    call("split", store.url, "Ada", *mine[:2])
    call("cluster", store.url)
    assert births(store) == {"Ada": "2012-05-03", "Cy": "1990-01-31"}


def test_what_is_no_date_is_one_line_and_nothing_is_written(store: Store, tmp_path: Path) -> None:
    lines = len(read(store).decisions)
    tomorrow = (date.today() + timedelta(days=1)).isoformat()
    for wrong in ("3.5.2012", "2012-13-01", "2012-02-30", "2012", "", "20120503", "1799-12-31", tomorrow, "2012-W10-1"):
        assert "expected a date of birth" in refused("born", store.url, "Ada", wrong), wrong
    assert "found neither" in refused("born", store.url, "Ada")
    assert "found both" in refused("born", store.url, "Ada", "2012-05-03", "--unknown")
    assert "nobody's name" in refused("born", store.url, "Zoe", "2012-05-03")
    table = tmp_path / "born.csv"
    table.write_text("person,born\nAda,2012-05-03\nBob,\nCy,yesterday\n")
    assert "line 4" in refused("born", store.url, "--csv", str(table)) and len(read(store).decisions) == lines
    table.write_text("person,born\nAda,2012-05-03\nBob,\nCy,1990-01-31\n")
    assert "2 decisions" in call("born", store.url, "--csv", str(table)).output
    assert births(store) == {"Ada": "2012-05-03", "Cy": "1990-01-31"}


def test_a_line_with_an_impossible_date_is_skipped_with_a_note(store: Store) -> None:
    known = read_current_people(store)[0]
    append(store, [known.born(0, "2012-05-03")])
    path = Path(store.path("decisions.jsonl"))
    line = path.read_text(encoding="utf-8").splitlines()[-1]
    for i, wrong in enumerate(('"2012-02-30"', "null", "7", '"<b>"')):
        with path.open("a", encoding="utf-8") as file:
            file.write(line.replace('"2012-05-03"', wrong).replace(json.loads(line)["id"], f"{i:08x}") + "\n")
    journal = read(store)
    assert len(journal.notes) == 4 and births(store) == {"Ada": "2012-05-03"}
    assert [d.date for d in journal.decisions if d.act == BORN] == ["2012-05-03"]
    written = json.loads(Decision(act=BORN, faces=("x",), date="").to_line())
    assert {key: value for key, value in written.items() if key != "sum"} == {"id": "", "at": "", "act": "born", "date": "", "faces": ["x"]}


days = st.dates(date(1800, 1, 1), date(2200, 1, 1))


@given(days, days)
def test_months_are_full_ones(born: date, day: date) -> None:
    months = months_old(born.isoformat(), f"{day.isoformat()}T23:59:59")

    def after(count: int) -> date:
        """The birthday after so many months, or the day after it in a month that has none."""
        year, month = divmod(born.year * 12 + born.month - 1 + count, 12)
        try:
            return date(year, month + 1, born.day)
        except ValueError:
            return date(year + (month == 11), (month + 1) % 12 + 1, 1)

    assert after(months) <= day < after(months + 1)


def test_only_days_are_dates_of_birth() -> None:
    assert read_birth(" 2012-05-03 ") == "2012-05-03" and is_birth("") and is_birth("2012-02-29") and not is_birth("2013-02-29")
    with pytest.raises(InputError, match="to today, found 2012-05-03"):
        read_birth("2012-05-03", today=date(2012, 5, 2))
    assert months_old("2012-05-31", "2012-06-30") == 0 and months_old("2012-05-03", "2012-05-02") == -1
