"""A journal that was lost, or cut off: no grouping takes the names of the current run away, and check writes them into it again."""

from __future__ import annotations

from pathlib import Path

import pytest
from people_store import add, call, people, refused

from facecluster.check import check
from facecluster.decisions import FILE, read
from facecluster.people import current_run, read_current_people, read_people
from facecluster.people.lost_names import lost_people
from facecluster.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Four people: Anna, Bert, one who is ignored, and one of whom nothing was said."""
    store = Store(str(tmp_path / "store"))
    store.create()
    add(store, "00000", people((9, 7, 5, 4), noise=0.5)[0])
    call("cluster", store.url)
    ids = read_current_people(store)[0].people.person_ids
    call("name", store.url, ids[0], "Anna")
    call("name", store.url, ids[1], "Bert")
    call("ignore", store.url, ids[2])
    call("cluster", store.url)
    return store


def known(store: Store) -> list[tuple[str | None, bool]]:
    """Names, and who is ignored, of the current run."""
    run = current_run(store)
    assert run is not None
    people = read_people(store, run)
    return sorted(zip(map(str, people.names), people.ignored, strict=True))


def problems(store: Store) -> list[str]:
    """What check finds in the journal."""
    return [finding.problem for finding in check(store).findings if finding.path == FILE]


@pytest.mark.parametrize("lines", [0, 1])
def test_a_journal_that_was_lost(store: Store, lines: int) -> None:
    """Without the first line only Anna's name was in it."""
    before, journal = known(store), Path(store.path(FILE)).read_bytes().splitlines(keepends=True)
    assert before == [("Anna", False), ("Bert", False), ("None", False), ("None", True)]
    Path(store.path(FILE)).write_bytes(b"".join(journal[:lines]))
    said = refused("cluster", store.url)
    assert "found nothing of" in said and ("Anna" in said) == (lines == 0) and "Bert" in said and "check" in said
    assert known(store) == before
    assert len(problems(store)) == 1 and "Bert" in problems(store)[0]
    assert FILE in check(store, mend=True).repaired and problems(store) == []
    assert len(read(store).decisions) == 3  # what was still there, and not twice
    call("cluster", store.url)
    assert known(store) == before
    assert FILE not in check(store, mend=True).repaired


def test_a_journal_that_is_put_back(store: Store) -> None:
    before, journal = known(store), Path(store.path(FILE)).read_bytes()
    Path(store.path(FILE)).unlink()
    refused("cluster", store.url)
    Path(store.path(FILE)).write_bytes(journal)
    call("cluster", store.url)
    assert known(store) == before and problems(store) == []


def test_what_the_user_took_back_is_not_lost(store: Store) -> None:
    ids = read_current_people(store)[0].people.person_ids
    call("name", store.url, ids[0], "")
    call("undo", store.url, read(store).decisions[1].id[:8])  # Bert's name
    run = current_run(store)
    assert run is not None
    assert lost_people(read_people(store, run), read(store).decisions) == []
    call("cluster", store.url)
    assert known(store) == [("None", False)] * 3 + [("None", True)]


def test_who_was_forgotten_is_not_lost(store: Store) -> None:
    call("forget", store.url, "Anna", "--yes")
    assert problems(store) == []
    call("cluster", store.url)
    assert known(store) == [("Bert", False), ("None", False), ("None", True)]


def test_an_earlier_run_without_names_begins_anew(store: Store) -> None:
    """The way for who has thrown the journal away on purpose."""
    Path(store.path(FILE)).unlink()
    call("cluster", store.url, "--return-to", "1")
    call("cluster", store.url)
    assert known(store) == [("None", False)] * 4
