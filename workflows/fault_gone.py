"""What must not be found of somebody who was forgotten, and whether it is, in every byte of a store. For `faults.py`.

Texts (ids, names, paths) and bytes (crops, vectors) are looked for in files as they are, and in the columns of tables.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from facecluster.photos.drawn import drawn_faces
from facecluster.store import FACES, Store

Needles = dict[str, list[str]]  # `texts`, and `bytes` in base64


def needles(store: Store, faces: Sequence[str], texts: Sequence[str]) -> Needles:
    """Of some faces the ids, crops and vectors; and other texts."""
    rows = {row["face_id"]: row for row in store.read_all("faces", FACES).to_pylist()}
    found = [rows[face]["crop"] for face in faces]
    for shard in store.shards("embeddings/bundled"):
        for row in store.read("embeddings/bundled", shard).to_pylist():
            if row["face_id"] in faces:
                vector = np.asarray(row["embedding"], np.float16)
                found += [vector.tobytes(), vector.astype(np.float32).tobytes()]
    return {"texts": [*faces, *texts], "bytes": [base64.b64encode(data).decode() for data in found]}


def left(root: Path, wanted: Mapping[str, Sequence[str]]) -> list[str]:
    """Where in a store something of this is, a line each."""
    texts = [text.encode() for text in wanted["texts"]]
    blobs = [base64.b64decode(text) for text in wanted["bytes"]]
    found = [f"the drawn face {face}" for face in drawn_faces(Store(str(root)))["face_id"].to_pylist()]  # in these stores it is theirs
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        for where, data, is_text in _parts(path):
            there = [needle for needle in blobs if needle in data] + [needle for needle in texts if is_text and needle in data]
            found += [f"{path.relative_to(root)} {where}: {needle[:60]!r}" for needle in there[:1]]
    return found


def _parts(path: Path) -> Iterator[tuple[str, bytes, bool]]:
    """The parts of a file: what it is, its bytes, and whether it is text."""
    if path.suffix != ".parquet":
        yield "", path.read_bytes(), True
        return
    table = pq.ParquetFile(path, pre_buffer=False).read(use_threads=False)
    yield "metadata", repr(table.schema.metadata).encode(), True
    for name in table.column_names:
        for chunk in table[name].chunks:
            plain: Any = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
            is_text = "string" in str(plain.type)
            for buffer in plain.buffers():
                if buffer is not None:
                    yield name, buffer.to_pybytes(), is_text
