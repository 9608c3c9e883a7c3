"""A face that the user has named is a person, also if there is no other face of them; without a name it is nobody's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from people_store import add, call, other_card, people, refused, ungrouped_store

import facecluster
from facecluster.cli import main
from facecluster.decisions import Decision, append
from facecluster.errors import InputError
from facecluster.grouping.identify import IdentifyConfig, group
from facecluster.grouping.trees import labels_by_size
from facecluster.people import decisions_to_come, read_current_people
from facecluster.review.session import Session
from facecluster.store import Store


@pytest.fixture
def grouped(tmp_path: Path) -> tuple[Store, list[str]]:
    """A store of three people and a single face, the last one."""
    store, faces, _ = ungrouped_store(tmp_path, (8, 6, 5, 1))
    call("cluster", store.url)
    return store, faces


def named(store: Store) -> dict[str, int]:
    """The faces of each person with a name."""
    known = read_current_people(store)[0].people
    return {name: faces for name, faces in zip(known.names, known.faces, strict=True) if name}


def failed(*arguments: str) -> str:
    """The last line on stderr of facecluster, which must fail with exit code 1."""
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == 1, result.output
    return result.stderr.splitlines()[-1]


def test_a_named_single_face_is_a_person_in_every_later_grouping(grouped: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, faces = grouped
    assert "nobody" in refused("name", store.url, faces[-1], "")
    assert "next 'facecluster cluster'" in call("name", store.url, faces[-1], "Oma").output
    assert [d.act for d in decisions_to_come(store)] == ["name"]
    call("cluster", store.url)
    assert named(store) == {"Oma": 1} and not decisions_to_come(store)
    known = read_current_people(store)[0]
    oma = known.people.person_ids[known.find("Oma")]
    assert known.faces.probability[known.rows[faces[-1]]] == 1
    for more in (["--full"], ["--algorithm", "hdbscan"]):
        call("cluster", store.url, *more)
        known = read_current_people(store)[0]
        assert named(store) == {"Oma": 1} and known.people.person_ids.count(oma) == 1
        assert known.faces.probability[known.rows[faces[-1]]] == 1
    card = other_card(tmp_path)
    vectors = people((8, 6, 5, 1), seed=3)[0]
    add(store, "00000", vectors, model="other", photos=False)
    call("cluster", store.url, "--model", card)
    assert named(store) == {"Oma": 1}


def test_a_name_that_waits_for_the_next_grouping_is_not_said_to_be_lost(grouped: tuple[Store, list[str]]) -> None:
    store, faces = grouped
    call("name", store.url, faces[-1], "Oma")
    said = call("name", store.url, faces[0], "Anna").stderr
    assert "'Oma'" in said and "next 'facecluster cluster'" in said and "no person" not in said
    call("cluster", store.url)
    assert "note" not in call("name", store.url, "Anna", "Anne").stderr


def test_whoever_asks_for_a_name_that_waits_is_told_so(grouped: tuple[Store, list[str]]) -> None:
    store, faces = grouped
    call("name", store.url, faces[0], "Omar")
    call("name", store.url, faces[-1], "Oma")
    for text in ("Oma", "oma", "Omá", faces[-1]):  # not Omar, whose name begins so
        said = failed("show", store.url, text)
        assert faces[-1] in said and "in no person yet: the next 'facecluster cluster' makes" in said, said
    assert "in no person yet" in failed("merge", store.url, "Omar", "Oma")
    with pytest.raises(InputError, match="'Oma', a name given to face .* in no person yet"):
        facecluster.open(store.url).person("Oma")
    assert "nobody's name (similar: Omar" in failed("merge", store.url, "Omar", "Om")
    call("show", store.url, "Om")  # a beginning that only one person has
    call("cluster", store.url)
    call("show", store.url, "Oma")


def test_whoever_asks_for_a_name_that_lost_its_person_is_told_why(grouped: tuple[Store, list[str]]) -> None:
    store, faces = grouped
    call("name", store.url, "1", "Anna")
    append(store, [Decision(act="name", faces=(faces[0],), name="Berta")])  # most of the person's faces are not about it
    assert "'Anna', a name that belongs to no person now (most of its faces are in one group with" in failed("show", store.url, "Anna")


def test_names_that_wait_are_one_note_and_a_file_says_how_many(tmp_path: Path) -> None:
    store, faces, _ = ungrouped_store(tmp_path, (8, 6, 5, *[1] * 7))
    call("cluster", store.url)
    rows = "\n".join(f"{face},N{i}" for i, face in enumerate([faces[0], *faces[-7:]]))
    (tmp_path / "names.csv").write_text(f"person,name\n{rows}\n")
    said = call("name", store.url, "--csv", str(tmp_path / "names.csv")).stdout
    assert "8 decisions" in said and "'facecluster cluster' makes people of 7 faces that are nobody's" in said
    notes = call("name", store.url, "1", "Anna").stderr.splitlines()
    assert len(notes) == 1 and notes[0].count("'N") == 5 and "and 2 more wait for the next 'facecluster cluster'" in notes[0]
    call("cluster", store.url)
    assert len(named(store)) == 8


def test_a_store_that_was_grouped_by_an_earlier_version_is_grouped_again(grouped: tuple[Store, list[str]]) -> None:
    store, faces = grouped
    call("name", store.url, faces[-1], "Oma")
    with pytest.MonkeyPatch.context() as patch:  # as it was: the same rules, and no group of one face
        patch.setattr("facecluster.grouping.group.labels_by_size", lambda labels, size, said=None: labels_by_size(labels, size))
        patch.setattr("facecluster.grouping.identify._single", lambda must: None)
        call("cluster", store.url)
        assert named(store) == {} and "nothing changed" in call("cluster", store.url).output
    (Path(store.url) / "runs" / "unchanged.json").unlink()  # which is of other files of this package
    call("cluster", store.url)
    assert named(store) == {"Oma": 1}


def test_without_its_name_a_single_face_is_nobodys_again(grouped: tuple[Store, list[str]]) -> None:
    store, faces = grouped
    before = read_current_people(store)[0].people
    call("name", store.url, faces[-1], "Oma")
    call("cluster", store.url)
    call("undo", store.url)
    call("cluster", store.url)
    known = read_current_people(store)[0]
    assert known.people.person_ids == before.person_ids and known.faces.identity[known.rows[faces[-1]]] < 0


def test_new_faces_join_the_person_of_a_single_face(grouped: tuple[Store, list[str]]) -> None:
    store, faces = grouped
    call("name", store.url, faces[-1], "Oma")
    call("cluster", store.url)
    assert named(store) == {"Oma": 1}
    vectors = people((8, 6, 5, 1))[0]
    rng = np.random.default_rng(1)
    near = vectors[-1] + 0.3 * rng.normal(size=vectors.shape[1]) / vectors.shape[1] ** 0.5
    add(store, "00001", near[None] / np.linalg.norm(near), start=100)
    call("cluster", store.url)
    assert named(store) == {"Oma": 2}


def test_questions_say_of_a_single_face_what_is_not_known(tmp_path: Path) -> None:
    store, faces, _ = ungrouped_store(tmp_path, (9, 8, 7, 6, 5, 4, 3, 3, 1, 1), noise=1.3)
    call("cluster", store.url)
    for face, name in zip(faces[-2:], ("Oma", "Opa"), strict=True):
        call("name", store.url, face, name)
    call("cluster", store.url)
    assert named(store) == {"Oma": 1, "Opa": 1}
    said = call("questions", store.url, "--top", "99").stdout
    listed = {p["label"]: p for p in json.loads(call("questions", store.url, "--top", "99", "--json").stdout)["people"]}
    assert len(listed) > 2 and all(p["purity"] * p["completeness"] < 0.996 for p in listed.values())
    assert "1.00 x 1.00" not in said and "1 face, 1.00" not in said
    alone = [p for p in listed.values() if p["faces"] == 1]
    assert alone and said.count("1 face, which you named; share of them that is here 0.") == len(alone)


def test_a_name_on_somebodys_name_makes_one_person(grouped: tuple[Store, list[str]]) -> None:
    store, faces = grouped
    call("name", store.url, faces[0], "Anna")
    assert "is called 'anna' too" in call("name", store.url, faces[-1], "anna").output
    call("cluster", store.url)
    assert named(store) == {"anna": 9}  # as it was written last


def test_the_review_page_shows_the_person_at_once(grouped: tuple[Store, list[str]]) -> None:
    store, faces = grouped
    session = Session(store)
    session.act({"act": "give", "faces": [faces[-1]], "name": "Oma"})
    shown = session.view().current.people
    session.close()
    assert dict(zip(shown.names, shown.faces, strict=True))["Oma"] == 1
    call("cluster", store.url)
    known = read_current_people(store)[0].people
    assert known.person_ids[known.names.index("Oma")] == shown.person_ids[shown.names.index("Oma")]


def test_groups_of_one_face_on_vectors_alone() -> None:
    vectors, truth = people((6, 1, 1))
    cosine = vectors @ vectors.T
    near = np.argsort(-cosine, axis=1)[:, 1:5]
    similarity = np.take_along_axis(cosine, near, axis=1)
    found = group(vectors, near, similarity, IdentifyConfig(), must=np.array([[6, 6]]))
    assert found.labels.tolist() == [0] * 6 + [1, -1] and found.probabilities[6] == 1 and found.probabilities[7] == 0
    alone = group(vectors[:1], np.full((1, 1), -1), np.zeros((1, 1)), IdentifyConfig(), must=np.array([[0, 0]]))
    assert alone.labels.tolist() == [0] and alone.probabilities.tolist() == [1]


def test_the_list_of_people_says_unsure_of_nobody_without_a_face(grouped: tuple[Store, list[str]]) -> None:
    store, _ = grouped  # whose table of faces has no rows
    rows = [line.split() for line in call("people", store.url).stdout.splitlines()[1:]]
    assert len(rows) == 3 and all(row[2:] == ["0", "0", "-", "-"] for row in rows)
