"""Folders with every kind of problem, and the shards that are planned from them."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from facecluster.errors import InputError, PhotoError
from facecluster.photos import collect as stage
from facecluster.photos import known_photos
from facecluster.photos.archives.opened import changed
from facecluster.photos.collect import Collected, collect
from facecluster.photos.files import readable_now
from facecluster.photos.images import content_id, read_file
from facecluster.photos.listing import find_files
from facecluster.photos.names import EXTENSIONS
from facecluster.photos.places import gone_and_unusable
from facecluster.store import FACES, PHOTOS, Store, table_of, table_of_rows
from facecluster.store.copies import DATA_SET, DATA_SET_MARK, remember_copy

NO_FACE = dict.fromkeys(("score", "sharpness", "yaw", "quality"), 0.0) | {"box": [0.0] * 4, "landmarks": [0.0] * 10, "crop": b""}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "store"))
    store.create()
    return store


def put(folder: Path, *names: str) -> None:
    """Write files whose content is their name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(name))


def names(*sources: Path | str, under: Path) -> list[str]:
    return [os.path.relpath(f.uri, under) for f in find_files(map(str, sources))]


def planned(store: Store) -> list[dict[str, Any]]:
    return [row for shard in store.shards("files") for row in store.read("files", shard).to_pylist()]


def detect(store: Store, failed: frozenset[str] = frozenset()) -> None:
    """Stands for the next stage: photos with as many faces as letters in the name. Names in `failed` become errors."""
    for shard in store.shards("files"):
        if shard in store.shards("photos"):
            continue
        rows, faces = [], []
        for file in store.read("files", shard).to_pylist():
            row = dict.fromkeys(PHOTOS.names) | {k: file[k] for k in ("uri", "size", "mtime_ns")} | {"faces": 0, "photo_id": ""}
            if file["size"] < 0 or os.path.basename(file["uri"]) in failed:
                row["error"] = "damaged"
            else:
                row |= {"photo_id": content_id(read_file(file["uri"])), "faces": len(os.path.basename(file["uri"]))}
            rows.append(row)
            faces += [NO_FACE | {"photo_id": row["photo_id"], "face_id": f"{row['photo_id'][:24]}-{i:04x}"} for i in range(row["faces"])]
        store.write("faces", shard, table_of_rows(FACES, faces), {"table": "faces"})
        store.write("photos", shard, table_of(PHOTOS, {n: [r[n] for r in rows] for n in PHOTOS.names}), {"table": "photos"})


# -- finding --------------------------------------------------------------------------------------------------------------------------


def test_folder(photos: Path) -> None:
    put(photos, *(f"x.{e}" for e in EXTENSIONS), "Y.JPG", "z.jpeg.txt", "jpg", "b/c/d.png", "b.jpg")
    found = names(photos, under=photos)
    assert sorted(found) == sorted([*(f"x.{e}" for e in EXTENSIONS), "Y.JPG", "b/c/d.png", "b.jpg"])
    assert found == names(photos, under=photos)
    first = next(find_files([str(photos / "b.jpg")]))
    assert (first.uri, first.size, first.mtime_ns, first.error) == (str(photos / "b.jpg"), 5, (photos / "b.jpg").stat().st_mtime_ns, None)


