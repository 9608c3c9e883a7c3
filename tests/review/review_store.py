"""A grouped store of synthetic people with coloured crops and dated photos, for the tests of the review page."""

from __future__ import annotations

import colorsys
from datetime import datetime
from pathlib import Path

import numpy as np
from people_store import add, call, people, photo_id
from report import report_store as syn

from facecluster.store import Store

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
