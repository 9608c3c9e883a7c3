"""Figures of a GPU: the device, the embedder, the detector, photos to vectors, and the search of links beside its roofline.

    python workflows/benchmarks/gpu.py --out results/gpu.json --links 1e6 1e7 [--photos FOLDER] [--device cuda]

Each figure is printed when it is there, and the file is written anew after each section; a section that fails leaves a line under "errors".
Times are medians after a warm-up, between synchronisations. Generated vectors stay on the device; there is no store of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from facecluster.grouping.link_lists import candidates, gpus
from facecluster.grouping.link_plan import AUDITED, FLAT_LISTS, SAMPLED, SPARE, LinkPlan, chosen_lists
from facecluster.models.detector import Detector
from facecluster.models.registry import AttentionModel, load_embedder
from facecluster.store import LINKS_K

DIM = 512
TABLE: dict[str, Any] = {}


def synchronize(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def seconds(work: Callable[[], object], device: str, rounds: int = 5) -> float:
    work()
    times = []
    for _ in range(rounds):
        synchronize(device)
        began = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def note(section: str, name: str, value: Any) -> None:
    value = float(f"{value:.4g}") if isinstance(value, float) else value
    TABLE.setdefault(section, {})[name] = value
    print(f"{section}: {name} = {value}", flush=True)


def device_figures(device: str, small: bool) -> None:
    import faiss

    note("device", "name", torch.cuda.get_device_name() if device.startswith("cuda") else "cpu")
    note("device", "torch", torch.__version__)
    note("device", "faiss", f"{faiss.__version__}, {gpus()} GPUs")
    a = torch.zeros((2**24 if small else 2**31), dtype=torch.uint8, device=device)
    b = torch.empty_like(a)
    note("device", "bytes a second", 2 * a.numel() / seconds(partial(b.copy_, a), device))
    del a, b
    n = 256 if small else 8192
    x = torch.randn((n, n), device=device).bfloat16()
    note("device", "bf16 flops", 2 * n**3 / seconds(lambda: x @ x, device))
    y = x.float()
    note("device", "float32 flops", 2 * n**3 / seconds(lambda: y @ y, device, 3))


def embedder_figures(device: str, faces: int) -> None:
    model = load_embedder("bundled", device)
    assert isinstance(model, AttentionModel)
    crops = np.random.default_rng(0).integers(0, 256, (faces, 112, 112, 3), dtype=np.uint8)
    on_device = torch.from_numpy(crops[: min(faces, 8192)]).to(device)
    rates = {}
    with torch.inference_mode():
        for size in (256, 1024, 2048, 4096):
            if size <= len(on_device):
                batches = [b for b in on_device.split(size) if len(b) == size]
                took = seconds(lambda some=batches: [model.run(b.permute(0, 3, 1, 2)) for b in some], device)
                rates[size] = size * len(batches) / took
                note("embedder", f"raw passes a second, batch {size}", rates[size])
    batches = list(on_device.split(model.batch))
    for mirror in (True, False):
        passes = 1 + mirror
        with torch.inference_mode():
            took = seconds(lambda m=mirror: [model.vectors(b, mirror=m) for b in batches], device)
        raw = len(on_device) / took
        rate = faces / seconds(lambda m=mirror: model.embed(crops, mirror=m), device, 3)
        what = "with mirror" if mirror else "no mirror"
        note("embedder", f"product faces a second, {what}", rate)
        note("embedder", f"same batches on the device, faces a second, {what}", raw)
        note("embedder", f"product / same on the device, {what}", rate / raw)
        if rates:
            note("embedder", f"product passes / best raw passes, {what}", rate * passes / max(rates.values()))


def compiled_figures(device: str) -> None:
    model = load_embedder("bundled", device)
    assert isinstance(model, AttentionModel)
    x = torch.randint(0, 256, (1024, 112, 112, 3), dtype=torch.uint8, device=device).permute(0, 3, 1, 2)
    with torch.inference_mode():
        fast = torch.compile(model.run)
        note("embedder", "compiled raw passes a second, batch 1024", 1024 / seconds(lambda: fast(x), device))


def drawn(folder: Path, count: int) -> list[Path]:
    """`count` photos of 2 megapixels: the demo's photos, enlarged, with grain so that each differs."""
    from facecluster.demo import make_collection

    truth = make_collection(str(folder / "demo"), people=6, photos=2)
    pictures = []
    for path in sorted(Path(truth.photos).rglob("*.jpg")):
        try:
            pictures.append(Image.open(path).convert("RGB").resize((1632, 1224)))
        except OSError:
            continue  # the collection's broken file
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        pixels = np.roll(np.asarray(pictures[i % len(pictures)]), int(rng.integers(0, 64)), axis=1).astype(np.int16)
        grain = rng.integers(-6, 7, pixels.shape[:2] + (1,), dtype=np.int16)
        Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).save(folder / "photos" / f"{i:05d}.jpg", quality=90)
    return sorted((folder / "photos").iterdir())


