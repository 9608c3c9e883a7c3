"""Forgetting: every byte of the store is searched for what must be gone; those who stay keep name and id; killed anywhere, it goes on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from full_store import BORN, NAMES, SIZES, Full, build, contents, forms, needles_of, uri, where
from people_store import add, call, photo_id, refused

import facecluster
from facecluster.errors import StoreError
from facecluster.export.output_folder import OutputFolder
from facecluster.people import read_current_people
from facecluster.photos.places import drop_places
from facecluster.privacy import forget
from facecluster.privacy.files import change_people_csv
from facecluster.privacy.forget_plan import ForgetPlan
from facecluster.privacy.places import is_known
from facecluster.store import Store


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Full:
    return build(tmp_path_factory.mktemp("full"))


@pytest.fixture
def full(built: Full, tmp_path: Path) -> Full:
    """A copy of the store of its own."""
    shutil.copytree(built.store.url, tmp_path / "store")
    return replace(built, store=Store(str(tmp_path / "store")))


def known_people(store: Store) -> dict[str, tuple[str | None, tuple[bool, str | None], frozenset[str]]]:
    """Name, whether ignored and when born, and faces of each person by lasting id."""
    known = read_current_people(store)[0]
    ids, groups = np.array(known.faces.ids), known.faces.identity
    return {
        person: (known.people.names[i], (known.people.ignored[i], known.births.get(i)), frozenset(ids[groups == i].tolist()))
        for i, person in enumerate(known.people.person_ids)
    }


def faces_of(full: Full, person: int) -> list[int]:
    return np.flatnonzero(full.truth == person).tolist()


def test_nothing_of_a_forgotten_person_is_found_in_any_byte(full: Full) -> None:
    root, mine, others = Path(full.store.url), faces_of(full, 0), [i for i in range(len(full.ids)) if full.truth[i]]
    before = known_people(full.store)
    ada = next(person for person, (name, _, _) in before.items() if name == NAMES[0])
    needles = needles_of(full, mine)
    needles |= {"name": forms(NAMES[0]) + forms("Countess of Lovelace"), "id": forms(ada), "born": forms(BORN[0])}
    for what, some in needles.items():  # the search finds each of them while it is there
        assert len(where(root, some)) > (1 if what == "born" else 2), what
    held = where(root, needles["crop"] + needles["vector"])
    assert all(any(place in name for name in held) for place in ("index/", "report/", "dataset/", "faces/", ".tmp", "embeddings/other"))
    planned = json.loads(call("forget", full.store.url, NAMES[0], "--json").output)
    receipt = json.loads(call("forget", full.store.url, NAMES[0], "--yes", "--json").output)
    assert planned["dry_run"] and (planned["left"], planned["removed"]) == (receipt["left"], receipt["removed"])
    left = {what: where(root, some) for what, some in needles.items()}
    assert left == {what: ["note of the user.txt"] if what == "name" else [] for what in needles}
    assert receipt["left"] == ["note of the user.txt"]
    assert receipt["forgotten"] == {"people": 1, "faces": SIZES[0], "photos": 0}
    assert [copy["where"] for copy in receipt["copies"]] == [str(full.elsewhere)]
    assert where(root, needles_of(full, others)["crop"]), "those who stay are there"
    assert all(is_known(name) for name, _ in contents(root) if " " not in name), "the list of places knows every file"
    assert known_people(full.store) == {person: facts for person, facts in before.items() if person != ada}
    for again in ([], ["--full"]):
        call("cluster", full.store.url, *again)
        assert known_people(full.store) == {person: facts for person, facts in before.items() if person != ada}
    for command in ("report", "questions"):
        call(command, full.store.url)
    assert {what: where(root, some) for what, some in needles.items()} == left
    assert len(facecluster.open(full.store.url).faces) == len(others)


def test_nothing_of_a_forgotten_photo_is_found_in_any_byte(full: Full) -> None:
    root, photo = Path(full.store.url), faces_of(full, 0)[0]
    before = known_people(full.store)
    needles = needles_of(full, [photo]) | {"path": forms(uri(photo)), "photo_id": forms(photo_id(photo)[:32])}
    assert all(len(where(root, some)) > 1 for some in needles.values())
    shown = call("forget", full.store.url, uri(photo)).output  # a dry run
    assert "1 face, 1 photo would be forgotten" in shown and str(full.elsewhere) in shown
    assert len(where(root, needles["path"])) > 3, "the dry run changes nothing"
    call("forget", full.store.url, uri(photo), "--yes")
    assert {what: where(root, some) for what, some in needles.items()} == {what: [] for what in needles}
    now = known_people(full.store)
    assert now == {p: (name, ignored, ids - {full.ids[photo]}) for p, (name, ignored, ids) in before.items()}
    for again in ([], ["--full"]):
        call("cluster", full.store.url, *again)
        assert known_people(full.store) == now
    assert "/photos/Gr" in (root / "dedup" / "undo-20260101-000000.jsonl").read_text(), "the undo file keeps the other photo"
    assert not (root / "dedup" / "plan.csv").exists()


def test_files_of_an_export_into_the_store_that_was_stopped_are_forgotten(full: Full) -> None:
    folder = Path(full.store.url, "export")
    stopped = OutputFolder(str(folder), "xmp")
    for name in ("a.xmp", "b.xmp"):
        stopped.write(name, NAMES[0].encode())
    (folder / "b.xmp").write_bytes(b"the user's now")
    call("forget", full.store.url, NAMES[0], "--yes")
    assert [path.name for path in folder.iterdir()] == ["b.xmp"]


def test_names_dates_and_ignorings_stay_when_all_faces_that_a_decision_named_are_forgotten(full: Full) -> None:
    """Dora's name was said of her four faces; two that came later are all that stays."""
    store, dora = full.store, faces_of(full, 3)
    vectors = np.asarray(full.vectors["bundled"][dora[:2]], np.float32) + np.float32(0.02)
    more = add(store, "00001", vectors / np.linalg.norm(vectors, axis=1, keepdims=True), start=500)
    call("cluster", store.url)
    before = known_people(store)
    person = next(p for p, (name, _, _) in before.items() if name == "Dora")
    assert before[person][2] == {full.ids[i] for i in dora} | set(more)
    call("ignore", store.url, "Dora")
    call("born", store.url, full.ids[dora[0]], "1990-02-28")
    call("forget", store.url, *(full.ids[i] for i in dora), "--yes")
    expected = before | {person: ("Dora", (True, "1990-02-28"), frozenset(more))}
    assert known_people(store) == expected
    call("cluster", store.url, "--full")
    assert known_people(store) == expected
    journal = Path(store.url, "decisions.jsonl").read_text(encoding="utf-8")
    assert not any(full.ids[i] in journal for i in dora)


