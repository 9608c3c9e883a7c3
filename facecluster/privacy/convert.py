"""Encrypt a store that is there, or decrypt one, in place: file by file, each replaced in one step after it was opened again and compared.

store.json says first that it is being done, so that other commands refuse; the last step takes that out. A conversion that is killed goes
on with the next call: files that are done are known by their first bytes. Nothing is deleted but what is made anew when it is needed
(index, report, scratch files).
Odd inputs: files that are not facecluster's, and pages and plans, which other programs read, are refused before anything is changed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from fnmatch import fnmatchcase

import pyarrow as pa

from facecluster.check import check
from facecluster.decisions.journal import FILE as JOURNAL
from facecluster.decisions.journal import journal_lock
from facecluster.errors import StoreError, shell
from facecluster.people.unchanged import FILE as UNCHANGED
from facecluster.privacy.files import output_folders
from facecluster.report.report_folder import remove_report
from facecluster.store import STORE_FILE, TEMPORARY, Store
from facecluster.store.cipher import LINE_MARK, Cipher, file_key_id, is_encrypted_parquet
from facecluster.store.digest import DamageError, read_parquet, sealed_parquet
from facecluster.store.store_file import DECRYPTING, ENCRYPTING, Encryption, contents, encryption_of, id_of, needs_sealing

Tick = Callable[[int, int], None]

_OWN = ("people.csv", "people.csv.theirs", "runs/people.csv", "runs/*/run.json", "runs/current.json", "calibration/*.json",
        "recognisability/*.json", "reading/*.json", "files/sources.json", "exports.json", "forgotten/receipt-*.json", "dedup/undo.key",
        "damaged/*", "compacting.json")  # fmt: skip
_MADE_ANEW = ("index/*", "grouping/*", "linking/*/vectors.f32", "linking/*/vectors.f16", "/".join(UNCHANGED))
_SHARD = re.compile(r"part-[^/]*\.parquet")
_NUMBERED = re.compile(r"\.\d+$")


def encrypt_store(store: Store, key: Callable[[], str], tick: Tick = lambda done, total: None) -> tuple[str, int]:
    """Encrypt a store, or go on with it; the store must be locked.

    Args:
        store: not encrypted, or half.
        key: gives the id of the key; it is asked after the store was looked at, so that no key is made for nothing.
        tick: called after each file with how many are done, and of how many.

    Returns:
        the id of the key, and the number of files that were written.

    Raises:
        StoreError: it is damaged, or encrypted; there are files that can't be encrypted; the key is not there.
    """
    before = encryption_of(store, afresh=True)
    if before is not None and before.state != ENCRYPTING:
        found = "one half decrypted" if before.state else f"one with the key {before.key_id}"
        raise StoreError(f"expected a store that is not encrypted, found {found}: 'facecluster decrypt {shell(store.url)}' comes first")
    if before is None:
        _refuse_damage(store)
        _refuse_others(store)
    key_id = key() if before is None else before.key_id
    cipher = Cipher(key_id, store.url)
    cipher.check()
    if before is None:
        _mark(store, Encryption(key_id, ENCRYPTING))
    if store.is_local:
        remove_report(store.path("report"))
    done = _convert(store, lambda path, data: _encrypted(cipher, path, data), tick)
    _mark(store, Encryption(key_id))
    return key_id, done


def decrypt_store(store: Store, tick: Tick = lambda done, total: None) -> int:
    """Decrypt a store, or go on with it; as `encrypt_store`. Files in damaged/ that can't be opened stay as they are."""
    before = encryption_of(store, afresh=True)
    if before is None:
        raise StoreError(f"expected an encrypted store, found one that is not: {store.url}. There is nothing to do")
    if before.state == ENCRYPTING:
        raise StoreError(f"expected an encrypted store, found one half encrypted: 'facecluster encrypt {shell(store.url)}' comes first")
    cipher = Cipher(before.key_id, store.url)
    cipher.check()
    if not before.state:
        _refuse_damage(store)
        _mark(store, Encryption(before.key_id, DECRYPTING))
    done = _convert(store, lambda path, data: _decrypted(cipher, path, data), tick)
    _mark(store, None)
    return done


def _mark(store: Store, encryption: Encryption | None) -> None:
    store.write_raw(contents(encryption, id_of(store)), STORE_FILE)
    encryption_of(store, afresh=True)


def _refuse_damage(store: Store) -> None:
    damage = [finding for finding in check(store).damage if store.exists(finding.path)]  # what is missing need not be written
    if damage:
        more = f" and {len(damage) - 1:,} more" if len(damage) > 1 else ""
        hint = f"'facecluster check {shell(store.url)}' says what to do"
        raise StoreError(f"expected a store as it was written, found damage: {damage[0].path}{more}. {hint}")


