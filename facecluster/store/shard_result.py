"""What a stage says of a shard that it has done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardResult:
    """The result of a stage for one shard: small counts, cheap to send between processes."""

    stage: str
    shard: str
    photos: int = 0
    faces: int = 0
    failed: int = 0  # photos
    skipped: bool = False  # the shard was already done
