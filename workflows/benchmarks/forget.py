"""Measure how long forgetting a person takes, in a store of 5,000 faces with report, index, runs, thumbnails and exports in it.

    python workflows/benchmarks/forget.py --work FOLDER -o results/forget.json

The folder gets tiny photos and a store that knows them: its rows, crops and vectors are generated. The person with most faces gets a name.
Measured are wall and processor seconds of `facecluster forget`, as a dry run and done, then of the `cluster` that follows, each in a
process of its own, starting up included; and the files in which a name, a face_id, a crop or a vector of the person is, before and after,
every column of every table read.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from rerun import make_photos, make_store, measure

import facecluster
from facecluster.matching.index import open_index
from facecluster.photos.fingerprint import fingerprint_photo, looks_stamp, looks_table
from facecluster.store import Store

NAME = "Ada Lovelace"


def add_thumbnails(store: Store) -> None:
    """Thumbnails, and crops that are all different."""
    rng = np.random.default_rng(2)
    look = fingerprint_photo(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8))
    for shard in store.shards("faces"):
        faces = store.read("faces", shard)
        looks = [look | {"photo_id": photo} for photo in faces["photo_id"].to_pylist()]
        store.write("dedup/looks", shard, looks_table(looks), looks_stamp())
        crops = []
        for _ in range(len(faces)):
            out = io.BytesIO()
            Image.fromarray(rng.integers(0, 255, (112, 112, 3), dtype=np.uint8)).save(out, "WEBP")
            crops.append(out.getvalue())
        at = faces.column_names.index("crop")
        faces = faces.set_column(at, faces.schema.field(at), pa.array(crops, pa.binary()))
        store.write("faces", shard, faces, store.stamp("faces", shard) or {})


def places(root: Path, needles: list[bytes]) -> list[str]:
    """Files in which one of some bytes is, as they lie there or in a column of a table."""
    found = []
    for path in (p for p in sorted(root.rglob("*")) if p.is_file()):
        parts = [path.read_bytes()]
        for column in pq.read_table(path).columns if path.suffix == ".parquet" else ():
            flat = column.combine_chunks()
            while pa.types.is_list(flat.type) or pa.types.is_fixed_size_list(flat.type):
                flat = flat.flatten()
            parts += [bytes(buffer) for buffer in flat.buffers() if buffer is not None]
        if any(needle in part for part in parts for needle in needles):
            found.append(path.relative_to(root).as_posix())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="a new folder for the photos and the store")
    parser.add_argument("--faces", type=int, default=5_000)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    photos, store = options.work / "photos", Store(str(options.work / "store"))
    tool = [sys.executable, "-c", "from facecluster.cli import main; main()"]
    options.work.mkdir(parents=True)
    store.create()
    make_store(store, make_photos(photos, options.faces))
    add_thumbnails(store)
    measure([*tool, "cluster", store.url])
    person = max(facecluster.open(store.url), key=lambda p: len(p.faces))
    measure([*tool, "name", store.url, person.id, NAME])
    measure([*tool, "run", str(photos), "-o", store.url])
    measure([*tool, "cluster", store.url, "--full"])
    measure([*tool, "export", store.url, "--format", "csv", "-o", f"{store.url}/tables"])
    measure([*tool, "export", store.url, "--format", "csv", "-o", str(options.work / "elsewhere")])
    open_index(store, "bundled")
    ids, vectors = facecluster.open(store.url).vectors()
    mine = {face.id for face in facecluster.open(store.url).person(NAME).faces}
    needles = [NAME.encode(), *(face.encode() for face in sorted(mine)[:20])]
    needles += [vectors[i].astype(np.float16).tobytes() for i in np.flatnonzero(np.isin(ids, sorted(mine)[:20])).tolist()]
    for shard in store.shards("faces"):
        rows = store.read("faces", shard, ["face_id", "crop"]).to_pylist()
        needles += [row["crop"] for row in rows if row["face_id"] in sorted(mine)[:20]]
    before = places(Path(store.url), needles)
    times = {
        "forget, dry run": measure([*tool, "forget", store.url, NAME]),
        "forget": measure([*tool, "forget", store.url, NAME, "--yes"]),
    }
    after = places(Path(store.url), needles)
    times["cluster after it"] = measure([*tool, "cluster", store.url])
    result = {
        "faces": options.faces, "faces of the person": len(mine), "times": times,
        "files with it": {"before": len(before), "after": len(after), "after cluster": len(places(Path(store.url), needles))},
        "machine": {"python": platform.python_version(), "cores used": len(os.sched_getaffinity(0))},
    }  # fmt: skip
    print(json.dumps(result, indent=1))  # noqa: T201
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
