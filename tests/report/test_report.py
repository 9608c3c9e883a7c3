"""The report: its HTML parsed, its tables read back, its folder replaced."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import report_store as syn
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facecluster.cli import main
from facecluster.errors import InputError, StoreError
from facecluster.language import ENGLISH
from facecluster.language.script import language_script
from facecluster.photos.places import drop_places
from facecluster.report import PersonToCheck, Summary, pagination, plot, report_folder, text, write_report
from facecluster.store import Store

NAMES = {1: "</script><script>alert(2)</script>", 7: "not there"}
WHEN = datetime(2024, 5, 6, 7, 8, tzinfo=UTC)


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._in: str = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            self.scripts[-1] += data
        elif self._in != "style":
            self.text += data

    def values(self, name: str) -> Iterator[str]:
        """All values of an attribute."""
        return (value for _, attrs in self.tags for key, value in attrs.items() if key == name and value is not None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Path, Summary]:
    folder = tmp_path_factory.mktemp("report")
    store = syn.small_store(folder)
    return store, folder / "report", write_report(store, "identities/bundled", str(folder / "report"), names=NAMES, created=WHEN)


@pytest.fixture(scope="module")
def pages(made: tuple[Store, Path, Summary]) -> dict[str, Page]:
    return {p.relative_to(made[1]).as_posix(): Page(p) for p in made[1].rglob("*.html")}


def test_counts(made: tuple[Store, Path, Summary], pages: dict[str, Page]) -> None:
    _, out, summary = made
    counts = {"people": 2, "faces": 9, "nobody": 3, "photos": 10, "failed": 1, "copies": 0, "pages": len(pages), "gone": 9, "ungrouped": 2}
    assert summary == Summary(index=str(out / "index.html"), **counts)
    assert set(pages) == {"index.html", "names.html", "people/person-00001.html", "people/person-00002.html", "nobody/nobody.html",
                          "photos/photos.html", "failed.html"}  # fmt: skip
    assert not list(out.parent.glob(".*"))


def test_only_our_scripts_and_no_network(pages: dict[str, Page]) -> None:
    source = (Path(pagination.__file__).parent / "templates" / "report.js").read_text(encoding="utf-8")
    ours = language_script(ENGLISH, source) + source
    for name, page in pages.items():
        inert = [attrs for tag, attrs in page.tags if tag == "script" and attrs.get("type") == "application/json"]
        assert len(inert) == (name == "index.html")
        assert [s for s in page.scripts if s != ours and not s.startswith("[")] == []
        assert not {tag for tag, _ in page.tags} & {"iframe", "object", "embed", "base", "form"}
        assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on") or key == "style"]
        policy = next(attrs["content"] for tag, attrs in page.tags if tag == "meta" and attrs.get("http-equiv"))
        assert policy is not None and policy.startswith("default-src 'none'; img-src data: file:; ")
        assert "unsafe" not in policy and "http" not in policy
        for value in [*page.values("src"), *page.values("href")]:
            assert value.startswith(("data:", "file:///")) or not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|//", value), value


def test_every_link_has_a_target(pages: dict[str, Page], made: tuple[Store, Path, Summary]) -> None:
    out, seen = made[1], 0
    for page in pages.values():
        for value in page.values("href"):
            if not value.startswith("data:"):
                path, _, anchor = value.partition("#")
                target = (page.path.parent / path).resolve() if path else page.path
                assert target.is_file(), value
                if anchor and target.suffix == ".html":
                    assert anchor in set(pages[target.relative_to(out).as_posix()].values("id")), value
                    seen += 1
    assert seen > 2 * 9


def test_texts_are_escaped(pages: dict[str, Page]) -> None:
    shown = pages["photos/photos.html"].text
    for uri in syn.NASTY:
        assert uri.replace("\n", "␊") in shown
    assert "/copy/of first.jpg" in shown
    assert all(NAMES[1] in pages[name].text for name in ("index.html", "names.html", "people/person-00002.html"))
    assert '<b>truncated</b> & "quoted"' in pages["failed.html"].text and "<i>bad</i>␊.jpg" in pages["failed.html"].text
    assert "was not there yet" not in pages["failed.html"].text
    search_index = next(s for s in pages["index.html"].scripts if s.startswith("["))
    assert json.loads(search_index) == []


def test_photos_are_found_by_the_bytes_of_their_names(pages: dict[str, Page]) -> None:
    page = pages["photos/photos.html"]
    urls = [v for v in page.values("src") if v.startswith("file:")]
    wanted = {b"/photos/late.jpg", b"/photos/caf\xe9\xff.jpg", b"/copy/of first.jpg"}  # the copy is the first by name
    wanted |= {u.encode() for u in syn.NASTY[1:] if u.startswith("/")}
    assert {unquote_to_bytes(u.removeprefix("file://")) for u in urls} == wanted
    assert len(urls) == len(wanted)


def test_crops_are_on_their_pages(pages: dict[str, Page]) -> None:
    def colours(name: str) -> list[int]:
        urls = [v for v in pages[name].values("src") if v.startswith("data:image/")]
        return [Image.open(io.BytesIO(base64.b64decode(u.split(",")[1]))).convert("RGB").getpixel((50, 50))[0] for u in urls]  # type: ignore[index]

    np.testing.assert_allclose(colours("people/person-00001.html"), [20, 40, 60, 0], atol=4)  # by date; the first has none
    np.testing.assert_allclose(colours("people/person-00002.html"), [80, 100], atol=4)  # not that of the second row with this face_id
    assert "data:image/jpeg;" in "".join(pages["nobody/nobody.html"].values("src"))
    assert len(colours("index.html")) == 2 and len(colours("photos/photos.html")) == 9
    assert text.confidence_word(0.7) == "likely" and "likely, 70 %" in pages["people/person-00001.html"].text


def test_pages_are_accessible(pages: dict[str, Page]) -> None:
    for page in pages.values():
        assert ("html", {"lang": "en"}) in page.tags
        assert all("alt" in attrs for tag, attrs in page.tags if tag == "img")
        ids = list(page.values("id"))
        assert len(ids) == len(set(ids))
        named = [v for key in ("aria-labelledby", "aria-controls", "aria-describedby", "for") for v in page.values(key)]
        assert {i for v in named for i in v.split()} <= set(ids)
    assert "plot-desc" in pages["index.html"].values("id")


def test_tables_have_the_content_of_the_store(made: tuple[Store, Path, Summary]) -> None:
    store, out, _ = made
    with open(out / "faces.csv", encoding="utf-8-sig", newline="") as f:
        rows = list(csv.DictReader(f))
    table = pq.read_table(out / "faces.parquet")
    assert table.num_rows == len(rows) == 9 and "crop" not in table.column_names
    assert [r["face_id"] for r in rows] == table["face_id"].to_pylist() == [syn.face_id(i, 0) for i in range(9)]
    assert [r["photo"].removeprefix("'") for r in rows] == table["photo"].to_pylist() == ["/copy/of first.jpg", *syn.NASTY[1:]]
    assert rows[5]["photo"] == "'" + syn.NASTY[5]
    assert [int(r["person"]) for r in rows] == table["person"].to_pylist() == [0, 0, 0, 0, 1, 1, -1, -1, -1]
    np.testing.assert_allclose([float(r["probability"]) for r in rows], [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0, 0, 0], rtol=1e-6)
    assert {(r["x"], r["y"], r["w"], r["h"], r["yaw"], r["score"]) for r in rows} == {("50", "60", "100", "120", "-12.5", "0.75")}
    assert rows[2]["taken_at"] == "2020-01-03T12:00:00" and rows[5]["person_name"] == NAMES[1]
    qualities = pa.concat_tables([store.read("faces", "0"), store.read("faces", "1").slice(1)])["quality"]
    np.testing.assert_allclose([float(r["quality"]) for r in rows], qualities.to_pylist(), rtol=1e-5)
    assert b"\r\n" in (out / "faces.csv").read_bytes()[:200] and b'/new\nline.jpg"' in (out / "faces.csv").read_bytes()

    people = pq.read_table(out / "people.parquet").to_pylist()
    assert [(p["person"], p["name"], p["faces"], p["photos"]) for p in people] == [(0, "", 4, 4), (1, NAMES[1], 2, 2)]
    assert people[0]["confidence"] == pytest.approx(0.85) and people[0]["best_face"] == syn.face_id(0, 0)
    assert (people[1]["first_date"], people[1]["last_date"]) == ("2020-01-05T12:00:00", "2020-01-06T12:00:00")
    with open(out / "people.csv", encoding="utf-8-sig", newline="") as f:
        assert [(r["person"], r["name"], r["faces"]) for r in csv.DictReader(f)] == [("0", "", "4"), ("1", NAMES[1], "2")]


def test_summary_has_counts_settings_and_versions(made: tuple[Store, Path, Summary]) -> None:
    found = json.loads((made[1] / "summary.json").read_text(encoding="utf-8"))
    assert found["created"] == "2024-05-06T07:08:00+00:00" and found["counts"]["faces"] == 9
    assert found["tables"]["faces"] == {"shards": 2, "settings": [{"stage": "detect", "threshold": 0.5}]}
    assert found["tables"]["identities/bundled"]["settings"] == [{"stage": "identify", "cut": 0.4}]
    assert found["versions"]["pyarrow"] == pa.__version__


def test_faces_that_are_newer_than_the_grouping_are_counted(tmp_path: Path) -> None:
    """They have no row in identities, and are nobody's until the next grouping."""
    store = Store(str(tmp_path / "store"))
    store.create()
    syn.write_photos(store, "0", [(syn.photo_id(i), f"/p/{i}.jpg", None, None) for i in range(3)])
    faces = [(syn.face_id(i, 0), syn.photo_id(i)) for i in range(3)]
    syn.write_faces(store, "0", faces, [syn.crop((9, 9, 9))] * 3)
    syn.write_identities(store, [(faces[0][0], -1, 0.0)])
    summary = write_report(store, "identities/bundled", str(tmp_path / "r"))
    assert (summary.faces, summary.nobody, summary.ungrouped) == (3, 3, 2)
    told = CliRunner().invoke(main, ["report", store.url, "--out", str(tmp_path / "s")]).stdout
    assert f"2 of the faces without a person are newer than the grouping: 'facecluster cluster {store.url}' groups them" in told


