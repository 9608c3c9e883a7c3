"""Measure the links: processor time, wall time and peak memory from vectors to links, and how many neighbours of the same person they hold.

    python workflows/benchmarks/links.py --work FOLDER -o results/links.json
    python workflows/benchmarks/links.py --work FOLDER --faces 1000000 --memory 4GB -o results/links.json

The vectors are those of grouping.py's generator. Each size is linked in a process of its own, whose peak memory is that of nothing else.
Recall: of the exact 64 nearest of 2,000 faces, those of the same person, the share that is among the links.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import faiss
import numpy as np
from dask.utils import parse_bytes
from numpy.typing import NDArray

from facecluster.grouping.link import LinkConfig, link, nearest
from facecluster.grouping.link_plan import Task
from facecluster.store import ShardResult, Store, embeddings_schema, table_of

SHARD = 20_000  # faces
QUERIES = 2_000
PEOPLE = 0.37  # of the generator's people, for each face that it gives


def generated(n: int, dim: int, seed: int) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """n vectors of long-tailed people in no order, and whose each is."""
    from grouping import generated as draw  # needs the peers of that benchmark

    people = int(n * PEOPLE) + 2_000
    x, truth = draw(people, dim, seed)
    assert len(x) >= n
    order = np.random.default_rng(seed).permutation(n)
    return x[:n][order].astype(np.float16), truth[:n][order]


def write(store: Store, x: NDArray[np.float16]) -> None:
    store.create()
    schema = embeddings_schema(x.shape[1])
    for number, start in enumerate(range(0, len(x), SHARD)):
        some = x[start : start + SHARD]
        ids = [f"{i:024x}-0000" for i in range(start, start + len(some))]
        table = table_of(schema, {"face_id": ids, "embedding": some})
        store.write("embeddings/generated", f"{number:05d}", table, {"table": "embeddings"})


def peak() -> int:
    """The most bytes that this process ever held, since the last time."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return found


def measure(url: str, memory: int, same_person: float) -> dict[str, object]:
    """Link the faces of a store here; seconds and peak memory of each step."""
    steps: list[dict[str, object]] = []

    def run(what: str, total: int, names: Sequence[str], task: Task, *, gpu: bool = False) -> list[ShardResult]:
        start, worked = time.perf_counter(), time.process_time()
        done = [task(name) for name in names]
        name = getattr(task, "func", task)
        name = getattr(name, "func", name).__name__
        row = {"step": name, "tasks": len(names), "processor_seconds": round(time.process_time() - worked, 1)}
        steps.append(row | {"seconds": round(time.perf_counter() - start, 1), "peak_gb": round(peak() / 1e9, 2)})
        print(json.dumps(steps[-1]), file=sys.stderr, flush=True)
        return done

    before = peak()
    start, worked = time.perf_counter(), time.process_time()
    linked = link(Store(url), "embeddings/generated", "links/generated", LinkConfig(), run=run, memory=memory, same_person=same_person)
    found = {"seconds": round(time.perf_counter() - start, 1), "processor_seconds": round(time.process_time() - worked, 1)}
    top = max([peak() / 1e9, *(float(str(step["peak_gb"])) for step in steps)])
    microseconds = round(float(found["processor_seconds"]) / linked.faces * 1e6, 1)
    return {"lines": linked.lines(), **found, "processor_microseconds_a_face": microseconds, "peak_gb": round(top, 2),
            "before_gb": round(before / 1e9, 2), "steps": steps}  # fmt: skip


def same_person_recall(neighbours: NDArray[np.int32], rows: NDArray[np.int64], x: NDArray[np.float16], truth: NDArray[np.int64]) -> float:
    """Of the exact k nearest of `rows`, those of the same person: the share that is among `neighbours`, in the order of `rows`."""
    k = neighbours.shape[1]
    index = faiss.IndexScalarQuantizer(x.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    for start in range(0, len(x), 65_536):
        index.add(np.ascontiguousarray(x[start : start + 65_536], dtype=np.float32))
    exact = index.search(x[rows].astype(np.float32), k + 1)[1]
    wanted = there = 0
    for row, near, links in zip(rows, exact, neighbours, strict=True):
        near = near[near != row][:k]
        near = near[truth[near] == truth[row]]
        wanted, there = wanted + len(near), there + int(np.isin(near, links).sum())
    return round(there / wanted, 4)


def links_of(store: Store, rows: NDArray[np.int64]) -> NDArray[np.int32]:
    """The links of some rows, in their order, which rises."""
    found, start = [], 0
    for shard in store.shards("links/generated"):
        column = store.read("links/generated", shard, ["neighbours"])["neighbours"].combine_chunks()
        k = column.type.list_size
        inside = rows[(rows >= start) & (rows < start + len(column))] - start
        found.append(np.asarray(column.flatten().to_numpy()).reshape(-1, k)[inside])
        start += len(column)
    return np.concatenate(found)


def one_size(n: int, dim: int, args: argparse.Namespace) -> dict[str, object]:
    folder = args.work / f"links-{n}-{dim}"
    x, truth = generated(n, dim, 5)
    shutil.rmtree(folder, ignore_errors=True)
    write(Store(str(folder)), x)
    rows = np.sort(np.random.default_rng(1).choice(n, min(n, QUERIES), replace=False))
    command = [sys.executable, __file__, "--measure", str(folder), "--memory", str(args.memory), "--same-person", str(4.8 * dim**-0.5)]
    done = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    recall = same_person_recall(links_of(Store(str(folder)), rows), rows, x, truth)
    result = {"faces": n, "dim": dim, "memory": args.memory, "same_person_recall": recall, **done}
    if n <= args.before and n > 100_000:
        worked = time.process_time()
        old = nearest(x.astype(np.float32), 64, exact=0)[0]
        seconds = time.process_time() - worked
        result["IVF flat in one process, as before"] = {
            "processor_seconds": round(seconds, 1), "processor_microseconds_a_face": round(seconds / n * 1e6, 1),
            "same_person_recall": same_person_recall(old[rows], rows, x, truth),
        }  # fmt: skip
    if not args.keep:
        shutil.rmtree(folder)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder for stores")
    parser.add_argument("--faces", type=int, nargs="+", default=[10_000, 100_000, 300_000, 1_000_000])
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--memory", type=parse_bytes, default=4_000_000_000)
    parser.add_argument("--before", type=int, default=300_000, help="faces up to which IVF flat in one process is measured beside it")
    parser.add_argument("--keep", action="store_true", help="leave the stores")
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--same-person", type=float, default=0.5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.memory, args.same_person)))
        return
    machine = {"cpu": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0))}
    machine |= {"threads": faiss.omp_get_max_threads(), "faiss-cpu": version("faiss-cpu"), "numpy": version("numpy")}
    result: dict[str, object] = json.loads(args.out.read_text()) if args.out and args.out.exists() else {}
    for n in args.faces:
        found = one_size(n, args.dim, args) | {"machine": machine, "busy with other work": round(os.getloadavg()[0], 1)}
        print(json.dumps(found), flush=True)
        result[f"{n} x {args.dim}"] = found
        if args.out:
            args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
