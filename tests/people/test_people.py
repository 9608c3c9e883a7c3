"""People keep their ids and names over runs, settings, models and new photos; changes are told before a run is saved; runs are kept."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import people_store as syn
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people_store import call, refused

import facecluster
from facecluster.calibrate import StoreCalibration, write_calibration
from facecluster.calibrate.logistic import Line
from facecluster.decisions import FILE, Decision, append, read
from facecluster.grouping.identify import IdentifyConfig
from facecluster.models.registry import card_of
from facecluster.people import all_runs, current_run, read_current_people, read_people
from facecluster.people.assign_ids import match_groups
from facecluster.people.face_ids import track_faces
from facecluster.store import Store

SIZES = [14, 12, 10, 9, 8, 7, 6, 5, 4, 3, 3, 2, 1, 1, 1]


def by_person(store: Store) -> dict[str, set[str]]:
    """face_ids by lasting id."""
    known, _, _ = read_current_people(store)
    found: dict[str, set[str]] = {person: set() for person in known.people.person_ids}
    for face, group in zip(known.faces.ids, known.faces.identity.tolist(), strict=True):
        if group >= 0:
            found[known.people.person_ids[group]].add(face)
    return found


def names(store: Store) -> dict[str, set[str]]:
    """face_ids by name."""
    known = read_current_people(store)[0].people
    faces = by_person(store)
    return {name: faces[person] for name, person in zip(known.names, known.person_ids, strict=True) if name}


def tree(store: Store) -> dict[str, tuple[bytes, int]]:
    root = Path(store.url)
    return {p.relative_to(root).as_posix(): (p.read_bytes(), p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}


def churn(store: Store, *options: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(call("cluster", store.url, "--json", *options).stdout)["churn"]
    return found


@pytest.fixture
def grouped(tmp_path: Path) -> tuple[Store, list[str], np.ndarray]:
    """A grouped store, its face_ids and the person of each face. The default settings find all people."""
    store, ids, truth = syn.ungrouped_store(tmp_path, SIZES, noise=0.7)
    call("cluster", store.url)
    assert sorted(map(len, by_person(store).values())) == sorted(n for n in SIZES if n > 1)
    return store, ids, truth


Grouped = tuple[Store, list[str], np.ndarray]


def faces_of(grouped: Grouped, person: int) -> list[str]:
    return [face for face, who in zip(grouped[1], grouped[2].tolist(), strict=True) if who == person]


def test_names_show_at_once_and_stay_with_their_people(grouped: Grouped) -> None:
    store = grouped[0]
    before = by_person(store)
    for i in range(6):
        call("name", store.url, faces_of(grouped, i)[0], f"Name {i}")
    assert names(store) == {f"Name {i}": set(faces_of(grouped, i)) for i in range(6)}
    call("cluster", store.url)
    assert names(store) == {f"Name {i}": set(faces_of(grouped, i)) for i in range(6)} and by_person(store) == before
    run = current_run(store)
    assert run is not None and run.number == 2
    stored = store.read_all("runs/00002/people", read_people(store, run).table().schema)
    assert {n for n in stored["name"].to_pylist() if n} == {f"Name {i}" for i in range(6)}


@pytest.mark.parametrize("options", [("--margin", "2.5"), ("--margin", "-2"), ("--margin", "1.5")])
def test_names_and_ids_survive_other_settings_and_the_return_to_the_first(tmp_path: Path, options: tuple[str, ...]) -> None:
    """With this noise the settings change many groups."""
    store, ids, truth = syn.ungrouped_store(tmp_path, [20, 18, 15, 12, 10, 9, 8, 7, 6, 5, 4, 3], noise=1.3)
    call("cluster", store.url)
    known = read_current_people(store)[0]
    for i, person in enumerate(known.people.person_ids[:8]):
        call("name", store.url, person, f"Name {i}")
    call("cluster", store.url)
    before, called = by_person(store), names(store)
    assert set(called) == {f"Name {i}" for i in range(8)}
    assert churn(store, *options)["lost_names"] == []
    assert by_person(store) != before
    for name, faces in names(store).items():  # the name did not move to another person's faces
        assert 2 * len(faces & called.pop(name)) > len(faces)
    assert called == {}
    call("cluster", store.url)
    assert by_person(store) == before


def test_names_survive_another_model(grouped: Grouped, tmp_path: Path) -> None:
    """The other vectors are a random rotation of twice the dimension, with noise of their own."""
    store, ids, truth = grouped
    for i in range(9):
        call("name", store.url, faces_of(grouped, i)[0], f"Name {i}")
    before = by_person(store)
    rng = np.random.default_rng(7)
    x, _ = syn.people(SIZES, 0.7)
    rotated = np.c_[x, np.zeros_like(x)] @ np.linalg.qr(rng.normal(size=(256, 256)))[0] + 0.03 * rng.normal(size=(len(x), 256))
    rotated /= np.linalg.norm(rotated, axis=1, keepdims=True)
    syn.add(store, "00000", rotated, model="other", photos=False)
    card = syn.other_card(tmp_path)
    found = churn(store, "--model", card)
    assert found["lost_names"] == [] and set(names(store)) == {f"Name {i}" for i in range(9)}
    assert current_run(store).model == "other"  # type: ignore[union-attr]
    after = by_person(store)
    assert sum(after.get(person) == faces for person, faces in before.items()) >= len(before) - 1


def test_a_name_belongs_to_no_person_without_most_of_its_faces(grouped: Grouped) -> None:
    """The name's faces lie half in one group and half in another."""
    store, ids, truth = grouped
    call("name", store.url, faces_of(grouped, 0)[0], "Ada")
    lines = Path(store.path(FILE)).read_text(encoding="utf-8")
    row = json.loads(lines)
    row["faces"] = faces_of(grouped, 3)[:4] + faces_of(grouped, 4)[:4]
    Path(store.path(FILE)).write_text(json.dumps({k: v for k, v in row.items() if k not in ("person", "boxes")}), encoding="utf-8")
    row = read_current_people(store)
    assert not any(row[0].people.names) and any("'Ada' belongs to no person" in note for note in row[2])