def test_many_faces_are_split_over_pages(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.create()
    syn.write_photos(store, "0", [(syn.photo_id(i), f"/p/{i}.jpg", None, None) for i in range(250)])
    faces = [(syn.face_id(i % 250, i // 250), syn.photo_id(i % 250)) for i in range(900)]
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (112, 112, 3), np.uint8))
    noise.save(buffer := io.BytesIO(), "PNG")  # 38 kB: these pages are split by bytes
    syn.write_faces(store, "0", faces, [syn.crop((9, 9, 9))] * 850 + [buffer.getvalue()] * 50)
    syn.write_identities(store, [(f, 0 if i < 450 else 1 + (i - 450) // 2 if i < 850 else -1, 0.9) for i, (f, _) in enumerate(faces)])
    steps: list[tuple[int, int]] = []
    names = {200: NAMES[1]}
    summary = write_report(store, "identities/bundled", str(tmp_path / "r"), names=names, progress=lambda *s: steps.append(s))
    assert summary.people == 201 and steps == [(i + 1, summary.pages) for i in range(summary.pages)]

    def ids(pattern: str, start: str) -> list[list[str]]:
        found = sorted((tmp_path / "r").glob(pattern), key=lambda p: (len(p.name), p.name))
        return [[i for i in Page(p).values("id") if re.fullmatch(start + r"\d+", i)] for p in found]

    person = ids("people/person-00001*.html", "face-")
    assert [len(p) for p in person] == [200, 200, 50] and len({i for p in person for i in p}) == 450
    nobody = ids("nobody/*.html", "face-")
    assert len(nobody) == 3 and sum(map(len, nobody)) == 50
    assert len({i for p in ids("photos/*.html", "photo-") for i in p}) == 250
    assert len(ids("index*.html", "x")) == 2
    first = Page(tmp_path / "r" / "index.html")
    assert [json.loads(s) for s in first.scripts if s.startswith("[")] == [[[NAMES[1], 201, 2]]] and len(first.scripts) == 2
    assert max(p.stat().st_size for p in (tmp_path / "r").rglob("*.html")) < 1_500_000


def test_an_empty_store(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.create()
    summary = write_report(store, "identities/bundled", str(tmp_path / "r"))
    assert (summary.people, summary.faces, summary.photos, summary.pages) == (0, 0, 0, 1)
    assert pq.read_table(tmp_path / "r" / "faces.parquet").num_rows == 0


def test_faces_without_a_grouping_or_a_readable_shard(tmp_path: Path) -> None:
    store = syn.small_store(tmp_path)
    with pytest.raises(StoreError, match="run 'facecluster cluster"):
        write_report(store, "identities/other", str(tmp_path / "r"))
    Path(store.shard_path("faces", "1")).write_bytes(b"PAR1 not")
    with pytest.raises(StoreError, match="part-1.parquet"):
        write_report(store, "identities/bundled", str(tmp_path / "r"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["store"]


def test_folders_with_other_files_are_refused_and_not_changed(made: tuple[Store, Path, Summary], tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "index.html").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("album", "file", "file/r"):
        with pytest.raises(InputError):
            write_report(made[0], "identities/bundled", str(tmp_path / name))
    assert (tmp_path / "album" / "index.html").read_text() == "mine" and (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    write_report(made[0], "identities/bundled", str(tmp_path / "empty"))
    assert (tmp_path / "empty" / "index.html").exists()


def test_a_new_report_keeps_the_users_files(made: tuple[Store, Path, Summary], tmp_path: Path) -> None:
    out = tmp_path / "r"
    write_report(made[0], "identities/bundled", str(out), names={0: "Ann"})
    (out / "people" / "notes.txt").write_text("mine")
    (out / "people" / "person-00009.html").unlink(missing_ok=True)
    write_report(made[0], "identities/bundled", str(out), names={0: "Bea"})
    assert (out / "people" / "notes.txt").read_text() == "mine"
    assert "Bea" in (out / "index.html").read_text(encoding="utf-8") and "Ann" not in (out / "index.html").read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


class Stop(BaseException):
    """Stands for Ctrl-C."""


def _stop(done: int, _: int) -> None:
    if done == 3:
        raise Stop


def test_an_interrupted_run_leaves_the_older_report(made: tuple[Store, Path, Summary], tmp_path: Path) -> None:
    out = tmp_path / "r"
    with pytest.raises(Stop):
        write_report(made[0], "identities/bundled", str(out), progress=_stop)
    assert not any(tmp_path.iterdir())
    write_report(made[0], "identities/bundled", str(out), created=WHEN)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    with pytest.raises(Stop):
        write_report(made[0], "identities/bundled", str(out), names={0: "Ann"}, progress=_stop)
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}


@pytest.mark.parametrize("swapped", [False, True])
def test_a_run_killed_in_the_swap_is_cleaned_up(made: tuple[Store, Path, Summary], tmp_path: Path, swapped: bool) -> None:
    out, work = tmp_path / "r", tmp_path / ".r.partial"
    write_report(made[0], "identities/bundled", str(out))
    (out / "notes.txt").write_text("mine")
    work.mkdir()
    out.rename(work / "old")
    write_report(made[0], "identities/bundled", str(tmp_path / "other"))
    (tmp_path / "other").rename(out if swapped else work / "new")
    with pytest.raises(Stop):
        write_report(made[0], "identities/bundled", str(out), progress=_stop)
    assert (out / "notes.txt").read_text() == "mine" and (out / report_folder.MANIFEST).exists() and not work.exists()


def test_a_report_is_not_up_to_date_while_a_killed_run_holds_files_of_the_user(made: tuple[Store, Path, Summary], tmp_path: Path) -> None:
    out, work = tmp_path / "r", tmp_path / ".r.partial"
    write_report(made[0], "identities/bundled", str(out), made_from="state")
    assert report_folder.is_made_from(out, "state") and not report_folder.is_made_from(out, "another")
    (work / "old").mkdir(parents=True)
    (work / "old" / "notes.txt").write_text("mine")
    assert not report_folder.is_made_from(out, "state")
    write_report(made[0], "identities/bundled", str(out), made_from="state")
    assert (out / "notes.txt").read_text() == "mine" and report_folder.is_made_from(out, "state")


def test_a_swap_that_fails_puts_the_older_report_back(
    made: tuple[Store, Path, Summary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "r"
    write_report(made[0], "identities/bundled", str(out), names={0: "Ann"})
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError("disk on fire")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(InputError, match="disk on fire"):
        write_report(made[0], "identities/bundled", str(out))
    assert "Ann" in (out / "index.html").read_text(encoding="utf-8") and [p.name for p in tmp_path.iterdir()] == ["r"]


def test_one_run_at_a_time(made: tuple[Store, Path, Summary], tmp_path: Path) -> None:
    def again(done: int, _: int) -> None:
        if done == 1:
            with pytest.raises(InputError, match="another run"):
                write_report(made[0], "identities/bundled", str(tmp_path / "r"))

    write_report(made[0], "identities/bundled", str(tmp_path / "r"), progress=again)
    assert (tmp_path / "r" / "index.html").exists()


def test_faces_of_a_photo_that_no_place_shows_any_more_do_not_count(tmp_path: Path) -> None:
    store = syn.small_store(tmp_path)
    syn.write_photos(store, "2", [(syn.photo_id(77), syn.NASTY[3], None, None)])
    summary = write_report(store, "identities/bundled", str(tmp_path / "r"))
    assert (summary.faces, summary.photos) == (8, 10)
    assert syn.face_id(3, 0) not in pq.read_table(tmp_path / "r" / "faces.parquet")["face_id"].to_pylist()


def test_what_is_gone_counts_on_and_is_said_to_be_gone_until_it_is_dropped(tmp_path: Path) -> None:
    store = syn.small_store(tmp_path)
    here, copy = tmp_path / "here.jpg", tmp_path / "copy.jpg"
    for path in (here, copy):
        path.write_bytes(b"x")
    syn.write_photos(store, "2", [(syn.photo_id(3), str(here), None, None), (syn.photo_id(3), str(copy), None, None)])
    summary = write_report(store, "identities/bundled", str(tmp_path / "r"))
    assert (summary.faces, summary.photos, summary.gone, summary.copies) == (9, 10, 8, 1)  # all but the one here and the one at s3://
    faces = pq.read_table(tmp_path / "r" / "faces.parquet")
    assert faces["photo"][3].as_py() == str(here) and faces["photo"][0].as_py() == "/copy/of first.jpg"
    assert Page(tmp_path / "r" / "photos" / "photos.html").text.count("The photo is gone") == 8
    drop_places(store, [syn.NASTY[0], "/copy/of first.jpg"])
    summary = write_report(store, "identities/bundled", str(tmp_path / "r"))
    assert (summary.faces, summary.photos, summary.gone) == (8, 9, 7)
    assert syn.face_id(0, 0) not in pq.read_table(tmp_path / "r" / "faces.parquet")["face_id"].to_pylist()


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_file_urls_are_plain_and_give_the_path_back(name: str) -> None:
    url = text.file_url("/p/" + name)
    assert url is not None and re.fullmatch(r"file:///[A-Za-z0-9_.~/%-]*", url)
    assert unquote_to_bytes(url.removeprefix("file://")) == ("/p/" + name).encode()


def test_urls_of_photos_elsewhere() -> None:
    for uri in ("s3://b/k.jpg", "javascript:alert(1)", "data:text/html,x", "file://host/share.jpg", "relative.jpg", "https://x/y.jpg"):
        assert text.file_url(uri) is None
    assert text.file_url("//host/x.jpg") == "file:///host/x.jpg" == text.file_url("file:////host/x.jpg")
    assert text.file_url("C:\\My Photos\\ä.jpg") == "file:///C:/My%20Photos/%C3%A4.jpg"


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 9), st.integers(1, 120))
def test_split_keeps_all_in_order_and_within_bounds(weights: list[int], most: int, limit: int) -> None:
    slices = pagination.split_by_weight(weights, most, limit)
    assert [i for s in slices for i in range(s.start, s.stop)] == list(range(len(weights)))
    for s in slices:
        assert 1 <= s.stop - s.start <= most and (sum(weights[s]) <= limit or s.stop - s.start == 1)


@given(st.lists(st.integers(1, 10**6), max_size=50))
def test_size_classes_count_everybody(sizes: list[int]) -> None:
    classes = plot.size_classes(np.array(sizes, np.int64))
    assert [count for *_, count in classes] == [sum(low <= s <= high for s in sizes) for low, high, _ in classes]
    assert sum(count for *_, count in classes) == len(sizes)
    assert all(0 <= b.x and b.x + b.width <= plot.WIDTH and b.y >= plot.TOP for b in plot.bars(np.array(sizes, np.int64)))


def test_faces_come_before_the_people_to_check_first(made: tuple[Store, Path, Summary], tmp_path: Path) -> None:
    to_check = [PersonToCheck(1, 0.55, 0.9), PersonToCheck(0, 0.95, 0.4), PersonToCheck(10**6, 0.1, 0.1)]  # the last does not exist
    summary = write_report(made[0], "identities/bundled", str(tmp_path / "r"), names=NAMES, to_check=to_check)
    page = Page(Path(summary.index))
    at = page.text.index("Check these people first")
    shown = page.text[at:]
    assert page.text.index("Person 1") < at and "#check-first" in page.values("href")
    assert shown.index("may be more than one person (about 55") < shown.index("may have more faces in other groups (about 40")
    links = [v for v in page.values("href") if v.startswith("people/")]
    assert links[-1] != links[-2]
    assert all((tmp_path / "r" / link).exists() for link in links)
    assert "Check these people first" not in Page(made[1] / "index.html").text
