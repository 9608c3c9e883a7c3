"""Measures `facecluster dedup`: recall and precision of copies, and the time to group a million hashes. A run: results/dedup.json.

Two collections are made from real photos, one from each half of them (dedup_collection.py). The thresholds of facecluster were chosen on
the first; the best thresholds of the other hashes are chosen there too. The figures that count are measured on the second.

    python workflows/benchmarks/dedup.py --photos photos.parquet --album FOLDER --work FOLDER

Needs imagehash for the comparison: its phash of 8x8 with a distance of 10 is what imagededup's PHash does by default, its dhash of 16x16
with a distance of 5 what czkawka does (whose filter is another), as it is and as the nearest of eight turns, which czkawka offers too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dedup_collection
import imagehash
import numpy as np
from dedup_collection import BEYOND, COPIES, DIFFERENT, LOOSE, STRICT, File
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from facecluster.dedup import DedupConfig, find_duplicates
from facecluster.dedup.candidates import find_candidates
from facecluster.dedup.fingerprints import Fingerprints, read_fingerprints
from facecluster.dedup.store_photos import NO_TIME, Photos, read_photos
from facecluster.faces.detect import DetectConfig, detect_shard
from facecluster.photos.collect import collect
from facecluster.photos.perceptual_hash import WINDOWS
from facecluster.store import Store

RESULTS = Path(__file__).parent / "results" / "dedup.json"
BARS = {"recall": 0.98, "recall of crops and captions": 0.90, "precision": 0.995, "seconds for a million hashes": 60}
Pairs = NDArray[np.int64]


def make_store(folder: Path, photos: Path) -> Store:
    """A store with the photos of a folder and their faces."""
    store = Store(str(folder))
    store.create()
    collect([str(photos)], store)
    for shard in sorted(set(store.shards("files")) - set(store.shards("photos"))):  # those that an earlier run has not reached
        detect_shard(shard, store=store, config=DetectConfig(), device="cpu")
    return store


@contextmanager
def bars(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar that shows nothing."""
    yield lambda n: None


def ours(store: Store, files: Sequence[File]) -> list[list[int]]:
    """Groups of files by number, the keeper first."""
    number = {str(file.name): i for i, file in enumerate(files)}
    with find_duplicates(store, DedupConfig(), bars=bars) as found:
        of = [[number[os.path.basename(f.uri)] for f in group] for group in found.photos.files]
        groups = [[g.keeper, *(m.photo for m in g.members)] for g in found.copies]
        grouped = {p for group in groups for p in group}
        groups += [[p] for p in range(len(of)) if p not in grouped and len(of[p]) > 1]
        return [[file for photo in group for file in of[photo]] for group in groups]


def pairs_of(groups: Sequence[Sequence[int]]) -> Pairs:
    """All pairs (m, 2) within groups."""
    parts = [np.array(np.triu_indices(len(g), 1)).T for g in groups]
    return np.concatenate([np.array(g)[part] for g, part in zip(groups, parts, strict=True)] or [np.zeros((0, 2), np.int64)])


def score(pairs: Pairs, files: Sequence[File]) -> dict[str, Any]:
    """Recall of the copies of each case (their pairs with their originals), and precision over all pairs."""
    picture = np.array([file.picture for file in files])
    right = picture[pairs[:, 0]] == picture[pairs[:, 1]]
    joined = {tuple(sorted(p)) for p in pairs.tolist()}
    original = {file.original: i for i, file in enumerate(files) if file.case == "original"}
    hits: defaultdict[str, list[bool]] = defaultdict(list)
    for i, file in enumerate(files):
        if file.case in COPIES:
            hits[file.case].append(tuple(sorted((i, original[file.original]))) in joined)
    recall = {case: round(float(np.mean(found)), 4) for case, found in hits.items()}
    wrong = Counter(" / ".join(sorted(files[i].case for i in pair)) for pair in pairs[~right].tolist())
    return {
        "precision": round(float(right.mean()), 5) if len(right) else None,
        "pairs": len(right),
        "wrong pairs": int((~right).sum()),
        "recall, all but crops and captions": round(float(np.mean([h for c in STRICT for h in hits[c]])), 4),
        "recall, crops and captions": round(float(np.mean([h for c in LOOSE for h in hits[c]])), 4),
        "recall by case": recall,
        "wrong pairs by case": dict(wrong.most_common(12)),
    }


