"""runs/people.csv, with which people.csv is compared, is missing or damaged: no name that was given since is taken back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from people_store import add, call, people

from facecluster.people import read_current_people
from facecluster.store import Store


@pytest.mark.parametrize("what", ["gone", "empty", "half", "a line", "zeros"])
def test_names_given_since_stay_and_what_was_typed_counts(tmp_path: Path, what: str) -> None:
    store = Store(str(tmp_path / "store"))
    store.create()
    add(store, "00000", people((9, 7, 5), noise=0.5)[0])
    call("cluster", store.url)
    ids = read_current_people(store)[0].people.person_ids
    call("name", store.url, ids[0], "Anna")
    call("cluster", store.url)
    call("name", store.url, ids[0], "Ann")
    mine, copy = Path(store.path("people.csv")), Path(store.path("runs", "people.csv"))
    mine.write_bytes(mine.read_bytes().replace(f"{ids[0]},Ann,".encode(), f"{ids[0]},Anna,".encode()))  # saved over the newer one
    mine.write_bytes(mine.read_bytes().replace(f"{ids[1]},,".encode(), f"{ids[1]},Bert,".encode()))  # typed by the user
    assert b",Anna," in mine.read_bytes() and b",Bert," in mine.read_bytes()
    size = copy.stat().st_size
    if what == "gone":
        copy.unlink()
    elif what == "zeros":
        copy.write_bytes(copy.read_bytes()[: size // 2] + bytes(size - size // 2))
    else:
        os.truncate(copy, {"empty": 0, "half": size // 2, "a line": copy.read_bytes().index(b"\n") + 1}[what])
    call("cluster", store.url)
    assert read_current_people(store)[0].people.names == ["Ann", "Bert", None]
    assert copy.read_bytes() == mine.read_bytes()
