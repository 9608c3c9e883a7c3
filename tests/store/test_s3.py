"""The main job on an object store: an S3 server (moto) on this machine's loopback."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from click.testing import CliRunner
from conftest import need
from photos.archive_files import picture, write_tar

from facecluster.cli import main
from facecluster.decisions import Decision, append, read
from facecluster.demo import make_collection
from facecluster.errors import StoreError
from facecluster.photos.archives.uris import Range
from facecluster.photos.images import read_file
from facecluster.photos.listing import find_files
from facecluster.store import FACES, PHOTOS, Store, table_of
from facecluster.store.keys import key_id

TABLES = ("files", "photos", "faces", "embeddings/bundled", "links/bundled", "identities/bundled")
ODD = ["a b.jpg", "smile 😀 %41&.jpg", "\"'#1.jpg", "<script>alert(1)<.jpg", "what?.jpg", "star*.jpg", "[1].jpg", "a::b.jpg"]


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A filesystem on a server with a bucket named `bucket`."""
    packages = ("s3fs", "moto", "flask", "flask_cors")
    need(all(importlib.util.find_spec(p) for p in packages), "s3fs, moto[s3], flask and flask-cors (PyPI)")
    server = importlib.import_module("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    settings |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
    with pytest.MonkeyPatch.context() as m:
        for name, value in settings.items():
            m.setenv(name, value)
        fs = fsspec.filesystem("s3")
        fs.mkdirs("bucket", exist_ok=True)  # the server keeps what it has while this process lives
        yield fs
    fsspec.filesystem("s3").clear_instance_cache()
    server.stop()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report of a store in a bucket goes to the current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten photos of a demo collection, including the damaged one."""
    made = Path(make_collection(str(tmp_path_factory.mktemp("demo")), people=6, photos=2).photos)
    for path in sorted(p for p in made.rglob("*") if p.is_file() and p.stat().st_size > 3000)[9:]:
        path.unlink()
    return made


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


@pytest.fixture(scope="module")
def local(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = str(tmp_path_factory.mktemp("local") / "store")
    run("run", str(photos), "-o", folder)
    return Store(folder)


def test_the_whole_job_gives_the_tables_of_a_local_store(s3: Any, photos: Path, local: Store, tmp_path: Path) -> None:
    store = Store("s3://bucket/people")
    run("embed", str(photos), "-o", store.url)
    run("cluster", store.url)
    assert local.read_all("faces", FACES).num_rows > 8
    for table in TABLES:
        assert store.shards(table) == local.shards(table) and store.shards(table)
        for shard in store.shards(table):
            assert store.read(table, shard).equals(local.read(table, shard), check_metadata=True), table
    run("report", store.url, "--out", str(tmp_path / "report"))
    for name in ("faces.csv", "people.csv"):
        assert (tmp_path / "report" / name).read_bytes() == (Path(local.url) / "report" / name).read_bytes()
    before = {name: info["LastModified"] for name, info in s3.find("bucket/people", detail=True, refresh=True).items()}
    assert "0 photos looked at" in run("embed", str(photos), "-o", store.url)
    run("cluster", store.url)
    assert {name: info["LastModified"] for name, info in s3.find("bucket/people", detail=True, refresh=True).items()} == before


def test_a_shard_that_another_machine_wrote_since_is_read(s3: Any) -> None:
    """A listing of the folder from before is kept by this process, and does not know it."""
    store = Store("s3://bucket/two machines")
    store.write("files", "00000", FACES.empty_table(), {"table": "files"})
    data = s3.cat_file(store.shard_path("files", "00000"))
    other, known = type(s3)(skip_instance_cache=True), ["00000"]
    for shard in ("00001", "00002"):
        assert store.shards("files") == known
        other.pipe_file(path := store.shard_path("files", shard), data)
        with pytest.raises(FileNotFoundError):
            store.fs.open(path, "rb")
        if shard == "00001":
            assert store.stamp("files", shard) == store.stamp("files", "00000") is not None
        else:
            assert store.read("files", shard).num_rows == 0
        known.append(shard)
    assert store.stamp("files", "00003") is None
    with pytest.raises(StoreError, match="expected a readable shard"):
        store.read("files", "00003")


def test_photos_in_a_bucket(s3: Any, photos: Path, local: Store) -> None:
    """Faces follow from the content, so they equal those of the same photos on disk; a second run processes only new photos."""
    s3.put(f"{photos}/", "bucket/album/", recursive=True)
    s3.pipe_file("bucket/album/notes.txt", b"no photo")
    s3.pipe_file("bucket/album/old store/store.json", b"{}")
    s3.pipe_file("bucket/album/old store/report/1.jpg", b"not looked at")
    store = Store("s3://bucket/people of the album")
    run("embed", "s3://bucket/album", "-o", store.url)
    assert store.read_all("faces", FACES).sort_by("face_id").equals(local.read_all("faces", FACES).sort_by("face_id"))
    theirs, ours = ({r["uri"].rsplit("/", 1)[1]: r for r in s.read_all("photos", PHOTOS).to_pylist()} for s in (local, store))
    assert theirs.keys() == ours.keys()
    for name, row in ours.items():
        assert row["uri"].startswith("s3://bucket/album/")
        assert [row[k] for k in ("photo_id", "size", "faces", "error")] == [theirs[name][k] for k in ("photo_id", "size", "faces", "error")]
    added = next(p for p in sorted(photos.rglob("*.jpg")))
    s3.put_file(str(added), "bucket/album/in/again.jpg")
    assert f"1 photo looked at, {len(ours)} known before" in run("embed", "s3://bucket/album", "-o", store.url)
    last = {r["uri"]: r for r in store.read_all("photos", PHOTOS).to_pylist()}["s3://bucket/album/in/again.jpg"]
    assert last["photo_id"] == theirs[added.name]["photo_id"] and last["faces"] == theirs[added.name]["faces"]


def test_photos_and_archives_in_a_bucket_that_another_machine_changes_between_two_runs_of_this_process(s3: Any, tmp_path: Path) -> None:
    other = type(s3)(skip_instance_cache=True)
    # of different sizes, because S3 counts in seconds
    one, two, three = ({f"{i}.jpg": picture(i, 60) for i in range(n)} for n in (3, 5, 7))
    url = "s3://bucket/changed/x.tar"

    def put(members: dict[str, bytes], photo: bytes) -> None:
        other.pipe_file("bucket/changed/x.tar", write_tar(tmp_path / "x.tar", members).read_bytes())
        other.pipe_file("bucket/changed/photo.jpg", photo)

    def read(*sources: str) -> dict[str, bytes]:
        files = {f.uri: f for f in find_files(sources)}
        places = {uri: Range(f.offset, f.size, f.mtime_ns) if f.offset >= 0 else None for uri, f in files.items()}
        return {uri.rpartition("/")[2]: read_file(uri, place) for uri, place in places.items()}

    put(one, picture(0, 90))
    assert read("s3://bucket/changed") == {**one, "photo.jpg": picture(0, 90)}
    put(two, picture(1, 91))
    assert read("s3://bucket/changed") == {**two, "photo.jpg": picture(1, 91)}
    put(dict(reversed(three.items())), picture(2, 92))
    assert read_file(f"tar:{url}!/6.jpg") == picture(6, 60)
    put(one, picture(3, 93))
    assert read(url, "s3://bucket/changed/photo.jpg") == {**one, "photo.jpg": picture(3, 93)}


def test_odd_names_of_objects(s3: Any, photos: Path, tmp_path: Path) -> None:
    bytes_of = [p.read_bytes() for p in sorted(photos.rglob("*.jpg"))[:2]]
    for i, name in enumerate(ODD):
        s3.pipe_file(f"bucket/odd/{name}", bytes_of[i % 2])
    found = [f.uri for f in find_files(["s3://bucket/odd"])]
    assert sorted(found) == sorted(f"s3://bucket/odd/{name}" for name in ODD)
    store = Store(str(tmp_path / "store"))
    run("run", "s3://bucket/odd", "-o", store.url)
    rows = store.read_all("photos", PHOTOS).to_pylist()
    assert [(r["uri"], r["error"]) for r in rows if r["error"]] == []
    assert len({r["photo_id"] for r in rows}) == 2 and len(rows) == len(ODD)
    assert "<script>alert" not in (tmp_path / "store" / "report" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["embed", "{photos}", "-o", "s3://no-such-bucket/people"], "expected a bucket for s3://no-such-bucket/people, found none"),
        (["embed", "{photos}", "-o", "s3://bucket/taken"], "found other files in s3://bucket/taken"),
        (["embed", "s3://no-such-bucket/album", "-o", "{tmp}/s"], "bucket does not exist"),
        (["embed", "s3://bucket/nothing-here", "-o", "{tmp}/s"], "found nothing there"),
        (["cluster", "s3://bucket/nothing-here"], "expected a store at s3://bucket/nothing-here, found none"),
        (["report", "s3://bucket/damaged"], "expected a readable store.json"),
        (["cluster", "s3://bucket/shard"], "expected a readable shard"),
    ],
)
def test_bad_urls_are_one_clear_line(s3: Any, photos: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    s3.pipe_file("bucket/taken/note.txt", b"mine")
    s3.pipe_file("bucket/damaged/store.json", b"{")
    Store("s3://bucket/shard").create()
    s3.pipe_file("bucket/shard/embeddings/bundled/part-00000.parquet", b"PAR1 and no more")
    result = CliRunner().invoke(main, [a.format(photos=photos, tmp=tmp_path) for a in arguments])
    assert result.exit_code == 1, result.exception
    assert result.stderr.count("\n") == 1 and says in result.stderr
    assert not s3.exists("no-such-bucket")
    assert s3.cat_file("bucket/taken/note.txt") == b"mine"


def test_without_credentials(s3: Any, photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    s3.clear_instance_cache()
    try:
        album, people = "s3://bucket/album", "s3://bucket/people"
        for arguments in (["embed", str(photos), "-o", people], ["cluster", people], ["embed", album, "-o", str(tmp_path / "s")]):
            result = CliRunner().invoke(main, arguments)
            assert result.exit_code == 1 and result.stderr.count("\n") == 1 and "credentials" in result.stderr, result.exception
    finally:
        s3.clear_instance_cache()


TALK = """
import sys
from facecluster.decisions import Decision, append
from facecluster.store import Store
store, who = Store(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for i in range(25):
    append(store, [Decision(act="same", faces=(who, str(i), part)) for part in "ab"])
"""


def test_two_programs_append_decisions_at_the_same_time_and_nothing_is_lost(s3: Any) -> None:
    store = Store("s3://bucket/talk")
    earlier = Decision(act="same", faces=("before", "0"), id="0" * 8, at="2026-11-23T00:00:00Z")
    s3.pipe_file("bucket/talk/decisions.jsonl", earlier.to_line().encode())  # of an older version, without the final newline
    programs = [
        subprocess.Popen([sys.executable, "-c", TALK, store.url, who], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for who in ("one", "two")
    ]
    for program in programs:
        assert program.stdout is not None and program.stdout.readline() == "ready\n"
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("go\n")
        program.stdin.flush()
    assert [program.wait(120) for program in programs] == [0, 0]
    for program in programs:
        program.stdin.close(), program.stdout.close()  # type: ignore[union-attr]
    journal = read(store)
    assert not journal.notes and journal.decisions[0] == earlier
    said = [d.faces for d in journal.decisions[1:]]
    for who in ("one", "two"):  # each in the order in which it was appended
        assert [faces[1:] for faces in said if faces[0] == who] == [(str(i), part) for i in range(25) for part in "ab"]
    assert len(said) == 100
    places = [i for i, faces in enumerate(said) if faces[0] == "one"]
    assert places != list(range(50)) and places != list(range(50, 100))  # the programs did run at the same time
    (last,) = append(store, [Decision(act="undo", of=earlier.id)])
    assert read(store).decisions[-1] == last


def test_a_journal_copied_from_a_bucket_to_disk(s3: Any, tmp_path: Path) -> None:
    remote = Store("s3://bucket/home")
    first = append(remote, [Decision(act="same", faces=("a", "b"))]) + append(remote, [Decision(act="same", faces=("c", "d"))])
    s3.pipe_file("bucket/home/decisions/note.jsonl", b"not ours")
    s3.get("bucket/home/decisions/", f"{tmp_path}/decisions/", recursive=True)
    local = Store(str(tmp_path))
    assert read(local).decisions == read(remote).decisions == first
    last = append(local, [Decision(act="undo", of=first[0].id)])
    assert read(local).decisions == first + last and not read(local).notes
    assert (tmp_path / "decisions.jsonl").read_text() == "".join(d.to_line() + "\n" for d in first + last)
    assert [p.name for p in (tmp_path / "decisions").iterdir()] == ["note.jsonl"]


def test_a_journal_in_a_bucket_that_is_gone_is_one_line(s3: Any) -> None:
    with pytest.raises(StoreError, match="expected to write no-such-bucket/people/decisions"):
        append(Store("s3://no-such-bucket/people"), [Decision(act="same", faces=("a", "b"))])


def test_archives_in_a_bucket(s3: Any, photos: Path, local: Store, tmp_path: Path) -> None:
    """Each part of a tar is one range of the object; a second run asks for none of it."""
    names = sorted(p for p in photos.rglob("*") if p.is_file())
    with tarfile.open(tmp_path / "a.tar", "w") as tar, zipfile.ZipFile(tmp_path / "b.zip", "w") as packed:
        for i, path in enumerate(names):
            (tar.add if i % 2 else packed.write)(path, path.name)
    for name in ("a.tar", "b.zip"):
        s3.put_file(str(tmp_path / name), f"bucket/packed/{name}")
    store = Store("s3://bucket/people of archives")
    run("embed", "s3://bucket/packed", "-o", store.url)
    assert store.read_all("faces", FACES).sort_by("face_id").equals(local.read_all("faces", FACES).sort_by("face_id"))
    theirs, ours = ({r["uri"].rsplit("/", 1)[1]: r for r in s.read_all("photos", PHOTOS).to_pylist()} for s in (local, store))
    assert ours.keys() == theirs.keys() and {r["uri"].split("!/")[0] for r in ours.values()} == {
        "tar:s3://bucket/packed/a.tar", "zip:s3://bucket/packed/b.zip"
    }  # fmt: skip
    assert f"0 photos looked at, {len(ours)} known before" in run("embed", "s3://bucket/packed", "-o", store.url)


def test_an_encrypted_store_on_an_object_store_holds_nothing_plain(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables, journal objects and other files; encrypted in place and back."""
    monkeypatch.setenv("FACECLUSTER_KEY", "5a" * 32)
    store = Store("s3://bucket/sealed")
    store.create(key_id(b"\x5a" * 32))
    facts = {"photo_id": "Ada Lovelace", "uri": "/photos/Ada Lovelace.jpg", "size": 1, "mtime_ns": 1}
    empty = {field.name: None if field.nullable else 0 for field in PHOTOS}
    rows = table_of(PHOTOS, {name: [value] for name, value in (empty | facts).items()})
    store.write("photos", "00000", rows, {"a": 1})
    store.write_bytes(b"Ada Lovelace", "people.csv")
    for name in ("Ada Lovelace", "Bob"):
        append(store, [Decision(act="name", faces=("0" * 24 + "-0000",), name=name)])

    def plain() -> list[str]:
        return [path for path in s3.find("bucket/sealed") if b"Ada Lovelace" in s3.cat_file(path)]

    def held() -> tuple[Any, ...]:
        return store.read("photos", "00000")["uri"].to_pylist(), store.read_bytes("people.csv"), [d.name for d in read(store).decisions]

    before = held()
    assert before[2] == ["Ada Lovelace", "Bob"] and plain() == [] and len(s3.find("bucket/sealed")) == 5
    call = CliRunner().invoke
    assert call(main, ["decrypt", store.url], catch_exceptions=False).exit_code == 0
    assert held() == before and len(plain()) >= 2
    assert call(main, ["encrypt", store.url], catch_exceptions=False).exit_code == 0
    assert held() == before and plain() == []
