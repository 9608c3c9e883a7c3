"""Photos whose file could not be read when it was looked at: a network or a disk may be back by now.

Only shards whose statistics of the column `error` allow such rows are read; of an encrypted store all, as its statistics are not open.
Members of archives and addresses of the web are left out: `--retry-failed` is for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facecluster.photos.archives.uris import file_of
from facecluster.photos.files import NOT_READ, was_not_read
from facecluster.store import Store


def shards_not_read(store: Store, shards: Sequence[str]) -> dict[str, list[str]]:
    """The places in some shards of `photos` whose files could not be read; shards without any are left out."""
    with ThreadPoolExecutor(16) as pool:  # one request each; on object stores most of the time is waiting
        apply = map if store.is_local else pool.map
        found = dict(zip(shards, apply(lambda shard: _places(store, shard), shards), strict=True))
    return {shard: uris for shard, uris in found.items() if uris}


def _places(store: Store, shard: str) -> list[str]:
    if not _may_have_some(store, shard):
        return []
    rows = store.read("photos", shard, ["uri", "error"])
    failed = rows.filter(pc.is_valid(rows["error"])).to_pylist()
    return [row["uri"] for row in failed if was_not_read(row["error"]) and _is_plain(row["uri"])]


def _is_plain(uri: str) -> bool:
    return file_of(uri) == uri and not uri.startswith(("http://", "https://"))


def _may_have_some(store: Store, shard: str) -> bool:
    """Whether the least and the largest error of a shard allow one of a file that could not be read."""
    if store.cipher is not None:
        return True
    try:
        with store.fs.open(store.shard_path("photos", shard), "rb") as f:
            found = pq.read_metadata(f)
    except (*store.io_errors, pa.ArrowException):
        return True  # reading it says what is wrong
    at = found.schema.names.index("error") if "error" in found.schema.names else -1
    columns = [found.row_group(i).column(at) for i in range(found.num_row_groups)] if at >= 0 else []
    known = [c.statistics for c in columns]
    if any(s is None or not (s.has_min_max or s.null_count == c.num_values) for s, c in zip(known, columns, strict=True)):
        return True
    ranges = [(s.min, s.max) for s in known if s.has_min_max]
    return any(low < word + "\U0010ffff" and high >= word for low, high in ranges for word in NOT_READ)
