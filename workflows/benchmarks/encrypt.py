"""What encryption of a store costs: `run`, `cluster` and the shards alone, encrypted over plain, in turns in one run.

    OMP_NUM_THREADS=1 python workflows/benchmarks/encrypt.py --work FOLDER -o results/encrypt.json

`run` gets photos of drawn people and makes a new store each time, report left out on both sides (`embed`, then `cluster`). `cluster --full`
works on a store of tiny photos whose vectors and crops are generated, as rerun.py makes it; each is a process of its own, starting up
included. Shards are all those of that store, written and read in memory. Processor seconds count, the least of the rounds on each side.
Needs the extra `encrypt`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
from rerun import make_photos, make_store, measure

from facecluster.check.shards import tables
from facecluster.demo import make_collection
from facecluster.store import Store
from facecluster.store.digest import read_parquet, sealed_parquet
from facecluster.store.keys import FILE_VARIABLE, make_key

TOOL = [sys.executable, "-c", "from facecluster.cli import main; main()"]


def least(rounds: int, sides: dict[str, Callable[[], float]]) -> dict[str, Any]:
    """Processor seconds of both sides, in turns, and their ratio."""
    found: dict[str, float] = {}
    for _ in range(rounds):
        for name, side in sides.items():
            found[name] = min(found.get(name, float("inf")), side())
    seconds = {f"{name}, processor s": round(value, 3) for name, value in found.items()}
    return {**seconds, "ratio": round(found["encrypted"] / found["plain"], 3)}


def command(*words: str) -> float:
    return measure([*TOOL, *words])["processor s"]


def whole_runs(work: Path, rounds: int) -> dict[str, Any]:
    """New stores of drawn photos."""
    photos = make_collection(str(work / "drawn"), people=12, photos=6).photos

    def side(*options: str) -> float:
        shutil.rmtree(work / "new", ignore_errors=True)
        store = str(work / "new")
        return command("embed", str(photos), "-o", store, *options) + command("cluster", store)

    return least(rounds, {"plain": side, "encrypted": lambda: side("--encrypt")})


def groupings(plain: Store, sealed: Store, rounds: int) -> dict[str, Any]:
    """All faces grouped from the start."""

    def side(store: Store) -> float:
        shutil.rmtree(store.path("links"), ignore_errors=True)
        return command("cluster", store.url, "--full")

    return least(rounds, {"plain": lambda: side(plain), "encrypted": lambda: side(sealed)})


def shards(plain: Store, sealed: Store, rounds: int) -> dict[str, Any]:
    """Writing and reading all shards in memory, with digests on the one side and encrypted on the other."""
    rows = [plain.read(table, shard) for table, names in tables(plain).items() for shard in names]
    cipher = sealed.cipher
    assert cipher is not None
    ways: dict[str, tuple[Callable[[pa.Table], bytes], Callable[[Any], pa.Table]]] = {
        "plain": (sealed_parquet, read_parquet), "encrypted": (cipher.sealed_parquet, cipher.read_parquet),
    }  # fmt: skip
    files = {name: [write(table) for table in rows] for name, (write, _) in ways.items()}

    def timed(work: Callable[[], Any]) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    def writing(name: str) -> float:
        return timed(lambda: [ways[name][0](table) for table in rows])

    def reading(name: str) -> float:
        return timed(lambda: [ways[name][1](io.BytesIO(data)) for data in files[name]])

    found = {"megabytes": round(sum(map(len, files["plain"])) / 1e6, 1), "number": len(rows)}
    for what, way in (("writing", writing), ("reading", reading)):
        found[what] = least(rounds, {name: lambda way=way, name=name: way(name) for name in ways})  # type: ignore[misc]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="a new folder")
    parser.add_argument("--faces", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True)
    make_key(str(options.work / "key"))
    os.environ[FILE_VARIABLE] = str(options.work / "key")
    plain, sealed = Store(str(options.work / "plain")), Store(str(options.work / "sealed"))
    plain.create()
    make_store(plain, make_photos(options.work / "photos", options.faces))
    command("cluster", plain.url)
    shutil.copytree(plain.root, sealed.root)
    took = measure([*TOOL, "encrypt", sealed.url])
    result = {
        "drawn photos, embed and cluster": whole_runs(options.work, options.rounds),
        f"cluster --full, {options.faces:,} faces": groupings(plain, sealed, options.rounds),
        "shards of that store": shards(plain, sealed, options.rounds),
        "encrypting that store": took,
        "machine": {"python": platform.python_version(), "pyarrow": version("pyarrow"), "cryptography": version("cryptography"),
                    "cores used": len(os.sched_getaffinity(0)), "busy with other work": round(os.getloadavg()[0], 1)},
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
