"""Ciphers: what is sealed opens to the same bytes; one changed bit, a block in another place, another key or another file does not open."""

from __future__ import annotations

import io
import os
import random
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from facecluster.errors import InputError, StoreError
from facecluster.grouping.work import FolderShelf, load, load_rows
from facecluster.store import Store
from facecluster.store.cipher import BLOCK, HEAD, Cipher, file_key_id
from facecluster.store.digest import DamageError, read_parquet, sealed_parquet
from facecluster.store.keys import FILE_VARIABLE, VARIABLE, first_key, key_id, make_key


@pytest.fixture
def cipher(monkeypatch: pytest.MonkeyPatch) -> Cipher:
    key = os.urandom(32)
    monkeypatch.setenv(VARIABLE, key.hex())
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    return Cipher(key_id(key), "here")


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 5])
def test_any_size_opens_whole_and_in_parts(cipher: Cipher, size: int) -> None:
    data = random.Random(size).randbytes(size)
    sealed = cipher.seal(data, "a/b")
    assert cipher.open(sealed, "a/b") == data and file_key_id(sealed) == cipher.key_id
    assert data[:64] not in sealed or size < 64
    for start, stop in ((0, size), (0, 0), (size // 2, size // 2 + 7), (max(size - 3, 0), size), (BLOCK - 1, BLOCK + 1)):
        stop = min(stop, size)
        if start <= stop:
            assert cipher.open_range(lambda a, b: sealed[a:b], len(sealed), "a/b", start, stop) == data[start:stop]


def test_a_changed_bit_a_moved_block_and_another_place_do_not_open(cipher: Cipher) -> None:
    rng, data = random.Random(1), random.Random(2).randbytes(2 * BLOCK + 9)
    sealed, step = cipher.seal(data, "a"), BLOCK + 16
    flips = [*range(8 * HEAD), *(rng.randrange(8 * len(sealed)) for _ in range(40))]
    for bit in flips:
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamageError):
            cipher.open(changed, "a")
    first, second = sealed[HEAD : HEAD + step], sealed[HEAD + step : HEAD + 2 * step]
    exchanged = sealed[:HEAD] + second + first + sealed[HEAD + 2 * step :]
    for wrong in (exchanged, sealed[: HEAD + 2 * step], sealed[: HEAD + step], sealed[:-1], b""):
        with pytest.raises(DamageError):
            cipher.open(wrong, "a")
    with pytest.raises(DamageError, match="another place"):
        cipher.open(sealed, "b")
    other = os.urandom(32)
    os.environ[VARIABLE] += " " + other.hex()
    with pytest.raises(DamageError, match="another key"):
        Cipher(key_id(other), "here").open(sealed, "a")


def test_equal_files_do_not_look_equal(cipher: Cipher) -> None:
    assert cipher.seal(b"x" * 99, "a")[HEAD:] != cipher.seal(b"x" * 99, "a")[HEAD:]


def test_lines_of_a_journal(cipher: Cipher) -> None:
    data = b'{"name": "Ada"}\n\n{"name": "Bob"}\n'
    sealed = cipher.seal_lines(data)
    assert b"Ada" not in sealed and sealed.count(b"\n") == 3 and cipher.open_lines(sealed) == data
    assert cipher.seal_lines(sealed) == sealed
    first, rest = sealed.split(b"\n", 1)
    torn = first[:-9] + b"\n" + rest
    assert cipher.open_lines(torn) == first[:-9] + b"\n" + data.split(b"\n", 1)[1]
    slipped_in = cipher.open_lines(b'{"name": "Eve"}\n' + sealed).split(b"\n")
    assert not slipped_in[0].startswith(b"{") and slipped_in[1] == b'{"name": "Ada"}'


def table(rows: int = 7) -> pa.Table:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(rows * 4, dtype=np.float16)), 4)
    columns = {"face_id": [f"face {i}" for i in range(rows)], "embedding": vectors, "score": np.linspace(0, 1, rows, dtype=np.float32)}
    return pa.table(columns).replace_schema_metadata({"facecluster": '{"a": 1}'})


