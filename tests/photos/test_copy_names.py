"""Which file of a photo is shown."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecluster.photos.copy_names import by_place, copy_marks, named_like_copy
from facecluster.photos.photo_places import PhotoPlaces

BETTER = [
    ("/a/2011/Weihnachten/IMG_1.jpg", "/a/2011/Weihnachten/IMG_1 (1).jpg"), ("/a/IMG_1.jpg", "/a/Copy of IMG_1.jpg"),
    ("/a/z/IMG_1.jpg", "/a/b/IMG_1 - Kopie.jpg"), ("/a/IMG_1.jpg", "/a/IMG_1~2.jpg"), ("/a/IMG_1.jpg", "/a/backup/IMG_1.jpg"),
    ("/a/2011/Weihnachten bei Oma/IMG_1.jpg", "/a/Sicherung 2019/IMG_1.jpg"), ("/a/photos/IMG_1.jpg", "zip:/a/x.zip!/IMG_1.jpg"),
    ("/a/backup/IMG_1.jpg", "/a/backup/IMG_1(1).jpg"), ("/a/IMG_2.jpg", "/a/long/IMG_1.jpg"), ("/a/IMG_1.jpg", "/a/IMG_2.jpg"),
    ("/a/DSC_1.JPG", "/a/IMG-20210506-WA0001.jpg"),
]  # fmt: skip


@pytest.mark.parametrize(("shown", "other"), BETTER)
def test_the_better_place_is_the_first(shown: str, other: str) -> None:
    for uris in ([shown, other], [other, shown]):
        places = PhotoPlaces(pa.table({"photo_id": ["a" * 64] * 2, "uri": uris, "gone": [False, False]}))
        assert [place["uri"] for place in places["a" * 64]] == [shown, other]
    places = PhotoPlaces(pa.table({"photo_id": ["a" * 64] * 2, "uri": [shown, other], "gone": [True, False]}))
    assert places.first("uri").to_pylist() == [other], "what is there comes before what is gone"


@given(st.lists(st.text("ab/(1)~.-_ copyKOPIE\n", min_size=1, max_size=12), min_size=1, max_size=8))
def test_names_of_copies_are_the_same_for_dedup(names: list[str]) -> None:
    """The rule for one name and that for a column differ in their form only; the folder is no part of the name."""
    files = [f"/x/{name.replace('/', '_')}.jpg" for name in names]
    assert [bool(n) for n in copy_marks(pa.array(files)).to_pylist()] == [named_like_copy(uri) for uri in files]


def test_the_order_does_not_depend_on_that_of_the_rows() -> None:
    rows = [("b", "/a (1).jpg"), ("b", "/a.jpg"), ("a", "/backup/c.jpg"), ("a", "/c/c.jpg"), ("a", "/c/d.jpg")]
    expected = [("a", "/c/c.jpg"), ("a", "/c/d.jpg"), ("a", "/backup/c.jpg"), ("b", "/a.jpg"), ("b", "/a (1).jpg")]
    for seed in range(5):
        some = random.Random(seed).sample(rows, len(rows))
        table = pa.table({"photo_id": [p for p, _ in some], "uri": pa.chunked_array([[u] for _, u in some]), "gone": [False] * len(some)})
        found = table.take(by_place(table))
        assert list(zip(found["photo_id"].to_pylist(), found["uri"].to_pylist(), strict=True)) == expected
