"""facecluster dedup: what it prints and writes, what it refuses, and the page."""

from __future__ import annotations

import csv
import json
import os
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from dedup_photos import coded, moved, scaled, scene, silent, write_store

from facecluster.cli import main
from facecluster.dedup import DedupConfig, find_duplicates, make_plan, write_page
from facecluster.store import Store

EVIL = "<script>alert(1)<∕script>&\"'\n{{ 7*7 }}.jpg"  # the slash is another sign: file names can't have one


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["dedup", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with an original, an exact copy, a near-duplicate, and another photo."""
    folder = tmp_path / "photos"
    folder.mkdir()
    image = coded(scene(1), quality=95)
    for name, data in (("a.jpg", image), ("copy of a.jpg", image), (EVIL, coded(scaled(scene(1), 0.5))), ("other.jpg", coded(scene(2)))):
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def store(photos: Path, tmp_path: Path) -> Path:
    write_store(tmp_path / "store", sorted(photos.iterdir()))
    return tmp_path / "store"


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.rglob("*") if p.is_file()}


def test_videos_are_counted_and_named_not_compared(store: Path, photos: Path) -> None:
    place = Store(str(store))
    table = place.read("photos", "00000")
    kinds = [
        "MP4" if uri.endswith("other.jpg") else kind
        for uri, kind in zip(table["uri"].to_pylist(), table["format"].to_pylist(), strict=True)
    ]
    at = table.column_names.index("format")
    place.write("photos", "00000", table.set_column(at, table.schema.field(at), pa.array(kinds, pa.string())), {"table": "photos"})
    result = run(store)
    assert f"1 video not compared: only photos are ({photos / 'other.jpg'})\n" in result.stderr
    assert "before:         3 files" in result.stdout
    assert json.loads(run(store, "--json").stdout)["videos"] == [str(photos / "other.jpg")]
    (photos / "other.jpg").unlink()
    assert json.loads(run(store, "--json").stdout)["videos"] == []


def test_without_options_it_writes_plan_and_page_and_touches_no_photo(store: Path, photos: Path) -> None:
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in photos.iterdir()}
    result = run(store)
    assert result.exit_code == 0, result.output
    assert "1 group: 1 exact copy, 1 near-duplicate\n" in result.stdout and "no photo was touched" in result.stdout
    assert "before:         4 files" in result.stdout and "after:          2 files" in result.stdout
    moved = sum((photos / name).stat().st_size for name in ("copy of a.jpg", EVIL))
    assert f"to move:        2 files, {moved / 1000:.1f} kB" in result.stdout
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in photos.iterdir()} == before
    with open(store / "dedup" / "plan.csv", encoding="utf-8-sig", newline="") as f:
        rows = list(csv.DictReader(f))
    assert [(os.path.basename(r["uri"]), r["action"]) for r in rows] == [("a.jpg", "keep"), ("copy of a.jpg", "move"), (EVIL, "move")]
    assert (store / "dedup" / "pages" / "index.html").exists()


def test_find_apply_undo(store: Path, photos: Path, tmp_path: Path) -> None:
    before = {p.name: p.read_bytes() for p in photos.iterdir()}
    found = json.loads(run(store, "--json").stdout)
    assert (found["before"]["files"], found["after"]["files"], found["to_move"], found["counts"]) == (4, 2, 2, {"copy": 1, "near": 1})
    dry = run(store, "--apply", found["plan"], "--move-to", tmp_path / "aside", "--dry-run")
    assert "would be done" in dry.stdout and names(photos) == set(before) and not (tmp_path / "aside").exists()
    done = json.loads(run(store, "--apply", found["plan"], "--move-to", tmp_path / "aside", "--json").stdout)
    assert len(done["done"]) == 2 and names(photos) == {"a.jpg", "other.jpg"} and len(names(tmp_path / "aside")) == 2
    again = json.loads(run(store, "--json").stdout)
    assert (again["gone"], again["to_move"], again["before"]["files"]) == (2, 0, 2)
    back = run(store, "--undo", done["undo"])
    assert back.exit_code == 0 and "2 files done" in back.stdout
    assert {p.name: p.read_bytes() for p in photos.iterdir()} == before


def test_finding_and_moving_in_one_go(store: Path, photos: Path, tmp_path: Path) -> None:
    result = run(store, "--move-to", tmp_path / "aside", "--protect", photos)
    assert "0 files done" in result.stdout and len(names(photos)) == 4
    result = run(store, "--link", "hard")
    assert "1 file done" in result.stdout and "skipped" in result.stdout and "--move-to" in result.stdout
    assert os.path.samefile(photos / "a.jpg", photos / "copy of a.jpg") and len(names(photos)) == 4


def test_of_many_files_skipped_for_one_reason_the_first_are_named(store: Path, photos: Path) -> None:
    sizes = [n for n in range(30, 54)]
    for n in sizes:
        (photos / f"small{n}.jpg").write_bytes(coded(scaled(scene(1), n / 100)))
    write_store(store, sorted(photos.glob("small*.jpg")))
    result = run(store, "--link", "hard")
    lines = [line for line in result.stdout.splitlines() if line.startswith("skipped")]
    passed = json.loads(run(store, "--link", "hard", "--dry-run", "--json").stdout)["passed_over"]
    assert len(passed) == len(sizes) + 1, "the near-duplicates: a link would lose their bytes"
    assert len(lines) == 21 and f"{len(passed) - 20} more" in lines[-1]


def test_an_edited_plan_is_kept(store: Path, photos: Path, tmp_path: Path) -> None:
    run(store)
    plan = store / "dedup" / "plan.csv"
    plan.write_text(plan.read_text(encoding="utf-8").replace(",copy,move,", ",copy,keep,"), encoding="utf-8")
    result = run(store)
    assert "plan-1.csv" in result.stderr
    applied = run(store, "--apply", store / "dedup" / "plan-1.csv", "--move-to", tmp_path / "aside")
    assert "1 file done" in applied.stdout and names(photos) == {"a.jpg", "copy of a.jpg", "other.jpg"}
    run(store)
    assert run(store).exit_code == 0 and not (store / "dedup" / "plan-3.csv").exists(), "the same plan is not kept twice"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--apply", "{store}/dedup/plan.csv"], "give --move-to DIR, --link, or both"),
        (["--undo", "x", "--move-to", "y"], "expected --undo alone"),
        (["--undo", "{store}/missing"], "expected an undo file"),
        (["--apply", "{store}/missing.csv", "--link", "hard"], "expected a plan"),
        (["--apply", "{store}/store.json", "--link", "hard"], "column 'action'"),
        (["--prefer", "{store}/missing"], "expected a folder to prefer or protect"),
        (["--protect", "{store}/missing"], "expected a folder to prefer or protect"),
        (["--out", "{store}/store.json"], "expected a place to write the plan"),
        (["--model", "huge"], "bundled"),
    ],
)
def test_errors_are_one_clear_line(arguments: list[str], says: str, store: Path) -> None:
    result = run(store, *(a.format(store=store) for a in arguments))
    lines = [line for line in result.stderr.splitlines() if line.startswith("facecluster:")]
    assert result.exit_code == 1 and len(lines) == 1 and says in lines[0]


def test_no_store(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 1 and "expected a store" in result.stderr


# -- the page ---------------------------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Tags and texts of a page; checks that all tags are closed in order."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] != "style":
            self.text += data


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    reader.close()
    return reader


def test_the_page_shows_pairs_and_escapes_names(store: Path) -> None:
    assert run(store).exit_code == 0
    page = read(store / "dedup" / "pages" / "index.html")
    tags = [tag for tag, _ in page.tags]
    assert tags.count("figure") == 4 and tags.count("script") == 0  # two pairs
    assert "<script>alert(1)<∕script>&\"'␊{{ 7*7 }}.jpg" in page.text  # as it is, the line break as its sign
    images = [a["src"] or "" for tag, a in page.tags if tag == "img"]
    assert len(images) == 4 and all(src.startswith("data:image/webp;base64,") for src in images)
    links = [a["href"] or "" for tag, a in page.tags if tag == "a"]
    assert all(link.startswith(("file:///", "#", "page-", "index")) for link in links)
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and "default-src 'none'" in policy and "img-src data:" in policy and "script" not in policy
    said = ("smaller: 240x180 against 480x360", "The same file", "The same photo, 50 % of its size", "to move")
    assert [words for words in said if words not in page.text] == []


def test_many_groups_are_split_into_pages(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(70):
        data = coded(scene(i, 60, 50))
        for copy in "ab":
            (folder / f"{i:03d}{copy}.jpg").write_bytes(data)
    store = write_store(tmp_path / "store", sorted(folder.iterdir()), shard_size=100)
    with find_duplicates(store, DedupConfig(), bars=silent) as found:
        plan = make_plan(found)
        first = write_page(found, plan, str(tmp_path / "out"), plan_path="plan.csv", created=datetime(2026, 1, 1))
    pages = sorted(Path(first).parent.glob("*.html"))
    readers = [read(page) for page in pages]
    assert len(pages) == 2 and sum(tag == "section" for r in readers for tag, _ in r.tags) == 70
    targets = {a["href"] for r in readers for tag, a in r.tags if tag == "a" and not str(a["href"]).startswith(("file:", "#"))}
    assert targets <= {page.name for page in pages}


def test_bursts_are_shown_apart_and_stay(photos: Path, tmp_path: Path) -> None:
    (photos / "b.jpg").write_bytes(coded(moved(scene(1))))
    now = datetime(2020, 1, 1)
    store = write_store(tmp_path / "store", sorted(photos.iterdir()), {"a.jpg": now, "copy of a.jpg": now, "b.jpg": now})
    result = run(store.url)
    assert "1 other photo of a burst\n" in result.stdout
    page = read(tmp_path / "store" / "dedup" / "pages" / "index.html")
    assert "a burst, 2 files" in page.text and "Taken 0 s" in page.text and "stays" in page.text
