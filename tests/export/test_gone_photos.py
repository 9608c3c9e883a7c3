"""Exports, show and report where photos were moved, deleted, edited, or lie on a disk that is not mounted; and what goes with a photo."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from export_store import face_id, make_photo, make_store

from facecluster.api.collection import open as open_store
from facecluster.cli import main
from facecluster.export.photo_library import read_photo_library
from facecluster.matching.recognition import read_recognition
from facecluster.photos.images import content_id
from facecluster.photos.places import drop_places
from facecluster.store import PHOTOS, Store, table_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """disk/a.jpg (with a copy home/a.jpg) and disk/b.jpg, home/c.jpg: two people on each."""
    rows = []
    for i, name in enumerate(("disk/a.jpg", "disk/b.jpg", "home/c.jpg")):
        path = tmp_path / name
        rows.append((make_photo(path, 1, (60 * i, 100, 100)), str(path), 1))
    shutil.copy(tmp_path / "disk/a.jpg", tmp_path / "home/a.jpg")
    rows.append((rows[0][0], str(tmp_path / "home/a.jpg"), 1))
    return make_store(tmp_path / "store", rows)


def run(*arguments: str | Path) -> tuple[str, str]:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and not p.name.startswith((".", "README")))


def regroup(store: Store, person: Callable[[str], int]) -> None:
    """Give the faces to other people: `person` says whose a face_id is."""
    data = store.read("identities/bundled", "00000")
    column = pa.array([person(face) for face in data["face_id"].to_pylist()], pa.int32())
    store.remove("identities/bundled")
    at = data.schema.get_field_index("identity")
    store.write("identities/bundled", "00000", data.set_column(at, data.schema.field(at), column), {"table": "identities"})


def test_folders_take_the_copy_that_is_there_and_count_the_rest(store: Store, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "disk")
    out, err = run("export", store.url, "--format", "folders", "-o", tmp_path / "out")
    assert names(tmp_path / "out") == [f"person 000{i + 1}/{n}.jpg" for i in (0, 1) for n in "ac"] and "4 photos in folders" in out
    assert err.count("\n") <= 2 and "1 photo that is gone" in err


def test_what_an_earlier_export_wrote_of_a_gone_photo_stays_until_it_is_dropped(store: Store, tmp_path: Path) -> None:
    (tmp_path / "disk/b.jpg.xmp").write_bytes(b"<x/>")
    run("export", store.url, "--format", "folders", "-o", tmp_path / "out")
    before = names(tmp_path / "out")
    assert "person 0001/b.jpg.xmp" in before and len(before) == 8
    shutil.move(tmp_path / "disk", tmp_path / "away")
    run("export", store.url, "--format", "folders", "-o", tmp_path / "out")
    assert names(tmp_path / "out") == before
    run("prune", store.url, "--yes")
    run("export", store.url, "--format", "folders", "-o", tmp_path / "out")
    assert names(tmp_path / "out") == [f"person 000{i + 1}/{n}.jpg" for i in (0, 1) for n in "ac"]


def test_a_copy_of_a_gone_photo_goes_along_when_its_person_is_renamed(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "disk/b.jpg.xmp").write_bytes(b"<x/>")
    run("export", store.url, "--format", "folders", "-o", out)
    b = (tmp_path / "disk/b.jpg").read_bytes()
    (tmp_path / "disk/b.jpg").unlink()
    regroup(store, lambda face: 7 + int(face[-1]))
    run("export", store.url, "--format", "folders", "-o", out)
    assert names(out) == [f"person 000{i}/{n}" for i in "89" for n in ("a.jpg", "b.jpg", "b.jpg.xmp", "c.jpg")]
    assert (out / "person 0008/b.jpg").read_bytes() == b and (out / "person 0009/b.jpg.xmp").read_bytes() == b"<x/>"
    said = run("export", store.url, "--format", "folders", "-o", out)[0]
    assert "0 files written" in said and "stale" not in said and len(names(out)) == 8


def test_the_last_copy_of_a_gone_photo_stays_if_nobody_is_on_it_any_more(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("export", store.url, "--format", "folders", "-o", out)
    (tmp_path / "disk/b.jpg").unlink()
    regroup(store, lambda face: -1)
    run("export", store.url, "--format", "folders", "-o", out)
    assert [Path(n).name for n in names(out)] == ["b.jpg"]


def test_the_copies_of_one_person_stay_when_those_of_another_are_made(tmp_path: Path) -> None:
    rows = []
    for i, (folder, name) in enumerate((("x", "s.jpg"), ("y", "s.jpg"), ("x", "both.jpg"))):
        path = tmp_path / folder / name
        rows.append((make_photo(path, 1, (90 * i, 0, 0)), str(path), 1))
        (tmp_path / folder / f"{name}.xmp").write_bytes(f"{folder} {name}".encode())
    store, out = make_store(tmp_path / "store", rows), tmp_path / "out"
    nobody = {face_id(rows[0][0], 1), face_id(rows[1][0], 0)}
    regroup(store, lambda face: -1 if face in nobody else int(face[-1]))
    first = {n: (out / n).read_bytes() for n in (run("show", store.url, "1", "--copy-to", out), names(out))[1]}
    assert sorted(first) == ["both.jpg", "both.jpg.xmp", "s.jpg", "s.jpg.xmp"]
    run("show", store.url, "2", "--copy-to", out)
    second = f"s-{rows[1][0][:12]}"
    assert names(out) == sorted([*first, f"{second}.jpg", f"{second}.jpg.xmp"])
    assert {n: (out / n).read_bytes() for n in first} == first and (out / f"{second}.jpg.xmp").read_bytes() == b"y s.jpg"
    nobody.add(face_id(rows[2][0], 1))
    regroup(store, lambda face: -1 if face in nobody else int(face[-1]))
    run("show", store.url, "2", "--copy-to", out)
    assert {"both.jpg", "both.jpg.xmp"} <= {*names(out)}  # the other's too


def test_beside_makes_no_folder_anew(store: Store, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "disk")
    out, err = run("export", store.url, "--format", "xmp", "--beside")
    assert not (tmp_path / "disk").exists() and "2 new" in out and "1 photo that is gone" in err
    (tmp_path / "home/c.jpg").unlink()
    (tmp_path / "home/c.jpg.xmp").unlink()
    run("export", store.url, "--format", "xmp", "--beside")
    assert names(tmp_path / "home") == ["a.jpg", "a.jpg.xmp"]


@pytest.mark.parametrize(("kind", "file"), [("coco", "instances_faces.json"), ("fiftyone", "data.json"), ("labelstudio", "tasks.json")])
def test_formats_that_need_files_leave_out_what_is_gone(kind: str, file: str, store: Store, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "disk")
    _, err = run("export", store.url, "--format", kind, "-o", tmp_path / "out")
    text = (tmp_path / "out" / file).read_text()
    assert "b.jpg" not in text and "disk" not in text and "c.jpg" in text and err.count("1 photo that is gone") == 1


def test_tables_mark_what_is_gone(store: Store, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "disk")
    run("export", store.url, "--format", "csv", "-o", tmp_path / "out")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out/photos.csv").read_text(encoding="utf-8-sig"))))
    found = {(Path(r["uri"]).parent.name, Path(r["uri"]).name): r["gone"] for r in rows}
    assert found == {("home", "a.jpg"): "0", ("disk", "b.jpg"): "1", ("home", "c.jpg"): "0"}
    faces = list(csv.DictReader(io.StringIO((tmp_path / "out/faces.csv").read_text(encoding="utf-8-sig"))))
    assert len(faces) == 6


def test_show_lists_what_is_there(store: Store, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "disk")
    out, err = run("show", store.url, "1")
    assert out.split() == [str(tmp_path / "home/a.jpg"), str(tmp_path / "home/c.jpg")] and "1 photo more that is gone" in err
    said = json.loads(run("show", store.url, "1", "--json", "--copy-to", tmp_path / "out")[0])
    assert said["gone"] == [str(tmp_path / "disk/b.jpg")] and [p["uris"] for p in said["photos"]] == [[p] for p in out.split()]
    assert names(tmp_path / "out") == ["a.jpg", "c.jpg"]


def test_dropped_photos_count_nowhere(store: Store, tmp_path: Path) -> None:
    (tmp_path / "disk/b.jpg").unlink()
    assert [p.faces for p in read_recognition(store).people] == [3, 3]
    drop_places(store, [str(tmp_path / "disk/b.jpg")])
    assert [p.faces for p in read_recognition(store).people] == [2, 2]
    opened = open_store(store.url)
    assert opened.people["faces"].to_pylist() == [2, 2] and opened.faces.num_rows == 4 and opened.photos.num_rows == 3
    said = json.loads(run("show", store.url, "1", "--json")[0])
    assert len(said["photos"]) == 2 and said["gone"] == []
    out, _ = run("report", store.url)
    assert "4 faces of 2 photos" in out


def test_a_renamed_folder_is_no_copy(store: Store, tmp_path: Path) -> None:
    shutil.move(tmp_path / "home", tmp_path / "renamed")
    library = read_photo_library(store)
    a = next(p for p in library.photos if Path(p.uris[0]).name == "a.jpg")
    assert a.uris == [str(tmp_path / "disk/a.jpg")] and not a.gone and sum(p.gone for p in library.photos) == 1
    shutil.rmtree(tmp_path / "store/report", ignore_errors=True)
    run("report", store.url)
    counts = json.loads((tmp_path / "store/report/summary.json").read_text())["counts"]
    assert (counts["copies"], counts["gone"], counts["photos"], counts["faces"]) == (0, 1, 3, 6)


def test_a_file_that_another_program_wrote_to_is_the_photo_by_its_own_bytes(store: Store, tmp_path: Path) -> None:
    """photo_id is of the bytes that were seen first; what is copied is compared with the bytes seen last."""
    edited = tmp_path / "home/c.jpg"
    edited.write_bytes(edited.read_bytes() + b"a rating")
    old = next(r for r in store.read("photos", "00000").to_pylist() if r["uri"] == str(edited))
    row: dict[str, Any] = old | {"content": content_id(edited.read_bytes()), "picture": "p"}
    columns = {name: [value] for name, value in row.items()} | {"phash": np.zeros(1, np.uint64)}
    store.write("photos", "00001", table_of(PHOTOS, columns), {"table": "photos"})
    run("export", store.url, "--format", "folders", "-o", tmp_path / "out")
    assert (tmp_path / "out/person 0001/c.jpg").read_bytes() == edited.read_bytes()
    run("export", store.url, "--format", "coco", "-o", tmp_path / "coco")
    images = json.loads((tmp_path / "coco/instances_faces.json").read_text())["images"]
    assert content_id(edited.read_bytes()) in {i["sha256"] for i in images}


@pytest.mark.parametrize("link", [False, True])
def test_what_belongs_to_a_photo_is_copied_with_it(link: bool, store: Store, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name in ("c.jpg.xmp", "c.mov", "c.jpg.supplemental-metadata.json", "other.mov"):
        (home / name).write_bytes(name.encode())
    run("show", store.url, "1", "--link-to" if link else "--copy-to", tmp_path / "out")
    assert names(tmp_path / "out") == ["a.jpg", "b.jpg", "c.jpg", "c.jpg.supplemental-metadata.json", "c.jpg.xmp", "c.mov"]
    assert (tmp_path / "out/c.mov").is_symlink() is link and (tmp_path / "out/c.mov").read_bytes() == b"c.mov"


def test_names_that_clash_in_an_export_are_numbered_alike(tmp_path: Path) -> None:
    rows = []
    for i, folder in enumerate("xy"):
        path = tmp_path / folder / "s.jpg"
        rows.append((make_photo(path, 1, (90 * i, 0, 0)), str(path), 1))
        (tmp_path / folder / "s.jpg.xmp").write_bytes(folder.encode())
        (tmp_path / folder / "s.mov").write_bytes(b"film of " + folder.encode())
    store = make_store(tmp_path / "store", rows)
    run("show", store.url, "1", "--copy-to", tmp_path / "out")
    second = f"s-{rows[1][0][:12]}"
    assert names(tmp_path / "out") == sorted(["s.jpg", "s.jpg.xmp", "s.mov", f"{second}.jpg", f"{second}.jpg.xmp", f"{second}.mov"])
    assert (tmp_path / f"out/{second}.jpg.xmp").read_bytes() == b"y" and (tmp_path / "out/s.mov").read_bytes() == b"film of x"
