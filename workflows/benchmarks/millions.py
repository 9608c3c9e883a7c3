"""Millions of vectors to identities, for real: wall time, processor time, memory of all processes, disk, and how well people are found.

    python workflows/benchmarks/millions.py --work FOLDER --faces 1000000 -o results/millions.json
    python workflows/benchmarks/millions.py --work FOLDER --faces 10000000 --kill-after 2400 -o results/millions.json

The store is made first and is not measured: vectors of grouping.py's generator in no order, two faces a photo, shards of 128 photos, crops
of a few bytes, which nothing here reads. Then links and identities are made in a process of its own with Dask workers. With --kill-after
that process and its workers are killed (SIGKILL) once, and started again, as somebody would; both times count. Memory is what the processes
hold at one moment, each shared page once: all of it, and without the pages of files, which the system can drop.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from dask.utils import parse_bytes
from growth import PACKAGE, size_of, write_store
from numpy.typing import NDArray

from facecluster import pipeline
from facecluster.cli.progress import progress_bar
from facecluster.dask_engine import DaskEngine
from facecluster.faces.embed import EmbedConfig
from facecluster.grouping.identify_config import IdentifyConfig
from facecluster.grouping.link import LinkConfig
from facecluster.models.registry import card_of
from facecluster.store import Store

DIM = 128
BLOCK = 1_000_000  # faces drawn at a time
PEOPLE = 0.4  # of the generator, for each face that it gives


def card(folder: Path) -> str:
    """A card for the generated vectors: the bundled model's with the figures of their impostors."""
    bundled, path = card_of("bundled"), folder / "millions.toml"
    text = (PACKAGE / "models" / "weights" / "embedder.toml").read_text().replace('name = "bundled"', 'name = "generated"')
    text = text.replace(f"impostor_mean = {bundled.impostor_mean}", "impostor_mean = 0.0")
    path.write_text(text.replace(f"impostor_sd = {bundled.impostor_sd}", f"impostor_sd = {DIM**-0.5:.6f}"))
    assert card_of(str(path)).impostor_mean == 0
    return str(path)


