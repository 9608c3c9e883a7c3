"""The command line with small shards, so that few photos make many: run as a program by the tests of whole runs."""

from __future__ import annotations

import functools
import importlib
from typing import Any

PHOTOS = 3  # a shard
FACES = 16  # a shard of links


def use(patch: Any = setattr, photos: int = PHOTOS) -> None:
    """Make shards small in this process, of so many photos; `patch` sets an attribute."""
    link, pipeline = importlib.import_module("facecluster.grouping.link"), importlib.import_module("facecluster.pipeline")
    assert link.ROWS > FACES
    patch(link, "ROWS", FACES)
    patch(pipeline, "embed_photos", functools.partial(pipeline.embed_photos, shard_size=photos))


if __name__ == "__main__":
    use()
    importlib.import_module("facecluster.cli").main()
