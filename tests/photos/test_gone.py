"""Places that are gone: where they are missing, what may be a disk that is not mounted, dropping them and taking it back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from facecluster.cli import main
from facecluster.cli.printing import print_gone
from facecluster.photos.collect import collect
from facecluster.photos.gone import gone_folders, is_under
from facecluster.photos.places import (
    current_photo_ids,
    current_photos,
    drop_places,
    gone_places,
    is_gone,
    places_by_photo,
    pruned_places,
    restore_places,
    where_it_is,
    write_gone_places,
)
from facecluster.store import PHOTOS, Store, table_of


def photo(i: int) -> str:
    return f"{i:064x}"


def make(folder: Path, places: dict[str, int]) -> Store:
    """A store of files under `folder` (which are made) and of URIs, each with the number of its photo; 0 = could not be used."""
    store = Store(str(folder / "store"))
    store.create()
    for name in places:
        if "://" not in name:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{name} {places[name]}".encode())
    n = len(places)
    uris = [name if "://" in name else str(folder / name) for name in places]
    columns = {
        "photo_id": [photo(i) if i else "" for i in places.values()], "uri": uris, "size": [9] * n, "mtime_ns": [0] * n,
        "format": ["JPEG"] * n, "width": [400] * n, "height": [300] * n, "orientation": [1] * n, "phash": np.zeros(n, np.uint64),
        "faces": [0] * n, "error": [None if i else "broken" for i in places.values()],
    }  # fmt: skip
    store.write("photos", "00000", table_of(PHOTOS, columns), {"table": "photos"})
    return store


def run(*arguments: str) -> tuple[str, str]:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_a_deleted_photo_counts_on_and_is_gone_until_it_is_pruned(tmp_path: Path) -> None:
    store = make(tmp_path, {"p/a.jpg": 1, "p/b.jpg": 2, "p/q/c.jpg": 2})
    assert gone_folders(store) == []
    (tmp_path / "p/a.jpg").unlink()
    (found,) = gone_folders(store)
    assert (found.folder, found.whole_root, found.photos) == ("", False, {photo(1)}) and found.places == [str(tmp_path / "p/a.jpg")]
    assert current_photo_ids(store).to_pylist() == [photo(1), photo(2)]
    before = sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "store").rglob("*"))
    assert "a.jpg" in run("prune", store.url, "--dry-run")[0]
    assert sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "store").rglob("*")) == before
    out, err = run("prune", store.url)
    assert "1 place no longer counts; 1 photo is nowhere else" in out and "--undo" in err
    assert current_photo_ids(store).to_pylist() == [photo(2)] and gone_folders(store) == []
    assert "nothing is dropped" in run("prune", store.url)[0]
    assert "1 place counts again" in run("prune", store.url, "--undo")[0]
    assert current_photo_ids(store).to_pylist() == [photo(1), photo(2)] and gone_places(store) == {str(tmp_path / "p/a.jpg"): False}
    result = CliRunner().invoke(main, ["prune", store.url, "--undo"])
    assert result.exit_code == 1 and "nothing to take back" in result.output


def test_a_whole_root_that_is_missing_or_empty_needs_a_yes(tmp_path: Path) -> None:
    store = make(tmp_path, {"disk/DCIM/1/a.jpg": 1, "disk/DCIM/2/b.jpg": 2, "other/deep/c.jpg": 3, "other/deep/d.jpg": 4})
    shutil.rmtree(tmp_path / "disk/DCIM")  # an empty mount point is left
    shutil.rmtree(tmp_path / "other")
    assert {(g.folder, g.whole_root, len(g.places), len(g.photos)) for g in gone_folders(store)} == {
        (str(tmp_path / "disk"), True, 2, 2), (str(tmp_path / "other"), True, 2, 2)}  # fmt: skip
    out, err = run("prune", store.url)
    assert "nothing is dropped" in out and err.count("perhaps a disk is not mounted") == 2 and "--yes" in err
    assert len(current_photo_ids(store)) == 4
    run("prune", store.url, "--yes", "--under", str(tmp_path / "other"))
    assert current_photo_ids(store).to_pylist() == [photo(1), photo(2)]
    run("prune", store.url, "--yes")
    assert len(current_photo_ids(store)) == 0
    assert "2 places" in run("prune", store.url, "--undo")[0]  # the last one
    assert current_photo_ids(store).to_pylist() == [photo(1), photo(2)]
    assert "2 places" in run("prune", store.url, "--undo")[0]  # the one before
    assert len(current_photo_ids(store)) == 4


def test_a_folder_that_is_missing_among_others_is_no_root(tmp_path: Path) -> None:
    store = make(tmp_path, {"p/2019/x/a.jpg": 1, "p/2020/b.jpg": 2, "p/2020/c.jpg": 3})
    shutil.rmtree(tmp_path / "p/2019")
    (found,) = gone_folders(store)
    assert (found.folder, found.whole_root) == (str(tmp_path / "p/2019"), False)
    run("prune", store.url)
    assert current_photo_ids(store).to_pylist() == [photo(2), photo(3)]


def test_a_folder_that_was_searched_is_a_root_though_others_are_beside_it(tmp_path: Path) -> None:
    store = make(tmp_path, {"a/x/1.jpg": 1, "b/x/2.jpg": 2, "b/y/3.jpg": 3})
    collect([str(tmp_path / "a"), str(tmp_path / "b/**/*.jpg")], store)
    shutil.rmtree(tmp_path / "b/x")
    assert [g.whole_root for g in gone_folders(store)] == [False]
    shutil.rmtree(tmp_path / "b/y")  # b is an empty mount point
    (found,) = gone_folders(store)
    assert (found.folder, found.whole_root) == (str(tmp_path / "b"), True)
    (tmp_path / "b").rmdir()
    assert [g.whole_root for g in gone_folders(store)] == [True]
    assert "nothing is dropped" in run("prune", store.url)[0]


def test_a_root_that_was_moved_needs_no_yes(tmp_path: Path) -> None:
    store = make(tmp_path, {"a/1.jpg": 1, "b/1.jpg": 1})
    collect([str(tmp_path / "a"), str(tmp_path / "b")], store)
    shutil.rmtree(tmp_path / "a")
    assert "1 place no longer counts; no photo was only there" in run("prune", store.url)[0]


def test_a_photo_that_is_gone_from_two_places_counts_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make(tmp_path, {"old/a.jpg": 1, "new/a.jpg": 1, "new/b.jpg": 2})
    shutil.rmtree(tmp_path / "old")
    (tmp_path / "new/a.jpg").unlink()
    print_gone(store.url, gone_folders(store))
    assert capsys.readouterr().err.startswith("1 photo is gone but still counted")


def test_a_place_that_comes_back_counts_again(tmp_path: Path) -> None:
    store = make(tmp_path, {"p/a.jpg": 1, "p/b.jpg": 2})
    (tmp_path / "p/a.jpg").rename(tmp_path / "a.jpg")
    run("prune", store.url)
    (tmp_path / "a.jpg").rename(tmp_path / "p/a.jpg")
    collect([str(tmp_path / "p")], store)
    assert current_photo_ids(store).to_pylist() == [photo(1), photo(2)] and gone_places(store) == {} and pruned_places(store) == []


def test_undo_leaves_what_was_followed_dropped(tmp_path: Path) -> None:
    store = make(tmp_path, {"p/a.jpg": 1, "p/b.jpg": 2, "p/c.jpg": 3})
    for name in "ab":
        (tmp_path / f"p/{name}.jpg").unlink()
    drop_places(store, [str(tmp_path / "p/a.jpg")])  # as for a face that was followed to another photo
    run("prune", store.url)
    run("prune", store.url, "--undo")
    assert gone_places(store) == {str(tmp_path / "p/a.jpg"): True, str(tmp_path / "p/b.jpg"): False}


def test_a_restored_place_that_is_there_is_not_gone(tmp_path: Path) -> None:
    store = make(tmp_path, {"p/a.jpg": 1})
    (tmp_path / "p/a.jpg").rename(tmp_path / "p/z.jpg")
    run("prune", store.url)
    (tmp_path / "p/z.jpg").rename(tmp_path / "p/a.jpg")
    restore_places(store, pruned_places(store))
    assert current_photos(store, ["uri"])["gone"].to_pylist() == [False] and gone_places(store) == {}


def test_a_file_that_could_not_be_used_is_no_photo_that_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that was renamed, with a broken file in it; and a broken file that the user deleted."""
    store = make(tmp_path, {"old/a.jpg": 1, "old/broken.jpg": 0, "new/a.jpg": 1, "new/broken.jpg": 0, "new/empty.jpg": 0})
    shutil.rmtree(tmp_path / "old")
    (tmp_path / "new/empty.jpg").unlink()
    assert [(len(g.places), len(g.photos), g.whole_root) for g in gone_folders(store)] == [(2, 0, False), (1, 0, False)]
    print_gone(store.url, gone_folders(store))
    assert capsys.readouterr().err == ""


