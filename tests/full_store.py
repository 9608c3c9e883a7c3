"""A store of synthetic people with everything in it that commands write, and a search for bytes in every file and every column of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from people_store import add, call, other_card, people, photo_id
from PIL import Image

from facecluster.matching.index import open_index
from facecluster.people.known_names import Known, write_known
from facecluster.photos.fingerprint import fingerprint_photo, looks_stamp, looks_table
from facecluster.photos.images import encode_crop
from facecluster.store import FACES, FILES, PHOTOS, Store, embeddings_schema, table_of

SIZES = (7, 6, 5, 4)
NAMES = ("Ada Lovelace", "Bob Ärger", "Cy", "Dora")
BORN = ("1815-12-10", "1977-06-05")  # the first two
BOX = (300.0, 200.0, 150.0, 160.0)
WIDTH, HEIGHT = 1200, 900


@dataclass
class Full:
    """The store, its faces in order of their numbers, and the person of each."""

    store: Store
    ids: list[str]
    truth: np.ndarray
    vectors: dict[str, np.ndarray]  # by model, (n, dim) float16
    crops: list[bytes]
    card: str  # path of the second model's card
    elsewhere: Path  # folder of an export outside the store


def uri(i: int) -> str:
    return f"/photos/Größe {i}/img.jpg"


def noise(seed: int, width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def build(folder: Path) -> Full:
    """The store: two models, four runs, names, an ignored person, report, index, thumbnails, exports and a data set in it."""
    store = Store(str(folder / "store"))
    store.create()
    vectors, truth = people(SIZES, noise=0.5)
    n = len(truth)
    ids = add(store, "00000", vectors, photos=False)
    photos = [photo_id(i) for i in range(n)]
    crops = [encode_crop(np.asarray(noise(i, 112, 112))) for i in range(n)]
    facts = {
        "photo_id": photos, "uri": [uri(i) for i in range(n)], "size": [9 + i for i in range(n)], "mtime_ns": [5] * n,
        "format": ["JPEG"] * n, "width": [WIDTH] * n, "height": [HEIGHT] * n, "orientation": [1] * n, "faces": [1] * n,
        "content": photos, "picture": [p[:32] for p in photos], "phash": np.zeros(n, np.uint64),
        "label": [NAMES[t] for t in truth], **{name: [None] * n for name in ("turn", "taken_at", "error")},
    }  # fmt: skip
    store.write("photos", "00000", table_of(PHOTOS, facts), {"table": "photos"})
    none: dict[str, list[object]] = {name: [None] * n for name in ("known_photos", "known_pictures", "offset", "error")}
    planned = {k: facts[k] for k in ("uri", "size", "mtime_ns", "label")} | none | {"known": [[photos[0]]] * n, "known_faces": [[1]] * n}
    store.write("files", "00000", table_of(FILES, planned), {"table": "files"})
    boxes = np.tile(np.float32(BOX), (n, 1)) + np.arange(n, dtype=np.float32)[:, None] / 7
    faces = {
        "face_id": ids, "photo_id": photos, "box": boxes, "landmarks": np.random.default_rng(1).random((n, 10), np.float32),
        **{name: np.full(n, 0.9, np.float32) for name in ("score", "sharpness", "yaw", "quality")}, "crop": crops, "at_ms": [None] * n,
    }  # fmt: skip
    store.write("faces", "00000", table_of(FACES, faces), {"table": "faces"})
    looks = [fingerprint_photo(np.asarray(noise(100 + i, 160, 120))) | {"photo_id": photos[i]} for i in range(n)]
    store.write("dedup/looks", "00000", looks_table(looks), looks_stamp())
    other, card = people(SIZES, noise=0.5, seed=7)[0].astype(np.float16), other_card(folder)
    rows = {"face_id": ids, "embedding": other}
    store.write("embeddings/other", "00000", table_of(embeddings_schema(other.shape[1]), rows), {"table": "embeddings"})
    full = Full(store, ids, truth, {"bundled": vectors.astype(np.float16), "other": other}, crops, card, folder / "elsewhere")
    _use(full)
    return full


def _use(full: Full) -> None:
    """Run the commands, and leave what stopped commands leave."""
    store, first = full.store, [full.ids[int(np.flatnonzero(full.truth == t)[0])] for t in range(len(SIZES))]
    call("cluster", store.url, "--model", full.card)
    call("cluster", store.url)
    for face, name in zip(first, NAMES, strict=True):
        call("name", store.url, face, name)
    call("name", store.url, first[0], "Countess of Lovelace")
    call("name", store.url, first[0], NAMES[0])
    call("ignore", store.url, first[2])
    for face, day in zip(first, BORN, strict=False):
        call("born", store.url, face, day)
    call("same", store.url, full.ids[7], full.ids[8])
    pictures = Known([NAMES[0], NAMES[1]], [f"/pictures/{NAMES[0]}.jpg", "/pictures/b.jpg"], -full.vectors["bundled"][[0, -1]])
    write_known(store, "bundled", pictures, {"table": "known"})
    call("cluster", store.url, "--full")
    call("report", store.url)
    open_index(store, "bundled")
    call("export", store.url, "--format", "csv", "-o", f"{store.url}/tables")
    call("export", store.url, "--format", "sqlite", "-o", str(full.elsewhere))
    call("curate", store.url, "-o", f"{store.url}/dataset", "--format", "imagefolder", "--format", "csv")
    root = Path(store.url)
    (root / "faces" / "part-00000.parquet.0123abcd.tmp").write_bytes(full.crops[0])
    undo = ({"kind": "facecluster undo", "format": 1}, {"uri": uri(0), "to": "/x"}, {"uri": uri(9), "to": "/y"})
    lines = "".join(json.dumps(row) + "\n" for row in undo)
    (root / "dedup" / "undo-20260101-000000.jsonl").write_text(lines, encoding="utf-8")
    (root / "dedup" / "plan.csv").write_text(f"group,action,uri\n1,keep,{uri(0)}\n", encoding="utf-8")
    (root / "note of the user.txt").write_text(f"ask {NAMES[0]}", encoding="utf-16")


def contents(root: Path) -> Iterator[tuple[str, bytes]]:
    """The bytes of every file below a folder; of tables also those of each column and of the schema, decompressed."""
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        name, data = path.relative_to(root).as_posix(), path.read_bytes()
        yield name, data
        if path.suffix == ".parquet":
            yield from _columns(name, pq.read_table(path))
        elif path.suffix == ".arrow":
            yield from _columns(name, pa.ipc.open_file(pa.BufferReader(data)).read_all())


def _columns(name: str, table: pa.Table) -> Iterator[tuple[str, bytes]]:
    yield f"{name} schema", repr(table.schema.metadata).encode()
    for column, of in zip(table.columns, table.schema, strict=True):
        flat = column.combine_chunks()
        while pa.types.is_list(flat.type) or pa.types.is_fixed_size_list(flat.type):
            flat = flat.flatten()
        if pa.types.is_floating(flat.type):
            yield f"{name} {of.name}", flat.to_numpy(zero_copy_only=False).astype(np.float32).tobytes()
        elif pa.types.is_binary(flat.type) or pa.types.is_string(flat.type) or pa.types.is_large_string(flat.type):
            yield f"{name} {of.name}", b"\0".join(v if isinstance(v, bytes) else v.encode() for v in flat.to_pylist() if v is not None)


def forms(text: str) -> list[bytes]:
    """A text in the ways that files may hold it."""
    return [text.encode(), text.encode("utf-16-le"), json.dumps(text)[1:-1].encode()]


def needles_of(full: Full, faces: list[int]) -> dict[str, list[bytes]]:
    """What must not be found of faces, by what it is."""
    found: dict[str, list[bytes]] = {"face_id": [], "crop": [], "vector": [], "box": []}
    boxes = np.tile(np.float32(BOX), (len(full.ids), 1)) + np.arange(len(full.ids), dtype=np.float32)[:, None] / 7
    for i in faces:
        found["face_id"] += forms(full.ids[i])
        found["crop"] += [full.crops[i], base64.b64encode(full.crops[i]), full.crops[i][-200:-40]]  # a JPEG begins like any other
        found["box"].append(boxes[i].tobytes())
        for vectors in full.vectors.values():
            found["vector"] += [vectors[i].tobytes(), vectors[i].astype(np.float32).tobytes()]
    return found


def where(root: Path, needles: list[bytes]) -> list[str]:
    """Files and columns in which one of some bytes is."""
    return [name for name, data in contents(root) if any(needle in data for needle in needles)]
