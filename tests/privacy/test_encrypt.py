"""An encrypted store: no name, path, crop or vector in any byte; commands work; a conversion that is killed loses nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jobs
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from full_store import NAMES, Full, build, contents, forms, needles_of, uri
from people_store import call, refused

from facecluster.check import check
from facecluster.check.shards import tables
from facecluster.cli import main
from facecluster.decisions import Decision, append, read
from facecluster.errors import StoreError
from facecluster.matching.index import open_index
from facecluster.privacy.convert import _mark
from facecluster.store import IDENTITIES, STORE_FILE, Store
from facecluster.store.keys import FILE_VARIABLE, VARIABLE
from facecluster.store.store_file import DECRYPTING, encryption_of

OTHERS = ("tables", "dataset", "dedup/pages", "dedup/plan.csv", "dedup/undo-20260101-000000.jsonl", "note of the user.txt")


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (VARIABLE, FILE_VARIABLE):
        monkeypatch.setenv(name, "")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Full:
    """A store of which all can be encrypted."""
    return build(tmp_path_factory.mktemp("full"))


def remove_others(root: Path) -> None:
    for name in OTHERS:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).unlink(missing_ok=True)


@pytest.fixture
def full(built: Full, tmp_path: Path) -> Full:
    store = Store(str(shutil.copytree(built.store.root, tmp_path / "store")))
    remove_others(Path(store.root))
    return replace(built, store=store)


@pytest.fixture
def sealed(full: Full, tmp_path: Path) -> Full:
    call("encrypt", full.store.url, "--new-key", str(tmp_path / "key"))
    os.environ[FILE_VARIABLE] = str(tmp_path / "key")
    return full


def everything(store: Store) -> dict[str, object]:
    """All rows, stamps and bytes of a store, as they are without a cipher."""
    found: dict[str, object] = {f"{t} {s}": store.read(t, s) for t, shards in tables(store).items() for s in shards}
    found |= {f"{t} {s} stamp": store.stamp(t, s) for t, shards in tables(store).items() for s in shards}
    for path in sorted(p for p in Path(store.root).rglob("*") if p.is_file()):
        name = path.relative_to(store.root).as_posix()
        if path.suffix in (".json", ".csv", ".theirs", ".key") and name != STORE_FILE and not name.startswith(("index/", "report/")):
            found[name] = store.read_bytes(name) if name != "runs/unchanged.json" else b""
    found.pop("runs/unchanged.json", None)
    found["decisions"] = [d.to_line() for d in read(store).decisions]
    return found


def private_needles(full: Full) -> list[bytes]:
    everyone = list(range(len(full.ids)))
    texts = [*NAMES, "Countess", "Größe", "img.jpg", "/pictures/", *map(uri, everyone)]
    return [n for some in needles_of(full, everyone).values() for n in some] + [f for t in texts if len(t) > 2 for f in forms(t)]


def where_plain(root: Path, needles: list[bytes]) -> list[str]:
    return [p.name for p in root.rglob("*") if p.is_file() and any(n in data for data in [p.read_bytes()] for n in needles)]


def test_every_byte_is_searched(sealed: Full, built: Full) -> None:
    """The same search finds each of them in the store as it was; short ones are left out, which chance may hold."""
    root, needles = Path(sealed.store.root), [n for n in private_needles(sealed) if len(n) >= 5]
    assert where_plain(root, needles) == []
    assert len([p for p in root.rglob("*") if p.is_file()]) > 25
    plain = b"\0".join(data for _, data in contents(Path(built.store.root)))
    vector = built.vectors["other"][3].astype("float32").tobytes()
    for needle in (built.crops[9], vector, uri(4).encode(), NAMES[1].encode(), built.ids[5].encode()):
        assert needle in plain and needle in needles
    for shard in root.rglob("*.parquet"):
        with pytest.raises(OSError, match="encrypted"):
            pq.read_schema(shard)


def test_encrypting_and_back_changes_nothing(full: Full, tmp_path: Path) -> None:
    before = everything(full.store)
    call("encrypt", full.store.url, "--new-key", str(tmp_path / "key"))
    os.environ[FILE_VARIABLE] = str(tmp_path / "key")
    assert everything(full.store) == before
    assert check(full.store).findings == []
    call("decrypt", full.store.url)
    del os.environ[FILE_VARIABLE]
    assert everything(full.store) == before and check(full.store).findings == []


def test_commands_work_and_leave_nothing_plain(sealed: Full, tmp_path: Path) -> None:
    store, url = sealed.store, sealed.store.url
    call("name", url, "Dora", "Dorothea")
    call("cluster", url)
    call("cluster", url, "--full", "--merge-margin", "2")
    call("cluster", url, "--return-to", "3")
    kept = store.read_all("identities/bundled", IDENTITIES)
    assert CliRunner().invoke(main, ["cluster", url, "--full", "--merge-margin", "0.1", "--ask"], input="n\n").exit_code == 0
    assert check(store).findings == [] and store.read_all("identities/bundled", IDENTITIES).equals(kept)
    assert "Ada Lovelace" in call("people", url).output
    call("questions", url)
    for _ in range(2):  # made, then read
        assert len(open_index(store, "bundled").face_ids) == len(sealed.ids)
    for kind in ("csv", "sqlite", "coco"):
        call("export", url, "--format", kind, "-o", str(tmp_path / kind))
    call("curate", url, "-o", str(tmp_path / "set"), "--format", "imagefolder")
    call("report", url, "--out", str(tmp_path / "report"))
    assert (tmp_path / "report" / "index.html").is_file()
    assert check(store).findings == []
    everybody = [n for n in [*private_needles(sealed), b"Dorothea"] if len(n) >= 5]
    assert where_plain(Path(store.root), everybody) == []
    call("forget", url, "Ada Lovelace", "--yes")
    assert check(store).findings == [] and "Ada" not in call("people", url).output and "Dorothea" in call("people", url).output
    call("decrypt", url)
    assert [n for n, data in contents(Path(store.root)) if b"Ada Lovelace" in data] == []


def test_people_csv_that_another_program_saved_is_not_overwritten(sealed: Full) -> None:
    place = Path(sealed.store.root) / "people.csv"
    before = place.read_bytes()
    place.write_bytes(b"person_id,name\r\n")
    assert "people.csv: it is not encrypted" in " ".join(f.line() for f in check(sealed.store).findings)
    result = CliRunner().invoke(main, ["cluster", sealed.store.url])
    assert result.exit_code != 0 and place.read_bytes() == b"person_id,name\r\n"
    place.write_bytes(before)
    call("cluster", sealed.store.url)


def test_pages_and_exports_are_refused_in_the_store(sealed: Full) -> None:
    url = sealed.store.url
    for command in (["report", "--out", f"{url}/report"], ["export", "--format", "csv", "-o", f"{url}/x"], ["curate", "-o", f"{url}/x"],
                    ["dedup", "--out", f"{url}/dedup"], ["evaluate", "-o", f"{url}/x"]):  # fmt: skip
        assert "outside the encrypted store" in refused(command[0], url, *command[1:]), command
    assert "--out DIR" in refused("report", url)
    assert "--out DIR" in refused("dedup", url)


def test_keys_that_are_missing_or_wrong_are_one_line(sealed: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    url = sealed.store.url
    commands = (["people"], ["cluster"], ["check"], ["forget", "Ada Lovelace", "--yes"], ["decrypt"], ["name", "Dora", "x"], ["review"])
    monkeypatch.setenv(FILE_VARIABLE, "")
    for command in commands:
        assert "found none: set FACECLUSTER_KEY_FILE" in refused(command[0], url, *command[1:]), command
    monkeypatch.setenv(VARIABLE, "ab" * 32)
    for command in commands:
        assert "in FACECLUSTER_KEY: set FACECLUSTER_KEY_FILE" in refused(command[0], url, *command[1:]), command


def test_others_files_are_refused_before_a_key_is_made(built: Full, tmp_path: Path) -> None:
    url = str(shutil.copytree(built.store.root, tmp_path / "store"))
    said = refused("encrypt", url, "--new-key", str(tmp_path / "key"))
    assert "dataset/" in said and "note of the user.txt" in said and not (tmp_path / "key").exists()
    remove_others(Path(url))
    (Path(url) / "report" / "mine.txt").write_text("Ada Lovelace")
    assert "found report/mine.txt: move" in refused("encrypt", url, "--new-key", str(tmp_path / "key"))
    assert "outside the store for the key" in refused("encrypt", url, "--new-key", f"{url}/key")


class Killed(BaseException):
    """Stands for a kill."""


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The number of writes after which a command is killed; none: never."""
    left: list[int] = []
    write = Store.write_raw

    def written(self: Store, data: bytes, *parts: str) -> None:
        if left and (left.__setitem__(0, left[0] - 1) or left[0] < 0):
            raise Killed
        write(self, data, *parts)

    monkeypatch.setattr(Store, "write_raw", written)
    yield left


