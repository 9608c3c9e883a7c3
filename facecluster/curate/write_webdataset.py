"""WebDataset: tar shards SPLIT-000000.tar with KEY.webp, KEY.cls (number of the person) and KEY.json for each face.

The bytes of a shard depend on nothing but its faces: no time, no user.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from functools import partial

from facecluster.curate.images import Sample, facts, picture, shards
from facecluster.curate.out import Out
from facecluster.curate.plan import Plan


def write(plan: Plan, out: Out, kind: str, size: int, tick: Callable[[int], None]) -> None:
    """Write shards of `size` faces into `webdataset/`. `kind` is that of the pictures."""
    for split, share in plan.config.shares:
        for i, _, part in shards(plan, split, size) if share else ():
            out.write(f"webdataset/{split}-{i:06d}.tar", partial(_shard, plan, part, kind))
            tick(len(part))


def _shard(plan: Plan, part: list[Sample], kind: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in part:
            about = json.dumps(facts(plan, sample), sort_keys=True).encode()
            for end, data in ((kind, picture(plan, sample, kind)), ("cls", str(sample.label).encode()), ("json", about)):
                info = tarfile.TarInfo(f"{sample.key}.{end}")
                info.size, info.mode = len(data), 0o644
                tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
