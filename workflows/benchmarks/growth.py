"""How the stages grow with the number of faces: processor time, memory, disk. Writes the table that `facecluster plan` is fitted to.

    python workflows/benchmarks/growth.py --work FOLDER --faces 10000 20000 40000 100000
    python workflows/benchmarks/growth.py --work FOLDER --ways tasks --no-report --faces 100000 250000

Stores have the vectors of grouping.py's generator, two faces a photo, shards of 128 photos and crops of random bytes, as long as real ones.
Each size is grouped and reported by the product, each way in a process of its own: here (in one process, as small collections are), and in
tasks, as large ones are, whatever their limit; tasks are done one after another, and what one process does between them is counted apart.
Other work on the machine adds up to two fifths to processor time (and much more to the time by the clock), never less: of a size that is
measured again, the run with less counts. Delete the rows of a stage whose code has changed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import facecluster
from facecluster import pipeline
from facecluster.engine import Step
from facecluster.faces.embed import EmbedConfig
from facecluster.grouping import link as link_module
from facecluster.grouping import mapped_files, shelved_vectors, spanning_forest
from facecluster.grouping.link import LinkConfig
from facecluster.grouping.link_tasks import train_quantiser
from facecluster.models.registry import card_of
from facecluster.report.run_report import write_run_report
from facecluster.store import FACES, PHOTOS, ShardResult, Store, embeddings_schema, table_of

PACKAGE = Path(facecluster.__file__).parent
TABLE = PACKAGE / "plan" / "measured.json"
A_PHOTO = 2  # faces
SHARD = 128  # photos
CROP = 3_028  # bytes, the mean of real faces (results/crops.json)
ALONE = (train_quantiser, spanning_forest._join)  # tasks that the others wait for
KEPT = {"link": ("links", "linking"), "identify": ("identities", "runs", "people.csv", "grouping"), "report": ("report",)}


def measure_apart(command: Sequence[str], out: Path) -> None:
    """Measure in a process of its own, which prints rows as JSON; print them, and keep them in the table."""
    rows = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    for row in rows:
        print(json.dumps(row), flush=True)
    keep(rows, out)


def model(dim: int, folder: Path) -> str:
    """The bundled model, or a card like its own for longer vectors."""
    if dim == 128:
        return "bundled"
    card, times, path = card_of("bundled"), dim // 128, folder / f"growth-{dim}.toml"
    text = (PACKAGE / "models" / "weights" / "embedder.toml").read_text()
    head, tail = text.partition("[recognisability]")[0], "[ranges]" + text.partition("[ranges]")[2]
    head = head.replace('name = "bundled"', 'name = "generated"').replace("dim = 128", f"dim = {dim}")
    head = head.replace(f"impostor_sd = {card.impostor_sd}", f"impostor_sd = {card.impostor_sd / times**0.5}")
    assert card.recognisability is not None
    weights = [*card.recognisability.weights] * times
    path.write_text(f"{head}[recognisability]\nweights = {weights}\nintercept = {card.recognisability.intercept}\n\n{tail}")
    assert card_of(str(path)).dim == dim
    return str(path)


def write_store(url: str, n: int, embed: EmbedConfig, *, vectors: NDArray[np.float16] | None = None, crop: int = CROP) -> None:
    """A store with the rows of n generated faces, and their vectors or those given."""
    from links import generated  # needs the peers of grouping.py

    dim = card_of(embed.model).dim
    x = generated(n, dim, 5)[0] if vectors is None else vectors
    rng, store = np.random.default_rng(6), Store(url)
    store.create()
    for number, first in enumerate(range(0, n, SHARD * A_PHOTO)):
        some = x[first : first + SHARD * A_PHOTO]
        rows = np.arange(first, first + len(some))
        photos = np.unique(rows // A_PHOTO).tolist()
        ids = {p: f"{p * 2654435761 % 2**64:016x}{p:048x}" for p in photos}  # photos stand in another order than their ids
        faces, p, name = len(rows), len(photos), f"{number:05d}"
        zeros, box = np.zeros(faces, np.float32), rng.uniform(50, 900, (faces, 4)).astype(np.float32)
        store.write("photos", name, table_of(PHOTOS, {
            "photo_id": [ids[i] for i in photos], "uri": [f"/photos/{2000 + i % 20}/IMG_{i:08d}.jpg" for i in photos],
            "size": rng.integers(10**6, 10**7, p), "mtime_ns": rng.integers(10**18, 17 * 10**17, p), "format": ["JPEG"] * p,
            "width": [4000] * p, "height": [3000] * p, "orientation": [1] * p, "turn": [0] * p,
            "taken_at": rng.integers(10**9, 16 * 10**8, p).astype("datetime64[s]"), "phash": rng.integers(0, 2**63, p).astype(np.uint64),
            "faces": [A_PHOTO] * p, "error": [None] * p, "content": [ids[i] for i in photos],
            "picture": [rng.bytes(16).hex() for _ in photos], "label": [None] * p,
        }), {"table": "photos"})  # fmt: skip
        face_ids = [f"{ids[i // A_PHOTO][:24]}-{i % A_PHOTO:04x}" for i in rows.tolist()]
        store.write("faces", name, table_of(FACES, {
            "face_id": face_ids, "photo_id": [ids[i // A_PHOTO] for i in rows.tolist()], "box": box,
            "landmarks": rng.uniform(50, 900, (faces, 10)).astype(np.float32), "score": rng.random(faces).astype(np.float32),
            "sharpness": 10 * rng.random(faces).astype(np.float32), "yaw": zeros, "quality": rng.random(faces).astype(np.float32),
            "crop": [b"RIFF0000WEBPVP8 " + rng.bytes(crop - 16) for _ in range(faces)], "at_ms": [None] * faces,
        }), {"table": "faces"})  # fmt: skip
        store.write(embed.table(), name, table_of(embeddings_schema(dim), {"face_id": face_ids, "embedding": some}), embed.stamp())


def status(key: str) -> int:
    """A line of the kernel's about this process's memory, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