def draw(n: int) -> tuple[NDArray[np.float16], NDArray[np.int32]]:
    """n vectors of long-tailed people in no order, and whose each is."""
    from grouping import generated  # needs the peers of that benchmark

    rng = np.random.default_rng(5)
    common, x, truth, people = rng.normal(size=DIM).astype(np.float32), np.empty((n, DIM), np.float16), np.empty(n, np.int32), 0
    for start in range(0, n, BLOCK):
        some, whose = generated(int(BLOCK * PEOPLE), DIM, 100 + start // BLOCK, common=common)
        size = min(BLOCK, n - start)
        assert len(some) >= size
        x[start : start + size], truth[start : start + size] = some[:size], whose[:size] + people
        people += int(BLOCK * PEOPLE)
    order = rng.permutation(n)
    return x[order], truth[order]


def write(folder: Path, n: int) -> None:
    os.fsync = lambda fd: None  # a store that can be drawn again need not survive a power cut
    x, truth = draw(n)
    np.save(folder / "truth.npy", truth)
    write_store(str(folder / "store"), n, EmbedConfig(model=card(folder)), vectors=x, crop=16)


def cluster(folder: Path, workers: int, memory: int) -> None:
    """Links and identities of the store; the seconds of each step, and those of processors, are added to the folder's times.jsonl."""
    store, embed = Store(str(folder / "store")), EmbedConfig(model=card(folder))
    settings = IdentifyConfig(**card_of(embed.model).grouping_settings())
    link, log = pipeline.link, folder / "times.jsonl"  # type: ignore[attr-defined]

    start, used = time.time(), 0.0

    def note(what: str) -> None:
        nonlocal start, used
        now, worked = time.time(), processor_seconds(processes(os.getpid()))
        row = {"step": what, "seconds": round(now - start, 1), "processor_seconds": round(worked - used, 1)}
        with log.open("a") as file:
            file.write(json.dumps(row) + "\n")
        start, used = now, worked

    def timed(*given: Any, **more: Any) -> Any:
        note("read")
        linked = link(*given, **more)
        note("links")
        print(*linked.lines(), sep="\n", flush=True)
        return linked

    pipeline.link = timed  # type: ignore[attr-defined]
    with DaskEngine(workers=workers) as engine:
        settings = replace(settings, min_recognisability=0.0)
        pipeline.cluster_faces(store, embed, LinkConfig(), settings, bars=progress_bar, engine=engine, memory=memory)
        note("identities")


def processes(leader: int) -> list[int]:
    """A process and its children, and theirs."""
    found = [leader]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                found += [int(child) for child in task.read_text().split()]
    return found


def processor_seconds(pids: list[int]) -> float:
    """Seconds that processors have worked for processes so far."""
    found = 0.0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def memory_of(pids: list[int]) -> tuple[int, int]:
    """Bytes held by processes, shared pages once: all, and those of no file."""
    held = {"Pss": 0, "Pss_Anon": 0}
    for pid in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                key = line.split(":")[0]
                if key in held:
                    held[key] += int(line.split()[1]) * 1024
    return held["Pss"], held["Pss_Anon"]


def watch(command: list[str], kill_after: float | None) -> dict[str, Any]:
    """Run a command to its end, or kill it and all its processes; what they took."""
    began, all_bytes, anonymous, killed = time.time(), 0, 0, False
    child = subprocess.Popen(command, start_new_session=True)
    while child.poll() is None:
        pids = processes(child.pid)
        held = memory_of(pids)
        all_bytes, anonymous = max(all_bytes, held[0]), max(anonymous, held[1])
        if kill_after and time.time() - began > kill_after:
            for pid in reversed(pids):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            killed = True
            child.wait()
            break
        time.sleep(1)
    if child.returncode and not killed:
        raise SystemExit(f"the command ended with {child.returncode}")
    return {"killed": killed, "seconds": round(time.time() - began, 1), "peak_gb": round(all_bytes / 1e9, 2),
            "peak_gb_without_files": round(anonymous / 1e9, 2)}  # fmt: skip


def quality(folder: Path) -> dict[str, float]:
    from grouping import scores

    store, truth = Store(str(folder / "store")), np.load(folder / "truth.npy")
    people: list[NDArray[Any]] = []
    for shard in store.shards("identities/generated"):
        people.append(store.read("identities/generated", shard, ["identity"])["identity"].to_numpy())
    labels = np.concatenate(people)
    return scores(truth, labels) | {"people": len(np.unique(labels[labels >= 0]))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the store")
    parser.add_argument("--faces", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", type=parse_bytes, default=4_000_000_000, help="of a worker")
    parser.add_argument("--kill-after", type=float, help="seconds")
    parser.add_argument("--keep", action="store_true", help="leave the store")
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--do", choices=["write", "cluster"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    folder = args.work / f"millions-{args.faces}"
    if args.do == "write":
        write(folder, args.faces)
        return
    if args.do == "cluster":
        cluster(folder, args.workers, args.memory)
        return
    if not (folder / "written").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        subprocess.run([sys.executable, __file__, "--work", str(args.work), "--faces", str(args.faces), "--do", "write"], check=True)
        (folder / "written").touch()
    command = [sys.executable, __file__, "--work", str(args.work), "--faces", str(args.faces), "--do", "cluster",
               "--workers", str(args.workers), "--memory", str(args.memory)]  # fmt: skip
    runs = [watch(command, args.kill_after)]
    if runs[0]["killed"]:
        runs.append(watch(command, None))
    steps = [json.loads(line) for line in (folder / "times.jsonl").read_text().splitlines()]
    store = Store(str(folder / "store"))
    result = {
        "faces": args.faces, "workers": args.workers, "cores": len(os.sched_getaffinity(0)), "memory": args.memory, "runs": runs,
        "steps": steps,
        "kept_gb": round(size_of(store, ("links", "identities", "runs", "people.csv")) / 1e9, 2),
        "busy with other work": round(os.getloadavg()[0], 1), **quality(folder),
    }  # fmt: skip
    print(json.dumps(result), flush=True)
    if args.out:
        table = json.loads(args.out.read_text()) if args.out.exists() else {}
        args.out.write_text(json.dumps(table | {str(args.faces): result}, indent=1) + "\n")
    if not args.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
