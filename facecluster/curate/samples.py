"""The faces of a split in the order in which they are written, their images and metadata.

Odd inputs: a stored crop that can't be decoded raises StoreError.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image

from facecluster.curate.manifest import write_order
from facecluster.curate.plan import Plan
from facecluster.errors import StoreError
from facecluster.photos.images import decode_crop
from facecluster.photos.picture_type import mime_type

IMAGE_FORMATS = ("jpg", "webp", "png")
_STORED = {"jpg": "image/jpeg", "webp": "image/webp"}  # a stored crop of this type is in the format already
_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpg": ("JPEG", {"quality": 95, "subsampling": 0}), "webp": ("WEBP", {"quality": 95}), "png": ("PNG", {})
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """A face of the data set."""

    row: int  # in the source
    key: str  # face_id
    person: str
    label: int  # number of the person, 0, 1, ... over all splits
    split: str


def samples(plan: Plan, split: str) -> list[Sample]:
    """The faces of a split in the order in which they are written."""
    number = {name: i for i, name in enumerate(plan.classes)}
    names, ids = plan.source.names, plan.source.face_ids
    people = {row: names[int(plan.person[row])] for row in plan.included.tolist()}
    return [Sample(row, ids[row], people[row], number[people[row]], split) for row in write_order(plan, split)]


def shards(plan: Plan, split: str, size: int) -> Iterator[tuple[int, int, list[Sample]]]:
    """The shards of a split, each as its number, the number of shards and its samples; none for a split without faces."""
    found = samples(plan, split)
    count = (len(found) + size - 1) // size
    for i in range(count):
        yield i, count, found[i * size : (i + 1) * size]


def encode_crop(plan: Plan, sample: Sample, image_format: str) -> bytes:
    """The aligned face, 112x112 RGB, as the bytes of an image file in one of IMAGE_FORMATS: the stored ones, if they are that."""
    data = plan.source.crops[sample.row]
    if image_format in _STORED and mime_type(data) == _STORED[image_format]:
        return data
    out = io.BytesIO()
    try:
        image = Image.fromarray(decode_crop(data))
    except StoreError as e:
        raise StoreError(f"expected a sound crop of face {sample.key}, found: {e}. Delete its shard of faces and embed again") from e
    kind, options = _OPTIONS[image_format]
    image.save(out, kind, **options)
    return out.getvalue()


def metadata(plan: Plan, sample: Sample) -> dict[str, Any]:
    """The metadata of a face, for the tables beside its image."""
    source = plan.source
    measures = {name: round(float(values[sample.row]), 4) for name, values in source.measures.items()}
    return {
        "face_id": sample.key, "person": sample.person, "label": sample.label, "photo_id": source.photo_ids[sample.row],
        "uri": source.uris[sample.row].encode("utf-8", "replace").decode(),
        "box": [round(v, 1) for v in source.box[sample.row].tolist()], **measures,
    }  # fmt: skip