def peak() -> int:
    """The most bytes that this process held since the last time."""
    found = status("VmHWM")
    Path("/proc/self/clear_refs").write_text("5")
    return found


def size_of(store: Store, names: Sequence[str]) -> int:
    """Bytes of some folders and files of a store."""
    paths = [Path(store.path(name)) for name in names]
    files = [f for path in paths if path.exists() for f in ([path] if path.is_file() else path.rglob("*"))]
    return sum(f.stat().st_size for f in files if f.is_file())


@dataclass
class Meter:
    """An engine that does tasks one after another here, and keeps what each stage takes."""

    store: Store
    stage: str = ""
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    began: tuple[float, int, int] = (0.0, 0, 0)
    mapped: int = 0  # bytes of files that were mapped

    def switch(self, stage: str) -> None:
        """What comes now is of this stage."""
        io = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        now = time.process_time(), int(io["rchar"]) + self.mapped, int(io["wchar"])
        if self.stage:
            found = self.stages[self.stage]
            for key, a, b in zip(("processor", "read", "written"), now, self.began, strict=True):
                found[key] += a - b
            found["outside"] = max(found["outside"], peak())
        peak()
        keys = "processor", "in_tasks", "read", "written", "outside", "rise", "peak", "scratch", "tasks"
        self.stages.setdefault(stage, dict.fromkeys(keys, 0))
        self.stage = stage
        self.began = (time.process_time(), *now[1:])

    def task(self, task: Callable[..., Any], *call: Any) -> Any:
        found = self.stages[self.stage]
        found["outside"], base, began = max(found["outside"], peak()), status("VmRSS"), time.process_time()
        result = task(*call)
        if getattr(task, "func", task) not in ALONE:
            found["in_tasks"] += time.process_time() - began
        found["tasks"] += 1
        top, began = peak(), time.process_time()
        found["rise"], found["peak"] = max(found["rise"], top - base), max(found["peak"], top)
        found["scratch"] = max(found["scratch"], size_of(self.store, ("linking", "grouping")))
        found["processor"] -= time.process_time() - began
        return result

    def run(self, shards: Iterable[str], steps: Sequence[Step], tick: Callable[[int], None] | None = None) -> Iterator[ShardResult]:
        for shard in shards:
            yield from [self.task(step.run, shard) for step in steps]

    def map(self, task: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> list[Any]:
        return [self.task(task, *call) for call in calls]


@contextmanager
def silent(what: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda n: None


def measure(url: str, tasks: bool, report: bool, embed: EmbedConfig) -> list[dict[str, Any]]:
    """Group the faces of a store here, and report them."""
    store = Store(url)
    meter, base, link, mapped, limit = Meter(store), status("VmRSS"), pipeline.link, mapped_files._mapped, link_module.EXACT
    if tasks:
        link_module.EXACT = shelved_vectors.EXACT = 0

    def metered_link(*given: Any, **more: Any) -> Any:
        meter.switch("link")
        done = link(*given, **more)
        meter.switch("identify")
        return done

    def metered_map(path: str) -> Any:
        meter.mapped += os.path.getsize(path)
        return mapped(path)

    pipeline.link, mapped_files._mapped = metered_link, metered_map  # type: ignore[assignment]
    meter.switch("identify")
    done = pipeline.cluster_faces(store, embed, LinkConfig(), None, bars=silent, engine=meter, full=True)
    if report and (not tasks or done.faces > limit):  # the report has one way
        meter.switch("report")
        write_run_report(store, done.table, model=embed.model)
    meter.switch("done")
    rows = []
    for stage in KEPT.keys() & meter.stages.keys():
        found = meter.stages[stage] | {"kept": size_of(store, KEPT[stage])}
        found["peak"] = max(found["peak"], found["outside"])
        rounded = {k: round(v, 3 if k in ("processor", "in_tasks") else None) for k, v in found.items()}
        way = "tasks" if tasks and stage != "report" else "here"
        rows.append({"stage": stage, "way": way, "faces": done.faces, "dim": card_of(embed.model).dim, "base": base, **rounded})
    return rows


def keep(rows: Sequence[dict[str, Any]], out: Path) -> None:
    """Put rows into the table; of the runs of one stage and size, the one with the least processor time stays."""
    table: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {"machine": {}, "runs": []}
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in [*table["runs"], *rows]:
        key = tuple(row.get(k) for k in ("stage", "way", "faces", "dim", "photo"))
        if key not in found or row["processor"] < found[key]["processor"]:
            found[key] = row
    runs = sorted(found.values(), key=lambda row: [str(row["stage"]), str(row["way"]), row.get("dim", 0), row["faces"]])
    lines = ",\n".join(" " + json.dumps(row) for row in runs)
    out.write_text(f'{{"machine": {json.dumps(table["machine"])},\n"runs": [\n{lines}\n]}}\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder for stores")
    parser.add_argument("--faces", type=int, nargs="+", default=[])
    parser.add_argument("--dim", type=int, default=128, help="a multiple of 128")
    parser.add_argument("--ways", nargs="+", choices=["here", "tasks"], default=["here", "tasks"])
    parser.add_argument("--no-report", action="store_true", help="links and identities alone")
    parser.add_argument("-o", "--out", type=Path, default=TABLE)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        embed = EmbedConfig(model=model(args.dim, Path(args.measure).parent))
        print(json.dumps(measure(args.measure, args.ways == ["tasks"], not args.no_report, embed)))
        return
    for n in args.faces:
        folder = args.work / f"growth-{n}"
        shutil.rmtree(folder, ignore_errors=True)
        write_store(str(folder), n, EmbedConfig(model=model(args.dim, args.work)))
        for way in args.ways:
            for made in folder.iterdir():
                if made.is_dir() and made.name not in ("photos", "faces", "embeddings"):
                    shutil.rmtree(made)
                elif made.is_file() and made.name != "store.json":
                    made.unlink()
            command = [sys.executable, __file__, "--measure", str(folder), "--dim", str(args.dim), "--ways", way]
            command += ["--no-report"] if args.no_report else []
            measure_apart(command, args.out)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