def _refuse_others(store: Store) -> None:
    reports = (files for folder, files in output_folders(store) if folder.name == "report")
    report = {path.relative_to(store.root).as_posix() for files in reports for path in files}
    others = sorted({_top(path) for path in _paths(store) if path not in report and not _is_ours(path)})
    if others:
        named = ", ".join(others[:5]) + (f" and {len(others) - 5:,} more" if len(others) > 5 else "")
        raise StoreError(
            f"expected only files that facecluster alone reads, found {named}: move them out of {store.url} or delete them, "
            "since they would stay as they are, and encrypt again"
        )


def _top(path: str) -> str:
    """A file, or the folder of one with many others."""
    parts = path.split("/")
    depth = 2 if parts[0] in ("dedup", "report") else 1
    return path if len(parts) <= depth else "/".join(parts[:depth]) + "/"


def _is_ours(path: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    return bool(not needs_sealing(path) or _SHARD.fullmatch(name) or any(fnmatchcase(path, kind) for kind in (*_OWN, *_MADE_ANEW)))


def _paths(store: Store) -> Iterator[str]:
    """The paths in the store of all its files, store.json and locks left out."""
    store.fs.invalidate_cache()
    for path in sorted(str(path)[len(store.root) + 1 :] for path in store.fs.find(store.root)):
        if path != STORE_FILE and not path.endswith(".lock") and not fnmatchcase(path, "review-*.html"):
            yield path


def _convert_file(store: Store, path: str, change: Callable[[str, bytes], bytes]) -> bool:
    """Write a file anew as `change` gives it; whether it was not so already."""
    data = bytes(store.fs.cat_file(store.path(path)))
    try:
        new = change(path, data)
    except (ValueError, pa.ArrowException) as e:
        why = " ".join(str(e).split())
        raise StoreError(f"expected to open {store.path(path)}, found: {why}. Take it from a copy, and do this again") from e
    if new != data:
        store.write_raw(new, *path.split("/"))
    return new != data


def _convert(store: Store, change: Callable[[str, bytes], bytes], tick: Tick) -> int:
    """Write each file anew as `change` gives it, unless it is so already."""
    paths, written = list(_paths(store)), 0
    for number, path in enumerate(paths, start=1):
        if TEMPORARY.fullmatch(path.rsplit("/", 1)[-1]) or any(fnmatchcase(path, kind) for kind in _MADE_ANEW):
            store.fs.rm_file(store.path(path))
        else:
            with journal_lock(store) if path == JOURNAL and store.is_local else nullcontext():  # a page may append at any time
                written += _convert_file(store, path, change)
        tick(number, len(paths))
    return written


def _is_journal(path: str) -> bool:
    return path == "decisions.jsonl" or path.startswith("decisions/")


def _is_shard(path: str) -> bool:
    return bool(_SHARD.fullmatch(path.rsplit("/", 1)[-1])) and not path.startswith("damaged/")


def _encrypted(cipher: Cipher, path: str, data: bytes) -> bytes:
    if _is_journal(path):
        lines = cipher.seal_lines(data)
        _need_same(cipher.open_lines(lines) == cipher.open_lines(data) if LINE_MARK in data else cipher.open_lines(lines) == data)
        return lines
    if _is_shard(path):
        if is_encrypted_parquet(io.BytesIO(data)):
            return data
        table = read_parquet(io.BytesIO(data))
        sealed = cipher.sealed_parquet(table)
        _need_same(_equal(cipher.read_parquet(io.BytesIO(sealed)), table))
        return sealed
    if file_key_id(data) is not None:
        return data
    sealed = cipher.seal(data, path)
    _need_same(cipher.open(sealed, path) == data)
    return sealed


def _decrypted(cipher: Cipher, path: str, data: bytes) -> bytes:
    if _is_journal(path):
        return cipher.open_lines(data) if LINE_MARK in data else data
    if _is_shard(path):
        if not is_encrypted_parquet(io.BytesIO(data)):
            return data
        table = cipher.read_parquet(io.BytesIO(data))
        plain = sealed_parquet(table)
        _need_same(_equal(read_parquet(io.BytesIO(plain)), table))
        return plain
    if file_key_id(data) is None:
        return data
    if not path.startswith("damaged/"):
        return cipher.open(data, path)
    inside = path.removeprefix("damaged/")  # `check --repair` moved it there as it was
    for place in (path, inside, _NUMBERED.sub("", inside)):
        try:
            return cipher.open(data, place)
        except DamageError:
            continue
    return data


def _equal(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables are the same to the bit, NaNs too."""
    same = one.schema.equals(other.schema, check_metadata=True) and len(one) == len(other)
    return same and all(_bytes(one, name) == _bytes(other, name) for name in one.column_names)


def _bytes(table: pa.Table, name: str) -> bytes:
    column = table.select([name]).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, column.schema) as writer:
        writer.write_table(column)
    return bytes(sink.getvalue())


def _need_same(same: bool) -> None:
    if not same:
        raise DamageError("what was written is not what was read: tell us of it")
