"""Schemas of the store's tables: meaning, unit and range of each column. docs/format.md describes them for other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa


def _field(name: str, kind: pa.DataType, unit: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": unit})


FILES = pa.schema(
    [
        _field("uri", pa.string(), "where the file was found: an absolute path, or a URI; a path that is not UTF-8 is a file: URI"),
        _field("size", pa.int64(), "bytes; -1 for a broken link or anything else that is not a file: the next stage makes it an error row"),
        _field("mtime_ns", pa.int64(), "last change, ns since 1970 UTC; 0 if the filesystem has none"),
        _field("known", pa.list_(pa.string()), "SHA-256 of files in the store that this one may be: of its size, or earlier in its place"),
        _field("known_faces", pa.list_(pa.int32()), "number of faces of each of known; -1: they are lost"),
        _field("known_photos", pa.list_(pa.string()), "photo_id of each of known; null: known are photo_ids", nullable=True),
        _field("known_pictures", pa.list_(pa.string()), "hash of the picture of each of known; empty: not known", nullable=True),
        _field("offset", pa.int64(), "of an archive's member where it lies: the byte, of Parquet the row; null: not known", nullable=True),
        _field("error", pa.string(), "why the file can't be used, if that is known before it is opened", nullable=True),
        _field("label", pa.string(), "of an archive's member whom or what the archive says it shows; null: nothing", nullable=True),
    ]
)
ARCHIVES = pa.schema(
    [
        _field("uri", pa.string(), "an archive whose photos are all in files"),
        _field("size", pa.int64(), "bytes, when it was listed"),
        _field("mtime_ns", pa.int64(), "its last change then, ns since 1970 UTC; 0 if the filesystem has none"),
    ]
)
PHOTOS = pa.schema(
    [
        _field("photo_id", pa.string(), "SHA-256 of the bytes that the picture was first seen in, 64 hex digits; empty: could not be read"),
        _field("uri", pa.string(), "as in files; the last row with a uri is the one that counts"),
        _field("size", pa.int64(), "bytes; -1 if it is not a file"),
        _field("mtime_ns", pa.int64(), "ns since 1970 UTC"),
        _field("format", pa.string(), "JPEG, PNG, ...", nullable=True),
        _field("width", pa.int32(), "px of the upright photo", nullable=True),
        _field("height", pa.int32(), "px of the upright photo", nullable=True),
        _field("orientation", pa.int8(), "1 to 8: what turned the stored picture upright: of sidecar, container or EXIF", nullable=True),
        _field("turn", pa.int16(), "degrees clockwise from the upright photo to upright faces: 0, 90, 180, 270", nullable=True),
        _field("taken_at", pa.timestamp("ms"), "when it was taken by the camera's clock (no time zone), in whole seconds", nullable=True),
        _field("phash", pa.uint64(), "perceptual hash of the upright photo: 64 signs of low DCT coefficients", nullable=True),
        _field("faces", pa.int32(), "number of faces in the photo; 0 if it could not be used"),
        _field("error", pa.string(), "the reason why the photo could not be used; null if it could", nullable=True),
        _field("content", pa.string(), "SHA-256 of the bytes; null: photo_id", nullable=True),
        _field("picture", pa.string(), "hash of the upright pixels, 32 hex digits; null: not known", nullable=True),
        _field("label", pa.string(), "as in files", nullable=True),
    ]
)
GONE = pa.schema(
    [
        _field("uri", pa.string(), "a place of the store that was not there at the last look"),
        _field("dropped", pa.bool_(), "whether the place no longer counts: pruned, or its picture was followed to another place"),
        _field("since", pa.timestamp("ms"), "when it was first missed, UTC", nullable=True),
        _field("pruned", pa.timestamp("ms"), "when the user dropped it, UTC; null: not, or it was followed", nullable=True),
        _field("unusable", pa.bool_(), "whether its last row in photos has an error; null: not known", nullable=True),
    ]
)
FOLLOWED = pa.schema(
    [
        _field("old", pa.string(), "face_id of a face whose photo is no longer there"),
        _field("new", pa.string(), "face_id of the same face in the photo that took its place: edited, turned, saved again, cropped"),
    ]
)
FACES = pa.schema(
    [
        _field("face_id", pa.string(), "24 hex digits of photo_id, '-', number of the face in the photo (4 hex digits)"),
        _field("photo_id", pa.string(), "the photo of the face"),
        _field("box", pa.list_(pa.float32(), 4), "x, y, w, h in px of the upright photo"),
        _field("landmarks", pa.list_(pa.float32(), 10), "x, y in px of right eye, left eye, nose, right and left corner of the mouth"),
        _field("score", pa.float32(), "of the detector, 0 to 1"),
        _field("sharpness", pa.float32(), "root mean square of the crop's Laplacian: 0 flat, about 2 blurred, 10 and up sharp"),
        _field("yaw", pa.float32(), "degrees, -90 to 90, 0 towards the camera"),
        _field("quality", pa.float32(), "0 (useless) to 1, from score, size, sharpness and yaw"),
        _field("crop", pa.binary(), "aligned face, 112x112 RGB, JPEG; of earlier versions WebP"),
        _field("at_ms", pa.int64(), "of a video: milliseconds from its start to the frame of the box; null: a photo", nullable=True),
        _field("origin", pa.string(), "drawn: the user drew the box; null: a detector found the face", nullable=True),
    ]
)
KNOWN = pa.schema(
    [
        _field("name", pa.string(), "of a person, as the user gave it"),
        _field("source", pa.string(), "the picture: a path, of a contact FILE#NUMBER, of a face in another store STORE#FACE_ID"),
    ]
)
LINKS_K = 64  # neighbours kept for a face
IDENTITIES = pa.schema(
    [
        _field("face_id", pa.string(), "the face"),
        _field("identity", pa.int32(), "0, 1, ... by falling number of faces; -1 = nobody"),
        _field("probability", pa.float32(), "0 to 1: that the face shows the person of its identity; 0 for nobody"),
        _field("outlier_score", pa.float32(), "GLOSH, 0 (in the middle of its group) to 1"),
        _field("recognisability", pa.float32(), "0 to 1: that the face says who it is; null: the model does not tell", nullable=True),
    ]
)


def embeddings_schema(dim: int) -> pa.Schema:
    """Schema of an embeddings table whose vectors have `dim` numbers."""
    return pa.schema(
        [
            _field("face_id", pa.string(), "the face"),
            _field("embedding", pa.list_(pa.float16(), dim), "vector of length 1; cosine is the dot product"),
        ]
    )


def known_schema(dim: int) -> pa.Schema:
    """Schema of a table of known people whose vectors have `dim` numbers: those of embeddings."""
    return pa.schema([*KNOWN, embeddings_schema(dim).field("embedding")])


def links_schema(k: int) -> pa.Schema:
    """Schema of a links table with `k` neighbours a face."""
    return pa.schema(
        [
            _field("face_id", pa.string(), "the face; rows are in order of face_id over all shards"),
            _field("neighbours", pa.list_(pa.int32(), k), "row numbers (over all shards) by falling similarity; -1 = none"),
            _field("similarity", pa.list_(pa.float32(), k), "cosine, -1 to 1; -2 if there is no neighbour"),
        ]
    )


def in_schema(schema: pa.Schema, table: pa.Table) -> pa.Table:
    """The columns of `schema` of a table; a nullable one that an older version did not write is null."""
    columns = [table[f.name] if f.name in table.column_names or not f.nullable else pa.nulls(table.num_rows, f.type) for f in schema]
    return pa.table(columns, schema=schema)


def table_of(schema: pa.Schema, columns: Mapping[str, Any]) -> pa.Table:
    """A table of `schema` from lists or arrays by name; 2-d arrays fill fixed-size lists; a nullable column that is missing is null."""
    arrays = []
    for field in schema:
        value = columns.get(field.name) if field.nullable else columns[field.name]
        if value is None:
            arrays.append(pa.nulls(len(next(iter(columns.values()))), field.type))
        elif pa.types.is_fixed_size_list(field.type):
            flat = pa.array(value.reshape(-1), type=field.type.value_type)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=field.type))
        else:
            arrays.append(pa.array(value, type=field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def table_of_rows(schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """A table of `schema` from rows; what is missing in one is null, and fixed-size lists may be arrays."""
    columns: dict[str, Any] = {name: [row.get(name) for row in rows] for name in schema.names}
    for field in schema:
        if pa.types.is_fixed_size_list(field.type):
            columns[field.name] = np.array(columns[field.name], np.float32).reshape(-1, field.type.list_size)
    return table_of(schema, columns)
