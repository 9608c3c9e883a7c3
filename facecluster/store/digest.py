"""Digests in each shard, by which a changed bit is found: SHA-256 of the whole file, of its footer, and of each column.

They are values of keys in the footer of the Parquet file, 64 hex digits each; other readers see some more keys. A file can't hold a digest
of itself: that of the file is made as if its digits were zeros, that of the footer as if those and its own were. So some columns can be
read and checked without the rest. Parquet's own checksums of pages are written too; they leave out the pages' headers. A shard of an
earlier version has no digests. One key more says that there are some: a change in the name of one can't pass for an earlier version.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

FILE_KEY, FOOTER_KEY, COLUMNS_KEY = b"facecluster.file-sha256", b"facecluster.footer-sha256", b"facecluster.columns-sha256"
SEALED_KEY = b"facecluster.sealed"
_KEYS = (FILE_KEY, FOOTER_KEY, COLUMNS_KEY, SEALED_KEY)
_DIGITS = 64
_ZEROS = b"0" * _DIGITS
WHOLE = 1 << 24  # bytes of a file that is read at once to be checked


class DamageError(ValueError):
    """A file is not as it was written."""


def sealed_parquet(table: pa.Table, *, packed: bool = True) -> bytes:
    """A table as the bytes of a Parquet file (zstd if `packed`, else as it is) of one row group, with its digests."""
    words = [f.name for f in table.schema if not pa.types.is_nested(f.type)]  # not numbers of vectors: long work for nothing
    buffer, leaves = io.BytesIO(), len(table.schema)  # no struct: a column of lists is one of Parquet's columns too
    how: dict[str, Any] = {"compression": "zstd" if packed else "none", "use_dictionary": words if packed else False}
    with pq.ParquetWriter(buffer, table.schema, write_page_checksum=True, **how) as writer:
        writer.write_table(table, row_group_size=max(len(table), 1))
        writer.add_key_value_metadata({SEALED_KEY: b"1", FOOTER_KEY: _ZEROS, FILE_KEY: _ZEROS, COLUMNS_KEY: _ZEROS * leaves})
    ranges = _ranges(pq.read_metadata(io.BytesIO(buffer.getbuffer())))
    with buffer.getbuffer() as data:  # in place: large tables are not copied
        start = _footer_start(bytes(data[-8:]), len(data))
        footer = bytes(data[start:])
        columns = start + _place(footer, COLUMNS_KEY, _DIGITS * leaves)
        for first, (size, leaf) in ranges.items():
            at = columns + _DIGITS * leaf
            data[at : at + _DIGITS] = _digest(data[first : first + size])
        for key, of in ((FOOTER_KEY, start), (FILE_KEY, 0)):
            at = start + _place(footer, key)
            data[at : at + _DIGITS] = _digest(data[of:])
    return buffer.getvalue()


def check_file(data: bytes) -> bool:
    """Whether the bytes of a file have digests; False is a file of an earlier version. Raises DamageError if they differ from the bytes."""
    start = _footer_start(data[-8:], len(data))
    if not check_footer(data[start:]):
        return False
    at = start + _place(data[start:], FILE_KEY)
    digest = hashlib.sha256(memoryview(data)[:at])
    digest.update(_ZEROS)
    digest.update(memoryview(data)[at + _DIGITS :])
    _compare(digest.hexdigest().encode(), data[at : at + _DIGITS])
    return True


def check_footer(footer: bytes) -> bool:
    """The same of the footer alone: the metadata, its length and the four letters at the end of a file."""
    if not any(key in footer for key in _KEYS):
        return False
    data = bytearray(footer)
    whole, own = _place(footer, FILE_KEY), _place(footer, FOOTER_KEY)
    data[whole : whole + _DIGITS] = data[own : own + _DIGITS] = _ZEROS
    _compare(_digest(data), footer[own : own + _DIGITS])
    return True


def read_parquet(file: BinaryIO, columns: list[str] | None = None) -> pa.Table:
    """The table of an open Parquet file, or some of its columns, with none but our own metadata.

    A small file that is read whole is checked whole; else the footer and the columns that are read are.

    Raises:
        DamageError, pa.ArrowException: it can't be read, or is not as it was written.
    """
    footer, metadata = read_footer(file), None
    source = _CheckedFile(file)
    if columns is None and file.tell() <= WHOLE:
        file.seek(0)
        data = file.read()
        check_file(data)
        source = _CheckedFile(io.BytesIO(data))
    elif check_footer(footer):
        metadata = source.expect(footer)
    # without Arrow's threads: one that lets go of bytes, a Python object, while the interpreter exits ends it with SIGABRT
    # (apache/arrow issue 50482; docs/decisions.md). `pre_buffer` alone reads in threads, whatever `use_threads` says
    parquet = pq.ParquetFile(source, metadata=metadata, pre_buffer=False, page_checksum_verification=True)
    table = parquet.read(columns=columns, use_threads=False)
    source.check(table.column_names)
    return table.replace_schema_metadata({k: v for k, v in (table.schema.metadata or {}).items() if k not in _KEYS})


def read_metadata(file: BinaryIO) -> dict[bytes, bytes]:
    """What the footer of an open Parquet file says by keys. Raises DamageError, pa.ArrowException."""
    check_footer(read_footer(file))
    return dict(pq.read_metadata(file).metadata or {})


def read_footer(file: BinaryIO) -> bytes:
    """The footer of an open Parquet file; the file is then at its end. Raises DamageError if it has none."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(size - 8, 0))
    file.seek(_footer_start(file.read(8), size))
    return file.read()


