"""A grouped store of synthetic people with coloured crops and dated photos, for the tests of the review page."""

from __future__ import annotations

import colorsys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from people_store import add, call, people, photo_id
from PIL import Image
from report import report_store as syn

from facecluster.people import People, current_run, read_people
from facecluster.people.runs import read_faces, write_run
from facecluster.store import IDENTITIES, PHOTOS, Store, table_of

NASTY = "<img src=x onerror=alert(1)>"


def grouped(
    folder: Path, sizes: tuple[int, ...] = (12, 9, 7, 5, 4), noise: float = 0.8, singles: int = 3
) -> tuple[Store, list[str], np.ndarray]:
    """A store with people of these sizes and single faces, after `cluster`; its face_ids, and the person of each.

    Photos of person i were taken in 2010 + i; their crops have one colour each.
    """
    store = Store(str(folder / "store"))
    store.create()
    vectors, truth = people((*sizes, *[1] * singles), noise)
    ids = add(store, "00000", vectors, photos=False)
    photos = [photo_id(i) for i in range(len(ids))]
    rows = [(p, f"/photos/{NASTY if i == 0 else i}.jpg", datetime(2010 + min(int(t), 15), 5, 1), None)
            for i, (p, t) in enumerate(zip(photos, truth, strict=True))]  # fmt: skip
    syn.write_photos(store, "00000", rows)
    colours = [colorsys.hsv_to_rgb((0.17 * t) % 1, 0.7, 0.8) for t in truth]
    crops = [syn.crop((int(r * 255), int(g * 255), int(b * 255))) for r, g, b in colours]
    half = len(ids) // 2
    for shard, part in (("00000", slice(0, half)), ("00001", slice(half, None))):
        syn.write_faces(store, shard, list(zip(ids[part], photos[part], strict=True)), crops[part])
    call("cluster", store.url)
    return store, ids, truth


def divided(store: Store) -> tuple[list[str], str]:
    """A new run that a grouping could have made: faces of the largest person are two groups, and one is nobody. Gives the face_ids of the
    smaller group, and the single face."""
    run = current_run(store)
    assert run is not None
    faces, people = read_faces(store, run), read_people(store, run)
    rows = np.flatnonzero(faces.identity == 0)
    identity = faces.identity.copy()
    identity[rows[:4]], identity[rows[4]] = len(people.faces), -1
    counts = [*np.bincount(identity[identity >= 0])]
    table = table_of(IDENTITIES, {"face_id": list(faces.ids), "identity": identity.astype(np.int32),
                                  "probability": faces.probability.astype(np.float32),
                                  "outlier_score": np.zeros(len(identity), np.float32)})  # fmt: skip
    new = People([*people.person_ids, "p-0000abcd"], [*people.names, None], counts, [False] * len(counts))
    write_run(store, replace(run, number=run.number + 1), table, faces.boxes, new, {"table": "identities"})
    return [faces.ids[row] for row in rows[:4]], faces.ids[rows[4]]


def real_photo(store: Store, face: str, path: Path, turn: int = 0) -> None:
    """Put a file in the place of a face's photo: 400 x 300 px, red where the face is, turned by its EXIF."""
    upright = Image.new("RGB", (400, 300), "white")
    upright.paste((255, 0, 0), (50, 60, 150, 180))  # the box of every face of report_store
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)
    rows = store.read("photos", "00000").to_pylist()
    row = next(row for row in rows if row["photo_id"].startswith(face[:24]))
    row |= {"uri": str(path), "orientation": 6, "turn": turn}
    store.write("photos", "00000", pa.Table.from_pylist(rows, PHOTOS), {"stage": "collect"})
