"""Makes the rows of drawn faces: when one is drawn, and again when the tables were made anew.

A face that a detector sees by now where one was drawn is not made again: what was said of the drawn one holds for it by its box
(`face_ids`).

Odd inputs: a drawn face whose photo is gone, can't be read, or was forgotten is not made; it is said why.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facecluster.decisions import read
from facecluster.errors import FaceclusterError, InputError
from facecluster.faces.detect import DetectConfig
from facecluster.faces.draw import face_in_box
from facecluster.faces.embed import EmbedConfig, embed_faces, embed_shard
from facecluster.language.said import say
from facecluster.people.drawn_faces import changes_to_drawn, is_seen
from facecluster.photos.drawn import DRAWN, drawn_without_vectors, drop_drawn, write_drawn
from facecluster.photos.followed import PHOTO_CHARS
from facecluster.photos.forgotten import read_forgotten
from facecluster.photos.images import decode_crop
from facecluster.photos.places import places_by_photo, where_it_is
from facecluster.photos.video import is_video_name
from facecluster.store import FACES, Stamp, Store, embeddings_schema, table_of, table_of_rows

PLACE_COLUMNS = ["orientation", "turn", "width", "height", "taken_at", "picture"]


@dataclass(slots=True)
class Updated:
    """What `update_drawn` did: face_ids, and notes for the user."""

    made: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # face_id -> why it can't be made


def update_drawn(
    store: Store, detect: DetectConfig, embed: EmbedConfig, *, device: str = "auto", but: Collection[str] = ()
) -> Updated:  # fmt: skip
    """Make the drawn faces that have no row, with their vectors, and take out what was undone. The caller holds the store's lock.

    Args:
        store: to change.
        detect: the detector that looks for landmarks.
        embed: the model of the vectors.
        device: where they run.
        but: face_ids that are not tried again.
    """
    missing, undone = changes_to_drawn(store, read(store).decisions)
    drop_drawn(store, undone)
    embed_drawn(store, embed, device=device)
    done = Updated(dropped=undone)
    wanted = {face: box for face, box in missing.items() if face not in but}
    if not wanted:
        return done
    places = places_by_photo(store, PLACE_COLUMNS)
    seen = boxes_of_photos(store, {face[:PHOTO_CHARS] for face in wanted})
    rows = []
    for face, box in wanted.items():
        numbers = places.ids.starting_with(face[:PHOTO_CHARS])
        if not len(numbers) or is_seen(box, seen.get(face[:PHOTO_CHARS], {}).values()):
            done.left_out[face] = "" if len(numbers) else "its photo is not in the store any more"
            continue
        photo_id = places.ids[numbers[0]]
        try:
            rows.append(look(store, photo_id, places[photo_id], box, face, detect, device) | {"box": box})
            seen.setdefault(face[:PHOTO_CHARS], {})[face] = [*box]  # drawn twice before the first had a row, it is one face
        except FaceclusterError as e:
            done.left_out[face] = str(e)
    if rows:
        save_drawn(store, rows, *with_vectors(rows, embed, device))
    done.made = [row["face_id"] for row in rows]
    return done


def embed_drawn(store: Store, embed: EmbedConfig, *, device: str = "auto") -> None:
    """Make the vectors of drawn faces that have none, as when writing them was stopped half way. The caller holds the store's lock."""
    for shard in drawn_without_vectors(store, embed.table()):
        embed_shard(shard, store=store, config=embed, device=device)


def look(
    store: Store, photo_id: str, places: list[dict[str, Any]], box: Sequence[float], face: str, detect: DetectConfig, device: str
) -> dict[str, Any]:  # fmt: skip
    """The row of a drawn face, from the first of its photo's places that can be read.

    Raises:
        PhotoError: none can.
        InputError: the box is too small, the photo is a video, or the face was forgotten.
    """
    error: FaceclusterError = InputError(say("expected a photo, found a video, of which faces can't be drawn: leave it out"))
    for place in where_it_is(places):
        if is_video_name(place["uri"]) or place["uri"].startswith(("http://", "https://")):  # this machine asks nobody
            continue
        try:
            row = face_in_box({**place, "photo_id": photo_id}, box, face, detect, device=device)
        except FaceclusterError as e:
            error = e
            continue
        if not all(read_forgotten(store).kept([{**row, "at_ms": None}], photo_id, place["picture"])):
            raise InputError(say("expected a face, found one that was forgotten with 'facecluster forget': it is not taken in again"))
        return row
    raise error


def boxes_of_photos(store: Store, starts: Collection[str]) -> dict[str, dict[str, list[float]]]:
    """The boxes of the faces of photos whose ids begin with one of `starts`: by that, and then by face_id."""
    found: dict[str, dict[str, list[float]]] = {}
    wanted = pa.array(sorted(starts), pa.string())
    for shard in store.shards("faces"):
        part = store.read("faces", shard, ["face_id", "box"])
        part = part.filter(pc.is_in(pc.utf8_slice_codeunits(part["face_id"], 0, PHOTO_CHARS), value_set=wanted))
        for face, box in zip(part["face_id"].to_pylist(), part["box"].to_pylist(), strict=True):
            found.setdefault(face[:PHOTO_CHARS], {})[face] = box
    return found


def with_vectors(rows: Sequence[Mapping[str, Any]], embed: EmbedConfig, device: str = "auto") -> tuple[str, pa.Table, Stamp]:
    """The name of a model's table, its rows for some rows of `faces`, and its stamp."""
    crops = np.stack([decode_crop(row["crop"]) for row in rows])
    vectors = embed_faces(crops, embed, device=device).astype(np.float16)
    columns = {"face_id": [row["face_id"] for row in rows], "embedding": vectors}
    return embed.table(), table_of(embeddings_schema(vectors.shape[1]), columns), embed.stamp()


def embedding_of(store: Store, model: str) -> EmbedConfig:
    """The settings by which the vectors of a model in a store were made."""
    table = f"embeddings/{model}"
    stamp = next((found for s in store.shards(table) if (found := store.stamp(table, s))), {})
    return EmbedConfig(model=model, mirror=stamp.get("mirror", True))


def save_drawn(store: Store, rows: Sequence[dict[str, Any]], table: str, vectors: pa.Table, stamp: Stamp) -> None:
    """Write rows of drawn faces, and their vectors as `with_vectors` gives them. The caller holds the store's lock."""
    write_drawn(store, table_of_rows(FACES, [*rows]), {table: (vectors, stamp)}, {"table": "faces", "origin": DRAWN})
