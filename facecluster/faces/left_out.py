"""Leaves out of detection what the user had forgotten (photos/forgotten.py): whole photos, and faces of photos that stay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from facecluster.photos.fingerprint import cover_faces
from facecluster.photos.forgotten import Forgotten, add_marks
from facecluster.store import Store

T = TypeVar("T")


def without_forgotten(
    photos: Iterable[tuple[dict[str, Any], T]], forgotten: Forgotten, left_out: list[str], tick: Callable[[int], None] | None
) -> Iterator[tuple[dict[str, Any], T]]:
    """The rows of photos that were not forgotten, with what belongs to each; the uris of the others are added to `left_out`."""
    for row, photo in photos:
        if forgotten.has_photo(row["content"], row["picture"]):
            left_out.append(row["uri"])
            if tick:
                tick(1)
        else:
            yield row, photo


def drop_files(store: Store, shard: str, uris: Sequence[str], forgotten: Forgotten) -> None:
    """Take files that are forgotten photos out of a shard of `files`, and mark their places, so that they are not looked at again."""
    if not uris:
        return
    files = store.read("files", shard)
    dropped = pc.is_in(files["uri"], value_set=pa.array(uris, pa.string()))
    gone = files.filter(dropped)
    places = zip(*(gone[name].to_pylist() for name in ("uri", "size", "mtime_ns")), strict=True)
    add_marks(store, forgotten.salt, [forgotten.of_place(*place) for place in places], f"seen-{shard}")
    store.write("files", shard, files.filter(pc.invert(dropped)), store.stamp("files", shard) or {})


def without_forgotten_faces(faces: list[dict[str, Any]], photo: dict[str, Any], forgotten: Forgotten) -> list[dict[str, Any]]:
    """The faces of a photo that were not forgotten; the others are painted over in its thumbnail."""
    kept = forgotten.kept(faces, photo["photo_id"], photo["picture"])
    boxes = [face["box"] for face, is_kept in zip(faces, kept, strict=True) if not is_kept]
    if boxes and photo.get("look"):
        photo["look"] |= {"thumb": cover_faces(photo["look"]["thumb"], boxes, photo["width"], photo["height"])}
    return [face for face, is_kept in zip(faces, kept, strict=True) if is_kept]
