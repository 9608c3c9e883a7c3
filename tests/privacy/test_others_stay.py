"""After any decisions and any forgetting, all others keep id, name, whether they are ignored, and faces; also after the next grouping."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import numpy as np
import pytest
from people_store import add, add_boxes, call, people, refused

from facecluster.decisions import Decision, append, read
from facecluster.errors import InputError
from facecluster.people import CurrentPeople, read_current_people
from facecluster.privacy import forget
from facecluster.store import Store

Everybody = dict[str, tuple[str | None, bool, frozenset[str]]]


def everybody(store: Store) -> Everybody:
    """Name, whether ignored, and faces of each person by lasting id."""
    known = read_current_people(store)[0]
    return {
        person: (known.people.names[i], known.people.ignored[i], frozenset(members(known, i)))
        for i, person in enumerate(known.people.person_ids)
    }


def members(known: CurrentPeople, person: int) -> list[str]:
    return [known.faces.ids[row] for row in np.flatnonzero(known.faces.identity == person).tolist()]


def decide(store: Store, rng: random.Random) -> None:
    """One random decision, or a grouping; what can't be said is not."""
    known = read_current_people(store)[0]
    count, journal = len(known.people.faces), read(store).decisions
    person, act = rng.randrange(count), rng.choice(["name", "name", "merge", "split", "same", "not-same", "ignore", "undo", "cluster"])
    mine = members(known, person)
    with contextlib.suppress(InputError):
        if act == "name":
            append(store, [known.name(person, rng.choice(["Ada", "Bob", "Cy", "Dora", "Eve", "Fay", "", "Gus"]))])
        elif act == "merge":
            append(store, [known.merge(person, rng.randrange(count))])
        elif act == "split":
            append(store, [known.split(person, rng.sample(mine, rng.randint(1, max(1, len(mine) - 1))))])
        elif act in ("same", "not-same"):
            append(store, [known.link(act, rng.sample(list(known.faces.ids), 2))])
        elif act == "ignore":
            append(store, [known.ignore(person)])
        elif act == "undo" and journal:
            append(store, [Decision(act="undo", of=rng.choice(journal).id)])
        elif act == "cluster":
            call("cluster", store.url)


@pytest.mark.parametrize("seed", [1, 19, 114])  # of hundreds, those that found a fault
def test_others_keep_id_name_and_faces(tmp_path: Path, seed: int) -> None:
    rng, store = random.Random(seed), Store(str(tmp_path / "store"))
    store.create()
    vectors, _ = people([rng.randint(2, 9) for _ in range(6)], noise=0.6, seed=seed)
    ids = add(store, "00000", vectors)
    add_boxes(store, "00000", ids, np.tile([10.0, 10, 50, 50], (len(ids), 1)))
    call("cluster", store.url)
    for _ in range(rng.randint(4, 14)):
        decide(store, rng)
    call("cluster", store.url)
    before, kind = everybody(store), rng.choice(["person", "person", "face", "faces", "photo"])
    if kind == "person":
        who = [rng.choice(list(before))]
        gone = set(before[who[0]][2])
    else:
        who = rng.sample(ids, rng.randint(2, 8) if kind == "faces" else 1)
        gone = set(who)
        who = [f"/photos/{ids.index(who[0])}.jpg"] if kind == "photo" else who
    forget(store, who)
    expected = {person: (name, ignored, faces - gone) for person, (name, ignored, faces) in before.items() if faces - gone}
    assert everybody(store) == expected
    journal = Path(store.url, "decisions.jsonl").read_text(encoding="utf-8")
    assert not any(face in journal for face in gone)
    call("cluster", store.url)
    again = everybody(store)
    stay = {person: facts for person, facts in expected.items() if len(facts[2]) > 1}  # one face alone is nobody
    assert {person: again[person][:2] for person in stay} == {person: facts[:2] for person, facts in stay.items()}
    assert all(faces <= again[person][2] for person, (_, _, faces) in stay.items())


def test_words_that_mean_nothing_or_too_much_are_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.create()
    ids = add(store, "00000", people([3, 3])[0])
    assert "never grouped" in refused("forget", store.url, "Ada", "--yes")
    call("cluster", store.url)
    call("name", store.url, ids[0], "/photos/1.jpg")
    assert "which is both" in refused("forget", store.url, "/photos/1.jpg", "--yes")
    assert "found none" in refused("forget", store.url, "--yes")
    assert "nobody's name" in refused("forget", store.url, "Ada", "--yes")
    assert "does not know" in refused("forget", store.url, "/photos/99.jpg", "--yes")
    assert "no face has" in refused("forget", store.url, f"{24 * 'a'}-0000", "--yes")
    assert "give one of them" in refused("forget", store.url, "Ada", "--yes", "--dry-run")
    assert len(everybody(store)) == 2
