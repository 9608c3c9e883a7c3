"""Archives and lists in a store: planned once, looked at again when they change, known by content, gone with their archive."""

from __future__ import annotations

import os
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archive_files import image_record, picture, pictures, write_rec, write_tar, write_zip
from click.testing import CliRunner

from facecluster.check import check
from facecluster.cli import main
from facecluster.curate.labelled_faces import folder_of
from facecluster.dedup.store_photos import read_photos
from facecluster.errors import PhotoError
from facecluster.export.relative_paths import relative_paths
from facecluster.faces import detect as stage
from facecluster.faces.detect import DetectConfig, Faces, detect_shard
from facecluster.photos import web
from facecluster.photos.archives.uris import member_uri
from facecluster.photos.collect import Collected, collect
from facecluster.photos.gone import gone_folders
from facecluster.photos.images import content_id, read_file
from facecluster.photos.places import current_photos, drop_places, places_by_photo
from facecluster.store import PHOTOS, Store, embeddings_schema, table_of

NOBODY = Faces(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(stage, "_detect", lambda images, config, scales, device: [NOBODY] * len(images))
    store = Store(str(tmp_path / "store"))
    store.create()
    return store


def embed(store: Store, *sources: Path | str, **options: Any) -> Collected:
    found = collect(map(str, sources), store, shard_size=4, **options)
    for shard in store.shards("files"):
        detect_shard(shard, store=store, config=DetectConfig(), device="cpu")
    return found


def rows(store: Store) -> dict[str, dict[str, Any]]:
    """The places that count, by the end of the uri."""
    return {row["uri"].rsplit("!/", 1)[-1]: row for row in current_photos(store, [*PHOTOS.names], look=True).to_pylist()}


def test_a_tar_from_its_first_run_to_its_end(store: Store, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "in" / "x.tar", pictures(10)) if (tmp_path / "in").mkdir() is None else tmp_path
    assert embed(store, tmp_path / "in").new == 10
    found = rows(store)
    assert {key: row["photo_id"] for key, row in found.items()} == {key: content_id(data) for key, data in pictures(10).items()}
    assert all(row["uri"] == f"tar:{path}!/{key}" and row["error"] is None for key, row in found.items())
    assert (embed(store, tmp_path / "in").new, embed(store, path).known) == (0, 10)
    with tarfile.open(path, "a") as tar:
        tar.add(write_zip(tmp_path / "n.zip", {}), "n.zip")
        (tmp_path / "new.jpg").write_bytes(picture(99))
        tar.add(tmp_path / "new.jpg", "new.jpg")
    assert embed(store, path).new == 11  # the archive has changed; its photos are known by their bytes
    assert rows(store)["000003.jpg"]["photo_id"] == found["000003.jpg"]["photo_id"]
    assert len(places_by_photo(store, [])) == 11
    write_tar(path, pictures(4))
    assert len(embed(store, path).gone) == 7 and sum(row["gone"] for row in rows(store).values()) == 7
    assert embed(store, path).known == 4 and sum(row["gone"] for row in rows(store).values()) == 7
    whole = path.read_bytes()
    path.write_bytes(whole[:4000])
    embed(store, path)
    assert "truncated" in rows(store)[str(path)]["error"] or "ends within" in rows(store)[str(path)]["error"]
    assert embed(store, path) == Collected(0, 3, [], [], rows_gone(store))
    path.write_bytes(whole)
    embed(store, path)
    assert str(path) not in rows(store)  # what was wrong is right
    assert embed(store, path).known == 4 and str(path) not in rows(store)
    path.unlink()
    assert all(row["gone"] for row in rows(store).values())
    (group,) = gone_folders(store)
    assert group.folder == str(tmp_path / "in") and len(group.places) == 11


def rows_gone(store: Store) -> list[str]:
    return sorted(row["uri"] for row in rows(store).values() if row["gone"])


@pytest.mark.parametrize("pruned", [False, True])
def test_photos_of_an_archive_that_was_away_count_again(store: Store, tmp_path: Path, pruned: bool) -> None:
    """As on a disk that was not mounted: the archive comes back with the same size and time."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(picture(50))
    path = write_zip(tmp_path / "in" / "x.zip", pictures(3))
    embed(store, tmp_path / "in")
    os.rename(path, tmp_path / "away.zip")
    assert len(embed(store, tmp_path / "in").gone) == 3
    if pruned:
        drop_places(store, rows_gone(store), by_user=True)
    os.rename(tmp_path / "away.zip", path)
    found = embed(store, tmp_path / "in")
    assert (found.new, found.known, found.gone) == (0, 4, [])
    assert len(places_by_photo(store, [])) == 4 and rows_gone(store) == []
    assert embed(store, tmp_path / "in") == found


def test_a_search_elsewhere_leaves_archives_alone(store: Store, tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", pictures(3))
    (tmp_path / "a.jpg").write_bytes(picture(50))
    embed(store, tmp_path / "x.zip")
    assert embed(store, tmp_path / "a.jpg").gone == []
    assert not any(row["gone"] for row in rows(store).values())


def test_a_moved_archive_and_a_copy_on_the_disk_are_known(store: Store, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", pictures(3))
    embed(store, path)
    os.rename(path, tmp_path / "y.zip")
    (tmp_path / "copy.jpg").write_bytes(picture(1))
    embed(store, tmp_path / "y.zip", tmp_path / "copy.jpg")
    assert len(places_by_photo(store, [])) == 3


def test_a_changed_tar_is_not_read_where_its_photos_were(store: Store, tmp_path: Path) -> None:
    """Between planning and reading the archive is replaced by one in another order: the names count, not the places."""
    path = write_tar(tmp_path / "x.tar", pictures(6))
    collect([str(path)], store)
    write_tar(path, dict(reversed(pictures(6).items())))
    os.utime(path, ns=(7, 7))
    for shard in store.shards("files"):
        detect_shard(shard, store=store, config=DetectConfig(), device="cpu")
    assert {key: row["photo_id"] for key, row in rows(store).items()} == {key: content_id(data) for key, data in pictures(6).items()}


def test_a_rec_whose_idx_arrives_after_it_is_looked_at_again(store: Store, tmp_path: Path) -> None:
    """A new .rec beside the .idx of the one before: hardly a place in it is that of a record."""
    numbered = [image_record(picture(i, 24 + i), i, i) for i in range(6)]
    path = write_rec(tmp_path / "x.rec", dict(enumerate(numbered)))
    embed(store, path)
    old = path.with_suffix(".idx").read_bytes()
    write_rec(path, dict(enumerate(reversed(numbered))))
    new = path.with_suffix(".idx").read_bytes()
    path.with_suffix(".idx").write_bytes(old)
    os.utime(path.with_suffix(".idx"), ns=(7, 7))
    embed(store, path)
    assert "damaged" in rows(store)[str(path)]["error"]
    path.with_suffix(".idx").write_bytes(new)
    os.utime(path.with_suffix(".idx"), ns=(path.stat().st_mtime_ns + 1,) * 2)
    found = embed(store, path)
    assert found.gone == [] and str(path) not in rows(store)
    assert {k: row["photo_id"] for k, row in rows(store).items()} == {str(5 - i): content_id(picture(i, 24 + i)) for i in range(6)}
    assert embed(store, path).known == 6


def test_photos_that_moved_are_searched_where_they_are_if_their_faces_are_lost(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shard that found their faces is damaged and set aside, after its archive was renamed: nothing lies in its places any more."""
    one = Faces(np.float32([[2, 2, 20, 20]]), np.float32([[[8, 9], [16, 9], [12, 13], [9, 17], [15, 17]]]), np.float32([0.9]))
    monkeypatch.setattr(stage, "_detect", lambda images, config, scales, device: [one] * len(images))
    path = write_tar(tmp_path / "x.tar", pictures(3))
    embed(store, path)
    other = write_zip(tmp_path / "other.zip", pictures(2, first=7))
    embed(store, path, other)
    held = store.read("faces", "00000").column("face_id").to_pylist()
    vectors = table_of(embeddings_schema(4), {"face_id": held, "embedding": np.ones((3, 4), np.float16)})
    store.write("embeddings/bundled", "00000", vectors, {"table": "embeddings"})
    os.rename(path, tmp_path / "y.tar")
    assert embed(store, tmp_path / "y.tar", other).new == 3
    assert not any(store.read("faces", shard).num_rows for shard in store.shards("faces")[2:])  # known, not searched
    os.remove(store.shard_path("faces", "00000"))
    assert [f.path for f in check(store).findings] == ["faces/part-00000.parquet"]
    found = collect([str(tmp_path / "y.tar"), str(other)], store, shard_size=4)
    assert (found.new, found.known) == (3, 2)
    assert collect([str(tmp_path / "y.tar"), str(other)], store, shard_size=4).new == 0  # killed before they were searched
    for shard in store.shards("files"):
        detect_shard(shard, store=store, config=DetectConfig(), device="cpu")
    there = [face for shard in store.shards("faces") for face in store.read("faces", shard)["face_id"].to_pylist()]
    assert set(held) <= set(there) and len(there) == 5
    assert store.shards("embeddings/bundled") == [] and check(store).findings == []
    assert embed(store, tmp_path / "y.tar", other).new == 0
    os.rename(tmp_path / "y.tar", path)
    assert embed(store, path, other).new == 3 and sum(row["error"] is not None for row in rows(store).values()) == 0


@pytest.mark.parametrize("damage", [["faces"], ["faces", "photos"], ["faces", "files"]])
def test_a_photo_that_moved_and_whose_metadata_changed_keeps_its_faces_if_they_are_lost(
    damage: list[str], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its first photo_id, by which its faces are named, also if its folder is searched only later."""
    one = Faces(np.float32([[2, 2, 20, 20]]), np.float32([[[8, 9], [16, 9], [12, 13], [9, 17], [15, 17]]]), np.float32([0.9]))
    monkeypatch.setattr(stage, "_detect", lambda images, config, scales, device: [one] * len(images))
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, i in ((first, 1), (second, 2)):
        folder.mkdir()
        (folder / f"{i}.jpg").write_bytes(picture(i))
    embed(store, first, second)
    data = (first / "1.jpg").read_bytes()
    (second / "1.jpg").write_bytes(data[:2] + b"\xff\xfe\x00\x06text" + data[2:])
    (first / "1.jpg").unlink()
    (first / "3.jpg").write_bytes(picture(3))
    embed(store, first, second)
    faces = {f"{content_id(picture(i))[:24]}-0000" for i in (1, 2, 3)}
    assert {row["photo_id"][:24] for row in rows(store).values()} == {face[:24] for face in faces}
    for table in damage:
        os.remove(store.shard_path(table, "00000"))
    embed(store, first)
    embed(store, first, second)
    there = {face for shard in store.shards("faces") for face in store.read("faces", shard)["face_id"].to_pylist()}
    assert there == faces
    held = [row for row in rows(store).values() if not row["gone"]]
    assert {row["photo_id"][:24] for row in held} == {face[:24] for face in faces} and all(row["faces"] == 1 for row in held)
    assert embed(store, first, second).new == 0 and check(store).findings == []


@pytest.mark.parametrize("numbers", [(1, 2), (1,)])
def test_a_photo_whose_metadata_changed_in_its_place_keeps_its_faces_if_they_are_lost(
    numbers: tuple[int, ...], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The damaged shard is made anew without the place, which a later shard lists: else the photo would get another photo_id."""
    one = Faces(np.float32([[2, 2, 20, 20]]), np.float32([[[8, 9], [16, 9], [12, 13], [9, 17], [15, 17]]]), np.float32([0.9]))
    monkeypatch.setattr(stage, "_detect", lambda images, config, scales, device: [one] * len(images))
    folder = tmp_path / "a"
    folder.mkdir()
    for i in numbers:
        (folder / f"{i}.jpg").write_bytes(picture(i))
    embed(store, folder)
    data = (folder / "1.jpg").read_bytes()
    (folder / "1.jpg").write_bytes(data[:2] + b"\xff\xfe\x00\x06text" + data[2:])
    embed(store, folder)
    faces = {f"{content_id(picture(i))[:24]}-0000" for i in numbers}
    os.remove(store.shard_path("faces", "00000"))
    embed(store, folder)
    there = [face for shard in store.shards("faces") for face in store.read("faces", shard)["face_id"].to_pylist()]
    assert sorted(there) == sorted(faces) and {row["photo_id"][:24] for row in rows(store).values()} == {face[:24] for face in faces}
    assert embed(store, folder).new == 0 and check(store).findings == []


def test_a_place_that_was_away_when_it_was_to_be_read_is_read_once_it_is_back(store: Store, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", pictures(3))
    (tmp_path / "a.jpg").write_bytes(picture(50))
    collect([str(path), str(tmp_path / "a.jpg")], store)
    (tmp_path / "away").mkdir()
    for name in ("x.zip", "a.jpg"):
        os.rename(tmp_path / name, tmp_path / "away" / name)
    (tmp_path / "b.jpg").write_bytes(picture(51))
    embed(store, tmp_path / "b.jpg")
    assert sum(row["error"] is not None for row in rows(store).values()) == 4
    for name in ("x.zip", "a.jpg"):
        os.rename(tmp_path / "away" / name, tmp_path / name)
    assert embed(store, path, tmp_path / "a.jpg", tmp_path / "b.jpg").new == 4
    assert sum(row["error"] is not None for row in rows(store).values()) == 0


def test_a_killed_run_plans_the_same(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tar(tmp_path / "x.tar", dict(reversed(pictures(10).items())))
    write, calls = store.write, []

    def dies(table: str, shard: str, *rest: Any) -> None:
        calls.append(table)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write(table, shard, *rest)

    with monkeypatch.context() as m:
        m.setattr(Store, "write", lambda self, table, shard, data, stamp: dies(table, shard, data, stamp))
        with pytest.raises(KeyboardInterrupt):
            collect([str(path)], store, shard_size=4)
    assert collect([str(path)], store, shard_size=4).new == 6
    planned = [row["uri"].rsplit("/", 1)[1] for shard in store.shards("files") for row in store.read("files", shard).to_pylist()]
    assert planned == list(reversed(pictures(10)))  # as they lie in the archive


def test_damage_is_counted_and_ends_nothing(store: Store, tmp_path: Path) -> None:
    whole = write_zip(tmp_path / "a.zip", pictures(3))
    (tmp_path / "b.zip").write_bytes(whole.read_bytes()[:-30])
    write_tar(tmp_path / "c.tar", {"1.jpg": picture(1), "2.jpg": b"no photo"})
    (tmp_path / "d.parquet").write_bytes(b"PAR1")
    embed(store, tmp_path)
    bad = {key: row["error"] for key, row in rows(store).items() if row["error"]}
    assert bad.keys() == {str(tmp_path / "b.zip"), "2.jpg", str(tmp_path / "d.parquet")}
    assert "damaged" in bad[str(tmp_path / "b.zip")] or "readable" in bad[str(tmp_path / "b.zip")]
    assert embed(store, tmp_path, retry_failed=True).new == 3


def test_labels(store: Store, tmp_path: Path) -> None:
    members = {"a.b.jpg": picture(1), "a.cls": b"7\n", "b.jpg": picture(2), "b.json": b'{"x": 1, "label": "Ada"}', "c.jpg": picture(3),
               "c.txt": b"Bo", "d.jpg": picture(4), "d.txt": b"two\nlines", "e.jpg": picture(5), "e.json": b"[" * 9999,
               "f.jpg": picture(6), "g.jpg": picture(7), "g.cls": b"3", "g.json": b'{"label": 4, "person": "Cy"}', "h.jpg": picture(8),
               "h.cls": b"Di", "h.json": b'{"person": "Ed"}', "i.jpg": picture(9), "i.cls": b"5",
               "i.json": b'{"name": "9.jpg"}'}  # fmt: skip
    embed(store, write_tar(tmp_path / "x.tar", members))
    assert {key: row["label"] for key, row in rows(store).items()} == {
        "a.b.jpg": "7", "b.jpg": "Ada", "c.jpg": "Bo", "d.jpg": None, "e.jpg": None, "f.jpg": None, "g.jpg": "Cy",
        "h.jpg": "Di", "i.jpg": "5",
    }  # fmt: skip
    assert folder_of("zip:/a/x.zip!/Ada L./1.jpg") == "Ada L." and folder_of("zip:/a/x.zip!/1.jpg") is None
    assert folder_of(r"zip:/a/x.zip!/all\Ada L.\1.jpg") == "Ada L." and folder_of(r"tar:/a/x.tar!/Bo/a\b.jpg") == "Bo"
    assert folder_of("parquet:/a/x.parquet!/image/1") is None and folder_of("zip:/a.zip!/../1.jpg") is None


def test_keys_never_lead_out_of_a_folder(tmp_path: Path) -> None:
    keys = ["../../x.jpg", "/etc/x.jpg", "a/../../b.jpg", "..", "a\0b.jpg"]
    uris = [member_uri("zip", "/data/../in/x.zip", key) for key in keys] + [member_uri("tar", "s3://b/x.tar", "../k.jpg"), "/data/a.jpg"]
    root, names = relative_paths(lambda: uris)
    assert root == "" and all(not n.startswith("/") and ".." not in n.split("/") and "\0" not in n for n in names.values())
    assert names[uris[-2]] == "s3/b/x.tar/k.jpg" and names["/data/a.jpg"] == "data/a.jpg"


def test_dedup_leaves_archives_out(store: Store, tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", {"a.jpg": picture(1)})
    (tmp_path / "a.jpg").write_bytes(picture(1))
    embed(store, tmp_path)
    photos = read_photos(store)
    assert [[f.uri for f in files] for files in photos.files] == [[str(tmp_path / "a.jpg")]] and photos.not_files == 1


def test_archives_of_any_filesystem(store: Store, tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    bytes_of = [*pictures(5).values()]
    write_tar(tmp_path / "x.tar", pictures(5))
    write_tar(tmp_path / "x.tar.gz", pictures(5), mode="w:gz")
    write_zip(tmp_path / "x.zip", pictures(5))
    pq.write_table(pa.table({"image": [{"bytes": data, "path": f"{i}.jpg"} for i, data in enumerate(bytes_of)]}), tmp_path / "hf.parquet")
    pq.write_table(pa.table({"jpg": bytes_of}), tmp_path / "plain.parquet")
    write_rec(tmp_path / "x.rec", {i: image_record(data, 0.0, i) for i, data in enumerate(bytes_of)})
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert names == ["hf.parquet", "plain.parquet", "x.idx", "x.rec", "x.tar", "x.tar.gz", "x.zip"]
    for name in names:
        fs.pipe_file(f"/archives/{name}", (tmp_path / name).read_bytes())
    try:
        embed(store, "memory:///archives")
        found = current_photos(store, ["uri", "photo_id", "error"]).to_pylist()
        assert sorted(row["photo_id"] for row in found) == sorted(map(content_id, bytes_of * 6))
        assert any(row["uri"] == "tar:memory:///archives/x.tar!/000000.jpg" for row in found), found
        assert embed(store, "memory:///archives").known == 30
        fs.rm("/archives/x.zip")
        assert len(embed(store, "memory:///archives").gone) == 5
    finally:
        fs.rm("/archives", recursive=True)


# -- lists and the web --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A server of the web, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {sorted(k for k in self.headers if k not in ('Host', 'Connection', 'Accept-Encoding'))}")
            if self.path in ("/away", "/loop"):
                self.send_response(302)
                self.send_header("Location", "file:///etc/passwd" if self.path == "/away" else "/loop")
                self.end_headers()
            elif self.path.startswith("/photo"):
                data = picture(3)
                self.send_response(200)
                self.send_header("Content-Length", str(len(data) + 10 * (self.path == "/photo/short")))
                self.end_headers()
                self.wfile.write(data)
            else:
                self.send_error(404)

        def log_message(self, *args: Any) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}", asked
    made.shutdown()
    thread.join()
    made.server_close()


def test_photos_of_the_web(store: Store, tmp_path: Path, server: tuple[str, list[str]]) -> None:
    url, asked = server
    (tmp_path / "list.txt").write_text("\n".join(f"{url}{path}" for path in ("/photo?id=1", "/photo/short", "/none.jpg", "/away")))
    assert collect([], store, lists=[str(tmp_path / "list.txt")]).new == 4 and asked == []  # nothing is asked for before it is read
    embed(store, lists=[str(tmp_path / "list.txt")])
    errors = {row["uri"].removeprefix(url): row["error"] for row in rows(store).values()}
    assert errors["/photo?id=1"] is None and "404" in errors["/none.jpg"] and "found 1" in errors["/photo/short"]
    assert "found" in errors["/away"] and len(asked) == 4 and all(line.endswith("['User-Agent']") for line in asked)
    assert embed(store, lists=[str(tmp_path / "list.txt")]).known == 4 and len(asked) == 4
    assert read_photos(store).not_files == 1


def test_what_is_wrong_with_an_address_is_one_line(server: tuple[str, list[str]]) -> None:
    with pytest.raises(PhotoError, match="infinite loop") as error:
        read_file(f"{server[0]}/loop")
    assert "\n" not in str(error.value)


def test_a_large_answer_of_the_web_is_refused(server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "MAX_BYTES", 100)
    with pytest.raises(PhotoError, match="larger"):
        read_file(f"{server[0]}/photo")


def test_the_option(store: Store, tmp_path: Path) -> None:
    write_tar(tmp_path / "x.tar", pictures(2))
    (tmp_path / "list.txt").write_text(f"{tmp_path}/x.tar\n{tmp_path}/missing.jpg\n")
    done = CliRunner().invoke(main, ["embed", "--list", str(tmp_path / "list.txt"), "-o", store.url])
    assert done.exit_code == 0 and "3 photos looked at: 0 faces, 1 photo could not be used" in done.stderr, done.output
    done = CliRunner().invoke(main, ["embed", "-o", store.url])
    assert done.exit_code == 2 and "Missing argument 'PHOTOS...'" in done.stderr