def test_each_flipped_bit_of_a_shard_is_found_or_harmless(cipher: Cipher) -> None:
    sealed, found = cipher.sealed_parquet(table()), 0
    whole = cipher.read_parquet(io.BytesIO(sealed))
    assert whole.equals(read_parquet(io.BytesIO(sealed_parquet(table()))), check_metadata=True)
    for bit in random.Random(3).sample(range(8 * len(sealed)), 1200):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        for columns in (None, ["score"]):
            try:
                read = cipher.read_parquet(io.BytesIO(changed), columns)
                assert read.equals(whole if columns is None else whole.select(columns), check_metadata=True), bit
            except DamageError:
                found += 1
    assert found > 1200


def test_a_store_writes_nothing_plain_and_reads_nothing_plain(cipher: Cipher, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.create(cipher.key_id)
    store.write("faces", "00000", table(), {"b": 2})
    store.write_bytes(b"Ada Lovelace", "people.csv")
    assert store.read("faces", "00000", ["score"]).num_columns == 1 and store.stamp("faces", "00000") == {"b": 2}
    assert store.read_bytes("people.csv") == b"Ada Lovelace"
    for path in (p for p in tmp_path.rglob("*") if p.is_file()):
        assert b"face 3" not in path.read_bytes() and b"Ada" not in path.read_bytes()
    plain = Store(str(tmp_path / "plain"))
    plain.create()
    plain.write("faces", "00000", table(), {"b": 2})
    Path(store.shard_path("faces", "00000")).write_bytes(Path(plain.shard_path("faces", "00000")).read_bytes())
    for read in (store.read, store.stamp):
        with pytest.raises(StoreError, match="it is not encrypted"):
            read("faces", "00000")
    with pytest.raises(StoreError, match="expected an encrypted store"):
        plain.create(cipher.key_id)


def test_arrays_of_the_grouping(cipher: Cipher, tmp_path: Path) -> None:
    array = np.random.default_rng(1).random((50_000, 8)).astype(np.float32)  # of two blocks
    kept = FolderShelf(str(tmp_path), cipher.key_id).within("a").keep("b", array)
    data = (tmp_path / "a" / "b.npy").read_bytes()
    assert array[:8].tobytes() not in data and array.nbytes > BLOCK
    assert (load(kept) == array).all()
    for start, stop in ((0, 3), (30_000, 40_000), (49_990, 50_000), (7, 7)):
        assert (load_rows(kept, start, stop) == array[start:stop]).all() and len(load_rows(kept, start, stop)) == stop - start


class Ring:
    """Stands for the system's keyring."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def set_password(self, service: str, name: str, text: str) -> None:
        self.kept[service, name] = text

    def get_password(self, service: str, name: str) -> str | None:
        return self.kept.get((service, name))


def test_a_key_in_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, "keyring", Ring())
    first, last = make_key("keyring"), make_key("keyring")
    assert first != last == key_id(first_key())
    for made in (first, last):
        Cipher(made, "x").check()
    with pytest.raises(StoreError, match="expected the key 0123456789abcdef .* found none"):
        Cipher("0123456789abcdef", "x").check()
    monkeypatch.setitem(sys.modules, "keyring", None)  # as if it were not installed
    with pytest.raises(InputError, match="pip install 'facecluster\\[keyring\\]'"):
        make_key("keyring")


def test_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    with pytest.raises(StoreError, match="encrypt --new-key FILE"):
        first_key()
    made = make_key(str(tmp_path / "key"))
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "key"))
    assert key_id(first_key()) == made
    with (tmp_path / "key").open("a") as file:
        file.write(f"{'5a' * 32}\n")
    Cipher(key_id(b"\x5a" * 32), "x").check()  # a file may hold the keys of several stores
    monkeypatch.setenv(VARIABLE, "5a" * 31)
    with pytest.raises(StoreError, match=f"expected a key in {VARIABLE} .* found 62 characters"):
        first_key()