def test_merge_split_same_and_not_same(grouped: Grouped) -> None:
    store = grouped[0]
    ids = {i: read_current_people(store)[0].find(faces_of(grouped, i)[0]) for i in range(9)}
    person = [read_current_people(store)[0].people.person_ids[ids[i]] for i in range(9)]
    call("name", store.url, person[0], "Ada")
    call("name", store.url, person[1], "Bob")
    said = call("merge", store.url, "ada", "Bob", str(ids[2] + 1)).output  # a number means nobody once there is another run
    assert said.startswith(f"Bob ({person[1]}) and {person[2]} will be Ada ({person[0]})")
    call("split", store.url, person[3], *faces_of(grouped, 3)[:4])
    call("same", store.url, faces_of(grouped, 4)[0], faces_of(grouped, 5)[0])
    call("not-same", store.url, faces_of(grouped, 6)[0], faces_of(grouped, 6)[1])
    result = call("cluster", store.url)
    assert "note" not in result.stderr
    faces = by_person(store)
    assert names(store) == {"Ada": {*faces_of(grouped, 0), *faces_of(grouped, 1), *faces_of(grouped, 2)}} and person[0] in faces
    assert {*faces_of(grouped, 3)[:4]} in faces.values() and {*faces_of(grouped, 3)[4:]} == faces[person[3]]
    assert {*faces_of(grouped, 4), *faces_of(grouped, 5)} in faces.values()
    assert not any({*faces_of(grouped, 6)[:2]} <= group for group in faces.values())
    for _ in range(len(read(store).decisions)):
        if "undone" not in call("undo", store.url).stdout:
            break
        if not call("undo", store.url, "--list").stdout:
            break
    call("cluster", store.url)
    assert sorted(map(sorted, by_person(store).values())) == sorted(sorted(faces_of(grouped, i)) for i in range(12))
    assert "none in effect" in refused("undo", store.url)


def test_names_of_an_exported_table_are_read_as_they_were(grouped: Grouped, tmp_path: Path) -> None:
    """A name that a spreadsheet could run has an apostrophe before it there, which is none of the name."""
    store = grouped[0]
    told = ["=HYPERLINK(\"x\")", "@home", "'t Hooft", "'-- (unknown)", "-"]
    for i, name in enumerate(told):
        call("name", store.url, faces_of(grouped, i)[0], name)
    call("cluster", store.url)
    call("export", store.url, "--format", "csv", "-o", str(tmp_path / "out"))
    before = names(store)
    assert "'=HYPERLINK" in (tmp_path / "out" / "people.csv").read_text(encoding="utf-8")
    call("name", store.url, "--csv", str(tmp_path / "out" / "people.csv"))
    assert names(store) == before


def test_undo_of_a_file_and_of_an_undo(grouped: Grouped, tmp_path: Path) -> None:
    store = grouped[0]
    sheet = tmp_path / "names.csv"
    sheet.write_text("name;person\n" + "".join(f"Name {i};{faces_of(grouped, i)[0]}\n" for i in range(5)), encoding="utf-8")
    call("name", store.url, "--csv", str(sheet))
    assert len(names(store)) == 5
    batch = read(store).decisions[0].batch
    assert batch is not None
    call("undo", store.url, batch)
    assert names(store) == {}
    call("undo", store.url, read(store).decisions[-1].id)
    assert len(names(store)) == 5
    call("undo", store.url)
    assert len(names(store)) == 4


def test_a_csv_file_with_one_invalid_line_changes_nothing(grouped: Grouped, tmp_path: Path) -> None:
    store = grouped[0]
    sheet = tmp_path / "x.csv"
    good = faces_of(grouped, 0)
    for command, header, row, bad in (
        ("name", "person,name", f"{good[0]},Ada", "nobody,Bob"),
        ("merge", "person,other", f"{good[0]},{faces_of(grouped, 1)[0]}", f"{good[0]},{good[1]}"),
        ("split", "person,face_id", f"{good[0]},{good[1]}", f"{good[0]},{faces_of(grouped, 1)[0]}"),
        ("same", "face_a,face_b", f"{good[0]},{good[1]}", f"{good[0]},{good[0]}"),
        ("not-same", "face_a,face_b", f"{good[0]},{good[1]}", f"{good[0]},gone"),
        ("ignore", "person", good[0], "p-00000000"),
    ):
        sheet.write_text(f"{header}\n{row}\n{bad}\n", encoding="utf-8")
        before = tree(store)
        assert "line 3" in refused(command, store.url, "--csv", str(sheet))
        assert tree(store) == before
        sheet.write_text(f"{header}\n{row}\n", encoding="utf-8")
        call(command, store.url, "--csv", str(sheet))
        call("undo", store.url)


def test_find_the_person_that_a_text_means(grouped: Grouped) -> None:
    store = grouped[0]
    call("name", store.url, faces_of(grouped, 0)[0], "Ada Lovelace")
    call("name", store.url, faces_of(grouped, 1)[0], "Bob")
    call("name", store.url, faces_of(grouped, 2)[0], "bob")
    call("name", store.url, "ADA  lovelace", "Ada L.")
    assert set(names(store)) == {"Ada L.", "Bob"} or set(names(store)) == {"Ada L.", "bob"}
    assert "Ada L." in refused("name", store.url, "Ada M.", "x")
    assert "2 called" in refused("name", store.url, "BOB", "x")
    assert "nobody's id" in refused("ignore", store.url, "p-00000000")
    assert "belongs to nobody" in refused("ignore", store.url, faces_of(grouped, 13)[0])
    assert "both" in refused("name", store.url, "a", "b", "--csv", "c")
    call("cluster", store.url)
    assert {*faces_of(grouped, 1), *faces_of(grouped, 2)} in names(store).values()  # one name, one person


def test_a_person_is_called_by_number_or_without_accents_but_not_by_number_in_a_file(grouped: Grouped, tmp_path: Path) -> None:
    store = grouped[0]
    numbers = {row["person_id"]: row["number"] for row in json.loads(call("people", store.url, "--json").stdout)["people"]}
    ids = by_person(store)
    person = next(p for p, faces in ids.items() if faces == {*faces_of(grouped, 3)})
    assert person in call("name", store.url, f"Person {numbers[person]}", "Zoë Müller").stdout
    assert names(store) == {"Zoë Müller": {*faces_of(grouped, 3)}}
    for part in ("muller", "zoe"):  # a decision is about nobody by a part of the name; looking is
        assert f"(similar: Zoë Müller ({person}))" in refused("name", store.url, part, "x")
    assert call("show", store.url, "zoe").exit_code == 0
    call("name", store.url, "zoe muller", "Zoé")
    call("name", store.url, str(numbers[person]), "5")
    assert set(names(store)) == {"5"}
    call("name", store.url, "5", "Ann")  # a name comes before a number
    assert names(store) == {"Ann": {*faces_of(grouped, 3)}}
    file = tmp_path / "names.csv"
    file.write_text(f"person,name\n{numbers[person]},Bob\n", encoding="utf-8")
    assert "nobody's name" in refused("name", store.url, "--csv", str(file))