def test_faces_of_the_person_that_no_run_shows_any_more_are_forgotten_too(full: Full) -> None:
    """A pruned photo's face is in no run now, but its crop and vector are in the store."""
    store, mine = full.store, faces_of(full, 0)
    gone = mine[-2:]
    drop_places(store, [uri(i) for i in gone], by_user=True)
    call("cluster", store.url)
    assert not {full.ids[i] for i in gone} & set().union(*(faces for _, _, faces in known_people(store).values()))
    call("forget", store.url, NAMES[0], "--yes")
    needles = needles_of(full, mine)
    assert {what: where(Path(store.url), some) for what, some in needles.items()} == {what: [] for what in needles}


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16"])
def test_user_rows_and_columns_of_people_csv_stay(full: Full, coding: str) -> None:
    path = Path(full.store.url, "people.csv")
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    edited = [line + (";born" if i == 0 else f";{1900 + i}") for i, line in enumerate(line.replace(",", ";") for line in lines)]
    edited = [line.replace("Bob Ärger", "Robert") for line in edited]
    path.write_text("\n".join(edited) + "\n", encoding=coding)
    call("forget", full.store.url, NAMES[0], "--yes")
    kept = [line for line in edited if NAMES[0] not in line]
    assert len(kept) == len(edited) - 1 and path.read_text(encoding=coding).splitlines() == kept
    call("cluster", full.store.url)
    assert {name for name, _, _ in known_people(full.store).values()} == {"Robert", "Cy", "Dora"}