def test_a_photo_with_another_place_is_not_gone_and_that_place_is_used(tmp_path: Path) -> None:
    """A folder that was renamed: neither gone, nor a copy."""
    store = make(tmp_path, {"old/a.jpg": 1, "new/a.jpg": 1, "new/b.jpg": 0})
    shutil.rmtree(tmp_path / "old")
    (found,) = gone_folders(store)
    assert not found.photos and not found.whole_root and len(found.places) == 1
    places = places_by_photo(store, ["width"], look=True)
    assert list(places) == [photo(1)]
    assert [(Path(p["uri"]).parent.name, p["gone"], p["width"]) for p in places[photo(1)]] == [("new", False, 400), ("old", True, 400)]
    assert [Path(p["uri"]).parent.name for p in where_it_is(places[photo(1)])] == ["new"]
    shutil.rmtree(tmp_path / "new")
    assert len(where_it_is(places_by_photo(store, [], look=True)[photo(1)])) == 2


def test_places_elsewhere_are_gone_if_the_last_search_missed_them(tmp_path: Path) -> None:
    store = make(tmp_path, {"s3://b/a.jpg": 1, "s3://c/x.jpg": 2, "s3://c/y.jpg": 3, "p/d.jpg": 4})
    assert gone_folders(store) == []
    write_gone_places(store, {"s3://b/a.jpg": False, "s3://c/x.jpg": False})
    assert {(g.folder, g.whole_root, tuple(g.places)) for g in gone_folders(store)} == {
        ("s3://b", True, ("s3://b/a.jpg",)), ("", False, ("s3://c/x.jpg",))}  # fmt: skip
    run("prune", store.url, "--under", "s3://c")
    assert gone_places(store)["s3://c/x.jpg"] and not gone_places(store)["s3://b/a.jpg"]