def test_relative_sources_become_absolute(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(photos, "a/1.jpg")
    monkeypatch.chdir(photos)
    for source in (".", "a", "a/1.jpg", "a/*.jpg", "../photos/a", "./*/"):
        assert [f.uri for f in find_files([source])] == [str(photos / "a/1.jpg")]


def test_skipped_files_and_folders(photos: Path) -> None:
    put(
        photos, "1.jpg", ".2.jpg", ".thumbnails/3.jpg", "@eaDir/4.jpg", ".Trash/5.jpg", "__MACOSX/6.jpg", "._AppleDouble/7.jpg", "a/._8.jpg"
    )
    put(photos, "shop/store.json", "shop/9.jpg")
    Store(str(photos / "faces")).create()
    put(photos, "faces/report/10.jpg")
    assert names(f"{photos}/**/*.jpg", under=photos) == ["1.jpg", "shop/9.jpg"]
    assert names(photos, under=photos) == ["1.jpg", "shop/9.jpg"]
    assert names(photos / ".thumbnails", under=photos) == [".thumbnails/3.jpg"]  # it was given by name


def test_single_file_with_any_extension(photos: Path) -> None:
    put(photos, "scan.data", "a[1]*.jpg", "a1.jpg")
    assert names(photos / "scan.data", under=photos) == ["scan.data"]
    assert names(photos / "a[1]*.jpg", under=photos) == ["a[1]*.jpg"]  # a file with that name exists


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["1.jpg"]),
        ("*", ["1.jpg", "a/2.jpg", "a/b/3.png", "a/b/c/4.jpg", "x/5.JPG"]),
        ("a/*", ["a/2.jpg", "a/b/3.png", "a/b/c/4.jpg"]),
        ("**/*.jpg", ["1.jpg", "a/2.jpg", "a/b/c/4.jpg"]),
        ("**/*.[jJ][pP][gG]", ["1.jpg", "a/2.jpg", "a/b/c/4.jpg", "x/5.JPG"]),
        ("**/b", ["a/b/3.png", "a/b/c/4.jpg"]),
        ("**", ["1.jpg", "a/2.jpg", "a/b/3.png", "a/b/c/4.jpg", "x/5.JPG"]),
        ("?/**/?.png", ["a/b/3.png"]),
        ("[!a]/*", ["x/5.JPG"]),
        (".h/*.jpg", [".h/6.jpg"]),
    ],
)
def test_globs(photos: Path, pattern: str, expected: list[str]) -> None:
    put(photos, "1.jpg", "a/2.jpg", "a/b/3.png", "a/b/c/4.jpg", "x/5.JPG", ".h/6.jpg", "a/note.txt")
    assert sorted(set(names(f"{photos}/{pattern}", under=photos))) == expected