def test_the_list_of_people(grouped: Grouped) -> None:
    store = grouped[0]
    syn.add_boxes(store, "00000", grouped[1], np.tile(np.float32([0, 0, 60, 60]), (len(grouped[1]), 1)))
    call("name", store.url, faces_of(grouped, 2)[0], "Ann")
    call("ignore", store.url, faces_of(grouped, 1)[0])
    found = json.loads(call("people", store.url, "--json").stdout)
    assert [row["faces"] for row in found["people"]] == sorted((len(faces) for faces in by_person(store).values()), reverse=True)
    assert [row["name"] for row in json.loads(call("people", store.url, "--only", "named", "--json").stdout)["people"]] == ["Ann"]
    shown = call("people", store.url, "--order", "name", "--top", "2")
    assert "Ann" in shown.stdout.splitlines()[1] and "2 people; " in shown.stderr
    assert "(ignored)" in call("people", store.url, "--only", "ignored").stdout


def test_questions_leave_out_what_is_answered_and_who_is_ignored(tmp_path: Path) -> None:
    store, ids, _ = syn.ungrouped_store(tmp_path / "my people", [9, 8, 7, 6, 5, 4, 3, 3, 2, 2], noise=1.3)
    syn.add_boxes(store, "00000", ids, np.tile(np.float32([0, 0, 60, 60]), (len(ids), 1)))
    assert "run 'facecluster cluster \"" in refused("questions", store.url)
    call("cluster", store.url)
    found = json.loads(call("questions", store.url, "--json").stdout)
    asked = found["questions"]
    assert len(asked) > 2 and all(q["photo_a"] and q["photo_b"] for q in asked)
    first = asked[0]
    said = call("questions", store.url).stdout
    assert first["face_a"] in said and first["photo_a"] in said and "facecluster same" in said
    assert f"  person {found['people'][0]['number']}, {found['people'][0]['label']}: " in said  # the number that the report says
    call("not-same", store.url, first["face_a"], first["face_b"])
    pairs = [(q["face_a"], q["face_b"]) for q in json.loads(call("questions", store.url, "--json").stdout)["questions"]]
    assert (first["face_a"], first["face_b"]) not in pairs
    whom = next(q for q in asked if q["person_a"] and (q["face_a"], q["face_b"]) in pairs)
    call("ignore", store.url, whom["face_a"])
    left = json.loads(call("questions", store.url, "--json").stdout)
    assert whom["face_a"] not in {q[side] for q in left["questions"] for side in ("face_a", "face_b")}
    assert all(p["person_id"] not in whom["person_a"] for p in left["people"])
    listed = {p["person_id"]: p["number"] for p in json.loads(call("people", store.url, "--json").stdout)["people"]}
    assert len(left["people"]) > 2 and all(p["number"] == p["identity"] + 1 == listed[p["person_id"]] for p in left["people"])


def test_a_dry_run_reports_the_same_and_changes_no_byte(grouped: Grouped) -> None:
    store = grouped[0]
    call("name", store.url, faces_of(grouped, 0)[0], "Ada")
    call("merge", store.url, "Ada", faces_of(grouped, 1)[0])
    extra, _ = syn.people([3, 2], 0.5, seed=9)
    syn.add(store, "00001", extra, start=500)  # new faces: the kNN graph must be made again too
    people = Path(store.path("people.csv"))
    people.write_bytes(people.read_bytes().replace(b",,2,", b",Wanda,2,"))
    before = tree(store)
    dry = churn(store, "--dry-run")
    assert tree(store) == before
    assert call("cluster", store.url, "--dry-run").stdout and tree(store) == before
    assert dry["added"] == 5 and len(dry["merged"]) == 1 and dry["new_names"] == ["Ada", "Wanda"]  # type: ignore[arg-type]
    assert churn(store) == dry and tree(store) != before


def test_runs_are_kept_and_can_be_made_current_again(grouped: Grouped) -> None:
    store = grouped[0]
    first = by_person(store)
    call("cluster", store.url)
    assert [run.number for run in all_runs(store)] == [1]  # nothing changed, so no new run
    call("split", store.url, faces_of(grouped, 3)[0], *faces_of(grouped, 3)[:4])
    call("cluster", store.url)
    assert by_person(store) != first
    assert "9" in refused("cluster", store.url, "--return-to", "9")
    call("cluster", store.url, "--return-to", "1")
    assert by_person(store) == first and len(all_runs(store)) == 2
    latest, kept = (store.read(table, "00000") for table in ("identities/bundled", "runs/00001/identities"))
    assert latest.equals(kept.drop_columns(["box"])) and store.stamp("identities/bundled", "00000") == all_runs(store)[0].settings
    listed = json.loads(call("cluster", store.url, "--list-runs", "--json").stdout)
    assert listed["current"] == 1 and [run["number"] for run in listed["runs"]] == [1, 2]
    Path(store.path("runs", "00003")).mkdir()  # left by a crash
    call("cluster", store.url)
    assert [run.number for run in all_runs(store)] == [1, 2, 4]