@pytest.mark.parametrize("stops", [1, 9, 20])
def test_a_conversion_that_is_killed_goes_on(full: Full, tmp_path: Path, kill: list[int], stops: int) -> None:
    before, url = everything(full.store), full.store.url
    call("encrypt", "--new-key", str(tmp_path / "key"))
    os.environ[FILE_VARIABLE] = str(tmp_path / "key")
    for command, other in (("encrypt", "decrypt"), ("decrypt", "encrypt")):
        kill[:] = [stops]
        with pytest.raises(Killed):
            call(command, url)
        kill.clear()
        for refusing in (["people", url], ["cluster", url], ["forget", url, "Dora", "--yes"], [other, url]):
            assert f"facecluster {command} " in refused(*refusing), refusing
        call(command, url)
        assert everything(full.store) == before and check(full.store).findings == []


def test_store_json_that_is_lost_is_written_again_with_the_key(sealed: Full) -> None:
    place = Path(sealed.store.root) / STORE_FILE
    before = place.read_bytes()
    for lost in (b"", b"{"):
        place.write_bytes(lost)
        assert CliRunner().invoke(main, ["check", sealed.store.url]).exit_code == 1
        call("check", sealed.store.url, "--repair")
        assert place.read_bytes() == before and check(sealed.store).findings == []