@pytest.mark.parametrize(
    ("uri", "folder", "expected"),
    [("/a/b/c.jpg", "/a/b", True), ("/a/b/c.jpg", "/a/b/", True), ("/a/bc/c.jpg", "/a/b", False), ("s3://b/a/c.jpg", "s3://b/a", True),
     ("s3://b/ab/c.jpg", "s3://b/a", False), ("/a/b.jpg", "s3://a", False), ("s3://a/b.jpg", "/", False),
     ("file:///a/%FF.jpg", "/a", True)],
)  # fmt: skip
def test_under(uri: str, folder: str, expected: bool) -> None:
    assert is_under(uri, folder) is expected


def test_what_cannot_be_looked_at_counts_as_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    assert is_gone(str(tmp_path / "file" / "a.jpg")) and is_gone(str(tmp_path / "none.jpg"))
    assert not is_gone(str(tmp_path / "broken")) and not is_gone("s3://b/a.jpg") and not is_gone(str(tmp_path / ("x" * 300)))


def test_a_run_says_how_many_are_gone_and_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make(tmp_path, {"disk/a.jpg": 1, "disk/b.jpg": 2, "home/a.jpg": 1, "home/c.jpg": 3, "home/d.jpg": 4})
    print_gone(store.url, gone_folders(store))
    assert capsys.readouterr().err == ""
    shutil.rmtree(tmp_path / "disk")
    (tmp_path / "home/c.jpg").unlink()
    print_gone(store.url, gone_folders(store))
    err = capsys.readouterr().err
    assert err.startswith("2 photos are gone but still counted; 'facecluster prune ")
    assert f"2 places in {tmp_path / 'disk'}, which is missing or empty (moved, renamed or deleted); 1 photo is nowhere else" in err
    assert "1 place of 1 photo, moved or deleted from folders that are there" in err


def test_prune_says_it_in_json(tmp_path: Path) -> None:
    store = make(tmp_path, {"p/a.jpg": 1, "p/b.jpg": 2})
    (tmp_path / "p/a.jpg").unlink()
    said = json.loads(run("prune", store.url, "--json", "--dry-run")[0])
    assert said["dropped"] == [{"folder": "", "whole_root": False, "places": [str(tmp_path / "p/a.jpg")], "photos": 1}] and said["dry_run"]
    assert len(current_photo_ids(store)) == 2
    run("prune", store.url, "--json")
    assert json.loads(run("prune", store.url, "--json", "--undo")[0])["restored"] == [str(tmp_path / "p/a.jpg")]