def test_edits_of_people_csv(grouped: Grouped) -> None:
    store = grouped[0]
    call("name", store.url, faces_of(grouped, 0)[0], "Ada")
    call("name", store.url, faces_of(grouped, 1)[0], "=Bob")
    call("ignore", store.url, faces_of(grouped, 2)[0])
    call("cluster", store.url)
    path = Path(store.path("people.csv"))
    with open(path, encoding="utf-8-sig", newline="") as f:
        rows = list(csv.DictReader(f))
    assert Counter(row["name"] for row in rows) == {"Ada": 1, "'=Bob": 1, "": len(rows) - 2}
    assert rows[-1]["ignored"] == "yes" and [row["ignored"] for row in rows[:-1]] == [""] * (len(rows) - 1)
    call("name", store.url, "Ada", "Eva")  # renamed by a command meanwhile; the row in the file is unchanged
    rows[1]["name"], rows[3]["name"], rows[-1]["ignored"] = "", "Zoë", ""
    text = "\n".join([";".join(rows[0]), *(";".join(row.values()) for row in reversed(rows))])
    path.write_text(text, encoding="cp1252")  # as a spreadsheet may save it
    result = call("cluster", store.url)
    assert "3 changes in people.csv" in result.stderr
    with open(path, encoding="utf-8-sig", newline="") as f:
        after = {row["person_id"]: row for row in csv.DictReader(f)}
    assert {row["name"] for row in after.values()} == {"Eva", "Zoë", ""} and not any(row["ignored"] for row in after.values())
    assert after[rows[3]["person_id"]]["name"] == "Zoë"
    assert "change" not in call("cluster", store.url).stderr
    path.write_text("who,what\n1,2\n", encoding="utf-8")
    assert "person_id and name" in refused("cluster", store.url)
    assert path.read_text(encoding="utf-8") == "who,what\n1,2\n"


def test_what_is_said_while_a_grouping_works_counts_with_the_next(grouped: Grouped, monkeypatch: pytest.MonkeyPatch) -> None:
    store = grouped[0]
    path = Path(store.path("people.csv"))
    person = by_person(store)
    one, two = (next(p for p, faces in person.items() if faces == {*faces_of(grouped, n)}) for n in (0, 1))
    real = facecluster.pipeline.reconcile

    def meanwhile(*args: Any) -> Any:
        text = path.read_bytes()
        path.write_bytes(text.replace(f"{two},,".encode(), f"{two},Bob,".encode()))
        call("split", store.url, one, *faces_of(grouped, 0)[:5])
        return real(*args)

    path.write_bytes(path.read_bytes().replace(f"{one},,".encode(), f"{one},Ann,".encode()))
    with monkeypatch.context() as patch:
        patch.setattr("facecluster.pipeline.reconcile", meanwhile)
        assert "was saved meanwhile" in call("cluster", store.url).stderr
    assert set(names(store)) == {"Ann"} and b"Bob" in path.read_bytes()
    call("cluster", store.url)
    assert names(store) == {"Ann": {*faces_of(grouped, 0)[5:]}, "Bob": {*faces_of(grouped, 1)}} and b"Ann" in path.read_bytes()


def test_the_users_own_columns_stay_and_rows_of_nobody_are_kept_beside(grouped: Grouped) -> None:
    store = grouped[0]
    path = Path(store.path("people.csv"))
    ids = by_person(store)
    ann, bob = (next(p for p, faces in ids.items() if faces == {*faces_of(grouped, n)}) for n in (0, 1))
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    guarded = "'+49 30 1234567"  # a cell that a spreadsheet takes for text
    rows = [f"{line},{guarded if ann in line else ''},{'1950' if bob in line else ''}" for line in lines[1:]]
    path.write_text("\n".join([lines[0] + ",Relation,born", *rows]), encoding="utf-8")
    assert "note" not in call("cluster", store.url).stderr
    call("name", store.url, ann, "Ann")
    call("merge", store.url, ann, bob)
    call("cluster", store.url)

    def table() -> dict[str, dict[str, str]]:
        with open(path, encoding="utf-8-sig", newline="") as f:
            return {row["person_id"]: row for row in csv.DictReader(f)}

    assert table()[ann] == {"person_id": ann, "name": "Ann", "faces": "26", "ignored": "", "Relation": guarded, "born": "", "of_run": "2"}
    assert bob not in table()
    call("undo", store.url)
    theirs = path.read_text(encoding="utf-8") + "p-00000000,Zed,3,,2,uncle,\r\n"
    path.write_text(theirs, encoding="utf-8", newline="")
    assert "p-00000000" in call("cluster", store.url).stderr
    assert Path(store.path("people.csv.theirs")).read_bytes() == theirs.encode() and "Zed" not in path.read_text(encoding="utf-8")
    assert table()[ann]["Relation"] == guarded


