"""check: one changed bit anywhere in a shard is found or harmless, and repairs lose nothing that can be made again."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from fsspec.implementations.local import LocalFileSystem
from full_store import build
from people_store import call, refused

from facecluster.check import Finding, check
from facecluster.check.findings import Repair
from facecluster.check.records import check_records, check_store_file
from facecluster.check.shards import check_shards, tables
from facecluster.cli import main
from facecluster.decisions import Decision, append, read
from facecluster.errors import StoreError
from facecluster.people import current_run, read_people
from facecluster.store import Store

FLIPS = 400


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = Path(build(tmp_path_factory.mktemp("full")).store.root)
    for leftover in root.rglob("*.tmp"):
        leftover.unlink()
    return root


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    return Store(str(shutil.copytree(made, tmp_path / "store")))


def shard_paths(store: Store) -> list[Path]:
    return [Path(store.shard_path(table, shard)) for table, shards in tables(store).items() for shard in shards]


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bytes(data))


def test_a_whole_store_has_no_findings(store: Store) -> None:
    found = check(store)
    assert found.findings == []
    assert found.shards == len(shard_paths(store)) > 12


def test_every_kind_of_table_is_known(store: Store) -> None:
    """Else its shards would not be looked at."""
    every = {p for p in Path(store.root).rglob("part-*.parquet")}
    assert every == set(shard_paths(store))


def test_each_flipped_bit_is_found(store: Store) -> None:
    rng, paths = random.Random(1), shard_paths(store)
    for i in range(FLIPS):
        path = paths[i % len(paths)]
        whole, bit = path.read_bytes(), rng.randrange(8 * path.stat().st_size)
        flip(path, bit)
        table = str(path.parent.relative_to(store.root))
        assert [f.path for f in check_one(store, path)] == [f"{table}/{path.name}"], bit
        path.write_bytes(whole)


def check_one(store: Store, path: Path) -> list[Finding]:
    return list(check_shards(store, {str(path.parent.relative_to(store.root)): [path.name[5:-8]]}, lambda done, total: None))


def test_each_flipped_bit_of_the_journal_is_found_or_harmless(store: Store) -> None:
    """Harmless: it says the same. All bits of three lines, and some of all."""
    append(store, [Decision(act="name", faces=("f" * 24 + "-0000",), name=name) for name in ("Zoë", 'a ", "sum": "0123456789abcdef"}', "")])
    path, said = Path(store.root) / "decisions.jsonl", read(store).decisions
    whole = path.read_bytes()
    first = whole.rindex(b"\n", 0, len(whole) - 400) if len(whole) > 500 else 0
    rng, found = random.Random(3), 0
    for bit in [*range(8 * first, 8 * len(whole), 5), *(rng.randrange(8 * len(whole)) for _ in range(FLIPS))]:
        path.write_bytes(whole)
        flip(path, bit)
        journal = read(store)
        assert journal.notes or journal.decisions == said, bit
        found += bool(journal.notes)
    assert found > FLIPS


def test_a_changed_line_of_the_journal_counts_and_is_told(store: Store) -> None:
    path = Path(store.root) / "decisions.jsonl"
    path.write_bytes(path.read_bytes().replace(b"Bob \xc3\x84rger", b"Bob \xc3\x85rger"))
    assert any(d.name == "Bob Årger" for d in read(store).decisions), "no decision is lost for it"
    damage = check(store).damage
    assert {f.path for f in damage} == {"decisions.jsonl"} and "not as it was written" in damage[0].problem
    assert CliRunner().invoke(main, ["check", store.url]).exit_code == 1
    path.write_bytes(re.sub(rb', "sum": "[0-9a-f]{16}"', b"", path.read_bytes()))  # by hand, or as earlier versions wrote it
    assert check(store).findings == [] and read(store).notes == []


def test_each_flipped_bit_of_a_json_file_is_found_or_harmless(store: Store) -> None:
    root, rng = Path(store.root), random.Random(4)
    paths = [root / "store.json", *(p for p in root.rglob("*.json") if p.relative_to(root).parts[0] in ("runs", "files"))]
    paths += [root / "exports.json", *root.glob("index/*/index.json"), *root.glob("re[ac]*/*.json")]
    assert len(paths) >= 8 and all(b'"sum": "' in p.read_bytes() for p in paths)
    found = 0
    for i in range(len(paths) * 8):
        path = paths[i % len(paths)]
        whole = path.read_bytes()
        flip(path, rng.randrange(8 * len(whole)))
        changed = bytes(path.read_bytes())
        findings = [f for f in check_files(store) if f.serious]
        name = str(path.relative_to(root))
        assert {f.path for f in findings} & {name, "runs/current.json"} or without_key(changed) == without_key(whole), (name, changed)
        found += bool(findings)
        path.write_bytes(whole)
    assert found > 6 * len(paths)


def check_files(store: Store) -> list[Finding]:
    """All but the shards."""
    try:
        return [*check_store_file(store), *check_records(store, set())]
    except StoreError as e:  # of a newer version
        return [Finding(path="store.json", problem=str(e), next="", repair=Repair.NOTHING)]


def without_key(data: bytes) -> object:
    """What a JSON object says, but for the key that is or was its digest."""
    return dict(list(json.loads(data).items())[:-1])


def test_a_shard_in_the_place_of_another_is_found(store: Store, tmp_path: Path) -> None:
    for source, target in (("runs/00001/people", "runs/00002/people"), ("embeddings/other", "embeddings/bundled")):
        path = Path(store.shard_path(target, "00000"))
        whole = path.read_bytes()
        path.write_bytes(Path(store.shard_path(source, "00000")).read_bytes())
        damage = {f.path: f.problem for f in check(store).damage}
        assert f"it was written as {source}/part-00000.parquet" in damage[f"{target}/part-00000.parquet"]
        path.write_bytes(whole)
    path = Path(store.shard_path("photos", "00000"))
    twin = path.with_name("part-00001.parquet")
    shutil.copy(path, twin)
    assert [f.path for f in check(store).damage] == ["photos/part-00001.parquet"]
    call("check", store.url, "--repair")
    assert not twin.exists() and path.exists()


def test_a_shard_of_another_store_is_found_and_stays(store: Store, tmp_path: Path) -> None:
    other = Store(str(tmp_path / "other"))
    other.create()
    other.write("photos", "00000", store.read("photos", "00000"), store.stamp("photos", "00000") or {})
    path = Path(store.shard_path("photos", "00000"))
    path.write_bytes(Path(other.shard_path("photos", "00000")).read_bytes())
    found = check(store, mend=True).damage
    assert [(f.path, f.problem) for f in found] == [("photos/part-00000.parquet", "it was written in another store")] and path.exists()
    (Path(store.root) / "store.json").unlink()
    call("check", store.url, "--repair")
    assert [f.path for f in check(store).damage] == ["photos/part-00000.parquet"], "the id is that of most shards"
    (Path(store.root) / "store.json").write_bytes(b'{"kind": "facecluster store", "format": 1}')  # as earlier versions wrote it
    assert check(store).damage == []


def test_no_command_reads_a_changed_value(store: Store) -> None:
    """Reading some columns, as commands do, without `check`: an error, or the same values."""
    rng, paths = random.Random(2), [p for p in shard_paths(store) if p.stat().st_size]
    errors = 0
    for i in range(FLIPS):
        path = paths[i % len(paths)]
        table, shard = str(path.parent.relative_to(store.root)), path.name[5:-8]
        names = store.read(table, shard).column_names
        columns = rng.sample(names, rng.randint(1, len(names)))
        before, whole = store.read(table, shard, columns), path.read_bytes()
        flip(path, rng.randrange(8 * len(whole)))
        try:
            assert store.read(table, shard, columns).equals(before)
        except StoreError:
            errors += 1
        path.write_bytes(whole)
    assert errors > FLIPS / 2


def test_a_shard_of_a_newer_format_is_not_read(store: Store) -> None:
    stamp = store.stamp("photos", "00000")
    assert stamp is not None
    store.write("photos", "00000", store.read("photos", "00000"), {**stamp, "format": 99})
    with pytest.raises(StoreError, match="format 1 or older, found 99: install a newer facecluster"):
        store.read("photos", "00000", ["uri"])
    with pytest.raises(StoreError, match="found 99"):
        store.stamp("photos", "00000")


def test_a_run_without_its_people_is_an_error_and_the_run_before_takes_its_place(store: Store) -> None:
    run = current_run(store)
    assert run is not None and run.number > 1
    names = {name for name in read_people(store, run).names if name}
    Path(store.shard_path(f"{run.folder}/people", "00000")).unlink()
    for command in (["people"], ["questions"], ["show", "Ada Lovelace"], ["report"], ["cluster"], ["name", "Ada Lovelace", "Eve"]):
        assert "facecluster check" in refused(command[0], store.url, *command[1:]), command
    assert CliRunner().invoke(main, ["check", store.url]).exit_code == 1
    call("check", store.url, "--repair")
    again = current_run(store)
    assert again is not None and again.number < run.number
    call("cluster", store.url)
    now = current_run(store)
    assert now is not None
    assert {name for name in read_people(store, now).names if name} == names


def test_repair_sets_aside_and_deletes_only_leftovers(store: Store) -> None:
    root = Path(store.root)
    leftover = root / "photos" / "part-00007.parquet.0a1b2c3d.tmp"
    leftover.write_bytes(b"half")
    damaged = root / "embeddings" / "bundled" / "part-00000.parquet"
    flip(damaged, 999)
    bytes_then, journal = damaged.read_bytes(), (root / "decisions.jsonl").read_bytes()
    result = call("check", store.url, "--repair", "--json")
    rows = json.loads(result.stdout)["findings"]
    assert {row["path"] for row in rows} == {str(path.relative_to(root)) for path in (damaged, leftover)}
    assert all(row["repaired"] for row in rows)
    assert not leftover.exists() and not damaged.exists()
    assert (root / "damaged" / "embeddings" / "bundled" / "part-00000.parquet").read_bytes() == bytes_then
    assert (root / "decisions.jsonl").read_bytes() == journal
    assert check(store).findings == []


def test_store_json_is_written_again_where_there_are_tables(store: Store, tmp_path: Path) -> None:
    place = Path(store.root) / "store.json"
    whole = place.read_bytes()
    place.write_bytes(whole[:-4])
    assert CliRunner().invoke(main, ["check", store.url]).exit_code == 1
    call("check", store.url, "--repair")
    store.check()
    (tmp_path / "empty").mkdir()
    assert "expected a store at" in refused("check", str(tmp_path / "empty"), "--repair")
    assert list((tmp_path / "empty").iterdir()) == []


def test_lost_links_are_seen(store: Store) -> None:
    data = store.read("links/bundled", "00000")
    stamp = store.stamp("links/bundled", "00000") or {}
    store.write("links/bundled", "00000", data.slice(0, 10), stamp)
    found = check(store)
    assert [(f.path, f.problem) for f in found.findings] == [("links/bundled", "shards of it are missing")]
    call("check", store.url, "--repair")
    assert store.shards("links/bundled") == []


def test_a_line_of_the_journal_that_cannot_be_read_is_told(store: Store) -> None:
    append(store, [Decision(act="ignore", faces=(read(store).decisions[0].faces[0],))])
    path = Path(store.root) / "decisions.jsonl"
    path.write_bytes(path.read_bytes()[:-6] + b"\n")
    found = check(store)
    assert [f.path for f in found.findings] == ["decisions.jsonl"]
    assert found.damage == [] and call("check", store.url).exit_code == 0, "every command passes over it"


def test_what_cannot_be_read_now_or_is_newer_is_not_set_aside(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stamp = store.stamp("faces", "00000")
    store.write("faces", "00000", store.read("faces", "00000"), {**(stamp or {}), "format": 99})
    newer, cat = Path(store.shard_path("faces", "00000")).read_bytes(), LocalFileSystem.cat_file

    def broken(self: LocalFileSystem, path: str, *args: Any, **kwargs: Any) -> bytes:
        if "embeddings/bundled" in path:
            raise OSError(5, "Input/output error")
        return bytes(cat(self, path, *args, **kwargs))

    monkeypatch.setattr(LocalFileSystem, "cat_file", broken)
    found = check(store, mend=True)
    assert {f.path: f.repair for f in found.damage} == {
        "embeddings/bundled/part-00000.parquet": "nothing", "faces/part-00000.parquet": "nothing",
    }  # fmt: skip
    assert Path(store.shard_path("faces", "00000")).read_bytes() == newer
    assert Path(store.shard_path("embeddings/bundled", "00000")).exists() and not store.exists("damaged")


def test_a_second_repair_keeps_what_the_first_set_aside(store: Store) -> None:
    path = Path(store.shard_path("dedup/looks", "00000"))
    whole = path.read_bytes()
    for bit in (9_000, 9_001):
        path.write_bytes(whole)
        flip(path, bit)
        call("check", store.url, "--repair")
    assert len(list((Path(store.root) / "damaged" / "dedup" / "looks").iterdir())) == 2


def test_a_repair_that_cannot_be_written_is_one_line(store: Store) -> None:
    flip(Path(store.shard_path("dedup/looks", "00000")), 9_000)
    (Path(store.root) / "damaged").write_bytes(b"in the way")
    result = CliRunner().invoke(main, ["check", store.url, "--repair"], catch_exceptions=False)
    assert result.exit_code == 1 and result.stderr.splitlines()[-1].startswith("facecluster: expected to write in")


def test_an_index_that_changed_is_set_aside(store: Store) -> None:
    path = next((Path(store.root) / "index").rglob("vectors-*.faiss"))
    flip(path, 8 * path.stat().st_size - 9)
    assert [f.path for f in check(store).findings] == [f"index/{path.parent.name}/index.json"]
    call("check", store.url, "--repair")
    assert not path.exists()


def test_repairs_leave_the_run_that_the_user_returned_to(store: Store) -> None:
    """Old shards are sealed and a bad note goes, in the folder `runs` too; nothing of it makes another run the current one."""
    call("cluster", store.url, "--return-to", "1")
    path = Path(store.shard_path("runs/00001/people", "00000"))
    table, stamp = store.read("runs/00001/people", "00000"), store.stamp("runs/00001/people", "00000")
    old = table.replace_schema_metadata({"facecluster": json.dumps({"format": 1, **(stamp or {})})})
    pq.write_table(old, path)  # as versions before did
    (Path(store.root) / "runs" / "unchanged.json").write_bytes(b"{")
    call("check", store.url, "--repair")
    run = current_run(store)
    assert run is not None and run.number == 1
    assert check(store).findings == []


def test_a_run_that_cannot_be_read_now_or_is_newer_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = current_run(store)
    assert run is not None and run.number > 1
    facts = Path(store.root) / "runs" / "00001" / "run.json"
    facts.write_text(json.dumps({k: v for k, v in json.loads(facts.read_text()).items() if k != "sum"} | {"format": 99}))
    cat = LocalFileSystem.cat_file

    def broken(self: LocalFileSystem, path: str, *args: Any, **kwargs: Any) -> bytes:
        if f"{run.folder}/people" in path:
            raise OSError(5, "Input/output error")
        return bytes(cat(self, path, *args, **kwargs))

    with monkeypatch.context() as m:
        m.setattr(LocalFileSystem, "cat_file", broken)
        found = check(store, mend=True)
    stay = {f"{run.folder}/people/part-00000.parquet", "runs/00001/run.json"}
    assert {f.path: f.repair for f in found.damage} == dict.fromkeys(stay, "nothing")
    assert not store.exists("damaged") and current_run(store) == run
