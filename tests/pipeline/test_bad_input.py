"""Bad input, end to end: every trouble is a row with `error` or one clear line, and nothing is lost."""

from __future__ import annotations

import csv
import io
import os
import re
import resource
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import jobs
import pytest
import small_shards
from click.testing import CliRunner
from PIL import Image

from facecluster.cli import main
from facecluster.store import FACES, FILES, PHOTOS, Store

ODD = [
    b"new\nline.jpg",
    "smile \U0001f600.jpg".encode(),
    b"caf\xe9.jpg",  # no UTF-8
    b"\"quotes'`.jpg",
    b"<script>alert(1)<.jpg",
    b"-rf.jpg",
    b"100%41#?&.jpg",
    b"n" * 251 + b".jpg",
    b"\x1b[31mred\x07.jpg",
    "\u202egpj.exe.jpg".encode(),
    b"{{7*7}}.jpg",
    b" .jpg",
]
BROKEN = {
    "empty.jpg": "found an empty file",
    "truncated.jpg": "truncated or damaged",
    "text <b>bold.jpg": "found something else",
    "link to nothing.jpg": "broken link",
    "link to itself.jpg": "symbolic links",
    "pipe.jpg": "not a file",
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(jobs.small_photos(tmp_path_factory.mktemp("photos"), 8))


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of several shards a table."""
    store = Store(str(tmp_path_factory.mktemp("whole") / "store"))
    with pytest.MonkeyPatch.context() as m:
        small_shards.use(m.setattr)
        result = CliRunner().invoke(main, ["run", str(photos), "-o", store.url])
    assert result.exit_code == 0, result.exception
    return store


def path_of(uri: str) -> bytes:
    """The bytes of a local uri's path, read without the package's help."""
    if not uri.startswith("file://"):
        return uri.encode()
    return re.sub(rb"%([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), uri.removeprefix("file://").encode())


def marked(jpeg: bytes, number: int) -> bytes:
    """A JPEG that shows something else, but has the same faces: a square of another grey in its corner."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(jpeg)) as image:
        image.paste((10 * number,) * 3, (0, 0, 16, 16))
        image.save(out, "JPEG", quality=95)
    return out.getvalue()


class Texts(HTMLParser):
    """Texts, tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_trouble_is_a_row_and_nothing_is_lost(whole: Store, tmp_path: Path) -> None:
    """Photos in files of odd names, beside what is no photo, in a folder with a loop; the store's own name is odd as well."""
    good = Path(max(whole.read_all("photos", PHOTOS).to_pylist(), key=lambda r: r["faces"])["uri"]).read_bytes()
    folder, store = os.fsencode(tmp_path) + b"/album", Store(str(tmp_path) + "/st\udce9re <i>\n\U0001f600")
    os.mkdir(folder)
    for i, name in enumerate(ODD):
        (Path(os.fsdecode(folder)) / os.fsdecode(name)).write_bytes(marked(good, i))
    album = tmp_path / "album"
    (album / "empty.jpg").touch()
    (album / "truncated.jpg").write_bytes(good[: len(good) // 2])
    (album / "text <b>bold.jpg").write_text("not a photo")
    (album / "link to nothing.jpg").symlink_to("gone")
    (album / "link to itself.jpg").symlink_to("link to itself.jpg")
    os.mkfifo(album / "pipe.jpg")
    (album / "folder.jpg").mkdir()
    (album / "loop").symlink_to(".")
    said = jobs.run("run", str(album), "-o", store.url)
    assert f"{len(BROKEN)} photos could not be used" in said and "Traceback" not in said
    rows = {path_of(r["uri"]).rsplit(b"/", 1)[1]: r for r in store.read_all("photos", PHOTOS).to_pylist()}
    assert rows.keys() == {*ODD, *map(str.encode, BROKEN)}
    assert {n: r["error"] for n, r in rows.items() if n in ODD} == dict.fromkeys(ODD)
    for broken, reason in BROKEN.items():
        error = rows[broken.encode()]["error"]
        assert reason in error and "\n" not in error
    n = rows[ODD[0]]["faces"]
    assert n and [rows[name]["faces"] for name in ODD] == [n] * len(ODD)
    assert store.read_all("faces", FACES).num_rows == n * len(ODD)

    report = Path(store.url) / "report"
    pages = {p.name: Texts(p.read_text(encoding="utf-8")) for p in report.rglob("*.html")}
    assert all(set(page.tags).isdisjoint({"b", "i"}) and not page.handlers for page in pages.values())
    every = "".join(page.text for page in pages.values())
    for shown in ("<script>alert(1)<.jpg", "\"quotes'`.jpg", "smile \U0001f600.jpg", "100%41#?&.jpg", "{{7*7}}.jpg", "text <b>bold.jpg"):
        assert shown in every, shown
    assert "\x1b" not in every and "49.jpg" not in every
    assert all(name in pages["failed.html"].text for name in BROKEN)
    with open(report / "faces.csv", encoding="utf-8-sig", newline="") as file:
        listed = [row["photo"] for row in csv.DictReader(file)]
    assert sorted(map(path_of, listed)) == sorted(n * [os.path.join(folder, name) for name in ODD])

    for broken in BROKEN:
        os.unlink(album / broken)
        (album / broken).write_bytes(marked(good, len(ODD) + list(BROKEN).index(broken)))
    again = jobs.run("embed", str(album), "-o", store.url)
    assert f"{len(BROKEN)} photos looked at, {len(ODD)} known before" in again and "could not be used" not in again


def one_line(says: str, *arguments: str) -> None:
    """Fail unless a command ends with exit code 1 and one line of stderr that says this."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 1, (result.exception, result.stderr)
    found = says_of(result.stderr)
    assert len(found) == 1 and found[0].startswith("facecluster: ") and says in found[0], found


def says_of(err: str) -> list[str]:
    """Lines of stderr but for progress bars and the summary of a step that went well."""
    return [line for line in jobs.lines(err) if not re.search(r" photos? looked at", line)]


@pytest.mark.parametrize("command", ["run", "embed"])
def test_no_photos(command: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "note.txt").write_text("no photo")
    (tmp_path / "loop").symlink_to("loop")
    for source, says in [
        ("empty", "found none in"),
        ("texts", "passed over 1 other file (1 .txt): name a folder"),
        ("gone", "found nothing there"),
        ("*.jpg", "found none: check the pattern"),
        ("", "name one"),
    ]:
        one_line(says, command, str(tmp_path / source) if source else "", "-o", str(tmp_path / "store"))
    result = CliRunner().invoke(main, ["embed", str(tmp_path / "loop"), "-o", str(tmp_path / "store")])
    assert result.exit_code == 0 and "1 photo could not be used" in result.stderr  # it was named, so it is a row


def test_photos_without_a_face_or_none_that_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("not a photo")
    store = str(tmp_path / "store")
    one_line(f"'facecluster report {store}' lists", "run", str(tmp_path / "photos"), "-o", store)
    assert CliRunner().invoke(main, ["report", store]).exit_code == 0 and (tmp_path / "store" / "report" / "failed.html").exists()
    assert [r["error"][:16] for r in Store(str(tmp_path / "store")).read_all("photos", PHOTOS).to_pylist()] == ["expected a photo"]


@pytest.mark.parametrize("where", ["file/under", "file", "/proc/facecluster", "/dev/null/x", "n" * 300, ""])
def test_a_place_that_cannot_be_written(where: str, whole: Store, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    place = str(tmp_path / where) if where else ""
    one_line("expected", "run", str(photos), "-o", place)
    if where:
        one_line("expected", "report", whole.url, "--out", place)
    assert (tmp_path / "file").read_text() == "mine" and os.listdir(tmp_path) == ["file"]


def test_a_folder_of_other_things_is_left_alone(whole: Store, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("mine")
    one_line("found other files in", "run", str(photos), "-o", str(tmp_path / "mine"))
    one_line("found other files in", "report", whole.url, "--out", str(tmp_path / "mine"))
    for command in ("cluster", "report"):
        one_line("expected a store at", command, str(tmp_path / "mine"))
        one_line("expected a store at", command, str(tmp_path / "mine" / "note.txt"))
    assert os.listdir(tmp_path / "mine") == ["note.txt"]


def test_a_disk_that_is_full(photos: Path, tmp_path: Path) -> None:
    """No file may grow beyond 12,000 bytes: the shard of faces does, the smaller ones before it are there."""
    store = Store(str(tmp_path / "store"))
    process = subprocess.run(
        [*jobs.PROGRAM, "embed", str(photos), "-o", store.url],
        capture_output=True,
        text=True,
        env=os.environ | jobs.SETTINGS,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, resource.RLIM_INFINITY)),
    )
    lines = says_of(process.stderr)
    assert process.returncode == 1 and len(lines) == 1, process.stderr
    assert "expected to write" in lines[0] and "File too large" in lines[0]
    jobs.run("embed", str(photos), "-o", store.url)
    assert len(store.shards("photos")) == len(store.shards("embeddings/bundled")) == 3
    assert not [p for p in Path(store.url).rglob("*.tmp")]


MARKS = [b"", b"{", b"\xff\xfe\0", b"[]", b'{"kind": "shop", "format": 1}', b'{"kind": "facecluster store", "format": 99}', None]


@pytest.mark.parametrize("mark", MARKS)
def test_an_unreadable_store(mark: bytes | None, whole: Store, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(whole.url, store)
    (store / "store.json").unlink()
    if mark is None:
        (store / "store.json").mkdir()
    else:
        (store / "store.json").write_bytes(mark)
    before = sorted(p for p in store.rglob("*"))
    for arguments in (["run", str(photos), "-o", str(store)], ["cluster", str(store)], ["report", str(store)]):
        one_line("expected a", *arguments)
    assert sorted(p for p in store.rglob("*")) == before


@pytest.mark.parametrize("table", jobs.TABLES)
def test_a_damaged_shard_is_named_and_made_anew_once_it_is_deleted(
    table: str, whole: Store, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_shards.use(monkeypatch.setattr)
    store = Store(str(tmp_path / "store"))
    shutil.copytree(whole.url, store.url)
    shard = whole.shards(table)[-1]
    os.truncate(store.shard_path(table, shard), 200)
    reader = "report" if table in ("photos", "faces") else "run"
    arguments = {"run": ["run", str(photos), "-o", store.url], "report": ["report", store.url]}
    one_line(f"expected a readable shard, found {store.shard_path(table, shard)}", *arguments[reader])
    os.unlink(store.shard_path(table, shard))
    result = CliRunner().invoke(main, arguments["run"])
    assert result.exit_code == 0, result.exception
    if table == "files":  # planned again, under a number of its own; the photos are known by their content
        uris = [sorted(s.read_all("files", FILES)["uri"].to_pylist()) for s in (store, whole)]
        assert uris[0] == uris[1] and store.read_all("faces", FACES).equals(whole.read_all("faces", FACES))
    elif table == "faces":  # the plan notes the photos that its files were; those without a face are not searched again
        jobs.same_tables(whole, store, but=("files", "photos"))
        known = ("known", "known_faces", "known_photos", "known_pictures")
        for of, noted in (("files", known), ("photos", ("turn",))):
            made, before = (s.read(of, shard).drop_columns(list(noted)) for s in (store, whole))
            assert made.equals(before)
        photos_of, planned = store.read("photos", shard)["photo_id"].to_pylist(), store.read("files", shard)["known_photos"].to_pylist()
        assert any(planned) and all(note in ([], [photo]) for note, photo in zip(planned, photos_of, strict=True))
    else:
        jobs.same_tables(whole, store)


@pytest.mark.parametrize("table", ["photos", "embeddings/bundled"])
def test_other_settings_are_seen_in_any_shard(table: str, whole: Store, photos: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    shutil.copytree(whole.url, store.url)
    shard = whole.shards(table)[-1]
    stamp = store.stamp(table, shard) or {}
    data = store.read(table, shard).replace_schema_metadata()
    store.write(table, shard, data, stamp | ({"threshold": 0.9} if table == "photos" else {"mirror": False}))
    one_line("use those settings again, or another store", "embed", str(photos), "-o", store.url)


def test_two_runs_in_one_store(whole: Store, photos: Path) -> None:
    with whole.lock():
        for arguments in (["run", str(photos), "-o", whole.url], ["embed", str(photos), "-o", whole.url], ["cluster", whole.url]):
            one_line("found another run at work", *arguments)
