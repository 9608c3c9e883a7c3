"""What attributes say of faces in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from facecluster.faces.attribute_labels import AttributeLabels, attribute_labels
from facecluster.store import FaceIds, Store


def column(*values: float | str) -> np.ndarray:
    return np.array(values, object if isinstance(values[0], str) else np.float32)


def test_words_of_the_bundled_models() -> None:
    labels = AttributeLabels({("mask", "mask"): column(0.5, 0.49, np.nan, 1), ("pose", "yaw"): column(25, -25.5, 26, np.nan)})
    assert [labels.words(row) for row in range(4)] == [["mask", "from the front"], ["no mask", "turned right"], ["turned left"], ["mask"]]
    assert labels.numbers(0) == []


def test_words_and_numbers_of_other_models() -> None:
    labels = AttributeLabels({
        ("mood", "expression"): column("happy", ""), ("mood", "expression_probability"): column(0.912, np.nan),
        ("pose", "pitch"): column(3, 4), ("mine", "mask"): column(0.9, 0.1),
    })  # fmt: skip
    assert labels.words(0) == ["expression: happy"] and labels.words(1) == []
    assert labels.numbers(0) == ["expression_probability 0.912", "mask 0.9"] and labels.numbers(1) == ["mask 0.1"]


@given(st.floats(width=32), st.floats(width=32))
def test_every_face_gets_at_most_a_word_for_each(mask: float, yaw: float) -> None:
    words = AttributeLabels({("mask", "mask"): column(mask), ("pose", "yaw"): column(yaw)}).words(0)
    assert len(words) == int(np.isfinite([mask, yaw]).sum())


def test_tables_are_joined_by_face_whatever_their_order_and_faces_that_are_gone_are_left_out(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.create()
    faces = FaceIds.of(["a", "b", "c"])
    assert attribute_labels(store, faces).words(0) == []
    for shard, ids, values in (("0", ["c", "gone"], [0.9, 0.9]), ("1", ["a"], [None])):
        table = pa.table({"face_id": ids, "mask": pa.array(values, pa.float32())})
        store.write("attributes/mask", shard, table, {"table": "attributes"})
    store.write("attributes/mood", "0", pa.table({"face_id": ["b"], "expression": ["sad"]}), {"table": "attributes"})
    found = attribute_labels(store, faces)
    assert [found.words(row) for row in range(3)] == [[], ["expression: sad"], ["mask"]]
    turned = attribute_labels(store, faces, np.array([2, 0, 2]))
    assert [turned.words(row) for row in range(3)] == [["mask"], [], ["mask"]]


words = st.sampled_from(["", "happy", "sad"])


@given(st.lists(st.tuples(st.floats(width=32), st.floats(width=32), words, words), min_size=1, max_size=8))
def test_faces_by_word_are_those_of_which_the_word_is_said(faces: list[tuple[float, float, str, str]]) -> None:
    """Also where two models have an attribute of one name."""
    mask, yaw, mood, other = zip(*faces, strict=True)
    numbers = {("mask", "mask"): column(*mask), ("pose", "yaw"): column(*yaw)}
    labels = AttributeLabels(numbers | {("mood", "expression"): column(*mood), ("other", "expression"): column(*other)})
    assert [{word for word, there in labels.said.items() if there[row]} for row in range(len(faces))] == [
        set(labels.words(row)) for row in range(len(faces))
    ]
    assert all(there.any() for there in labels.said.values())


def test_of_an_attribute_with_many_words_the_commonest_sort_faces() -> None:
    values = [f"w{i:03}" for i in range(100) for _ in range(1 + (i >= 90))]
    said = AttributeLabels({("m", "place"): column(*values)}).said
    assert len(said) == 24 and {f"place: w{i:03}" for i in range(90, 100)} <= said.keys()