def test_new_photos_in_a_large_store_with_names(tmp_path: Path) -> None:
    """With 1 % more photos no name is lost, and at most 1 % of the old faces change their person."""
    rng = np.random.default_rng(3)
    sizes = np.minimum(40, 2 + rng.pareto(1.3, 300) * 2).astype(int).tolist()
    noise = 0.9
    centres = np.random.default_rng(0).normal(size=(len(sizes), syn.DIM))  # as in syn.people
    store, ids, truth = syn.ungrouped_store(tmp_path, sizes, noise)
    call("cluster", store.url)
    people = read_current_people(store)[0].people
    sheet = tmp_path / "names.csv"
    sheet.write_text("person,name\n" + "".join(f"{p},Name {i}\n" for i, p in enumerate(people.person_ids[::5][:50])), encoding="utf-8")
    call("name", store.url, "--csv", str(sheet))
    call("cluster", store.url)
    before = {face: person for person, faces in by_person(store).items() for face in faces}
    assert len(names(store)) == 50
    new = centres[rng.integers(0, len(sizes), len(ids) // 100)]
    new = new + noise * rng.normal(size=new.shape)
    syn.add(store, "00001", new / np.linalg.norm(new, axis=1, keepdims=True), start=len(ids))
    found = churn(store)
    after = {face: person for person, faces in by_person(store).items() for face in faces}
    changed = sum(before.get(face) != after.get(face) for face in ids)
    assert found["lost_names"] == [] and len(names(store)) == 50
    assert changed <= 0.01 * len(ids)
    assert found["moved"] + found["joined"] + found["left"] == changed  # type: ignore[operator]


def test_faces_that_a_detector_numbers_differently_are_found_by_their_boxes(tmp_path: Path) -> None:
    """The same faces under other face_ids, while the old ids belong to other faces: names and person ids follow the boxes."""
    store, ids, truth = syn.ungrouped_store(tmp_path, [6, 5, 4, 3], noise=0.5)
    boxes = np.tile([10.0, 10, 50, 50], (len(ids), 1)) + np.arange(len(ids))[:, None] % 7
    syn.add_boxes(store, "00000", ids, boxes)
    call("cluster", store.url)
    call("name", store.url, ids[0], "Ada")
    before = by_person(store)
    other = Store(str(tmp_path / "store"))
    moved = [face[:25] + "0001" for face in ids]
    others, _ = syn.people([1] * len(ids), seed=5)  # each old id now belongs to a face of another person
    x, _ = syn.people([6, 5, 4, 3], 0.5)
    for table in ("faces", "embeddings/bundled", "links/bundled"):
        other.remove(table)
    everyone = [*ids, *moved]
    syn.add_boxes(store, "00000", everyone, np.r_[boxes + 200, boxes + 3])
    columns = {"face_id": everyone, "embedding": np.r_[others, x].astype(np.float16)}
    store.write("embeddings/bundled", "00000", syn.table_of(syn.embeddings_schema(syn.DIM), columns), {"table": "embeddings"})
    call("cluster", store.url)
    renamed = {person: {moved[ids.index(face)] for face in faces} for person, faces in before.items()}
    assert by_person(store) == renamed
    assert names(store) == {"Ada": set(moved[:6])}


def test_the_report_shows_names_and_ignored_people_apart(grouped: Grouped, tmp_path: Path) -> None:
    store, ids, _ = grouped
    syn.add_boxes(store, "00000", ids, np.tile([10.0, 10, 50, 50], (len(ids), 1)))
    call("name", store.url, faces_of(grouped, 5)[0], "Ada & Co")
    call("ignore", store.url, faces_of(grouped, 0)[0])
    out = tmp_path / "out"
    call("report", store.url, "--out", str(out))
    with open(out / "people.csv", encoding="utf-8-sig", newline="") as f:
        rows = list(csv.DictReader(f))
    known = read_current_people(store)[0]
    assert {row["person_id"] for row in rows} == set(known.people.person_ids)
    ada = next(row for row in rows if row["name"])
    assert ada["name"] == "Ada & Co" and ada["person_id"] == known.people.person_ids[known.find("Ada & Co")]
    assert rows[-1]["person"] == "0" and rows[-1]["ignored"] == "True"
    index = (out / "index.html").read_text(encoding="utf-8")
    assert index.index("Ada &amp; Co") < index.index('<h2 class="rest">Ignored</h2>') < index.index("<bdi>Person 1</bdi>")
    assert "Ada &amp; Co" in (out / "people" / f"person-{int(ada['number']):05d}.html").read_text(encoding="utf-8")
    # one number everywhere: in the report, in `people`, in the API, and for the commands that take one
    listed = {row["person_id"]: row["number"] for row in json.loads(call("people", store.url, "--json").stdout)["people"]}
    assert listed == {row["person_id"]: int(row["number"]) for row in rows} and min(listed.values()) == 1
    assert [facecluster.open(store.url).person(n).id for n in listed.values()] == list(listed)
    for person, number in listed.items():
        call("name", store.url, str(number), f"Number {number}")
        assert read_current_people(store)[0].people.names[known.people.person_ids.index(person)] == f"Number {number}"


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4)), max_size=40))
@settings(max_examples=200, deadline=None)
def test_match_groups(pairs: list[tuple[int, int]]) -> None:
    old, new = (np.array([p[i] for p in pairs], dtype=np.int64) for i in (0, 1))
    found = match_groups(old, new)
    assert len(set(found.values())) == len(found)
    count = Counter(p for p in pairs if min(p) >= 0)
    for (a, b), n in count.items():
        size_a, size_b = sum(p[0] == a for p in pairs), sum(p[1] == b for p in pairs)
        if 2 * n > size_a and 2 * n > size_b:  # most of both groups: no other pair can come first
            assert found[a] == b
    for a, b in found.items():
        n = count[a, b]
        assert 2 * n > sum(p[0] == a for p in pairs) or 2 * n > sum(p[1] == b for p in pairs)


def test_track_faces() -> None:
    unknown = np.full((1, 4), np.nan)
    box = np.array([[0.0, 0, 10, 10], [100, 0, 10, 10]])
    photo = "0" * 24
    old, new = [f"{photo}-0000", f"{photo}-0001"], [f"{photo}-0000", f"{photo}-0001", f"{photo}-0002"]
    assert track_faces(old, box, new, np.r_[box[1:] + 1, unknown, box[:1] + 1]).tolist() == [2, 1]  # without a box the id decides
    assert track_faces(old, box, new[:1], box[1:]).tolist() == [-1, 0]
    assert track_faces(old, np.r_[unknown, unknown], new, np.r_[box, unknown]).tolist() == [0, 1]
    assert track_faces([], box[:0], new[:1], box[:1]).tolist() == [] and track_faces(old, box, [], box[:0]).tolist() == [-1, -1]


