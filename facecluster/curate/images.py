"""The pictures of faces as they go into a data set, and names of folders for people.

Odd inputs: a stored crop that can't be decoded raises StoreError; names that no filesystem takes are changed, and stay different.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from facecluster.curate.manifest import order
from facecluster.curate.plan import Plan
from facecluster.errors import StoreError
from facecluster.photos.images import decode_crop

KINDS = ("webp", "jpg", "png")  # webp: the stored bytes as they are
_BAD = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')


@dataclass(frozen=True, slots=True)
class Sample:
    """A face that is in the data set."""

    row: int  # of the source
    key: str  # its face_id
    person: str
    label: int  # number of the person, 0, 1, ... over all splits
    split: str


def samples(plan: Plan, split: str) -> list[Sample]:
    """The faces of a split in the order in which they are written."""
    number = {name: i for i, name in enumerate(plan.classes)}
    names, ids = plan.source.names, plan.source.face_ids
    people = {row: names[int(plan.person[row])] for row in plan.inside.tolist()}
    return [Sample(row, ids[row], people[row], number[people[row]], split) for row in order(plan, split)]


def shards(plan: Plan, split: str, size: int) -> Iterator[tuple[int, int, list[Sample]]]:
    """Number of a shard, number of shards, and the samples of it; no shard for a split without faces."""
    all_of = samples(plan, split)
    count = (len(all_of) + size - 1) // size
    for i in range(count):
        yield i, count, all_of[i * size : (i + 1) * size]


def picture(plan: Plan, sample: Sample, kind: str) -> bytes:
    """The aligned face, 112x112 RGB, as a file of `kind` (KINDS)."""
    data = plan.source.crops[sample.row]
    if kind == "webp":
        return data
    out = io.BytesIO()
    try:
        image = Image.fromarray(decode_crop(data))
    except (OSError, ValueError) as e:
        raise StoreError(f"expected a sound crop of face {sample.key}, found: {e}. Delete its shard of faces and embed again") from e
    image.save(out, "JPEG", quality=95, subsampling=0) if kind == "jpg" else image.save(out, "PNG")
    return out.getvalue()


def facts(plan: Plan, sample: Sample) -> dict[str, Any]:
    """What is known of a face, for the tables beside its picture."""
    source = plan.source
    numbers = {name: round(float(values[sample.row]), 4) for name, values in source.numbers.items()}
    return {
        "face_id": sample.key, "person": sample.person, "label": sample.label, "photo_id": source.photo_ids[sample.row],
        "uri": source.uris[sample.row].encode("utf-8", "replace").decode(),
        "box": [round(v, 1) for v in source.box[sample.row].tolist()], **numbers,
    }  # fmt: skip


def folder_names(people: Sequence[str]) -> list[str]:
    """A name of a folder for each person, all different, also where small and capital letters are one."""
    taken: set[str] = set()
    out = []
    for person in people:
        plain = _BAD.sub("_", person).strip(" .").encode()[:100].decode("utf-8", "ignore") or "_"
        name, i = plain, 1
        while name.casefold() in taken:
            i += 1
            name = f"{plain}~{i}"
        taken.add(name.casefold())
        out.append(name)
    return out