@given(st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=4), min_size=1, max_size=5), st.data())
@settings(deadline=None, max_examples=60)
def test_globs_against_pathlib(tmp_path_factory: pytest.TempPathFactory, paths: list[list[str]], choose: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("g")
    put(folder, *("/".join(p) + ".jpg" for p in paths))
    pattern = "/".join(choose.draw(st.lists(st.sampled_from(["**", "*", "a", "[ab]", "b*"]), max_size=3))) + "/*.jpg"
    pattern = pattern.lstrip("/")
    expected = {str(p) for p in folder.glob(pattern) if p.is_file()}
    found = {f.uri for f in find_files([str(folder), f"{folder}/{pattern}"][1:])} if expected else set()
    assert found == expected
    if not expected:
        with pytest.raises(InputError):
            list(find_files([f"{folder}/{pattern}"]))


def test_links(photos: Path, tmp_path: Path) -> None:
    """Linked folders are followed once; a photo is found under its real path if that is among the sources."""
    put(photos, "z/1.jpg", "z/in/2.jpg")
    put(tmp_path / "else", "3.jpg")
    (photos / "a_loop").symlink_to(photos)
    (photos / "z/in/up").symlink_to(photos / "z")
    (photos / "a_link_to_z").symlink_to("z")
    (photos / "out").symlink_to(tmp_path / "else")
    (photos / "out_again").symlink_to(tmp_path / "else")
    assert names(photos, under=photos) == ["z/1.jpg", "z/in/2.jpg", "out/3.jpg"]
    assert names(photos, photos / "z", photos, under=photos) == ["z/1.jpg", "z/in/2.jpg", "out/3.jpg"]
    assert names(f"{photos}/**/*.jpg", under=photos) == ["out/3.jpg", "z/1.jpg", "z/in/2.jpg"]
    (tmp_path / "way_in").symlink_to(photos)
    assert names(tmp_path / "way_in", under=tmp_path) == ["way_in/z/1.jpg", "way_in/z/in/2.jpg", "way_in/out/3.jpg"]


def test_deep_folders(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deeper than Python's recursion limit."""
    monkeypatch.chdir(photos)  # restored after the test
    depth = 1500
    try:
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        Path("1.jpg").write_bytes(b"1")
        for source in (photos, f"{photos}/**/*.jpg"):
            assert names(source, under=photos) == ["d/" * depth + "1.jpg"]
    finally:  # pytest removes old folders recursively
        Path("1.jpg").unlink(missing_ok=True)
        while os.path.basename(os.getcwd()) == "d":
            os.chdir("..")
            os.rmdir("d")


def test_links_and_pipes_are_found_with_an_error(photos: Path) -> None:
    put(photos, "ok.jpg")
    (photos / "broken.jpg").symlink_to(photos / "gone.jpg")
    (photos / "self.png").symlink_to("self.png")
    (photos / "broken").symlink_to(photos / "gone")
    os.mkfifo(photos / "pipe.gif")
    found = {os.path.basename(f.uri): (f.size, f.error) for f in find_files([str(photos)])}
    assert found == {
        "broken.jpg": (-1, "broken link"),
        "ok.jpg": (6, None),
        "pipe.gif": (-1, "not a file"),
        "self.png": (-1, "broken link"),
    }
    assert [f.error for f in find_files([str(photos / "broken.jpg")])] == ["broken link"]


def test_odd_names(photos: Path, store: Store) -> None:
    odd = [
        "new\nline.jpg",
        "\U0001f600.jpg",
        "\"quotes'.jpg",
        "<script>alert(1)<",
        "100%.jpg",
        " .jpg",
        "a\\b.jpg",
        "s3:x.jpg",
        "\u202eltr.jpg",
    ]
    odd[3] += "&.jpg"
    put(photos, *odd)
    raw = os.fsencode(photos) + b"/caf\xe9 50%.jpg"
    Path(os.fsdecode(raw)).write_bytes(b"latin")
    os.mkdir(os.fsencode(photos) + b"/\xff")
    Path(os.fsdecode(os.fsencode(photos) + b"/\xff/1.jpg")).write_bytes(b"latin 2")
    assert collect([str(photos)], store).new == len(odd) + 2
    read = {row["uri"]: read_file(row["uri"]) for row in planned(store)}
    assert read == {str(photos / name): os.fsencode(name) for name in odd} | {
        f"file://{photos}/caf%E9%2050%25.jpg": b"latin",
        f"file://{photos}/%FF/1.jpg": b"latin 2",
    }
    assert collect([str(photos)], store).new == 0
    assert collect([f"file://{photos}/caf%E9%2050%25.jpg"], store) == Collected(0, 1, [], [])


def test_unreadable_folder(photos: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(photos, "1.jpg", "shut/2.jpg")
    scandir = os.scandir

    def guarded(path: str) -> Any:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert collect([str(photos)], store) == Collected(1, 0, ["00000"], [f"{photos}/shut: the folder can't be read: Permission denied"])
    with pytest.raises(InputError, match="shut can't be read: Permission denied"):
        list(find_files([str(photos / "shut")]))


def test_nothing_found(photos: Path, store: Store) -> None:
    put(photos, "a.txt", "b/c.doc")
    (photos / "empty").mkdir()
    for source, reason in [
        (photos / "gone", "found nothing there"),
        (photos / "*.jpg", "found none: check the pattern"),
        (photos / "empty", "found none in"),
        (photos, r"found none in .*; passed over 2 other files \(1 \.\w+, 1 "),
        ("", "name one"),
        ("a\0b", "name one"),
        (photos / "gone\n.jpg", r"gone\\n.jpg"),
        ("memory://none", "found nothing there"),
        ("nosuchscheme://x", "nosuchscheme"),
    ]:
        with pytest.raises(InputError, match=reason) as caught:
            collect([str(source)], store)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no source"):
        collect([], store)
    put(photos, "1.jpg")
    with pytest.raises(InputError, match="gone"):
        collect([str(photos), str(photos / "gone")], store)
    assert store.shards("files") == []


@pytest.fixture
def bucket() -> Iterator[Any]:
    fs = fsspec.filesystem("memory")
    for name in ("a/1.jpg", "a/b/2.PNG", "a/note.txt", "a/.hidden/3.jpg", "a/faces/store.json", "a/faces/4.jpg", "c/5.jpg"):
        fs.pipe_file(f"/bucket/{name}", name.encode())
    yield fs
    fs.rm("/bucket", recursive=True)


def test_remote(bucket: Any, store: Store) -> None:
    assert [f.uri for f in find_files(["memory://bucket/a"])] == ["memory:///bucket/a/1.jpg", "memory:///bucket/a/b/2.PNG"]
    assert [f.uri for f in find_files(["memory://bucket/*/?.jpg"])] == ["memory:///bucket/a/1.jpg", "memory:///bucket/c/5.jpg"]
    assert [f.uri for f in find_files(["memory://bucket/a/note.txt"])] == ["memory:///bucket/a/note.txt"]
    assert collect(["memory://bucket"], store).new == 3
    assert [read_file(row["uri"]) for row in planned(store)] == [b"a/1.jpg", b"a/b/2.PNG", b"c/5.jpg"]
    assert collect(["memory://bucket"], store) == Collected(0, 3, [], [], passed_over=["1 other file (1 .txt)"])
    bucket.pipe_file("/bucket/c/5.jpg", b"changed")
    assert collect(["memory://bucket"], store).new == 1


def test_time_of_change() -> None:
    noon = datetime(2024, 5, 6, 12, tzinfo=UTC)
    ns = 1714996800 * 10**9
    for info in ({"mtime": 1714996800.0}, {"LastModified": noon}, {"updated": "2024-05-06T12:00:00Z"}, {"mtime": "junk", "created": noon}):
        assert changed(info) == ns
    assert changed({"name": "a"}) == 0


# -- planning -------------------------------------------------------------------------------------------------------------------------


def test_shards(photos: Path, store: Store) -> None:
    put(photos, *(f"{i:02}.jpg" for i in range(10)))
    assert collect([str(photos)], store, shard_size=4) == Collected(10, 0, ["00000", "00001", "00002"], [])
    assert [store.read("files", s).num_rows for s in store.shards("files")] == [4, 4, 2]
    assert [row["uri"] for row in planned(store)] == [str(photos / f"{i:02}.jpg") for i in range(10)]
    assert store.stamp("files", "00001") == {"table": "files"}
    row, path = planned(store)[3], photos / "03.jpg"
    known = dict.fromkeys(["known", "known_faces", "known_photos", "known_pictures"], [])
    assert row == {"uri": str(path), "size": 6, "mtime_ns": path.stat().st_mtime_ns, **known, "offset": None, "error": None, "label": None}


def test_only_what_is_new_or_changed(photos: Path, store: Store) -> None:
    put(photos, "b.jpg", "d.jpg")
    collect([str(photos)], store)
    assert collect([str(photos), f"{photos}/*.jpg"], store) == Collected(0, 2, [], [])  # planned
    detect(store)
    assert collect([str(photos)], store) == Collected(0, 2, [], [])  # done
    put(photos, "a.jpg", "c.jpg")
    os.utime(photos / "d.jpg", ns=(5, 5))
    (photos / "b.jpg").unlink()
    assert collect([str(photos)], store) == Collected(3, 0, ["00001"], [], [str(photos / "b.jpg")])
    assert [os.path.basename(r["uri"]) for r in store.read("files", "00001").to_pylist()] == ["a.jpg", "c.jpg", "d.jpg"]
    os.utime(photos / "d.jpg", ns=(6, 6))
    assert collect([str(photos)], store).new == 1
    os.utime(photos / "d.jpg", ns=(5, 5))  # the last row counts
    assert collect([str(photos)], store).new == 1


def test_shard_numbers_are_not_reused(photos: Path, store: Store) -> None:
    """A damaged shard of files was deleted: the new shard must not count as done."""
    put(photos, "a.jpg", "b.jpg")
    collect([str(photos)], store)
    detect(store)
    os.unlink(store.shard_path("files", "00000"))
    put(photos, "c.jpg")
    assert collect([str(photos)], store) == Collected(3, 0, ["00001"], [])


def test_moved_photo_is_known_by_its_size(photos: Path, store: Store) -> None:
    put(photos, "a.jpg", "long name.jpg")
    collect([str(photos)], store)
    detect(store, failed=frozenset(["long name.jpg"]))
    (photos / "moved").mkdir()
    (photos / "a.jpg").rename(photos / "moved/b.jpg")
    (photos / "long name.jpg").rename(photos / "moved/c.jpg")
    assert collect([str(photos)], store).new == 2
    known = {os.path.basename(r["uri"]): (r["known"], r["known_faces"]) for r in store.read("files", "00001").to_pylist()}
    assert known == {"b.jpg": ([content_id(b"a.jpg")], [5]), "c.jpg": ([], [])}  # a failed photo is not known


def test_many_photos_of_one_size(photos: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_photos, "_MAX_KNOWN", 3)
    put(photos, *(f"{i}.bmp" for i in range(6)))
    collect([str(photos)], store)
    detect(store)
    put(photos, "x.bmp")
    collect([str(photos)], store)
    assert len(planned(store)[-1]["known"]) == len(planned(store)[-1]["known_faces"]) == 3


def test_retry_failed(photos: Path, store: Store) -> None:
    put(photos, "a.jpg", "b.jpg")
    (photos / "c.jpg").symlink_to(photos / "gone.jpg")
    assert collect([str(photos)], store).new == 3
    assert [r["size"] for r in planned(store)] == [5, 5, -1]
    assert collect([str(photos)], store, retry_failed=True).new == 0  # not tried yet
    detect(store, failed=frozenset(["b.jpg"]))
    assert collect([str(photos)], store) == Collected(0, 3, [], [])
    assert collect([str(photos)], store, retry_failed=True) == Collected(2, 1, ["00001"], [])
    assert collect([str(photos)], store, retry_failed=True) == Collected(0, 3, [], [])  # planned, so not twice
    detect(store)
    assert collect([str(photos)], store, retry_failed=True).new == 1  # b is repaired, c is still broken
    put(photos, "gone.jpg")
    assert collect([str(photos)], store).new == 2  # the file, and the link to it


@pytest.mark.parametrize("after", range(4))
def test_killed_between_shards(photos: Path, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, after: int) -> None:
    put(photos, "0.jpg", "5/0.jpg")
    whole, cut = store, Store(str(tmp_path / "cut"))
    cut.create()
    for each in (whole, cut):
        collect([str(photos)], each, shard_size=3)
        detect(each)
    put(photos, *(f"{i}/{i}.jpg" for i in range(8)), "9.jpg")
    (photos / "0.jpg").rename(photos / "8.jpg")
    collect([str(photos)], whole, shard_size=3)
    left = after
    write = Store.write

    def killed(self: Store, table: str, *args: Any, **kwargs: Any) -> None:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= table == "files"
        write(self, table, *args, **kwargs)

    with monkeypatch.context() as m:
        m.setattr(Store, "write", killed)
        if after < 4:
            with pytest.raises(KeyboardInterrupt):
                collect([str(photos)], cut, shard_size=3)
    assert len(cut.shards("files")) == 1 + after
    collect([str(photos)], cut, shard_size=3)
    assert cut.shards("files") == whole.shards("files")
    assert planned(cut) == planned(whole)
    assert len(planned(whole)) == 12


def test_shard_size_out_of_bounds(photos: Path, store: Store) -> None:
    with pytest.raises(InputError, match="shard size"):
        collect([str(photos)], store, shard_size=0)


@pytest.mark.parametrize("year", [1901, 2400])
def test_a_file_of_any_date_is_listed_once(photos: Path, store: Store, year: int) -> None:
    put(photos, "a.jpg", "b.jpg")
    time = datetime(year, 1, 1, tzinfo=UTC).timestamp()
    os.utime(photos / "a.jpg", (time, time))
    collect([str(photos)], store)
    assert len(planned(store)) == 2
    detect(store)
    assert collect([str(photos)], store).new == 0


def test_a_data_set_of_the_store_among_its_photos_is_passed_over(photos: Path, store: Store) -> None:
    put(photos, "a.jpg", "clean/imagefolder/train/Ann/x.jpg", "clean2/b.jpg")
    with tarfile.open(photos / "clean/0.tar", "w") as tar:
        tar.add(photos / "a.jpg", "member.jpg")
    (photos / "clean" / DATA_SET_MARK).write_text("{}")
    remember_copy(store, DATA_SET, str(photos / "clean"))
    remember_copy(store, DATA_SET, str(photos / "clean2"))  # was deleted; photos of the user's lie there now
    for _ in range(2):
        done = collect([str(photos)], store)
        assert [os.path.relpath(row["uri"], photos) for row in planned(store)] == ["a.jpg", "clean2/b.jpg"]
        assert done.passed_over == ["2 pictures of a data set that 'curate' made of this store: name its folder to take them"]
    collect([str(photos / "clean")], store)
    assert len(planned(store)) == 4
    assert collect([str(photos)], store).known == 4
    other = Store(str(photos.parent / "other"))
    other.create()
    assert collect([str(photos)], other).new == 4


def test_files_that_could_not_be_read_are_planned_once_they_can_be(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad hour of a bucket: without an option, the next run takes the photos in that it left out."""
    wrong: dict[str, Exception] = {}  # by the end of a name
    opened = MemoryFileSystem._open

    def open_file(self: Any, path: str, *args: Any, **kwargs: Any) -> Any:
        for name, error in wrong.items():
            if path.endswith(name):
                raise error
        return opened(self, path, *args, **kwargs)

    monkeypatch.setattr(MemoryFileSystem, "_open", open_file)
    elsewhere = fsspec.filesystem("memory")
    elsewhere.pipe({"/photos/a.jpg": b"a", "/photos/b.jpg": b"bb", "/photos/c.jpg": b"ccc"})
    busy, lost = OSError(16, "Please reduce your request rate."), FileNotFoundError("/photos/b.jpg")
    try:
        assert collect(["memory://photos"], store).new == 3
        wrong |= {"a.jpg": busy, "b.jpg": lost}
        uris = [row["uri"] for row in planned(store)]
        errors = [error_of(uri) for uri in uris]
        assert errors == ["expected a readable file, found: Please reduce your request rate.", "expected a photo, found no file", None]
        errors[2] = "expected a photo (JPEG, PNG, ...), found something else"  # what is wrong with it stays wrong
        made = {"uri": uris, "error": errors, "photo_id": ["", "", content_id(b"ccc")], "size": [1, 2, 3], "faces": [0] * 3}
        columns = {name: made.get(name, [0 if name == "mtime_ns" else None] * 3) for name in PHOTOS.names}
        store.write("photos", "00000", table_of(PHOTOS, columns), {})
        store.write("faces", "00000", FACES.empty_table(), {})
        assert collect(["memory://photos"], store).new == 0  # it is still out of order: no shard for nothing
        del wrong["a.jpg"]
        assert collect(["memory://photos"], store).new == 1 and planned(store)[-1]["uri"] == uris[0]
        del wrong["b.jpg"]
        assert collect(["memory://photos"], store).new == 1 and planned(store)[-1]["uri"] == uris[1]
        assert collect(["memory://photos"], store).new == 0
    finally:
        elsewhere.rm("/photos", recursive=True)


def write_unread(store: Store, uri: str, size: int) -> None:
    """What the next stage writes of a file that it could not read."""
    shard = store.shards("files")[-1]
    made = {"uri": [uri], "error": ["expected a readable file, found: Input/output error"], "photo_id": [""], "size": [size], "faces": [0]}
    columns = {name: made.get(name, [0 if name == "mtime_ns" else None]) for name in PHOTOS.names}
    store.write("photos", shard, table_of(PHOTOS, columns), {})
    store.write("faces", shard, FACES.empty_table(), {})


def test_a_file_whose_beginning_alone_can_be_read_makes_no_shard_each_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk with bad sectors."""
    class Bad(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().read(size)

    opened, is_bad = MemoryFileSystem._open, [False]
    monkeypatch.setattr(MemoryFileSystem, "_open", lambda self, path, *a, **k: Bad(b"abc") if is_bad[0] else opened(self, path, *a, **k))
    elsewhere = fsspec.filesystem("memory")
    elsewhere.pipe({"/photos/a.jpg": b"abc"})
    is_bad[0] = True
    try:
        assert collect(["memory://photos"], store).new == 1
        for planned_again in (1, 0, 0):
            if len(store.shards("files")) > len(store.shards("photos")):
                write_unread(store, planned(store)[0]["uri"], 3)
            assert collect(["memory://photos"], store).new == planned_again
        is_bad[0] = False
        assert collect(["memory://photos"], store).new == 1
    finally:
        elsewhere.rm("/photos", recursive=True)


def test_files_that_could_not_be_read_are_left_alone_by_a_run_of_another_folder(
    store: Store, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket that does not answer must not be waited for by a run that does not search it."""
    put(photos, "a.jpg")
    found = collect([str(photos)], store)
    assert found.new == 1
    write_unread(store, planned(store)[0]["uri"], planned(store)[0]["size"])
    tried: list[str] = []
    monkeypatch.setattr(stage, "readable_now", lambda uris, **more: set(tried.extend(uris) or ()))
    other = tmp_path / "elsewhere"
    other.mkdir()
    put(other, "b.jpg")
    assert collect([str(other)], store).new == 1 and tried == []
    assert collect([str(photos)], store).known == 1 and len(tried) == 1


def error_of(uri: str) -> str | None:
    try:
        read_file(uri)
    except PhotoError as e:
        return str(e)
    return None


def test_files_that_can_not_be_read_are_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch, photos: Path) -> None:
    put(photos, "a.jpg", "b.jpg")
    assert readable_now([str(photos / "a.jpg"), str(photos / "none.jpg")]) == {str(photos / "a.jpg")}
    assert readable_now([str(photos / "a.jpg")], seconds=-1) == set()


def test_a_place_that_is_gone_costs_each_run_no_reading_of_all_photos(
    photos: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of the places that are gone could not be used is remembered with them; a shard that was to be made anew is asked again."""
    read: list[str] = []
    real = Store.read

    def counted(self: Store, table: str, shard: str, columns: list[str] | None = None) -> pa.Table:
        read.extend([shard] if table == "photos" else [])
        return real(self, table, shard, columns)

    def searched(*folders: str) -> int:
        """How many photos are planned; `read` are the shards that were read for it."""
        read.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Store, "read", counted)
            return collect([str(photos / folder) for folder in folders], store, shard_size=2).new

    def made(**options: Any) -> None:
        detect(store, **options)
        for shard in store.shards("files"):
            if shard not in store.shards("faces"):
                ids = [f"{photo[:24]}-0000" for photo in store.read("photos", shard, ["photo_id"])["photo_id"].to_pylist() if photo]
                store.write("faces", shard, pa.table({"face_id": pa.array(ids, pa.string())}), {"table": "faces"})

    put(photos, *(f"{folder}/{i}.jpg" for folder in "ab" for i in range(6)))
    assert searched("a", "b") == 12 and not read
    made(failed=frozenset(["5.jpg"]))
    assert searched("a", "b") == 0 and not read
    os.rename(photos / "b", tmp_path / "b")
    assert searched("a") == 0 and len(read) == 6  # what is newly gone is asked for once
    assert searched("a") == 0 and not read
    kept = gone_and_unusable(store)
    assert {Path(uri).name: unusable for uri, unusable in kept.items()} == {f"{i}.jpg": i == 5 for i in range(6)}
    put(photos, "a/new.jpg")
    assert searched("a") == 1 and gone_and_unusable(store) == kept
    made()
    last = next(s for s in store.shards("files") if str(photos / "b/0.jpg") in store.read("files", s)["uri"].to_pylist())
    for table in ("photos", "faces"):
        os.remove(store.shard_path(table, last))
    assert searched("a") == 0 and set(gone_and_unusable(store).values()) == {None, False, True}
    made(failed=frozenset(["0.jpg", "1.jpg"]))
    assert searched("a") == 0 and read[0] == last  # then all, since photos of that shard may be elsewhere, their faces lost
    assert searched("a") == 0 and not read
    os.rename(tmp_path / "b", photos / "b")
    assert searched("a", "b") == 3 and gone_and_unusable(store) == {}  # all that could not be used


def test_a_list_of_gone_places_of_an_earlier_version_is_read(photos: Path, store: Store, tmp_path: Path) -> None:
    put(photos, "a/1.jpg", "b/1.jpg")
    collect([str(photos)], store)
    detect(store, failed=frozenset(["1.jpg"]))
    os.rename(photos / "b", tmp_path / "b")
    collect([str(photos)], store)
    store.write("gone", "00000", store.read("gone", "00000").drop_columns(["unusable"]), {"table": "gone"})
    assert collect([str(photos)], store) == Collected(0, 1, [], [], [str(photos / "b/1.jpg")])
    os.rename(tmp_path / "b", photos / "b")
    assert collect([str(photos)], store).new == 1
