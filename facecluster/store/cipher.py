"""Encryption of a store's files: Parquet modular encryption of shards, AES-256-GCM of all else. No file of a store is open without its key.

- A shard: uniform encryption of footer and columns (AES_GCM_V1), with a random key of its own, which stands in the file, wrapped by the
  store's key with AES-256-GCM. https://parquet.apache.org/docs/file-format/data-pages/encryption/
- Another file: a head (mark, id of the key, salt) and blocks of 1 MiB. Each block is AES-256-GCM under a key of this file alone
  (HKDF-SHA256, RFC 5869, of the store's key and the salt); the nonce is the number of the block and whether it is the last; the file's
  place in the store is authenticated with it. So blocks can't be exchanged, cut off or put elsewhere.
- A line of the journal: mark, id of the key, and base64 of nonce and AES-256-GCM.

What is authenticated can't be changed by a bit: a digest is not needed beside it. Odd inputs: what can't be opened is a DamageError.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from facecluster.errors import StoreError
from facecluster.store.digest import DamageError
from facecluster.store.keys import key_of

MARK, LINE_MARK, PARQUET_MARK = b"FACECLUSTER-E1\n", b"FCE1:", b"PARE"
BLOCK = 1 << 20  # bytes of a block before encryption
_ID, _SALT, _TAG, _NONCE = 16, 32, 16, 12
HEAD = len(MARK) + _ID + _SALT
_OTHER_KEY = "it is encrypted with another key"


@dataclass(frozen=True, slots=True)
class Cipher:
    """Encrypts and opens files with the key of an id. Only the id is kept: workers look for the key themselves."""

    key_id: str
    url: str  # of the store, for messages

    # -- files ---------------------------------------------------------------------------------------------------------------------

    def seal(self, data: bytes | memoryview, place: str) -> bytes:
        """The bytes of an encrypted file, whose place in the store is authenticated."""
        salt, view = os.urandom(_SALT), memoryview(data)
        box, out = self._box(b"facecluster file", salt), [MARK, self.key_id.encode(), salt]
        count = max(-(-len(view) // BLOCK), 1)
        for i in range(count):
            out.append(box.encrypt(_nonce(i, i == count - 1), view[i * BLOCK : (i + 1) * BLOCK], place.encode("utf-8", "surrogatepass")))
        return b"".join(out)

    def open(self, data: bytes | memoryview, place: str) -> bytes:
        """The bytes that `seal` was given. Raises DamageError if they are not as they were written, StoreError without the key."""
        view = memoryview(data)
        box, step = self._box_of(bytes(view[:HEAD])), BLOCK + _TAG
        count = max(-(-(len(view) - HEAD) // step), 1)
        return b"".join(_opened(box, view[HEAD + i * step : HEAD + (i + 1) * step], i, i == count - 1, place) for i in range(count))

    def open_range(self, read: Callable[[int, int], bytes], size: int, place: str, start: int, stop: int) -> bytes:
        """Bytes start to stop of what `seal` was given; `read` gives the bytes of the file, of `size` bytes, between two places."""
        box, step = self._box_of(read(0, HEAD)), BLOCK + _TAG
        count, first, end = max(-(-(size - HEAD) // step), 1), start // BLOCK, max(-(-stop // BLOCK), start // BLOCK)
        blocks = memoryview(read(HEAD + first * step, min(HEAD + end * step, size))) if end > first else memoryview(b"")
        found = b"".join(
            _opened(box, blocks[(i - first) * step : (i - first + 1) * step], i, i == count - 1, place) for i in range(first, end)
        )
        return found[start - first * BLOCK : stop - first * BLOCK]

    # -- lines ---------------------------------------------------------------------------------------------------------------------

    def seal_lines(self, data: bytes) -> bytes:
        """Lines of a journal, each encrypted by itself; empty ones and those that are encrypted already stay."""
        box = self._box(b"facecluster journal", b"")
        return b"\n".join(line if not line.strip() or line.startswith(LINE_MARK) else self._line(box, line) for line in data.split(b"\n"))

    def _line(self, box: Any, line: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return LINE_MARK + self.key_id.encode() + b":" + base64.b64encode(nonce + box.encrypt(nonce, line, b"decisions"))

    def open_lines(self, data: bytes) -> bytes:
        """The lines as they were; one that can't be opened, or was never encrypted, stays as it is, and says nothing."""
        box = self._box(b"facecluster journal", b"")
        return b"\n".join(self._open_line(box, line) for line in data.split(b"\n"))

    def _open_line(self, box: Any, line: bytes) -> bytes:
        start = LINE_MARK + self.key_id.encode() + b":"
        if not line.startswith(start):
            return line if line.startswith(LINE_MARK) or not line.strip() else LINE_MARK + b"not encrypted: " + line
        try:
            raw = base64.b64decode(line[len(start) :], validate=True)
            return bytes(box.decrypt(raw[:_NONCE], raw[_NONCE:], b"decisions"))
        except (binascii.Error, ValueError, _invalid_tag()):
            return line

    # -- shards --------------------------------------------------------------------------------------------------------------------

    def sealed_parquet(self, table: pa.Table, *, packed: bool = True) -> bytes:
        """A table as the bytes of an encrypted Parquet file (zstd if `packed`, else as it is) of one row group."""
        words = [f.name for f in table.schema if not pa.types.is_nested(f.type)]
        buffer, properties = io.BytesIO(), self._parquet(encrypt=True)
        how: dict[str, Any] = {"compression": "zstd" if packed else "none", "use_dictionary": words if packed else False}
        with pq.ParquetWriter(buffer, table.schema, encryption_properties=properties, **how) as writer:
            writer.write_table(table, row_group_size=max(len(table), 1))
        return buffer.getvalue()

    def read_parquet(self, file: BinaryIO, columns: list[str] | None = None) -> pa.Table:
        """The table of an open encrypted Parquet file, or some of its columns. Raises DamageError if it is not as it was written."""
        keys = self._parquet()
        found: pa.Table = _checked(
            lambda: pq.ParquetFile(file, pre_buffer=False, decryption_properties=keys).read(columns=columns, use_threads=False)
        )
        return found

    def read_metadata(self, file: BinaryIO) -> dict[bytes, bytes]:
        """What the footer of an open encrypted Parquet file says by keys. Raises DamageError."""
        keys = self._parquet()
        return dict(_checked(lambda: pq.read_metadata(file, decryption_properties=keys)).metadata or {})

    def _parquet(self, *, encrypt: bool = False) -> Any:
        return _factory(self.key_id, self._key(), encrypt)

    # -- keys ----------------------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise StoreError unless the key and the library are there."""
        _library()
        self._key()

    def _key(self) -> bytes:
        return key_of(self.key_id, self.url)

    def _box_of(self, head: bytes) -> Any:
        if len(head) < HEAD or not head.startswith(MARK):
            raise DamageError("it is not encrypted, as all files of this store are")
        if head[len(MARK) : len(MARK) + _ID] != self.key_id.encode():
            raise DamageError(_OTHER_KEY)
        return self._box(b"facecluster file", head[-_SALT:])

    def _box(self, use: bytes, salt: bytes) -> Any:
        return _library().AESGCM(_derived(self._key(), use, salt))


