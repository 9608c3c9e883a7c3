"""Export to folders, COCO, FiftyOne, Label Studio, CSV and SQLite, read back by readers written after the formats' documentation."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sqlite3
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path, PureWindowsPath
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from export_store import BOXES, COLOURS, SIZE, make_photo, make_store, write_faces
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from facecluster.cli import main
from facecluster.export import coco, fiftyone, labelstudio
from facecluster.export.folder_names import class_folders, file_key, safe_file_name
from facecluster.export.output_folder import MANIFEST, OutputFolder
from facecluster.export.photo_library import read_photo_library
from facecluster.export.relative_paths import relative_paths
from facecluster.store import IDENTITIES, Store, table_of


def run(*arguments: str | Path, code: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    assert result.exit_code == code, result.output
    return dict(json.loads(result.stdout)) if code == 0 else {"error": result.stderr}


@pytest.fixture
def three(tmp_path: Path) -> tuple[Store, list[str]]:
    """Three photos and a copy of the first. Two have the same name, one has a difficult name. All have a red and a blue face."""
    paths = [tmp_path / "photos" / "2020" / "a.jpg", tmp_path / "photos" / "2021" / "a.jpg", tmp_path / "photos" / "=1+1, \u00e9.jpg"]
    ids = [make_photo(path, o, (200, 200, 100 + i)) for i, (path, o) in enumerate(zip(paths, (1, 8, 3), strict=True))]
    copy = tmp_path / "photos" / "z copy.jpg"
    copy.write_bytes(paths[0].read_bytes())
    rows = [(i, str(p), o) for i, p, o in zip(ids, paths, (1, 8, 3), strict=True)]
    return make_store(tmp_path / "store", [*rows, (ids[0], str(copy), 1)]), ids


def colour_at(path: str | Path, box: tuple[float, float, float, float]) -> np.ndarray[Any, Any]:
    """Mean colour of the upright picture inside a box in px."""
    x, y, w, h = box
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).crop((int(x) + 4, int(y) + 4, int(x + w) - 4, int(y + h) - 4))).mean(axis=(0, 1))


def test_coco(three: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, ids = three
    run("export", store.url, "--format", "coco", "-o", tmp_path / "out")
    coco = json.loads((tmp_path / "out" / "instances_faces.json").read_bytes())
    images = {i["id"]: i for i in coco["images"]}
    assert len(images) == 3 and {i["sha256"] for i in images.values()} == set(ids)
    assert [c["name"] for c in coco["categories"]] == ["face"] and len(coco["categories"][0]["keypoints"]) == 5
    assert len({a["id"] for a in coco["annotations"]}) == len(coco["annotations"]) == 6
    for a in coco["annotations"]:
        image = images[a["image_id"]]
        assert (image["width"], image["height"]) == SIZE and a["category_id"] == 1 and a["iscrowd"] == 0
        assert a["area"] == pytest.approx(a["bbox"][2] * a["bbox"][3])
        number = int(a["attributes"]["face_id"][-1])
        assert np.abs(colour_at(Path(coco["info"]["root"], image["file_name"]), a["bbox"]) - COLOURS[number]).max() < 20
        assert len(a["keypoints"]) == 15 and set(a["keypoints"][2::3]) == {2} and a["num_keypoints"] == 5
        assert a["keypoints"][:2] == list(BOXES[number][:2])[:1] + [BOXES[number][1] + 1]
        assert a["attributes"]["person"] == f"person {number + 1:04}"


def test_fiftyone(three: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, _ = three
    run("export", store.url, "--format", "fiftyone", "-o", tmp_path / "out")
    labels = json.loads((tmp_path / "out" / "labels.json").read_bytes())
    places = json.loads((tmp_path / "out" / "data.json").read_bytes())
    assert set(labels["labels"]) == set(places) and len(places) == 3
    assert labels["classes"] == ["person 0001", "person 0002"]
    for key, rows in labels["labels"].items():
        for row in rows:
            x, y, w, h = (v * SIZE[i % 2] for i, v in enumerate(row["bounding_box"]))
            assert np.abs(colour_at(places[key], (x, y, w, h)) - COLOURS[row["label"]]).max() < 20
            assert row["confidence"] == pytest.approx(0.9) and row["attributes"]["probability"] == pytest.approx(0.9)


@pytest.mark.parametrize(("name", "unknown"), [("Ann", "nobody"), ("nobody", "(nobody)"), ("Nobody", "(nobody)"), ("(nobody)", "nobody")])
def test_a_person_called_nobody_is_no_unknown_face(three: tuple[Store, list[str]], tmp_path: Path, name: str, unknown: str) -> None:
    """In FiftyOne, COCO and Label Studio: the red faces are that person, the blue ones are nobody known."""
    store, ids = three
    store.remove("identities/bundled")
    store.remove("faces")
    write_faces(store, ids, people=(0, -1))
    library = read_photo_library(store, "bundled")
    library.recognition.people[0] = replace(library.recognition.people[0], name=name)
    fiftyone.export(library, OutputFolder(str(tmp_path), "fiftyone"))
    labels = json.loads((tmp_path / "labels.json").read_bytes())
    found = {(labels["classes"][row["label"]], row["attributes"]["name"]) for rows in labels["labels"].values() for row in rows}
    assert found == {(name, name), (unknown, None)}
    root, names = relative_paths(library.photos.uris)
    labelstudio.export(library, OutputFolder(str(tmp_path), "labelstudio"), root, names)
    coco.export(library, OutputFolder(str(tmp_path), "coco"), root, names)
    tasks = json.loads((tmp_path / "tasks.json").read_bytes())
    results = [part for task in tasks for part in task["predictions"][0]["result"]]
    assert [part["value"]["text"] for part in results if part["from_name"] == "person"] == [[name]] * 3 and len(results) == 9
    attributes = [a["attributes"] for a in json.loads((tmp_path / coco.FILE).read_bytes())["annotations"]]
    assert sorted((a["name"], a["person"]) for a in attributes if a["person"]) == [(name, "person 0001")] * 3 and len(attributes) == 6


def test_label_studio(three: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, _ = three
    run("export", store.url, "--format", "labelstudio", "-o", tmp_path / "out")
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_bytes())
    config = ElementTree.fromstring((tmp_path / "out" / "config.xml").read_bytes())
    tags = {e.get("name"): e for e in config.iter()}
    assert len(tasks) == 3
    for task in tasks:
        assert task["data"]["image"].startswith("/data/local-files/?d=") and "=1" not in task["data"]["image"].split("d=")[1]
        [prediction] = task["predictions"]
        regions: dict[str, list[dict[str, Any]]] = {}
        for part in prediction["result"]:
            assert tags[part["from_name"]].tag.lower() == part["type"] and tags[part["from_name"]].get("toName") == part["to_name"]
            assert (part["original_width"], part["original_height"]) == SIZE
            regions.setdefault(part["id"], []).append(part["value"])
        assert len(regions) == 2
        for key, (rectangle, person) in regions.items():
            box = tuple(rectangle[k] / 100 * SIZE[i % 2] for i, k in enumerate(("x", "y", "width", "height")))
            number = int(key[-1])
            assert np.abs(colour_at(task["data"]["uri"], box) - COLOURS[number]).max() < 20  # type: ignore[arg-type]
            assert rectangle["rectanglelabels"] == ["Face"] and person["text"] == [f"person {number + 1:04}"]


def test_csv_and_sqlite_have_the_same_content(three: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, ids = three
    run("export", store.url, "--format", "csv", "-o", tmp_path / "out")
    run("export", store.url, "--format", "sqlite", "-o", tmp_path / "out")  # two kinds may share a folder
    base = sqlite3.connect(tmp_path / "out" / "faces.sqlite")
    try:
        query = "SELECT count(*) FROM faces JOIN people USING (person) JOIN photos USING (photo_id) WHERE person = 'person 0002'"
        assert base.execute(query).fetchone() == (4,)  # three photos and a copy
        for table in ("people", "photos", "faces"):
            with open(tmp_path / "out" / f"{table}.csv", encoding="utf-8-sig", newline="") as file:
                rows = list(csv.reader(file))
            cursor = base.execute(f"SELECT * FROM {table}")
            assert rows[0] == [c[0] for c in cursor.description]
            found = cursor.fetchall()
            assert len(found) == len(rows) - 1
            for one, two in zip(rows[1:], found, strict=True):
                for a, b in zip(one, two, strict=True):
                    assert (float(a) == pytest.approx(b)) if isinstance(b, float) else a.removeprefix("'") == ("" if b is None else str(b))
        assert {row[0] for row in base.execute("SELECT photo_id FROM photos")} == set(ids)
    finally:
        base.close()


def test_faces_that_are_too_unclear_are_marked(three: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, ids = three
    write_faces(store, ids, (0, -1))
    table = store.read("identities/bundled", "00000").to_pydict()
    table["recognisability"] = [0.9 if i >= 0 else (0.2, 0.8)[at % 4 // 2] for at, i in enumerate(table["identity"])]
    stamp = {"table": "identities", "min_recognisability": 0.5}
    store.write("identities/bundled", "00000", table_of(IDENTITIES, table), stamp)
    unclear = {i for i, value in zip(table["face_id"], table["recognisability"], strict=True) if value < 0.5}
    assert 0 < len(unclear) < len(ids)
    run("export", store.url, "--format", "csv", "-o", tmp_path / "out")
    run("export", store.url, "--format", "coco", "-o", tmp_path / "out")
    with open(tmp_path / "out" / "faces.csv", encoding="utf-8-sig", newline="") as file:
        assert {row["face_id"] for row in csv.DictReader(file) if row["unclear"] == "1"} == unclear
    annotations = json.loads((tmp_path / "out" / "instances_faces.json").read_bytes())["annotations"]
    marked = {a["attributes"]["face_id"] for a in annotations if a["attributes"]["unclear"]}
    assert marked == unclear


def test_min_probability_leaves_out_uncertain_faces(three: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, _ = three
    run("export", store.url, "--format", "csv", "-o", tmp_path / "out", "--min-probability", "0.95")
    with open(tmp_path / "out" / "faces.csv", encoding="utf-8-sig", newline="") as file:
        assert {row["person"] for row in csv.DictReader(file)} == {""}


def test_folders(three: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, ids = three
    out = tmp_path / "out"
    plan = run("export", store.url, "--format", "folders", "-o", out, "--dry-run")
    assert not out.exists()
    done = run("export", store.url, "--format", "folders", "-o", out)
    assert done["files"] == plan["files"] and done["written"] == len(done["files"]) == 7
    there = {p.relative_to(out).as_posix() for p in out.rglob("*.jpg")} | {"README.md"}
    assert there == set(done["files"])
    assert there - {"README.md"} == {f"person 000{i}/{n}" for i in (1, 2) for n in ("a.jpg", f"a-{ids[1][:12]}.jpg", "=1+1, \u00e9.jpg")}
    assert run("export", store.url, "--format", "folders", "-o", out)["written"] == 0


def test_folders_are_kept_up_to_date_and_the_users_files_stay(three: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, ids = three
    out = tmp_path / "out"
    run("export", store.url, "--format", "folders", "-o", out)
    (out / "person 0002" / "mine.txt").write_text("mine")
    changed = out / "person 0002" / "a.jpg"
    changed.write_bytes(b"edited")
    store.remove("faces")
    store.remove("identities/bundled")
    write_faces(store, ids, people=(0, -1))
    done = run("export", store.url, "--format", "folders", "-o", out)
    assert done["written"] == 0 and done["stale"] == 2
    assert sorted(p.name for p in (out / "person 0002").iterdir()) == ["a.jpg", "mine.txt"]
    assert changed.read_bytes() == b"edited" and len(list((out / "person 0001").iterdir())) == 3


def test_files_of_the_user_are_never_overwritten(three: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, _ = three
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "faces.csv").write_text("mine")
    for dry in ([], ["--dry-run"]):
        error = run("export", store.url, "--format", "csv", "-o", tmp_path / "out", *dry, code=1)["error"]
        assert "found one that is not of an export" in error and error.count("\n") == 1
    assert (tmp_path / "out" / "faces.csv").read_text() == "mine"
    (tmp_path / "mine.txt").write_text("mine")
    digest, size = hashlib.sha256(b"mine").hexdigest(), "4"
    for outside in ("../mine.txt", str(tmp_path / "mine.txt"), "up/mine.txt"):  # a list of somebody else's
        if outside.startswith("up"):
            (tmp_path / "out" / "up").symlink_to(tmp_path)
        rows = {outside: {"to": "csv", "is": digest, "size": size}}
        (tmp_path / "out" / MANIFEST).write_text(json.dumps({"kind": "facecluster export", "files": rows}))
        assert "expected files of" in run("export", store.url, "--format", "csv", "-o", tmp_path / "out", code=1)["error"]
        assert (tmp_path / "mine.txt").read_text() == "mine"
    (tmp_path / "out" / MANIFEST).write_text("{}")
    assert "damaged" in run("export", store.url, "--format", "coco", "-o", tmp_path / "out", code=1)["error"]


def test_links_and_photos_that_are_gone(three: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, ids = three
    os.unlink(tmp_path / "photos" / "2021" / "a.jpg")
    (tmp_path / "photos" / "=1+1, \u00e9.jpg").write_bytes(b"other")
    done = run("export", store.url, "--format", "folders", "-o", tmp_path / "copies")
    assert len(done["left_out"]) == 4 and {Path(row["photo"]).name for row in done["left_out"]} == {"a.jpg", "=1+1, \u00e9.jpg"}
    assert len(list((tmp_path / "copies").rglob("*.jpg"))) == 2
    run("export", store.url, "--format", "folders", "-o", tmp_path / "links", "--link")
    link = tmp_path / "links" / "person 0001" / "a.jpg"
    assert link.is_symlink() and link.read_bytes() == (tmp_path / "photos" / "2020" / "a.jpg").read_bytes()
    assert run("export", store.url, "--format", "folders", "-o", tmp_path / "links", "--link")["written"] == 0


def test_show(three: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, ids = three
    store.remove("faces")
    store.remove("identities/bundled")
    write_faces(store, ids[:2], people=(0, 1))
    store.write("identities/bundled", "00001", store.read("identities/bundled", "00000").slice(0, 0), {"table": "identities"})
    everyone = run("show", store.url, "1", "--and", "person 2")
    assert {p["photo_id"] for p in everyone["photos"]} == set(ids[:2]) and everyone["with"] == ["person 0001", "person 0002"]
    assert run("show", store.url, "1", "--not", "2")["photos"] == []
    done = run("show", store.url, "1", "--copy-to", tmp_path / "out", "--dry-run")
    assert not (tmp_path / "out").exists() and len(done["out"]["files"]) == 2
    run("show", store.url, "1", "--copy-to", tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").glob("*.jpg")) == sorted(done["out"]["files"])
    assert "expected a person" in run("show", store.url, "Anna", code=1)["error"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--format", "csv"], "-o DIR"),
        (["--format", "csv", "--beside"], "--format xmp only"),
        (["--format", "xmp", "--beside", "-o", "x"], "both or neither"),
    ],
)
def test_options_that_do_not_go_together(three: tuple[Store, list[str]], options: list[str], says: str) -> None:
    error = run("export", three[0].url, *options, code=1)["error"]
    assert says in error and error.count("\n") == 1


@given(st.text(min_size=1))
def test_safe_names_are_safe(name: str) -> None:
    made = safe_file_name(name)
    assert made.strip(". ") and not set(made) & set('<>:"/\\|?*\0\n') and len(made.encode()) <= 255
    assert made.split(".")[0].lower() not in ("con", "nul", "com1") and safe_file_name(made) == made


def test_folder_names_differ_by_more_than_case() -> None:
    names = class_folders(["Anna", "anna", "a/b", "a:b", "Anna (2)", "..", "CON"])
    assert len({n.casefold() for n in names}) == 7 and names[:3] == ["Anna", "anna (2)", "a_b"]
    names = class_folders(["Zo\u00eb", "Zoe\u0308", "README.md", "a/b", "a\\b", "A_B", "", "\u00e9" * 999, "x\n"])
    assert len(set(map(file_key, names))) == 9 and "README.md" not in names


WINDOWS = [
    "CON", "con.txt", "Nul", "aux .x", "COM1", "com\u00b9", "LPT9.a.b", "CONOUT$", "dots...", "dot. .", "space ", "a\tb", "x" * 300 + ".",
]  # fmt: skip


@pytest.mark.parametrize("name", WINDOWS)
def test_names_that_windows_refuses(name: str) -> None:
    made = safe_file_name(name)
    device = PureWindowsPath(made).stem.split(".")[0].strip().upper().translate(str.maketrans("\u00b9\u00b2\u00b3", "123"))
    assert device not in {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", *(f"{d}{i}" for d in ("COM", "LPT") for i in range(10))}
    assert made == made.strip().rstrip(".") and len(made.encode()) <= 255 and not set(made) & set('<>:"/\\|?*\t')


def is_split(folder: str) -> bool:
    """Whether Hugging Face's loader takes a folder for a split: the patterns of datasets/data_files.py (5.2), a folder at a time."""
    words = ("train", "training", "validation", "valid", "dev", "val", "test", "testing", "eval", "evaluation")
    sep = "[-._ 0-9]"
    return any(fnmatchcase(folder, p) for w in words for p in (w, f"{w}{sep}*", f"*{sep}{w}", f"*{sep}{w}{sep}*"))