def test_a_name_with_an_apostrophe_goes_however_the_table_was_saved(tmp_path: Path) -> None:
    """facecluster writes one more before it; a user who types the name does not."""
    store = Store(str(tmp_path / "store"))
    store.create()
    for cell in ("'t Hooft", "''t Hooft"):
        store.write_bytes(f"person_id,name\np-1,{cell}\np-2,Bob\n".encode(), "people.csv")
        assert change_people_csv(store, "people.csv", ForgetPlan(names=["'t Hooft"]), True) == 1
        assert store.read_bytes("people.csv") == b"person_id,name\np-2,Bob\n"


def test_what_was_said_since_the_last_grouping_is_told(full: Full) -> None:
    """A person is the group of the last grouping: who was merged into it since is another one."""
    call("cluster", full.store.url)
    assert "since the last grouping" not in call("forget", full.store.url, NAMES[0]).stderr
    call("merge", full.store.url, NAMES[0], NAMES[1])
    for words in ([], ["--yes"]):
        assert "1 decision since the last grouping (merge) will count after" in call("forget", full.store.url, NAMES[0], *words).stderr


STOPS = int(os.environ.get("FACECLUSTER_STOPS", "4"))  # of all writes and deletions, those before which a forgetting is stopped


class Stop(BaseException):
    """Ends a forgetting as a kill does, as far as files go."""


def stopping(monkeypatch: pytest.MonkeyPatch, after: int) -> Callable[[], int]:
    """Stop before the write or deletion with this number; gives how many there were."""
    count = 0

    def step(do: Callable[..., object]) -> Callable[..., object]:
        def run(*args: object, **options: object) -> object:
            nonlocal count
            count += 1
            if count == after:
                raise Stop
            return do(*args, **options)

        return run

    for owner, name in ((Store, "write_bytes"), (os, "unlink"), (os, "remove"), (os, "rmdir"), (os, "replace")):
        monkeypatch.setattr(owner, name, step(getattr(owner, name)))
    return lambda: count


def state(root: Path) -> dict[str, bytes]:
    """All files but receipts and locks; of the run that counts its time."""
    return {name: data for name, data in contents(root) if "receipt-" not in name and not name.endswith(".lock")}


def test_killed_at_any_write_and_run_again_it_ends_as_if_it_had_not_been(built: Full, tmp_path: Path) -> None:
    """Also what is asked again, which is unknown by then, is taken for done; other commands do not begin before it is finished."""

    def start(name: str) -> Store:
        shutil.copytree(built.store.url, tmp_path / name)
        return Store(str(tmp_path / name))

    def go(store: Store, after: int = 0) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "urandom", lambda n: b"s" * n)  # one salt
            steps = stopping(patch, after)
            try:
                forget(store, who)
            except Stop:
                pass
            return steps()

    who = ["Bob Ärger", uri(0)]
    whole = start("whole")
    total, expected = go(whole), state(Path(whole.url))
    assert total > 40
    for after in np.unique(np.linspace(1, total, STOPS).astype(int)).tolist():
        store = start(f"at {after}")
        go(store, after)
        if store.exists("forgetting.json"):
            with pytest.raises(StoreError, match="half forgotten"):
                store.lock()
            assert "--yes" in refused("forget", store.url, *who)
        receipts = forget(store, who if after % 2 else []) if store.exists("forgetting.json") else [go(store)]
        assert len(receipts) == 1
        assert state(Path(store.url)) == expected, after
        shutil.rmtree(store.url)
