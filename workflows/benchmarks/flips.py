"""One changed bit in a shard: how often it is found, by `check` and by a command that reads some columns; and what digests cost.

    python workflows/benchmarks/flips.py --store STORE --flips 2400 -o results/flips.json

STORE is copied first. Bits are drawn over all shards: each shard gets as many, wherever they are in it. Reading some columns is harmless if
their values are those from before. The cost is processor time of writing and reading all shards of the store with digests, over that
without, in turns.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from facecluster.check.shards import check_shards, tables
from facecluster.errors import StoreError
from facecluster.store import Store
from facecluster.store.digest import read_parquet, sealed_parquet


def flip_bits(store: Store, flips: int) -> dict[str, int]:
    """Flip one bit at a time, look, and put it back."""
    rng, counts = random.Random(1), Counter[str]()
    every = [(table, shard) for table, shards in tables(store).items() for shard in shards]
    for i in range(flips):
        table, shard = every[i % len(every)]
        path = Path(store.shard_path(table, shard))
        whole = path.read_bytes()
        names = store.read(table, shard).column_names
        columns = rng.sample(names, rng.randint(1, len(names)))
        before = store.read(table, shard, columns)
        bit = rng.randrange(8 * len(whole))
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        found = list(check_shards(store, {table: [shard]}, lambda done, total: None))
        counts["found by check" if found and found[0].serious else "NOT found by check"] += 1
        try:
            counts["read: harmless" if store.read(table, shard, columns).equals(before) else "read: ANOTHER VALUE"] += 1
        except StoreError:
            counts["read: found"] += 1
        path.write_bytes(whole)
    return dict(counts)


def plain(table: pa.Table) -> bytes:
    words = [f.name for f in table.schema if not pa.types.is_nested(f.type)]
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", use_dictionary=words)
    return buffer.getvalue()


def cost(store: Store, turns: int = 5) -> dict[str, float]:
    """Processor time with digests over that without, of writing and reading; the least of the turns counts."""
    data = [store.read(table, shard) for table, shards in tables(store).items() for shard in shards]
    least: dict[str, float] = {}
    for _ in range(turns):
        for name, write in (("plain", plain), ("sealed", sealed_parquet)):
            start = time.process_time()
            files = [write(table) for table in data]
            written = time.process_time()
            for file in files:
                if name == "plain":
                    pq.ParquetFile(io.BytesIO(file), pre_buffer=False).read(use_threads=False)
                else:
                    read_parquet(io.BytesIO(file))
            read = time.process_time()
            for key, value in ((f"write {name}", written - start), (f"read {name}", read - written)):
                least[key] = min(least.get(key, value), value)
    megabytes = sum(len(file) for file in files) / 1e6
    ratios = {what: round(least[f"{what} sealed"] / least[f"{what} plain"], 3) for what in ("write", "read")}
    ratios = {f"{what}, with digests over without": ratio for what, ratio in ratios.items()}
    more = 1000 * (least["write sealed"] + least["read sealed"] - least["write plain"] - least["read plain"])
    return {"megabytes": round(megabytes, 1), **ratios, "more processor time, ms a megabyte written and read": round(more / megabytes, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--flips", type=int, default=2400)
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(str(shutil.copytree(args.store, Path(folder) / "store")))
        shards = sum(map(len, tables(store).values()))
        result = {"shards": shards, "flips": args.flips, **flip_bits(store, args.flips), **cost(store)}
        result["busy with other work"] = round(os.getloadavg()[0], 1)
    print(json.dumps(result))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
