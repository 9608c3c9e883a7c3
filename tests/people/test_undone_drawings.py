"""Drawings that were taken back, in photos that were edited since: over chains of edits, without a look at all photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facecluster.decisions import Decision
from facecluster.people import undone_drawings as room
from facecluster.people.undone_drawings import undone_drawings
from facecluster.store import FOLLOWED, PHOTOS, Store, table_of

BOX = (10.0, 20.0, 40.0, 40.0)


def photo(i: int) -> str:
    return f"{i:024x}" + 40 * "0"


def store_of(folder: Path, looks: list[tuple[str, int, int, int]], followed: list[tuple[int, int]] = ()) -> Store:  # type: ignore[assignment]
    """A store whose places (uri) showed photos, one after the other: of this number, width and phash."""
    store = Store(str(folder))
    store.create()
    n = len(looks)
    uris, photos, widths, hashes = map(list, zip(*looks, strict=True))
    columns = {
        "photo_id": [photo(i) for i in photos], "uri": uris, "size": [9] * n, "mtime_ns": [0] * n, "format": ["JPEG"] * n,
        "width": widths, "height": widths, "orientation": [1] * n, "phash": np.array(hashes, np.uint64), "faces": [1] * n,
    }  # fmt: skip
    store.write("photos", "00000", table_of(PHOTOS, columns), {"table": "photos"})
    if followed:
        old, new = ([f"{photo(pair[side])[:24]}-0000" for pair in followed] for side in (0, 1))
        store.write("followed", "00000", table_of(FOLLOWED, {"old": old, "new": new}), {"table": "followed"})
    return store


def taken_back(i: int, name: str = "Ada") -> list[Decision]:
    """A face that was drawn in photo i and named; the drawing was undone."""
    face = f"{photo(i)[:24]}-ffff"
    return [
        Decision(act="draw", faces=(face,), boxes={face: BOX}, id=f"d{i}"), Decision(act="name", faces=(face,), name=name, id=f"n{i}"),
        Decision(act="undo", of=f"d{i}", id=f"u{i}"),
    ]  # fmt: skip


def test_over_a_chain_of_edits_in_one_place_and_from_place_to_place(tmp_path: Path) -> None:
    looks = [
        ("/a.jpg", 1, 100, 0b1), ("/b.jpg", 7, 100, 0b1), ("/a.jpg", 2, 200, 0b11), ("/a.jpg", 3, 100, 2**60 - 1),  # 3 is another picture
        ("/c.jpg", 4, 400, 5), ("/c.jpg", 5, 100, 7), ("/c.jpg", 1, 100, 0b1), ("/c.jpg", 6, 100, 2**50 - 1),
    ]  # fmt: skip
    store = store_of(tmp_path / "store", looks, followed=[(2, 4), (6, 3)])
    found = undone_drawings(store, taken_back(1))
    assert set(found.boxes) == {photo(i)[:24] for i in (1, 2, 4, 5)}  # 1 became 2, whose face was followed to 4, which became 5
    assert set(found.names) == {photo(i)[:24] for i in (2, 4, 5)}
    assert found.has(photo(2), tuple(2 * v for v in BOX), "x") and not found.has(photo(2), BOX, "x") and found.has(photo(2), BOX, "ada")
    assert found.has(photo(4), tuple(4 * v for v in BOX), "x") and found.has(photo(5), BOX, "x") and not found.has(photo(3), BOX, "ada")


def test_photos_without_an_undone_drawing_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n, made, real = 3_000, [], room._Look

    def counted(*values: object) -> object:
        made.append(values)
        return real(*values)  # type: ignore[arg-type]

    looks = [(f"/{i}.jpg", i, 100, i % 7) for i in range(n)] + [(f"/{i}.jpg", n + i, 200, i % 7) for i in range(n)]
    store = store_of(tmp_path / "store", looks)
    monkeypatch.setattr(room, "_Look", counted)
    found = undone_drawings(store, [*taken_back(5), *taken_back(n - 1)])
    assert set(found.boxes) == {photo(i)[:24] for i in (5, n + 5, n - 1, 2 * n - 1)} and len(made) < 50