@given(st.lists(st.sampled_from(["dev", "test", "val", "eval", "Ann", " ", "-", ".", "_", "1", "train", "ing"]), min_size=1, max_size=4))
def test_no_class_folder_is_a_split(parts: list[str]) -> None:
    [name] = class_folders(["".join(parts)])
    assert not is_split(name) and not name.startswith((".", "__")), name


def test_class_folders_of_people_called_as_splits() -> None:
    assert class_folders(["dev", "Test", "con", "Dev Patel", "dev patel", "Ann", "Val"]) == [
        "@dev", "@Test", "_con", "Dev Patel", "@dev patel", "Ann", "@Val",
    ]  # fmt: skip


def test_folders_have_a_readme_that_names_the_split(three: tuple[Store, list[str]], tmp_path: Path) -> None:
    run("export", three[0].url, "--format", "folders", "-o", tmp_path / "out")
    head = (tmp_path / "out" / "README.md").read_text().split("---\n")[1]
    assert head == "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: \"*/**\"\n"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "README.md").write_text("mine")
    done = run("export", three[0].url, "--format", "folders", "-o", tmp_path / "own")
    assert [row["photo"] for row in done["left_out"]] == ["README.md"] and (tmp_path / "own" / "README.md").read_text() == "mine"


def test_relative_paths() -> None:
    root, names = relative_paths(lambda: ["/p/a/x.jpg", "/p/b/x.jpg", "file:///p/caf%E9.jpg"])
    assert root == "/p" and names["/p/a/x.jpg"] == "a/x.jpg" and names["file:///p/caf%E9.jpg"] == os.fsdecode(b"caf\xe9.jpg")
    root, names = relative_paths(lambda: ["s3://bucket/x.jpg", "/p/x.jpg"])
    assert root == "" and sorted(names.values()) == ["p/x.jpg", "s3/bucket/x.jpg"]
    assert relative_paths(list) == ("", {})
