"""WebDataset: tar shards SPLIT-000000.tar with KEY.jpg, KEY.cls (number of the person) and KEY.json for each face.

The bytes of a shard depend only on its faces, not on time or user.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from functools import partial

from facecluster.curate.output_folder import OutputFolder
from facecluster.curate.plan import Plan
from facecluster.curate.samples import Sample, encode_crop, metadata, shards


def write(plan: Plan, out: OutputFolder, image_format: str, shard_size: int, tick: Callable[[int], None]) -> None:
    """Write shards of `shard_size` faces into `webdataset/`, with images in `image_format`."""
    for split, share in plan.config.shares:
        for i, _, part in shards(plan, split, shard_size) if share else ():
            out.write(f"webdataset/{split}-{i:06d}.tar", partial(_shard, plan, part, image_format))
            tick(len(part))


def _shard(plan: Plan, part: list[Sample], image_format: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in part:
            about = json.dumps(metadata(plan, sample), sort_keys=True).encode()
            image = encode_crop(plan, sample, image_format)
            for end, data in ((image_format, image), ("cls", str(sample.label).encode()), ("json", about)):
                info = tarfile.TarInfo(f"{sample.key}.{end}")
                info.size, info.mode = len(data), 0o644
                tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