def test_without_other_ground_truth_the_users_names_are_used(grouped: Grouped) -> None:
    """The expected counts are worked out by hand."""
    store = grouped[0]
    assert "facecluster name" in refused("evaluate", store.url)
    for i in range(4):
        call("name", store.url, faces_of(grouped, i)[0], f"Name {i}")
    call("not-same", store.url, faces_of(grouped, 5)[0], faces_of(grouped, 6)[0])
    call("same", store.url, faces_of(grouped, 0)[0], faces_of(grouped, 12)[0])  # a single face
    found = json.loads(call("evaluate", store.url, "--json").stdout)
    assert (found["truth"]["given"], found["truth"]["used"]) == (14 + 12 + 10 + 9 + 1 + 2, 14 + 12 + 10 + 9 + 1)
    assert [out["rows"] for out in found["truth"]["left_out"]] == [2]
    pairs = [n * (n - 1) // 2 for n in (14, 12, 10, 9)]
    assert found["grouping"]["pairwise"]["precision"] == 1
    assert found["grouping"]["pairwise"]["recall"] == pytest.approx(sum(pairs) / (sum(pairs) + 14))  # the single face is not with them yet
    call("cluster", store.url)
    assert json.loads(call("evaluate", store.url, "--json").stdout)["grouping"]["pairwise"]["recall"] == 1


def test_identities_of_an_older_method_are_not_reused(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.create()
    syn.add(store, "00000", syn.people([6, 5, 4], noise=0.4)[0])
    call("cluster", store.url)
    table = "identities/bundled"
    stamp, ours = store.stamp(table, "00000"), store.read(table, "00000")
    assert stamp is not None and len(set(ours["identity"].to_pylist())) == 3
    nobody = ours.set_column(1, ours.schema.field("identity"), pa.array([-1] * len(ours), pa.int32()))
    store.write(table, "00000", nobody.replace_schema_metadata(), {k: v for k, v in stamp.items() if k != "method"})
    call("cluster", store.url)
    assert store.stamp(table, "00000") == stamp and store.read(table, "00000")["identity"].equals(ours["identity"])


def history(store: Store) -> dict[str, object]:
    stamp = store.stamp("identities/bundled", "00000")
    assert stamp is not None
    return {k: v for k, v in stamp["grown"].items() if k != "vectors"}


def test_a_few_new_faces_leave_the_people_as_they_are(tmp_path: Path) -> None:
    """A full grouping would move some of these noisy people; only --full, or more than a tenth of new faces, groups all faces."""
    rng = np.random.default_rng(1)
    sizes = [12, 10, 9, 8, 8, 7, 6, 6, 5, 5, 4, 4, *[3] * 12, *[1] * 80]
    vectors, truth = syn.people(sizes, noise=1.55, seed=4)
    vectors = vectors[rng.permutation(len(truth))]
    store = Store(str(tmp_path / "store"))
    store.create()
    cut = len(vectors) - 20
    ids = syn.add(store, "00000", vectors[:cut])
    call("cluster", store.url)
    assert history(store) == {"kept": False, "changed": 0, "said": 0}
    before = by_person(store)
    syn.add(store, "00001", vectors[cut : cut + 10], start=cut)
    said = call("cluster", store.url)
    assert "--full" in said.output and history(store) == {"kept": True, "changed": 10, "said": 0}
    after = by_person(store)
    taken = {face for faces in before.values() for face in faces}
    assert all(after[p] & taken == faces for p, faces in before.items())
    assert all(not faces & taken for p, faces in after.items() if p not in before)
    assert {*ids} >= taken
    kept = store.read("identities/bundled", "00000")
    assert "--full" not in call("cluster", store.url).output and history(store)["kept"]  # no new faces: nothing is done
    call("cluster", store.url, "--full", "--dry-run")
    assert store.read("identities/bundled", "00000").equals(kept)
    call("cluster", store.url, "--full")
    assert history(store) == {"kept": False, "changed": 0, "said": 0}
    fresh = Store(str(tmp_path / "fresh"))
    fresh.create()
    syn.add(fresh, "00000", vectors[: cut + 10])
    call("cluster", fresh.url)
    assert fresh.read("identities/bundled", "00000")["identity"].equals(store.read("identities/bundled", "00000")["identity"])
    syn.add(store, "00001", vectors[cut : cut + 10], start=cut)
    syn.add(store, "00002", vectors[cut + 10 :], start=cut + 10)
    call("cluster", store.url)
    assert history(store) == {"kept": True, "changed": 10, "said": 0}
    more = syn.people([1] * 30, noise=0.1, seed=9)[0]
    syn.add(store, "00003", more, start=len(vectors))
    assert "--full" not in call("cluster", store.url).output and not history(store)["kept"]  # over a tenth are new


def test_an_undo_groups_from_the_start_and_a_rename_does_not(grouped: Grouped) -> None:
    store, ids, _ = grouped
    table = "identities/bundled"
    plain = store.read(table, "00000")["identity"].to_pylist()
    call("merge", store.url, faces_of(grouped, 0)[0], faces_of(grouped, 1)[0])
    said = call("cluster", store.url)
    assert history(store)["kept"] and history(store)["said"] == 1 and "new faces join" not in said.output  # there are no new faces
    assert len({*store.read(table, "00000")["identity"].to_pylist()}) == len({*plain}) - 1
    call("undo", store.url)
    assert "no longer holds" in call("cluster", store.url).output
    assert not history(store)["kept"] and store.read(table, "00000")["identity"].to_pylist() == plain
    new = syn.people([1] * 3, noise=0.1, seed=77)[0]
    call("name", store.url, faces_of(grouped, 2)[0], "Anna")
    call("ignore", store.url, faces_of(grouped, 3)[0])
    call("cluster", store.url)
    call("name", store.url, faces_of(grouped, 2)[0], "Anne")  # and the person is no longer ignored
    call("ignore", store.url, faces_of(grouped, 3)[0], "--undo") if "--undo" in call("ignore", "--help").output else call("undo", store.url)
    syn.add(store, "00001", new[:1], start=len(ids))
    call("cluster", store.url)
    assert history(store)["kept"]
    call("not-same", store.url, faces_of(grouped, 4)[0], faces_of(grouped, 5)[0])
    call("cluster", store.url)
    call("undo", store.url)
    syn.add(store, "00002", new[1:2], start=len(ids) + 1)
    assert "no longer holds" in call("cluster", store.url).output and not history(store)["kept"]


def test_other_vectors_or_missing_faces_group_from_the_start(grouped: Grouped) -> None:
    store, ids, _ = grouped
    vectors = np.stack(store.read("embeddings/bundled", "00000")["embedding"].to_numpy(zero_copy_only=False)).astype(np.float32)
    syn.add(store, "00000", vectors[::-1])
    assert "other vectors" in call("cluster", store.url).output and not history(store)["kept"]
    fresh = store.read("identities/bundled", "00000")["identity"].to_pylist()
    call("cluster", store.url, "--full")
    assert store.read("identities/bundled", "00000")["identity"].to_pylist() == fresh
    syn.add(store, "00000", vectors[::-1][:-1])
    assert "are gone" in call("cluster", store.url).output and not history(store)["kept"]


def test_another_calibration_changes_probabilities_but_no_group(grouped: Grouped) -> None:
    store, ids, _ = grouped
    syn.add(store, "00001", syn.people([1] * 2, noise=0.1, seed=77)[0], start=len(ids))
    call("cluster", store.url)
    before = store.read("identities/bundled", "00000")
    assert history(store)["kept"]
    usual, other = IdentifyConfig(), Line(2.0, -1.0)
    write_calibration(store, card_of("bundled"), StoreCalibration(membership=other), {})
    call("cluster", store.url)
    after = store.read("identities/bundled", "00000")
    assert after["identity"].equals(before["identity"]) and history(store)["kept"]
    p, q = (np.asarray(t["probability"], float) for t in (before, after))
    some = (p > 0) & (p < 0.9999)
    place = (np.log(p[some] / (1 - p[some])) - usual.confidence_intercept) / usual.confidence_slope
    assert some.sum() > 10 and q[some] == pytest.approx(other.probability(place), abs=1e-3) and (q[p == 0] == 0).all()
    call("cluster", store.url, "--reset-calibration")
    again = store.read("identities/bundled", "00000")
    assert np.asarray(again["probability"], float) == pytest.approx(p, abs=1e-3) and again["identity"].equals(before["identity"])


def test_a_lasting_id_goes_with_the_most_faces_and_a_retired_one_means_whoever_took_over(grouped: Grouped, tmp_path: Path) -> None:
    """Small groups are given the name of a large one, newest last; every command takes their ids, over several runs."""
    store = grouped[0]
    first = by_person(store)
    large, *small = (next(p for p, faces in first.items() if faces == set(faces_of(grouped, i))) for i in (0, 6, 8))
    call("name", store.url, large, "Ann")
    call("cluster", store.url)
    call("name", store.url, small[0], "Ann")
    call("cluster", store.url)
    assert by_person(store)[large] == {*faces_of(grouped, 0), *faces_of(grouped, 6)} and small[0] not in by_person(store)
    call("name", store.url, small[1], "ann")
    call("cluster", store.url)
    whole = {*faces_of(grouped, 0), *faces_of(grouped, 6), *faces_of(grouped, 8)}
    assert by_person(store)[large] == whole
    other = next(p for p, faces in first.items() if faces == set(faces_of(grouped, 1)))
    call("merge", store.url, other, small[1])  # now large is retired too, though it has more faces: the merge says who stays
    call("cluster", store.url)
    assert by_person(store)[other] == whole | set(faces_of(grouped, 1))
    for person in (large, *small):
        assert f"{other} is called 'Anna'" in call("name", store.url, person, "Anna").stdout
        assert facecluster.open(store.url).person(person).id == other
        assert read_current_people(store)[0].people.index(person) == read_current_people(store)[0].find("Anna")
        call("ignore", store.url, person)
        call("split", store.url, person, *faces_of(grouped, 1)[:3])
        call("merge", store.url, person, faces_of(grouped, 2)[0])
        call("undo", store.url), call("undo", store.url), call("undo", store.url)
    assert "expected two people" in refused("merge", store.url, large, other)
    call("undo", store.url, next(d.id for d in read(store).decisions if d.act == "merge"))
    call("cluster", store.url)
    assert by_person(store)[large] == whole and by_person(store)[other] == set(faces_of(grouped, 1))


def test_two_people_of_a_merge_have_their_ids_back_when_it_is_undone(grouped: Grouped) -> None:
    store = grouped[0]
    before = by_person(store)
    one, two = (next(p for p, faces in before.items() if faces == set(faces_of(grouped, i))) for i in (8, 0))
    call("merge", store.url, one, two)
    call("cluster", store.url)
    assert by_person(store)[one] == {*faces_of(grouped, 0), *faces_of(grouped, 8)} and two not in by_person(store)
    call("name", store.url, two, "Ann")
    call("cluster", store.url)
    call("undo", store.url, read(store).decisions[0].id)
    call("cluster", store.url)
    assert by_person(store) == before and names(store) == {"Ann": before[one]}  # the name is that of the one who kept the id


def test_a_table_of_people_that_was_open_during_a_run(grouped: Grouped) -> None:
    """Rows of a retired id: as they were, they say nothing; an edit is about the person who took over."""
    store, path = grouped[0], Path(grouped[0].path("people.csv"))
    one, two = (next(p for p, faces in by_person(store).items() if faces == set(faces_of(grouped, i))) for i in (0, 5))
    call("name", store.url, one, "Ann")
    call("name", store.url, two, "Bob")
    call("cluster", store.url)
    opened = path.read_bytes()
    call("merge", store.url, one, two)
    call("cluster", store.url)
    path.write_bytes(opened)  # saved again by the program that had it open
    assert "changes in people.csv" not in call("cluster", store.url).stderr and set(names(store)) == {"Ann"}
    path.write_bytes(opened.replace(b",Bob,", b",Bobby,"))
    assert "1 change in people.csv becomes a decision" in call("cluster", store.url).stderr and set(names(store)) == {"Bobby"}


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("between", ["", "Ann"])
def test_a_table_of_people_that_was_open_while_names_were_given(grouped: Grouped, between: str, marked: bool) -> None:
    """The names that a run took in since the file was opened stay, and what was typed into it counts; also without of_run."""
    store, path = grouped[0], Path(grouped[0].path("people.csv"))
    people = [next(p for p, faces in by_person(store).items() if faces == set(faces_of(grouped, i))) for i in range(5)]
    if between:
        call("name", store.url, people[0], between)
        call("cluster", store.url)
    opened = path.read_bytes() if marked else re.sub(rb",\w*\r\n", b"\r\n", path.read_bytes())
    for person, name in zip(people, ("Ada", "Bob", "Eva"), strict=False):
        call("name", store.url, person, name)
    call("cluster", store.url)
    call("name", store.url, people[4], "Kim")
    call("cluster", store.url)
    path.write_bytes(opened.replace(f"{people[3]},,".encode(), f"{people[3]},Dora,".encode()))
    said = call("cluster", store.url).stderr
    assert set(names(store)) == {"Ada", "Bob", "Eva", "Dora", "Kim"}
    assert "1 change in people.csv" in said and "names given since: they stay (" in said
    assert b"Kim" in path.read_bytes() and "people.csv" not in call("cluster", store.url).stderr


@pytest.mark.parametrize("typed", ["", "Dora"])
@pytest.mark.parametrize("since", [["Ada"], ["Robert"], ["Ada", "Robert"]])
def test_a_name_that_was_given_while_the_table_was_open_is_never_removed_by_it(grouped: Grouped, since: list[str], typed: str) -> None:
    """Neither a single one, nor one whose row was emptied in the older table. In the table of today, an emptied row takes the name away."""
    store, path = grouped[0], Path(grouped[0].path("people.csv"))
    one, two, three = (next(p for p, faces in by_person(store).items() if faces == set(faces_of(grouped, i))) for i in range(3))
    call("name", store.url, two, "Bob")
    call("cluster", store.url)
    opened = path.read_bytes()
    for name in since:
        call("name", store.url, {"Ada": one, "Robert": two}[name], name)
    call("cluster", store.url)
    late = opened.replace(f"{three},,".encode(), f"{three},{typed},".encode())
    path.write_bytes(late.replace(b",Bob,", b",,") if "Robert" in since else late)
    said = call("cluster", store.url).stderr
    assert set(names(store)) == {*since, "Bob" if "Robert" not in since else "Robert", typed} - {""} and "taken away" not in said
    assert all(name in said.partition("they stay (")[2] for name in since) and ("becomes a decision" in said) == bool(typed)
    today = path.read_bytes()
    path.write_bytes(today.replace(f",{since[0]},".encode(), b",,"))
    assert f"'{since[0]}'" in call("cluster", store.url).stderr and since[0] not in names(store)


def test_a_table_of_people_from_before_a_return_to_another_run(grouped: Grouped) -> None:
    store, path = grouped[0], Path(grouped[0].path("people.csv"))
    one, two = (next(p for p, faces in by_person(store).items() if faces == set(faces_of(grouped, i))) for i in range(2))
    call("name", store.url, one, "Ada")
    call("cluster", store.url, "--return-to", "1")
    rows = {line.split(",")[0]: line for line in path.read_text(encoding="utf-8-sig").splitlines()}
    assert rows[one].endswith(",") and rows[two].endswith(",1")  # run 1 has no name for her
    opened = path.read_bytes()
    call("name", store.url, two, "Bob")
    call("cluster", store.url)
    path.write_bytes(opened)
    call("cluster", store.url)
    assert set(names(store)) == {"Ada", "Bob"}


def test_a_table_of_people_that_was_open_while_people_were_ignored_brings_nobody_back(grouped: Grouped) -> None:
    store, path = grouped[0], Path(grouped[0].path("people.csv"))
    people = [next(p for p, faces in by_person(store).items() if faces == set(faces_of(grouped, i))) for i in range(4)]
    opened = path.read_bytes()
    for person, name in zip(people, ("Ada", "Bob"), strict=False):
        call("name", store.url, person, name)
    for person in people[1:3]:  # with a name, and without
        call("ignore", store.url, person)
    call("cluster", store.url)
    path.write_bytes(opened)
    said = call("cluster", store.url).stderr
    assert set(names(store)) == {"Ada", "Bob"} and "names given since: they stay (" in said and "stays ignored" in said
    hidden = [line.split(",")[0] for line in path.read_text(encoding="utf-8-sig").splitlines() if ",yes," in line]
    assert sorted(hidden) == sorted(people[1:3]) and "becomes a decision" not in said


def test_names_taken_away_in_the_table_are_said(grouped: Grouped) -> None:
    store, path = grouped[0], Path(grouped[0].path("people.csv"))
    for i, name in enumerate(("Ada", "Bob", "Eva")):
        call("name", store.url, faces_of(grouped, i)[0], name)
        call("cluster", store.url)
    path.write_bytes(path.read_bytes().replace(b",Ada,", b",,").replace(b",Bob,", b",Rob,"))
    said = call("cluster", store.url).stderr
    assert set(names(store)) == {"Rob", "Eva"} and "2 names taken away or replaced" in said and "'Ada'" in said and "'Bob'" in said


def test_one_name_in_another_case_is_no_lost_name(grouped: Grouped) -> None:
    store = grouped[0]
    call("name", store.url, faces_of(grouped, 0)[0], "Bob")
    call("cluster", store.url)
    call("name", store.url, faces_of(grouped, 1)[0], "bob")
    assert churn(store)["lost_names"] == [] and len(names(store)["bob"]) == SIZES[0] + SIZES[1]


def test_a_run_of_an_older_version_knows_no_retired_ids(grouped: Grouped) -> None:
    store = grouped[0]
    one, two = (next(p for p, faces in by_person(store).items() if faces == set(faces_of(grouped, i))) for i in (0, 5))
    call("merge", store.url, one, two)
    call("cluster", store.url)
    assert read_current_people(store)[0].people.former == {two: one}
    store.remove("runs/00002/retired")
    assert "nobody's id" in refused("name", store.url, two, "Ann")
    call("cluster", store.url)


@pytest.mark.parametrize("what", [{"model": "../../outside"}, {"model": "a/../../../b"}, {"number": "../../1"}, {"model": 3}])
def test_a_run_of_somebody_elses_store_leads_nowhere_else(grouped: Grouped, what: dict[str, Any]) -> None:
    store = grouped[0]
    file = Path(store.path("runs", "00001", "run.json"))
    file.write_text(json.dumps(json.loads(file.read_text()) | what))
    before = {p for p in Path(store.url).parent.rglob("*")}
    assert "run.json" in refused("cluster", store.url, "--return-to", "1")
    assert {p for p in Path(store.url).parent.rglob("*")} <= before | {Path(store.url, "store.lock")}


def test_a_clock_that_was_behind_hides_no_name(tmp_path: Path) -> None:
    """Decisions are counted, not dated: show and export have a name that was given when the clock stood in the year 2001."""
    store, ids, _ = syn.ungrouped_store(tmp_path, (6, 5))
    call("cluster", store.url)
    append(store, [Decision(act="name", faces=tuple(ids[:6]), name="Ada", at="2001-01-01T00:00:00Z")])
    assert "Ada" in call("show", store.url, "Ada").output + call("people", store.url).output
    call("export", store.url, "--format", "csv", "--out", str(tmp_path / "out"))
    assert "Ada" in (tmp_path / "out" / "people.csv").read_text()


def test_what_is_written_says_that_a_merge_waits_for_the_next_grouping(tmp_path: Path) -> None:
    store, ids, _ = syn.ungrouped_store(tmp_path, (6, 5))
    call("cluster", store.url)
    call("name", store.url, ids[0], "Ada")
    said = "1 decision since the last grouping (merge) will count after 'facecluster cluster"
    commands = (["show", store.url, "Ada"], ["export", store.url, "--format", "csv", "--out", str(tmp_path / "out")])
    assert all("since the last grouping" not in call(*command).stderr for command in commands)
    call("merge", store.url, ids[0], ids[-1])
    assert all(said in call(*command).stderr for command in commands)
    call("cluster", store.url)
    assert all("since the last grouping" not in call(*command).stderr for command in commands)