def detector_figures(device: str, paths: list[Path], small: bool) -> None:
    some = [Image.open(p).convert("RGB") for p in paths[: 4 if small else 64]]
    for picture in some:
        picture.thumbnail((1280, 1280))
    pictures = [np.asarray(p) for p in some]
    detector = Detector.load(device=device)
    note("detector", "arithmetic", detector.arithmetic)
    step = 16
    took = seconds(lambda: [detector.search(pictures[i : i + step]) for i in range(0, len(pictures), step)], device, 3)
    note("detector", "product photos a second, decoded, 16 together", len(pictures) / took)
    x = torch.randint(0, 256, (4 if small else 32, 512, 640, 3), dtype=torch.uint8, device=device).permute(0, 3, 1, 2)
    with torch.inference_mode():
        note("detector", "raw passes a second of 640 x 512", len(x) / seconds(lambda: detector.run(x), device))


def photo_figures(device: str, photos: Path, count: int) -> None:
    from facecluster.store import Store

    for where in dict.fromkeys((device, "cpu")):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            command = [sys.executable, "-m", "facecluster", "embed", str(photos), "-o", f"{folder}/store", "--device", where]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            took = time.perf_counter() - began
            if done.returncode:
                raise RuntimeError(done.stderr[-300:])
            store = Store(f"{folder}/store")
            faces = sum(store.read("faces", s, ["score"]).num_rows for s in store.shards("faces"))
            note("photos to vectors", f"{where}: seconds with starting up", took)
            note("photos to vectors", f"{where}: photos a second", count / took)
            note("photos to vectors", f"{where}: faces a second", faces / took)