def test_a_changed_file_is_found(sealed: Full) -> None:
    root = Path(sealed.store.root)
    for name in ("people.csv", "runs/people.csv", "exports.json", "runs/current.json", "runs/00002/run.json", "faces/part-00000.parquet"):
        path = root / name
        whole = path.read_bytes()
        path.write_bytes(whole[:90] + bytes([whole[90] ^ 4]) + whole[91:])
        assert [f.path for f in check(sealed.store).findings if f.serious] == [name]
        path.write_bytes(whole)


def test_an_older_version_would_refuse_it(sealed: Full) -> None:
    """They read the number of the format alone."""
    assert b'"format": 2' in (Path(sealed.store.root) / STORE_FILE).read_bytes()
    with pytest.raises(StoreError, match="found one that is not"):
        plain = Store(sealed.store.root + "2")
        plain.create()
        plain.create("00" * 8)


def test_workers_make_the_same_encrypted_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos to people in three processes, that find the key by themselves; the scheduler sees paths and counts."""
    photos = jobs.small_photos(tmp_path, 9)
    jobs.run("run", photos, "-o", str(tmp_path / "plain"))
    call("encrypt", "--new-key", str(tmp_path / "key"))
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "key"))
    said = jobs.run("run", photos, "-o", str(tmp_path / "store"), "--encrypt", "--workers", "2")
    assert "no report, since the store is encrypted" in said
    plain, store = Store(str(tmp_path / "plain")), Store(str(tmp_path / "store"))
    jobs.same_tables(plain, store)
    call("dedup", store.url, "--out", str(tmp_path / "dedup"))
    assert (tmp_path / "dedup" / "plan.csv").is_file() and store.shards("dedup/looks")
    assert call("match", f"{photos}/00.jpg", "--store", store.url).exit_code == 0
    assert [f for f in check(store).findings if f.serious] == []
    assert where_plain(tmp_path / "store", [photos.encode(), b"05.jpg", b"WEBP"]) == []
    with store.fs.open(store.shard_path("faces", store.shards("faces")[0]), "rb") as file:
        assert file.read(4) == b"PARE"


def test_no_line_is_written_while_the_journal_changes_its_kind(sealed: Full) -> None:
    store = sealed.store
    _mark(store, replace(encryption_of(store, afresh=True), state=DECRYPTING))  # type: ignore[type-var]
    with pytest.raises(StoreError, match="decrypt"):
        append(store, [Decision(act="not-a-face", faces=(sealed.ids[0],))])
    call("decrypt", store.url)
    assert read(store).decisions