def other_hashes(files: Sequence[File], folder: Path) -> dict[str, tuple[NDArray[np.uint8], int]]:
    """Of each method the distances (n, n) of all pairs in bits, and its default threshold."""
    low, gradient, turned = [], [], []
    for file in files:
        with Image.open(folder / file.name) as image:
            upright = image.convert("RGB")
        low.append(imagehash.phash(upright, hash_size=8).hash.ravel())
        turns = [upright, *(upright.transpose(t) for t in Image.Transpose)]
        gradient.append(imagehash.dhash(upright, hash_size=16).hash.ravel())
        turned.append([imagehash.dhash(t, hash_size=16).hash.ravel() for t in turns])
    nearest = np.min([apart(np.array(gradient), np.array([t[k] for t in turned])) for k in range(8)], axis=0)
    return {
        "imagededup-like: phash 8x8": (apart(np.array(low), np.array(low)), 10),
        "czkawka-like: dhash 16x16": (apart(np.array(gradient), np.array(gradient)), 5),
        "czkawka-like: dhash 16x16, eight turns": (np.minimum(nearest, nearest.T), 5),
    }


def apart(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Bits in which rows (n, bits) and (m, bits) differ: (n, m), at most 255."""
    x, y = a.astype(np.float32), b.astype(np.float32)
    different = x.sum(axis=1)[:, None] + y.sum(axis=1)[None] - 2 * x @ y.T
    return np.minimum(different.round(), 255).astype(np.uint8)


def within(distances: NDArray[np.uint8], threshold: int) -> Pairs:
    return np.stack(np.nonzero(np.triu(distances <= threshold, 1)), axis=1)


def best_threshold(distances: NDArray[np.uint8], files: Sequence[File]) -> int:
    """The largest threshold at which the precision is .995 (else that of the best precision)."""
    picture = np.unique([file.picture for file in files], return_inverse=True)[1]
    rows, columns = np.triu_indices(len(files), 1)
    values, same = distances[rows, columns], picture[rows] == picture[columns]
    all_at = np.cumsum(np.bincount(values, minlength=256))
    right_at = np.cumsum(np.bincount(values[same], minlength=256))
    precision = right_at / np.maximum(all_at, 1)
    good = np.flatnonzero((precision >= BARS["precision"]) & (all_at > 0))
    return int(good.max()) if len(good) else int(np.argmax(precision))


def million(prints: Fingerprints, photos: Photos, n: int, threads: int) -> dict[str, Any]:
    """Seconds to pair and group n photos whose hashes are those of real photos with bits flipped; every fifth has a copy among them.

    Wall-clock seconds are given only if the machine was idle; processor seconds, of all threads together, depend less on other work.
    """
    rng = np.random.default_rng(0)
    base = rng.integers(0, len(photos), n)
    hashes = prints.hashes[base]
    for bit in range(1, 64):
        hashes ^= np.where(rng.random(hashes.shape) < 0.25, np.uint64(1) << np.uint64(bit), np.uint64(0))
    weak_bits, turns = prints.weak_bits[base], prints.turns[base]
    copies = np.arange(0, n - n // 5, 4)[: n // 5]
    to = np.arange(n - len(copies), n)
    hashes[to], weak_bits[to], turns[to] = hashes[copies], weak_bits[copies], turns[copies]
    for _ in range(2):  # two of the weak bits of a copy are flipped
        bit = np.take_along_axis(weak_bits[to], rng.integers(0, 6, (len(to), len(WINDOWS), 1)), axis=2)[..., 0]
        hashes[to] ^= np.uint64(1) << (63 - bit.astype(np.uint64))
    zeros = np.zeros(n, np.float32)
    many = Fingerprints(np.ones(n, bool), hashes, weak_bits, turns, zeros + 50, zeros, zeros, {}, prints.thumbnails)
    width, height = photos.width[base], photos.height[base]
    width[to], height[to] = width[copies], height[copies]
    of = Photos([""] * n, [""] * n, [], [], width, height, np.zeros(n, np.int64), np.full(n, NO_TIME), np.zeros(n, np.int32), zeros, zeros)
    idle = os.getloadavg()[1] < 1.5  # over five minutes; this program itself is one
    result: dict[str, Any] = {"hashes": n, "threads": threads, "machine idle": idle}
    for name, windows in (("whole photos", 1), ("whole photos and all windows", len(WINDOWS))):
        start, start_cpu = time.perf_counter(), time.process_time()
        found = find_candidates(of, many, windows=windows, threads=threads)
        graph = coo_array((np.ones(len(found.first), bool), (found.first, found.second)), shape=(n, n))
        groups = connected_components(graph, directed=False)[0]
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
        pair = np.unique(np.minimum(found.first, found.second) * n + np.maximum(found.first, found.second))
        planted = np.isin(copies * n + to, pair)
        result[name] = {
            "seconds": round(seconds, 1) if idle else None, "processor seconds": round(cpu_seconds, 1),
            "pairs": len(pair), "groups": int(groups),
            "planted copies found": round(float(planted.mean()), 4),
        }  # fmt: skip
        print(name, result[name], flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="Parquet file with the columns image and boxes")
    parser.add_argument("--album", type=Path, required=True, help="folder of more photos")
    parser.add_argument("--work", type=Path, required=True, help="folder for collections and stores; existing ones are used again")
    parser.add_argument("--copies", type=int, default=100, help="photos of each half that have copies")
    parser.add_argument("--million", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()

    measured: dict[str, Any] = {}
    chosen: dict[str, int] = {}
    busy = [round(load, 1) for load in os.getloadavg()]
    for half, name in enumerate(("chosen on", "measured on")):
        folder = options.work / f"photos{half}-{options.seed}-{options.copies}"
        files = dedup_collection.make(folder, options.photos, options.album, half, options.seed, options.copies)
        store = make_store(options.work / folder.name.replace("photos", "store"), folder)
        groups = ours(store, files)
        found = score(pairs_of(groups), files)
        keepers = Counter(files[group[0]].case for group in groups if len({files[i].picture for i in group}) == 1)
        methods = {"facecluster dedup": found | {"kept, of groups": dict(keepers.most_common(6))}}
        for method, (distances, default) in other_hashes(files, folder).items():
            chosen.setdefault(method, best_threshold(distances, files))
            for what, threshold in (("default", default), ("best", chosen[method])):
                methods[f"{method}, {what}: {threshold} bits"] = score(within(distances, threshold), files)
        measured[name] = {"files": len(files), "photos with copies": options.copies, "methods": methods}
        for method, figures in methods.items():
            print(name, method, {k: v for k, v in figures.items() if "by case" not in k}, flush=True)
    photos = read_photos(store)
    with open(options.work / "spool", "w+b") as spool:
        speed = million(read_fingerprints(store, photos, spool), photos, options.million, options.threads) if options.million else {}
    result = {
        "what": "copies of real photos found among photos that are alike; precision and recall over pairs of files",
        "bars": BARS,
        "cases": {"strict": list(STRICT), "crops and captions": list(LOOSE), "beyond the bar": list(BEYOND), "different": list(DIFFERENT)},
        "measured": measured,
        "a million": speed,
        "busy with other work": {"load at the start": busy, "load at the end": [round(load, 1) for load in os.getloadavg()]},
        "machine": {"cpu": cpu(), "cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version()},
        "versions": {n: version(n) for n in ("numpy", "scipy", "pillow", "imagehash")},
        "date": time.strftime("%Y-%m-%d"),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


def cpu() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