class _CheckedFile(io.RawIOBase):
    """An open file for Arrow, which reads each column in one piece: the piece is compared with the digest that the footer has of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sums: Mapping[int, tuple[int, str, bytes]] = {}  # by the first byte of a column: size, name, digest
        self._seen: set[str] = set()

    def expect(self, footer: bytes) -> pq.FileMetaData:
        """Take over the digests of a footer that was checked; returns what the footer says."""
        metadata = pq.read_metadata(self._file)
        leaves = metadata.num_columns
        at = _place(footer, COLUMNS_KEY, _DIGITS * leaves)
        sums = [footer[at + _DIGITS * i : at + _DIGITS * (i + 1)] for i in range(leaves)]
        names = [metadata.schema.column(i).path.split(".")[0] for i in range(leaves)]
        self._sums = {first: (size, names[leaf], sums[leaf]) for first, (size, leaf) in _ranges(metadata).items()}
        return metadata

    def check(self, columns: list[str]) -> None:
        """Check those of some columns that were read in another way."""
        for first, (size, name, digest) in self._sums.items():
            if name in columns and name not in self._seen:
                self._file.seek(first)
                _compare(_digest(self._file.read(size)), digest)

    def read(self, size: int = -1) -> bytes:
        at = self._file.tell()
        data = self._file.read(size)
        if at in self._sums and self._sums[at][0] == len(data):
            _compare(_digest(data), self._sums[at][2])
            self._seen.add(self._sums[at][1])
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _ranges(metadata: pq.FileMetaData) -> dict[int, tuple[int, int]]:
    """The bytes of each column that has any, as first byte -> (size, number of the column)."""
    found = {}
    for leaf in range(metadata.num_columns if metadata.num_row_groups else 0):
        column = metadata.row_group(0).column(leaf)
        first = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
        found[first] = (column.total_compressed_size, leaf)
    return found


def _digest(data: bytes | bytearray | memoryview) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def _footer_start(end: bytes, size: int) -> int:
    start = size - 8 - int.from_bytes(end[:4], "little")
    if len(end) < 8 or end[4:] != b"PAR1" or start < 4:
        raise DamageError("it is no whole Parquet file")
    return start


def _place(footer: bytes, key: bytes, length: int = _DIGITS) -> int:
    """Where the value of a key begins: after the mark of the next field and the length, as in Thrift's compact protocol."""
    coded, rest = b"", length
    while rest > 127:
        coded, rest = coded + bytes([rest & 127 | 128]), rest >> 7
    before = key + b"\x18" + coded + bytes([rest])
    at = footer.rfind(before)
    if at < 0 or at + len(before) + length > len(footer):
        raise DamageError("a bit of it has changed since it was written (no digest where one was)")
    return at + len(before)


def _compare(found: bytes, said: bytes) -> None:
    if found != said:
        raise DamageError("a bit of it has changed since it was written (SHA-256 differs)")
