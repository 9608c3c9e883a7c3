"""The journal survives crashes, parallel writers and damaged lines; its replay gives the links and names that the decisions ask for."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facecluster.decisions import CORE_FACES, FILE, Decision, active, append, clean_name, constraint_pairs, new_id, read, replay
from facecluster.errors import InputError, StoreError
from facecluster.store import Store

ROOT = str(Path(__file__).parents[2])


def new_store(folder: Path) -> Store:
    store = Store(str(folder / "store"))
    store.create()
    return store


def numbered(*decisions: Decision) -> list[Decision]:
    """The decisions with ids 0, 1, ..."""
    return [
        Decision(**{f: getattr(d, f) for f in Decision.__slots__ if f not in ("id", "at")}, id=str(i), at="2026-01-01")
        for i, d in enumerate(decisions)
    ]


def name(text: str, *faces: str, **more: tuple[str, ...]) -> Decision:
    return Decision(act="name", faces=faces, name=text, **more)  # type: ignore[arg-type]


def same(*faces: str) -> Decision:
    return Decision(act="same", faces=faces)


def not_same(*faces: str) -> Decision:
    return Decision(act="not-same", faces=faces)


def links(*decisions: Decision) -> tuple[set[str], set[str], list[str]]:
    """Must-links and cannot-links as pairs of one-letter faces, and notes."""
    resolved = replay(numbered(*decisions))
    faces = sorted({f for d in decisions for f in (*d.faces, *d.others)})
    vectors = np.random.default_rng(0).normal(size=(len(faces), 4))
    must, cannot = constraint_pairs(resolved, {f: i for i, f in enumerate(faces)}, vectors)
    shown = [{"".join(sorted(faces[i] for i in pair)) for pair in found.tolist()} for found in (must, cannot)]
    return shown[0], shown[1], resolved.notes


# -- the journal --------------------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    made = append(
        store,
        [
            Decision(act="name", faces=("a", "b"), name="Zoë 😀 \u2028", person="p-00000000", boxes={"a": (1.5, 2, 3, 4)}),
            Decision(act="split", faces=("a",), others=("b",), batch="x"),
        ],
    )
    made += append(store, [Decision(act="undo", of=made[0].id)])
    journal = read(store)
    assert journal.decisions == made and journal.notes == []
    assert len({d.id for d in made}) == 3 and all(d.at.endswith("Z") for d in made)
    lines = Path(store.path(FILE)).read_text(encoding="utf-8").split("\n")
    assert [json.loads(line)["act"] for line in lines[:-1]] == ["name", "split", "undo"] and "Zoë 😀" in lines[0]


def test_a_journal_cut_at_any_byte_can_be_read_and_appended_to(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    made = append(store, [name("Ä", "a", "b"), same("a", "c"), not_same("b", "d")])
    whole = Path(store.path(FILE)).read_bytes()
    ends = [i + 1 for i, c in enumerate(whole) if c == 10]
    for cut in range(len(whole) + 1):
        Path(store.path(FILE)).write_bytes(whole[:cut])
        complete = sum(cut >= end - 1 for end in ends)  # without its newline a line is whole too
        journal = read(store)
        assert journal.decisions == made[:complete]
        assert len(journal.notes) == (0 < cut and cut not in ends and cut + 1 not in ends)
        new = append(store, [same("x", "y")])
        assert read(store).decisions == made[:complete] + new


def test_invalid_lines_are_noted_and_skipped(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    good = append(store, [same("a", "b")])[0].to_line()
    bad = ["{", "[]", "7", "\ufffd",
           '{"id":"1","at":"","act":"marry","faces":["a"]}', '{"id":"1","at":"","act":"same","faces":"a"}',
           '{"id":"1","at":"","act":"same","faces":[]}', '{"id":"1","at":"","act":"name","faces":["a"]}', '{"at":"","act":"undo","of":"x"}',
           '{"id":"1","at":"","act":"same","faces":["a"],"boxes":{"a":[1]}}', '{"id":1,"at":"","act":"undo","of":"x"}']  # fmt: skip
    Path(store.path(FILE)).write_text("\n".join([*bad, "", good, good]) + "\n", encoding="utf-8")
    journal = read(store)
    assert [d.to_line() for d in journal.decisions] == [good]  # the second has an id that was there
    assert len(journal.notes) == len(bad) and all("\n" not in note for note in journal.notes)


WRITER = """
import sys
from facecluster.decisions import Decision, append
from facecluster.store import Store
store, who, count = Store(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for i in range(count):
    append(store, [Decision(act="same", faces=(who, str(i)) + ("x" * 400,) * 20)])
    print(i, flush=True)
"""


def writer(store: Store, who: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, store.url, who, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": ROOT})


def test_two_programs_lose_nothing(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    programs = [writer(store, who, 200) for who in "ab"]
    for program in programs:
        program.communicate(timeout=60)
        assert program.returncode == 0
    journal = read(store)
    assert journal.notes == [] and len(journal.decisions) == 400
    for who in "ab":
        assert [d.faces[1] for d in journal.decisions if d.faces[0] == who] == [str(i) for i in range(200)]


def test_appends_that_returned_survive_a_kill(tmp_path: Path) -> None:
    """Each append that returned is in the journal, in order; each kill leaves at most one line more, or one cut off."""
    store = new_store(tmp_path)
    rng = random.Random(0)
    confirmed: list[str] = []
    for turn in range(3):
        program = writer(store, str(turn), 10_000)
        assert program.stdout is not None
        for _ in range(rng.randint(5, 40)):
            confirmed.append(f"{turn} {program.stdout.readline().strip()}")
        program.send_signal(signal.SIGKILL)
        confirmed += [f"{turn} {line.strip()}" for line in program.stdout]
        program.stdout.close()
        program.wait()
    journal = read(store)
    there = [" ".join(d.faces[:2]) for d in journal.decisions]
    assert [d for d in there if d in set(confirmed)] == confirmed and len(there) <= len(confirmed) + 3 and len(journal.notes) <= 3
    assert append(store, [same("a", "b")]) == read(store).decisions[-1:]


def test_names_are_one_line_and_not_ids() -> None:
    assert clean_name("  Ada\n \tLovelace\x00 ") == "Ada Lovelace"
    assert clean_name("Zoe\u0308") == "Zo\u00eb" and clean_name(os.fsdecode(b"Zo\xeb")) == "Zo\ufffd"
    for text in ("p-0123abcd", "0123456789abcdef01234567-0001"):
        with pytest.raises(InputError, match="form of an id"):
            clean_name(text)


# -- replay -------------------------------------------------------------------------------------------------------------------------


def test_undo() -> None:
    ds = numbered(same("a", "b"), same("b", "c"), Decision(act="undo", of="1"), Decision(act="undo", of="2"), Decision(act="undo", of="0"))
    assert [d.id for d in active(ds[:3])] == ["0"]
    assert [d.id for d in active(ds[:4])] == ["0", "1"]  # the undo is undone
    assert [d.id for d in active(ds)] == ["1"]
    files = [Decision(act="same", faces=("a", "b"), id=str(i), at="", batch="f") for i in range(3)]
    assert active([*files, Decision(act="undo", of="f", id="u", at="")]) == []


def test_faces_that_are_gone_still_link_others() -> None:
    resolved = replay(numbered(same("a", "b"), same("b", "c"), not_same("c", "d"), same("d", "e")))
    must, cannot = constraint_pairs(resolved, {"a": 0, "c": 1, "e": 2}, np.eye(3))  # b and d are gone
    assert must.tolist() == [[0, 1]] and len(cannot) == 1 and 2 in cannot[0]


def test_later_decisions_win_and_the_contradicted_one_is_noted_in_one_line() -> None:
    must, cannot, notes = links(same("a", "b"), same("b", "c"), not_same("a", "c"))
    assert must == {"bc"} and len(cannot) == 1 and len(notes) == 1 and "(0)" in notes[0] and "\n" not in notes[0]
    must, cannot, notes = links(not_same("a", "c"), same("a", "b"), same("b", "c"))
    assert must == {"ab", "bc"} and cannot == set() and len(notes) == 1 and "(0)" in notes[0]


def test_names() -> None:
    assert links(name("Ada", "a", "b"), name("ada", "c"))[0] == {"ab", "bc"}  # one name, one person
    must, cannot, notes = links(name("Ada", "a", "b"), name("Bob", "c", "d"))
    assert must == {"ab", "cd"} and len(cannot) == 1 and not notes
    must, cannot, notes = links(name("Ada", "a"), name("Bob", "b"), same("a", "b"))
    assert must == {"ab"} and cannot == set() and len(notes) == 1 and "'Ada'" in notes[0]
    must, cannot, notes = links(same("a", "b"), name("Ada", "a"), name("Bob", "b"))
    assert must == {"aa", "bb"} and cannot == {"ab"} and len(notes) == 1 and "same" in notes[0]  # a name on one face: said whose it is


def test_a_name_links_only_the_core_faces() -> None:
    must = links(name("Ada", *"abcdefghijklmnop"))[0]
    assert len(must) == CORE_FACES - 1 and not any("p" in pair for pair in must)


def test_a_name_that_replaces_another() -> None:
    resolved = replay(numbered(name("Ada", "a", "b", "c"), name("Eva", "a", "d", replaces=("0",))))
    assert [(c.text, c.faces) for c in resolved.names] == [("Eva", ("a", "d"))] and not resolved.notes
    gone = replay(numbered(name("Ada", "a"), name("", "a", replaces=("0",))))
    assert gone.names == [] and not gone.notes
    back = replay(numbered(name("Ada", "a"), name("Eva", "a", replaces=("0",)), Decision(act="undo", of="1")))
    assert [c.text for c in back.names] == ["Ada"]


def test_a_split_removes_faces_from_earlier_names_and_merges() -> None:
    split = Decision(act="split", faces=("a", "b"), others=("c", "d"))
    must, cannot, notes = links(name("Ada", "a", "b", "c", "d"), split)
    assert must == {"ab", "cd"} and len(cannot) == 1 and not notes
    resolved = replay(numbered(name("Ada", "a", "b", "c", "d"), split, name("Bob", "a", "b")))
    assert {c.text: c.faces for c in resolved.names} == {"Bob": ("a", "b"), "Ada": ("c", "d")} and not resolved.notes
    merge = Decision(act="merge", faces=("a", "b"), others=("c", "d"))
    assert links(merge)[0] == {"ab", "bc", "cd"}
    must, cannot, notes = links(split, merge)  # the later merge overrules the split
    assert must == {"ab", "bc", "cd"} and cannot == set() and len(notes) == 1


FACE = st.sampled_from("abcdefg")
STEP = st.one_of(
    st.builds(same, FACE, FACE),
    st.builds(not_same, FACE, FACE),
    st.builds(name, st.sampled_from(["Ada", "Bob", "Eve"]), FACE, FACE),
    st.builds(lambda a, b: Decision(act="merge", faces=(a,), others=(b,)), FACE, FACE),
    st.builds(lambda a, b: Decision(act="split", faces=(a,), others=(b,)), FACE, FACE),
    st.builds(lambda a: Decision(act="not-a-face", faces=(a,)), FACE),
    st.builds(lambda n: Decision(act="undo", of=str(n)), st.integers(0, 8)),
)


def test_a_face_that_is_set_aside_leaves_all_that_was_said_before() -> None:
    aside = Decision(act="too-unclear", faces=("b",))
    resolved = replay(numbered(name("Ada", "a", "b", "c"), same("b", "d"), aside))
    assert resolved.aside == {"b": "too-unclear"} and resolved.names[0].faces == ("a", "c") and resolved.notes == []
    assert resolved.must_link_sets() == [["a", "c"]]
    again = replay(numbered(aside, same("b", "d")))  # what is said later brings it back
    assert again.aside == {} and again.must_link_sets() == [["b", "d"]]
    assert replay(numbered(aside, Decision(act="undo", of="0"))).aside == {}


def test_names_that_are_not_theirs() -> None:
    resolved = replay(numbered(Decision(act="not-named", faces=("a", "b"), name="Ada"), name("Bo", "a", "b")))
    assert [(c.text, c.faces) for c in resolved.not_named] == [("Ada", ("a", "b"))] and resolved.names[0].text == "Bo"


@given(st.lists(STEP, max_size=9))
@settings(max_examples=300, deadline=None)
def test_links_never_contradict_and_the_last_decision_holds(steps: Sequence[Decision]) -> None:
    resolved = replay(numbered(*steps))
    faces = "abcdefg"
    must, cannot = constraint_pairs(resolved, {f: i for i, f in enumerate(faces)}, np.eye(len(faces)))
    group = list(range(len(faces)))
    for a, b in must.tolist():  # transitive closure by brute force
        group = [group[a] if g == group[b] else g for g in group]
    assert all(group[a] != group[b] for a, b in cannot.tolist())
    held = active(numbered(*steps))
    if held and held[-1].act == "same":
        a, b = (faces.index(f) for f in held[-1].faces)
        assert group[a] == group[b]
    if held and held[-1].act == "not-same" and len(set(held[-1].faces)) == 2:
        assert {group[faces.index(f)] for f in held[-1].faces} in [{group[a], group[b]} for a, b in cannot.tolist()]


def test_a_batch_counts_whole_or_not_at_all(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    append(store, [name("Ann", "a")])
    path = Path(store.path(FILE))
    alone = path.read_bytes()
    made = append(store, [replace(name(text, text), batch=new_id()) for text in "b"] + [replace(name(t, t), batch="one") for t in "cdef"])
    assert read(store).decisions[1:] == made and len({d.id for d in made}) == 5 and all(len(d.id) == 32 for d in made)
    whole = path.read_bytes()
    for size in range(len(alone), len(whole)):
        path.write_bytes(whole[:size])
        found = read(store)
        lines = whole[: size + 1].count(b"\n")  # a last line without its end is whole, too
        assert [d.name for d in found.decisions] == ["Ann", *("b" if lines > 1 else ""), *("cdef" if lines == 6 else "")]
        assert any("batch one" in note for note in found.notes) == (2 < lines < 6)


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store(tmp_path)
    append(store, [name("Ann", "a")])
    before = Path(store.path(FILE)).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        append(store, [replace(name(text, text), batch="one") for text in "bcd"])
    assert Path(store.path(FILE)).read_bytes() == before


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "1", "at": "", "act": "name", "name": "x", "faces": ["a"], "boxes": {"a": [' + "9" * 400 + ", 1, 1, 1]}}",
        '{"id": "1", "at": "", "act": "name", "name": "x", "faces": ["a"], "boxes": {"a": [NaN, 1, 1, 1]}}',
        '{"id": "1", "at": "", "act": "name", "name": "\\ud800", "faces": ["a"]}',
        '{"id": "1", "at": "", "act": "same", "faces": ["\\udfff", "b"]}',
        "[" * 200_000,
        '{"a":' * 100_000,
        '{"id": "1", "at": "", "act": "name", "name": "x", "faces": ["a"], "boxes": [1]}',
    ],
    ids=["huge", "nan", "half a pair", "half a pair in an id", "deep list", "deep object", "boxes"],
)  # fmt: skip
def test_a_line_of_somebody_elses_is_noted_and_skipped(tmp_path: Path, line: str) -> None:
    store = new_store(tmp_path)
    Path(store.path(FILE)).write_text(line + "\n", encoding="utf-8")
    append(store, [name("Ann", "a")])
    found = read(store)
    assert [d.name for d in found.decisions] == ["Ann"] and len(found.notes) == 1 and "\n" not in found.notes[0]