def file_key_id(head: bytes) -> str | None:
    """The id of the key of an encrypted file, by its first bytes; None if it is not encrypted (or is a shard)."""
    if len(head) < HEAD or not head.startswith(MARK):
        return None
    return head[len(MARK) : len(MARK) + _ID].decode("ascii", "replace")


def is_encrypted_parquet(file: BinaryIO) -> bool:
    """Whether an open Parquet file is encrypted."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(size - 4, 0))
    found = file.read(4)
    file.seek(0)
    return found == PARQUET_MARK


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(_NONCE - 1, "big") + bytes([last])


def _opened(box: Any, block: memoryview, number: int, last: bool, place: str) -> bytes:
    try:
        return bytes(box.decrypt(_nonce(number, last), block, place.encode("utf-8", "surrogatepass")))
    except (ValueError, _invalid_tag()):
        raise DamageError("a bit of it has changed since it was written, or it is of another place") from None


def _derived(key: bytes, use: bytes, salt: bytes) -> bytes:
    library = _library()
    return bytes(library.HKDF(algorithm=library.SHA256(), length=32, salt=salt, info=use).derive(key))


def _checked(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError, pa.ArrowException, _invalid_tag()) as e:
        if isinstance(e, FileNotFoundError):
            raise
        raise DamageError(" ".join(str(e).split()) or "a bit of it has changed since it was written") from e


class _Library:
    """What is used of the package `cryptography`."""

    def __init__(self) -> None:
        import pyarrow.parquet.encryption as parquet
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        if not hasattr(parquet.EncryptionConfiguration, "uniform_encryption"):
            raise ImportError("a pyarrow older than 21")
        self.AESGCM, self.SHA256, self.HKDF, self.InvalidTag, self.parquet = AESGCM, SHA256, HKDF, InvalidTag, parquet


@cache
def _library() -> _Library:
    try:
        return _Library()
    except ImportError as e:
        hint = "pip install 'facecluster[encrypt]'"
        raise StoreError(f"expected the packages of an encrypted store, found: {e}. Next: {hint}, on every machine") from e


def _invalid_tag() -> type[Exception]:
    found: type[Exception] = _library().InvalidTag
    return found


@cache
def _factory_of(key_id: str, key: bytes) -> tuple[Any, Any, Any]:
    """Makes properties for encrypted Parquet files; cached, because Arrow keeps what it needs of one."""
    library = _library()
    box = library.AESGCM(_derived(key, b"facecluster parquet", b""))

    class Wrapper(library.parquet.KmsClient):  # type: ignore[misc, name-defined]
        """Wraps the random key of a file with the key of the store."""

        def __init__(self, _: Any) -> None:
            library.parquet.KmsClient.__init__(self)

        def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
            nonce = os.urandom(_NONCE)
            return base64.b64encode(nonce + box.encrypt(nonce, key_bytes, master_key_identifier.encode()))

        def unwrap_key(self, wrapped_key: str, master_key_identifier: str) -> bytes:
            if master_key_identifier != key_id:
                raise ValueError(_OTHER_KEY)
            raw = base64.b64decode(wrapped_key)
            return bytes(box.decrypt(raw[:_NONCE], raw[_NONCE:], master_key_identifier.encode()))

    config = library.parquet.EncryptionConfiguration(
        footer_key=key_id, uniform_encryption=True, double_wrapping=False, data_key_length_bits=256, encryption_algorithm="AES_GCM_V1"
    )
    return library.parquet.CryptoFactory(Wrapper), library.parquet.KmsConnectionConfig(), config


def _factory(key_id: str, key: bytes, encrypt: bool) -> Any:
    factory, connection, config = _factory_of(key_id, key)
    return factory.file_encryption_properties(connection, config) if encrypt else factory.file_decryption_properties(connection)
