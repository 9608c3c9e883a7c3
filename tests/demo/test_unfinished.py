"""A demo that was stopped goes on with the same settings; in any other folder with files it does not begin."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from facecluster.demo import make_collection
from facecluster.demo.unfinished import UNFINISHED, begin, finish
from facecluster.errors import InputError

SETTINGS = {"people": 6, "photos": 2, "seed": 3}


def test_it_goes_on_with_the_same_settings_alone(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    begin(folder, SETTINGS)
    (folder / "photos").mkdir()
    begin(folder, SETTINGS)
    with pytest.raises(InputError, match="give --people 6 --photos 2 --seed 3, or choose another"):
        begin(folder, SETTINGS | {"people": 7})
    (folder / UNFINISHED).write_text("[" * 100_000)
    with pytest.raises(InputError, match="begun in .* found others"):
        begin(folder, SETTINGS)
    finish(folder)
    with pytest.raises(InputError, match="expected a new folder"):
        begin(folder, SETTINGS)


def test_photos_that_are_there_stay_and_the_others_are_made(tmp_path: Path) -> None:
    made = make_collection(str(tmp_path), people=6, photos=2, seed=3)
    photos = sorted(path for path in Path(made.photos).rglob("*") if path.is_file())
    whole = {path: path.read_bytes() for path in photos}
    photos[0].unlink()
    photos[1].write_bytes(b"edited")
    again = make_collection(str(tmp_path), people=6, photos=2, seed=3, go_on=True)
    assert again == made and photos[1].read_bytes() == b"edited"
    assert {path: path.read_bytes() for path in photos if path != photos[1]} == {p: d for p, d in whole.items() if p != photos[1]}
    with pytest.raises(InputError, match="without a collection"):
        make_collection(str(tmp_path), people=6, photos=2, seed=3)


def test_the_table_of_faces_is_that_of_the_photos(tmp_path: Path) -> None:
    """Also where that of another collection is left, whose photos were deleted."""
    (tmp_path / "truth.csv").write_text("photo,photo_id,x,y,w,h,person\nold.jpg,abc,1,2,3,4,0\n")
    made = make_collection(str(tmp_path), people=6, photos=2, seed=3)
    with open(made.table, newline="", encoding="utf-8-sig") as file:
        assert [row["photo_id"] for row in csv.DictReader(file)] == [face.photo_id for face in made.faces]
