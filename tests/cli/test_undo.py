"""undo names a decision by its id or a beginning of it that can't be a number."""

from __future__ import annotations

from pathlib import Path

import people_store as syn
from people_store import call, refused

from facecluster.decisions import active, read


def test_a_digit_is_no_beginning_of_an_id(tmp_path: Path) -> None:
    store, _, _ = syn.ungrouped_store(tmp_path, [6, 5])
    call("cluster", store.url)
    call("name", store.url, "1", "Anna")
    (made,) = read(store).decisions
    for short in (made.id[0], made.id[:3]):
        assert "4 or more digits of a decision's id" in refused("undo", store.url, short)
    assert active(read(store).decisions) == [made]
    call("undo", store.url, made.id[:4])
    assert active(read(store).decisions) == []