def people(n: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """float16 vectors (n, DIM) of people of one to eleven faces, in no order, and whose each is (n,)."""
    generator = torch.Generator(device).manual_seed(0)
    whose = torch.randint(0, n // 6 + 1, (n,), device=device, generator=generator)
    centres = torch.empty((n // 6 + 1, DIM), dtype=torch.float16, device=device).normal_(generator=generator)
    x = torch.empty((n, DIM), dtype=torch.float16, device=device)
    for some, of in zip(x.split(500_000), whose.split(500_000), strict=True):
        drawn = centres[of].float() + 0.75 * torch.randn((len(of), DIM), device=device, generator=generator)
        some.copy_(torch.nn.functional.normalize(drawn))
    return x, whose


def exact(x: torch.Tensor, rows: torch.Tensor, k: int) -> torch.Tensor:
    """The k nearest others (m, k) of some rows, by comparison with all."""
    best, found = None, None
    for start in range(0, len(x), 500_000):
        part = x[start : start + 500_000]
        scores, at = (x[rows].float() @ part.float().T).topk(min(k + 1, len(part)))
        best = scores if best is None else torch.cat((best, scores), 1)
        found = at + start if found is None else torch.cat((found, at + start), 1)
        best, keep = best.topk(min(k + 1, best.shape[1]))
        found = found.gather(1, keep)
    return found


def train_on(x: torch.Tensor, lists: int, rounds: int = 6) -> torch.Tensor:
    """Centroids (lists, DIM), by as many rounds of k-means on the sphere as link_lists.train."""
    sample = x[torch.randperm(len(x), device=x.device)[: SAMPLED * lists]].float()
    centroids = sample[:lists].clone()
    for _ in range(rounds):
        near = torch.cat([(part @ centroids.T).argmax(1) for part in sample.split(65_536)])
        sums = torch.zeros_like(centroids).index_add_(0, near, sample)
        used = sums.norm(dim=1) > 0
        centroids[used] = torch.nn.functional.normalize(sums[used])
    return centroids


def link_figures(n: int, device: str) -> None:
    """FAISS's index as `link_lists.unpack` has it on a GPU (all lists there), searched by `link_lists.candidates`."""
    import faiss

    name, (lists, probes) = f"links {n:,}", chosen_lists(n)
    plan = LinkPlan(embeddings="", links="", sources="", faces=n, dim=DIM, k=LINKS_K, rows=100_000, method=FLAT_LISTS, lists=lists,
                    probes=probes, same_person=0.5, span=1, parts=1, held=n)  # fmt: skip
    x, whose = people(n, device)
    note(name, "lists, probes, candidates", [lists, probes, plan.candidates])
    synchronize(device)
    began = time.perf_counter()
    centroids = train_on(x, lists)
    synchronize(device)
    note(name, "train seconds (k-means of link_lists.train, in torch on the device)", time.perf_counter() - began)
    coarse = faiss.IndexFlatIP(DIM)
    coarse.add(centroids.cpu().numpy())
    index = faiss.IndexIVFFlat(coarse, DIM, lists, faiss.METRIC_INNER_PRODUCT)
    index.is_trained, index.nprobe = True, probes
    if gpus():
        torch.cuda.empty_cache()
        index = faiss.index_cpu_to_all_gpus(index)
    began = time.perf_counter()
    for part in x.split(200_000):
        index.add(part.float().cpu().numpy())
    note(name, "add seconds (with copies from the host)", time.perf_counter() - began)
    queries = min(n, 65_536)
    asked = np.sort(np.random.default_rng(0).choice(n, queries, replace=False))
    host = x[torch.from_numpy(asked).to(device)].float().cpu().numpy()
    near = np.concatenate([(torch.from_numpy(b).to(device) @ centroids.T).topk(probes).indices.cpu().numpy()
                           for b in np.array_split(host, -(-queries // 4096))])  # fmt: skip
    for size in (4096, 16384):
        if size > queries:
            continue
        candidates(index, host[:size], near[:size], plan.candidates)
        began = time.perf_counter()
        for i in range(0, queries, size):
            candidates(index, host[i : i + size], near[i : i + size], plan.candidates)
        took = time.perf_counter() - began
        note(name, f"queries a second, {size} together", queries / took)
        note(name, f"seconds for all, {size} together", took * n / queries)
    sizes = torch.bincount(torch.cat([(p.float() @ centroids.T).argmax(1) for p in x.split(100_000)]), minlength=lists).cpu().numpy()
    looked = float(sizes[near].sum(axis=1).mean())
    note(name, "vectors looked at for a query", looked)
    figures = TABLE.get("device", {})
    if "bytes a second" in figures and queries >= 4096:
        flops = n * 2 * DIM * (looked + lists)
        reading = n * looked * DIM * 4
        note(name, "least seconds: float32 arithmetic", flops / figures.get("float32 flops", 1e12))
        note(name, "least seconds: lists read for each query", reading / figures["bytes a second"])
        note(name, "time / least by bytes", took * n / queries / (reading / figures["bytes a second"]))
    some = np.random.default_rng(1).choice(n, min(AUDITED, n), replace=False)
    at = torch.from_numpy(some).to(device)
    given = x[at].float().cpu().numpy()
    chosen = (x[at].float() @ centroids.T).topk(probes).indices.cpu().numpy()
    rows = candidates(index, given, chosen, LINKS_K + SPARE)[0]
    wanted = exact(x, at, LINKS_K).cpu().numpy()
    people_of = whose.cpu().numpy()
    same = [w[(people_of[w] == people_of[i]) & (w != i)] for i, w in zip(some, wanted, strict=True)]
    hit = sum(np.isin(s, r).sum() for s, r in zip(same, rows, strict=True))
    note(name, "recall of same-person neighbours, before neighbours of neighbours", float(hit / max(1, sum(map(len, same)))))


def stage(n: int, device: str, folder: Path) -> None:
    """The product's stage on a store of n vectors."""
    import os

    from facecluster.grouping.link import LinkConfig, link
    from facecluster.store import Store, embeddings_schema, table_of

    os.fsync = lambda fd: None  # a store that can be drawn again need not survive a power cut
    x = people(n, device)[0].cpu().numpy()
    store, table, began = Store(str(folder / "store")), "embeddings/generated", time.perf_counter()
    store.create()
    for shard, start in enumerate(range(0, n, 20_000)):
        some = x[start : start + 20_000]
        columns = {"face_id": [f"{start + i:024x}-0000" for i in range(len(some))], "embedding": some}
        store.write(table, f"{shard:05d}", table_of(embeddings_schema(DIM), columns), {"table": "embeddings"})
    note("stage", "seconds to write the store", time.perf_counter() - began)
    began = time.perf_counter()

    def run(what: str, total: int, names: Any, task: Any, *, gpu: bool = False) -> list[Any]:
        start = time.perf_counter()
        done = [task(name) for name in names]
        note("stage", f"seconds of {task.func.__name__}", time.perf_counter() - start)
        return done

    linked = link(store, table, "links/generated", LinkConfig(), run=run, memory=32 * 10**9)
    note("stage", f"seconds for {n:,} faces in one process", time.perf_counter() - began)
    note("stage", "said", linked.lines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--faces", type=int, default=16_384)
    parser.add_argument("--links", type=float, nargs="*", default=[1e6])
    parser.add_argument("--photos", type=Path, help="folder of JPEGs; without it some are drawn")
    parser.add_argument("--count", type=int, default=256, help="photos that are drawn")
    parser.add_argument("--stage", type=float, default=0, help="faces of a store that the stage `link` is run on, in a process of its own")
    parser.add_argument("--stage-only", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--compile", action="store_true", help="also time torch.compile")
    args = parser.parse_args()
    small = args.device == "cpu"
    if args.stage_only:
        with tempfile.TemporaryDirectory() as work:
            stage(int(args.stage), args.device, Path(work))
        return

    def staged() -> None:
        command = [sys.executable, __file__, "--out", str(args.out), "--device", args.device, "--stage", str(args.stage), "--stage-only"]
        log = args.out.with_suffix(".stage.txt")
        with log.open("w") as file:
            try:
                subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, timeout=100, check=True)
            finally:
                note("stage", "printed", log.read_text().splitlines()[-20:])

    with tempfile.TemporaryDirectory() as work:
        paths: list[Path] = []

        def draw() -> None:
            began = time.perf_counter()
            paths.extend(sorted(args.photos.rglob("*.jpg")) if args.photos else drawn(Path(work), args.count))
            note("photos to vectors", "photos", len(paths))
            note("photos to vectors", "seconds to draw", time.perf_counter() - began)

        sections: list[tuple[str, Callable[[], None]]] = [
            ("device", lambda: device_figures(args.device, small)),
            ("embedder", lambda: embedder_figures(args.device, args.faces)),
            *((f"links {int(n):,}", lambda n=int(n): link_figures(n, args.device)) for n in args.links if n < 5e6),
            ("drawn", draw),
            ("detector", lambda: detector_figures(args.device, paths, small)),
            ("photos", lambda: photo_figures(args.device, args.photos or Path(work) / "photos", len(paths))),
            *((f"links {int(n):,}", lambda n=int(n): link_figures(n, args.device)) for n in args.links if n >= 5e6),
            *([("stage", staged)] if args.stage else []),
            *([("compiled", lambda: compiled_figures(args.device))] if args.compile else []),
        ]
        for name, work_of in sections:
            began = time.perf_counter()
            try:
                work_of()
            except Exception as e:  # what was measured must not be lost
                note("errors", name, f"{type(e).__name__}: {' '.join(str(e).split())[:300]}")
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            note("seconds of sections", name, time.perf_counter() - began)
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(json.dumps(TABLE, indent=1) + "\n")


if __name__ == "__main__":
    main()
