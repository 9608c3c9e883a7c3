"""Ids in an array against lists and dictionaries of texts."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecluster.store import FaceIds, face_ids

TEXTS = st.lists(st.text("0a-é\u4e2d😀", min_size=1, max_size=6) | st.just("0123456789abcdef"), max_size=30)


@given(TEXTS, TEXTS)
def test_rows_are_those_of_a_dictionary(one: list[str], other: list[str]) -> None:
    known = sorted(set(one))
    rows = {face: i for i, face in enumerate(known)}
    twice = pa.chunked_array([one, one], pa.string())
    for ids in (FaceIds.of(known), FaceIds.among(one), FaceIds.of(pa.array(known, pa.string())), FaceIds.among(twice)):
        assert list(ids) == known and ids == known and len(ids) == len(known) and ids.arrow().to_pylist() == known
        assert ids.rows_of(other).tolist() == [rows.get(face, -1) for face in other] and dict(ids.rows) == rows
        assert [ids.rows.get(face, -1) for face in other] == [rows.get(face, -1) for face in other]
        assert list(ids.without(FaceIds.among(other))) == [face for face in known if face not in other]
        assert [ids[i] for i in ids.starting_with("0a")] == [face for face in known if face.startswith("0a")]


@given(st.lists(st.text("0123456789abcdef", min_size=5, max_size=5), max_size=40))
def test_ids_of_one_length_and_their_beginnings(faces: list[str]) -> None:
    ids = FaceIds.among(pa.array(faces, pa.string()).slice(len(faces) // 3))
    known = sorted(set(faces[len(faces) // 3 :]))
    assert ids == known and list(ids.starts(2)) == sorted({face[:2] for face in known}) and pa.array(ids).to_pylist() == known
    assert ids.find("0" * 9) == -1 and list(ids[1:3]) == known[1:3]
    with pytest.raises(KeyError):
        ids.rows["no such face"]


def test_faces_of_many_decisions_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An act asks for those of all names: with 20,000 of them it must not search for each again."""
    names = [f"{i:024x}-0000" for i in range(20_000)]
    ids, searched = FaceIds.of(names), list[str]()
    search = FaceIds._search
    monkeypatch.setattr(FaceIds, "_search", lambda self, face: searched.append(face) or search(self, face))
    monkeypatch.setattr(face_ids, "_KNOWN", 0)
    for _ in range(2):
        assert all(ids.rows.of_all((name,)).tolist() == [row] for row, name in enumerate(names))
    assert len(searched) == len(names)
