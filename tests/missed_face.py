"""A grouped store of photos of synthetic people on disk, in one of which the detector missed a face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from people_store import call

from facecluster.demo import make_collection
from facecluster.store import FACES, Store, in_schema


@dataclass
class Missed:
    """A store, and the face that was taken out of its tables as if it had been missed."""

    store: Store
    photos: Path
    face: str  # the face_id that it had
    box: np.ndarray  # (4,) px
    landmarks: np.ndarray  # (5, 2) px
    photo: str  # photo_id
    uri: str
    width: int
    height: int
    turn: int
    mates: list[str]  # other faces of the same person

    def shares(self, box: np.ndarray) -> list[float]:
        """A box in px as shares of the photo as it is shown."""
        x, y, w, h = (box / [self.width, self.height, self.width, self.height]).tolist()
        for _ in range(self.turn // 90):
            x, y, w, h = 1 - y - h, x, h, w
        return [x, y, w, h]


def missed_face(folder: Path) -> Missed:
    """Six people, and a face of one of them missed in a photo with two others or more."""
    truth = make_collection(str(folder / "made"), people=6, photos=3)
    store = Store(str(folder / "store"))
    call("run", str(truth.photos), "-o", store.url)
    faces = in_schema(FACES, store.read_all("faces", FACES)).to_pylist()
    photos = {row["photo_id"]: row for row in store.read("photos", "00000").to_pylist() if row["error"] is None}
    run = store.read_all("runs/00001/identities", pa.schema([("face_id", pa.string()), ("identity", pa.int32())])).to_pylist()
    group = {row["face_id"]: row["identity"] for row in run}
    count = {p: [f for f in faces if f["photo_id"] == p] for p in photos}
    several = [f for f in faces if len(count[f["photo_id"]]) > 2 and group[f["face_id"]] >= 0]
    row = max(several, key=lambda f: f["box"][2])
    for table in ("faces", "embeddings/bundled"):
        data = store.read(table, "00000")
        store.write(table, "00000", data.filter(pc.not_equal(data["face_id"], row["face_id"])), store.stamp(table, "00000") or {})
    call("cluster", store.url, "--full")
    photo = photos[row["photo_id"]]
    mates = [f for f, g in group.items() if g == group[row["face_id"]] and f != row["face_id"]]
    return Missed(
        store, Path(truth.photos), row["face_id"], np.array(row["box"]), np.array(row["landmarks"]).reshape(5, 2), row["photo_id"],
        photo["uri"], photo["width"], photo["height"], photo["turn"] or 0, mates,
    )  # fmt: skip
