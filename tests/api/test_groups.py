"""`facecluster.group`: the same groups as the stage, more about them, and what it refuses."""

from __future__ import annotations

import importlib.util
import re

import numpy as np
import pyarrow as pa
import pytest
from conftest import need
from numpy.typing import NDArray

import facecluster
from facecluster.api.html import Strip, people_html
from facecluster.grouping import identify, link, uncertainty
from facecluster.models.registry import card_of


def made(people: int = 8, faces: int = 6, noise: float = 0.45, dim: int = 64) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors of people, rows of length 1, and who each is."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(people), faces)
    x = rng.normal(size=(people, dim))[truth] + noise * rng.normal(size=(people * faces, dim))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), truth


VECTORS, TRUTH = made()


def test_it_gives_what_the_stage_gives() -> None:
    card = card_of("bundled")
    config = identify.IdentifyConfig(**card.grouping_settings())
    graph = link.nearest(VECTORS, 64)
    photos = np.arange(len(VECTORS)) // 2
    expected = identify.group(VECTORS, *graph, config, photos=photos)
    found = facecluster.group(VECTORS, photos=[f"photo {p}" for p in photos])
    for name in ("labels", "probabilities", "outlier_scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    labels, probabilities = facecluster.group_faces(VECTORS, photos=photos)
    np.testing.assert_array_equal(labels, expected.labels)
    np.testing.assert_array_equal(probabilities, expected.probabilities)
    sure = uncertainty.assess(VECTORS, *graph, expected.labels, expected.probabilities, config, photos)
    np.testing.assert_array_equal(found.purity, sure.purity)
    np.testing.assert_array_equal(found.completeness, sure.completeness)
    assert found.people == len(found.purity) == 8 and facecluster.evaluate(found.labels, TRUTH).pairwise.f == 1


def test_only_directions_count() -> None:
    expected = facecluster.group(VECTORS).labels
    scale = np.random.default_rng(1).uniform(0.1, 30, len(VECTORS))[:, None]
    whole = np.rint(VECTORS * 1000).astype(int)
    for other in (VECTORS * scale, VECTORS.astype(np.float64), VECTORS.astype(np.float16), VECTORS.tolist(), whole):
        np.testing.assert_array_equal(facecluster.group(other).labels, expected)
    kept = facecluster.group(VECTORS.astype(np.float16)).probabilities  # rounding to half precision is no other length
    np.testing.assert_array_equal(kept, facecluster.group(VECTORS.astype(np.float16).astype(np.float32)).probabilities)


def test_tables_have_a_row_a_face_and_a_row_a_person() -> None:
    found = facecluster.group(VECTORS)
    faces, people = found.to_arrow(), found.people_to_arrow()
    assert faces.column_names == ["row", "label", "probability", "outlier_score"] and faces.num_rows == len(found) == len(VECTORS)
    assert people["faces"].to_pylist() == np.bincount(found.labels[found.labels >= 0]).tolist()
    assert people["label"].to_pylist() == list(range(found.people)) and people.column_names[-2:] == ["purity", "completeness"]
    rows = found.rows(2)
    assert set(rows) == set(np.flatnonzero(found.labels == 2)) and (np.diff(found.probabilities[rows]) <= 0).all()


def test_to_pandas_or_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    found = facecluster.group(VECTORS)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(facecluster.InputError, match="expected the package pandas, found none: install it with"):
        found.to_pandas()
    monkeypatch.undo()
    need(importlib.util.find_spec("pandas") is not None, "pandas (PyPI)")
    frame = found.to_pandas()
    assert list(frame.columns) == ["row", "label", "probability", "outlier_score"]
    assert frame["label"].tolist() == found.labels.tolist()
    again = facecluster.group(VECTORS, before=frame["label"], photos=frame["row"])
    np.testing.assert_array_equal(again.labels, found.labels)


def test_rules_and_earlier_labels_hold() -> None:
    free = facecluster.group(VECTORS)
    one, other = free.rows(0)[0], free.rows(1)[0]
    tied = facecluster.group(VECTORS, must_link=[[one, other]])
    assert tied.labels[one] == tied.labels[other] != -1
    a, b = free.rows(0)[:2]
    apart = facecluster.group(VECTORS, cannot_link=[[a, b]])
    assert apart.labels[a] != apart.labels[b]
    before = free.labels.copy()
    before[::5] = -1
    grown = facecluster.group(VECTORS, before=before)
    assert facecluster.evaluate(grown.labels, TRUTH).pairwise.f == 1
    large = facecluster.group(VECTORS, min_cluster_size=7)
    assert (np.bincount(large.labels + 1)[1:] >= 7).all() and facecluster.group(VECTORS, min_cluster_size=49).people == 0


def test_recut_and_trees_come_from_the_library() -> None:
    found = facecluster.group(VECTORS)
    labels = found.recut(min_cluster_size=3)
    assert facecluster.evaluate(labels, TRUTH).bcubed.precision == 1 and labels.max() >= 7
    assert (found.recut(distance=0.0) == -1).all()
    import hdbscan.plots

    assert isinstance(found.condensed_tree_, hdbscan.plots.CondensedTree)
    assert isinstance(found.single_linkage_tree_, hdbscan.plots.SingleLinkageTree)
    library = facecluster.group(VECTORS, algorithm="hdbscan")
    assert facecluster.evaluate(library.labels, TRUTH).bcubed.precision == 1
    np.testing.assert_array_equal(library.labels, facecluster.group_faces(VECTORS, algorithm="hdbscan")[0])


def test_a_notebook_shows_faces_where_there_are_any() -> None:
    plain = facecluster.group(VECTORS)._repr_html_()
    assert "<img" not in plain and "Person 7" in plain and "48 faces, 8 people" in plain
    crops = np.random.default_rng(0).integers(0, 255, (len(VECTORS), 112, 112, 3)).astype(np.uint8)
    shown = facecluster.group(VECTORS, crops=crops)._repr_html_()
    assert len(re.findall(r'<img src="data:image/jpeg;base64,', shown)) == 48
    many, _ = made(people=20, faces=3)
    assert "8 more people" in facecluster.group(many)._repr_html_()
    shown = people_html("", [Strip("Ada", "2 faces", [b"", b"\xff\xd8\xff"])], more=1)  # a face without a picture
    assert shown.count("<img") == 1 and "None" not in shown and "1 more person<" in shown


def test_few_faces() -> None:
    for n in (0, 1, 2):
        found = facecluster.group(VECTORS[:n])
        assert len(found) == n and found.people in (0, 1) and len(found.purity) == found.people
        assert found.to_arrow().num_rows == n and found._repr_html_()
    assert facecluster.group(np.zeros((0, 512), np.float32)).people == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"vectors": "people.npy"}, "found str of <U10"),
        ({"vectors": None}, "found NoneType"),
        ({"vectors": []}, r"an array \(0,\)"),
        ({"vectors": VECTORS[0]}, "put one vector into a list"),
        ({"vectors": VECTORS[None]}, r"found an array \(1, 48, 64\)"),
        ({"vectors": [[1, 0], [1]]}, "different lengths"),
        ({"vectors": np.where(np.arange(48)[:, None] == 3, np.nan, VECTORS)}, "NaN or infinity in row 3: leave"),
        ({"vectors": np.where(np.arange(48)[:, None] > 40, 0, VECTORS)}, "only zeros in rows 41, 42, 43, 44, 45, ..."),
        ({"photos": [1, 2]}, r"expected photos \(48,\), one for each vector, found 2 of them"),
        ({"photos": [None] * 48}, "as photos, found NoneType"),
        ({"before": np.full(48, np.nan)}, "as before, found NaN"),
        ({"before": ["a"] * 48}, "as before"),
        ({"must_link": [[0, 48]]}, "from 0 to 47 in must_link, found 0 to 48"),
        ({"cannot_link": [0, 1]}, r"expected pairs \(m, 2\) of rows as cannot_link"),
        ({"k": 0}, "from 1 on as k, found 0"),
        ({"k": 1.5}, "as k, found 1.5"),
        ({"margin": np.nan}, "expected a number as margin, found nan"),
        ({"merge": "high"}, "expected a number as merge, found 'high'"),
        ({"min_cluster_size": 1}, "from 2 on as min_cluster_size"),
        ({"crops": np.zeros((3, 112, 112, 3), np.uint8)}, "expected a crop for each of 48 vectors, found 3"),
        ({"crops": np.zeros((48, 112, 112, 3))}, "found an array .* float64"),
        ({"algorithm": "dbscan"}, "expected the algorithm 'facecluster' or 'hdbscan', found 'dbscan'"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(facecluster.InputError, match=message) as caught:
        facecluster.group(**{"vectors": VECTORS, **arguments})  # type: ignore[arg-type]
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, TypeError)
    assert "\n" not in str(caught.value)


def test_an_unknown_model_is_a_model_error() -> None:
    with pytest.raises(facecluster.ModelError, match="expected the model 'bundled'"):
        facecluster.group(VECTORS, model="another")


def test_arrow_columns_are_taken() -> None:
    photos = pa.chunked_array([[f"{i // 2}" for i in range(48)]])
    expected = facecluster.group(VECTORS, photos=np.arange(48) // 2)
    np.testing.assert_array_equal(facecluster.group(VECTORS, photos=photos).labels, expected.labels)
