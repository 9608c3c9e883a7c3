"""Measure the grouping beside its peers: each at its default and at its own best setting, on the same vectors and the same neighbours.

    python workflows/benchmarks/grouping.py --eval faces_eval.parquet --train faces_train.parquet -o results/grouping.json
    python workflows/benchmarks/grouping.py --million -o results/grouping_million.json
    python workflows/benchmarks/grouping.py --grow --eval faces_eval.parquet --train faces_train.parquet -o results/grouping_growing.json

Ours has one setting for all sets: the defaults of IdentifyConfig with the model's own figures for impostors. Strangers and faces that a
method leaves alone count as groups of one. Sets: the evaluation faces; the named part of the training faces with strangers; both with
the teacher's stored vectors and with the bundled model's; and generated ones (long tail, look-alikes, blur, several dimensions).

The evaluation file may be looked at here and nowhere else. Peers that need all pairs (hdbscan, average linkage) run up to --dense faces.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import hdbscan
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_matrix, csr_matrix, identity
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import squareform
from sklearn.cluster import DBSCAN
from sknetwork.clustering import Louvain

try:
    from infomap import Infomap  # pip install infomap
except ImportError:
    Infomap = None

from facecluster.evaluation import bcubed, pairwise
from facecluster.geometry import sharpness
from facecluster.grouping import group, identify
from facecluster.grouping.candidate_edges import EdgeShard, candidate_edges
from facecluster.grouping.cohort import CohortStats, prior_stats
from facecluster.grouping.identify import IdentifyConfig
from facecluster.grouping.link import nearest
from facecluster.models.registry import card_of, load_embedder

Vectors = NDArray[np.float32]
Ints = NDArray[np.int64]
K = 64
COSINES = tuple(np.arange(0.25, 0.71, 0.05).round(2))


def faces(path: Path, vectors: str) -> tuple[Vectors, Ints, NDArray[np.float32]]:
    """Vectors, truth and sharpness of a file of faces: named people, and strangers as people of one face; masked faces are left out."""
    table = pq.read_table(path, columns=["source", "subject", "teacher", "crop"])
    keep = np.flatnonzero(np.array(table["source"].to_pylist()) != "rmfd-masked")
    names = np.array([s or "" for s in table["subject"].to_pylist()])[keep]
    crops = table["crop"].to_pylist()
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(crops[i])).convert("RGB")) for i in keep])
    if vectors == "teacher":
        x = np.stack(table["teacher"].to_numpy()).astype(np.float32)[keep]
    else:
        x = load_embedder("bundled").embed(pixels)
    truth = np.unique(names, return_inverse=True)[1].astype(np.int64)
    strangers = names == ""
    truth[strangers] = truth.max() + 1 + np.arange(strangers.sum())
    return x / np.linalg.norm(x, axis=1, keepdims=True), truth, sharpness(pixels)


def generated(
    people: int, dim: int, seed: int, *, alike: float = 0.0, blur: float = 0.0, common: Vectors | None = None
) -> tuple[Vectors, Ints]:
    """Long-tailed people, 7 of 10 with one face; `alike`: share of people with a double; `blur`: share of faces near a common point.

    All people lean a little to one direction, which is drawn, or given as `common`.
    """
    rng = np.random.default_rng(seed)
    counts = np.minimum(500, np.where(rng.random(people) < 0.7, 1, 1 + np.ceil(rng.pareto(1.05, people)))).astype(int)
    centres = rng.normal(size=(people, dim)) + 0.25 * (rng.normal(size=dim) if common is None else common)
    doubles = rng.random(people) < alike
    centres[doubles] = 0.7 * centres[np.roll(np.arange(people), 1)][doubles] + 0.7 * centres[doubles]
    truth = np.repeat(np.arange(people), counts)
    noise = rng.gamma(9, 1 / 9, size=(len(truth), 1)) * 0.75
    x = centres[truth] / np.linalg.norm(centres[truth], axis=1, keepdims=True) + noise * rng.normal(size=(len(truth), dim)) / dim**0.5
    blurred = rng.random(len(truth)) < blur
    x[blurred] = 0.45 * x[blurred] + 0.55 * rng.normal(size=dim) / dim**0.5
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), truth


# -- peers: vectors, neighbours, similarity -> (setting, labels) for each setting; the default first ---------------------------

Found = Iterator[tuple[str, NDArray[np.integer]]]
Peer = Callable[[Vectors, NDArray[np.int32], NDArray[np.float32]], Found]


def graph(neighbours: NDArray[np.int32], similarity: NDArray[np.float32], least: float) -> csr_matrix:
    n, k = neighbours.shape
    keep = (similarity >= least) & (neighbours >= 0)
    rows = np.repeat(np.arange(n), k).reshape(n, k)[keep]
    one = coo_matrix((similarity[keep], (rows, neighbours[keep])), shape=(n, n)).tocsr()
    return one.maximum(one.T)


def components(x: Vectors, neighbours: NDArray[np.int32], similarity: NDArray[np.float32]) -> Found:
    for least in (0.5, *COSINES):
        yield f"cosine {least}", connected_components(graph(neighbours, similarity, least), directed=False)[1]


def chinese_whispers(x: Vectors, neighbours: NDArray[np.int32], similarity: NDArray[np.float32]) -> Found:
    """Biemann, 2006: every node takes the label with the most weight around it, in random order, until none changes (20 rounds)."""
    for least in (0.5, *COSINES):
        g, rng, labels = graph(neighbours, similarity, least), np.random.default_rng(0), np.arange(len(x))
        for _ in range(20):
            changed = False
            for i in rng.permutation(len(x)):
                part = slice(g.indptr[i], g.indptr[i + 1])
                if part.start == part.stop:
                    continue
                found, at = np.unique(labels[g.indices[part]], return_inverse=True)
                best = found[np.bincount(at, g.data[part]).argmax()]
                changed |= best != labels[i]
                labels[i] = best
            if not changed:
                break
        yield f"cosine {least}", labels


def dbscan(x: Vectors, neighbours: NDArray[np.int32], similarity: NDArray[np.float32]) -> Found:
    for least, size in ((0.5, 5), *((c, m) for c in COSINES for m in (2, 4))):
        g = graph(neighbours, similarity, least)
        g.data = np.maximum(1 - g.data, 1e-6)
        yield f"cosine {least}, min_samples {size}", DBSCAN(eps=1 - least, min_samples=size, metric="precomputed").fit(g).labels_


def dense_hdbscan(x: Vectors, neighbours: NDArray[np.int32], similarity: NDArray[np.float32]) -> Found:
    distance = np.maximum(1 - x.astype(np.float64) @ x.T, 0)
    for size, samples in ((5, 5), (2, 1), (2, 2), (2, 4), (3, 3)):
        fit = hdbscan.HDBSCAN(min_cluster_size=size, min_samples=samples, metric="precomputed").fit(distance)
        yield f"min_cluster_size {size}, min_samples {samples}", fit.labels_


def average_linkage(x: Vectors, neighbours: NDArray[np.int32], similarity: NDArray[np.float32]) -> Found:
    distance = np.maximum(1 - x @ x.T, 0).astype(np.float32)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    for least in (0.4, *COSINES):
        yield f"cosine {least}", fcluster(tree, 1 - least, "distance")


def louvain(x: Vectors, neighbours: NDArray[np.int32], similarity: NDArray[np.float32]) -> Found:
    for least, resolution in ((0.5, 1), *((c, r) for c in COSINES[2:] for r in (1, 10, 100))):
        g = graph(neighbours, similarity, least)
        labels = np.arange(len(x))
        if g.nnz:
            labels = Louvain(resolution=resolution, random_state=0).fit_predict(g)
        yield f"cosine {least}, resolution {resolution}", labels


def infomap(x: Vectors, neighbours: NDArray[np.int32], similarity: NDArray[np.float32]) -> Found:
    """Rosvall and Bergstrom, 2008, two levels. GPL-3: run where somebody installed it, no dependency of the product."""
    for least in (0.5, *COSINES):
        g, labels = graph(neighbours, similarity, least).tocoo(), np.arange(len(x))
        upper = g.row < g.col
        if upper.any():
            run = Infomap(silent=True, two_level=True, seed=1)
            run.add_links(list(zip(g.row[upper].tolist(), g.col[upper].tolist(), g.data[upper].tolist(), strict=True)))
            run.run()
            for node, module in run.get_modules().items():
                labels[node] = len(x) + module
        yield f"cosine {least}", labels


PEERS: dict[str, tuple[Peer, bool]] = {  # and whether it needs all pairs
    "connected components": (components, False),
    "Chinese whispers": (chinese_whispers, False),
    "DBSCAN": (dbscan, False),
    "HDBSCAN, dense": (dense_hdbscan, True),
    "average linkage": (average_linkage, True),
    "Louvain": (louvain, False),
    **({"Infomap": (infomap, False)} if Infomap else {}),
}


def scores(truth: Ints, labels: NDArray[np.integer]) -> dict[str, float]:
    pair, cube = pairwise(truth, labels), bcubed(truth, labels)
    return {
        "pairwise_f": round(pair.f, 4), "pairwise_precision": round(pair.precision, 4), "pairwise_recall": round(pair.recall, 4),
        "bcubed_f": round(cube.f, 4), "bcubed_precision": round(cube.precision, 4), "bcubed_recall": round(cube.recall, 4),
    }  # fmt: skip


Links = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]
LINKS = candidate_edges


def mutual(neighbours: NDArray[np.int32], similarity: NDArray[np.float32], cohort: CohortStats, *more: object) -> Links:
    """Links that only one of the two faces has among its nearest count 2 sd less."""
    source, target, above = LINKS(neighbours, similarity, cohort, *more)  # type: ignore[arg-type]
    n = len(neighbours)
    there = (np.arange(n)[:, None] * n + neighbours)[neighbours >= 0]
    both = np.isin(source.astype(np.int64) * n + target, there) & np.isin(target.astype(np.int64) * n + source, there)
    return source, target, (above - 2 * cohort.sd * ~both).astype(np.float32)


def overlapping(neighbours: NDArray[np.int32], similarity: NDArray[np.float32], cohort: CohortStats, *more: object) -> Links:
    """Links count up to .5 sd more or less by the share of strong neighbours (1 sd under the level and up) that both faces have."""
    source, target, above = LINKS(neighbours, similarity, cohort, *more)  # type: ignore[arg-type]
    n, strong = len(neighbours), above >= -cohort.sd
    own = csr_matrix((np.ones(strong.sum(), np.float32), (source[strong], target[strong])), shape=(n, n))
    own = (own + own.T + identity(n, dtype=np.float32)).tocsr()
    size, shared = np.asarray(own.sum(axis=1)).ravel(), np.empty(len(source), np.float32)
    for i in range(0, len(source), 200_000):
        part = slice(i, i + 200_000)
        shared[part] = np.asarray(own[source[part]].multiply(own[target[part]]).sum(axis=1)).ravel()
    jaccard = shared / (size[source] + size[target] - shared)
    return source, target, (above + cohort.sd * (jaccard - 0.5)).astype(np.float32)


def ours(
    x: Vectors, neighbours: NDArray[np.int32], similarity: NDArray[np.float32], mean: float, sd: float, sharp: NDArray[np.float32] | None
) -> dict[str, NDArray[np.int32]]:
    """Our labels, and those with one thing left out or added at a time."""
    config = {"impostor_mean": mean, "impostor_sd": sd}

    def blurred(neighbours: NDArray[np.int32], similarity: NDArray[np.float32], cohort: CohortStats, *more: object) -> Links:
        """Links of the tenth of the faces that is least sharp count up to .5 sd less."""
        assert sharp is not None
        source, target, above = LINKS(neighbours, similarity, cohort, *more)  # type: ignore[arg-type]
        low = np.clip(1 - 10 * np.argsort(np.argsort(sharp)) / len(sharp), 0, 1)
        return source, target, (above - 0.5 * cohort.sd * np.maximum(low[source], low[target])).astype(np.float32)

    def run(**changes: float) -> NDArray[np.int32]:
        return identify.group(x, neighbours, similarity, IdentifyConfig(**{**config, **changes})).labels  # type: ignore[arg-type]

    out = {"ours": run(), "without joining": run(merge=99, min_purity=0), "without attaching": run(attach_margin=99),
           "without HDBSCAN (joining alone)": run(margin=99), "min_samples 1": run(min_samples=1),
           "min_samples 4": run(min_samples=4)}  # fmt: skip
    measured = group.cohort_stats
    group.cohort_stats = lambda v, labels, *, mean, sd, **more: prior_stats(len(v), mean=mean, sd=sd)  # type: ignore[assignment]
    out["cohort by the card, not measured"] = run()
    group.cohort_stats = measured
    shards = group.edge_shards
    more = {"links by shared neighbours": overlapping, "links seen from one end less": mutual, "blurred faces' links less": blurred}
    for name, links in more.items():
        if links is not blurred or sharp is not None:
            group.edge_shards = lambda *given, links=links: [EdgeShard(*links(neighbours, similarity, *given[3:]))]  # type: ignore[assignment]
            out[name] = run()
    group.edge_shards = shards
    return out


def compare(x: Vectors, truth: Ints, sharp: NDArray[np.float32] | None, mean: float, sd: float, dense: int) -> dict[str, object]:
    neighbours, similarity = nearest(x, K)
    result: dict[str, object] = {"faces": len(x), "people": len(np.unique(truth)), "dim": x.shape[1]}
    started = time.perf_counter()
    result["ablation"] = {name: scores(truth, labels) for name, labels in ours(x, neighbours, similarity, mean, sd, sharp).items()}
    peers: dict[str, object] = {}
    for name, (peer, all_pairs) in PEERS.items():
        if all_pairs and len(x) > dense:
            peers[name] = f"not run: all pairs of {len(x)} faces"
            continue
        found = [(setting, scores(truth, labels)) for setting, labels in peer(x, neighbours, similarity)]
        peers[name] = {"default": found[0], **{f"best {m}": max(found, key=lambda f: f[1][m]) for m in ("pairwise_f", "bcubed_f")}}
    result["peers"] = peers
    for measure in ("pairwise_f", "bcubed_f"):
        best = max(p[f"best {measure}"][1][measure] for p in peers.values() if isinstance(p, dict))
        mine = result["ablation"]["ours"][measure]  # type: ignore[index]
        result[f"{measure} against the best peer's best"] = round(mine / best, 4)
    print(json.dumps({k: v for k, v in result.items() if k != "peers"}), f"{time.perf_counter() - started:.0f} s", flush=True)
    return result


def moved(old: NDArray[np.integer], new: NDArray[np.integer]) -> tuple[int, int]:
    """Faces that go from one person to another, or to nobody; and from nobody to somebody. A new group is the person most of it was."""
    table = coo_matrix((np.ones(len(old)), (old + 1, new + 1))).toarray()[1:, 1:]
    person = np.full(table.shape[1] + 1, -1)  # of each new group; the last: nobody
    for new_group, people in enumerate(table.T):
        at = int(people.argmax()) if people.any() else -1
        person[new_group] = at if at >= 0 and table[at].argmax() == new_group else -2
    now = person[new]
    return int((now != old)[old >= 0].sum()), int((new >= 0)[old < 0].sum())


def growing(x: Vectors, truth: Ints, mean: float, sd: float, draws: int = 4) -> dict[str, object]:
    """What 1 % and 10 % more faces change for those that were there: added to the groups, and with all grouped from the start."""
    config, links = IdentifyConfig(impostor_mean=mean, impostor_sd=sd), nearest(x, K)
    anew = identify.group(x, *links, config).labels
    found: dict[str, object] = {"faces": len(x), "from the start": scores(truth, anew)}
    for share in (0.01, 0.1):
        for seed in range(draws):
            there = np.sort(np.random.default_rng(seed).permutation(len(x))[: int(len(x) / (1 + share))])
            old = identify.group(x[there], *nearest(x[there], K), config).labels
            before = np.full(len(x), -1)
            before[there] = old
            grown = identify.group(x, *links, config, before=before).labels
            found[f"{share:.0%} more, draw {seed}"] = {
                way: {"moved": round(a / (old >= 0).sum(), 5), "joined": round(b / len(there), 5), **scores(truth, labels)}
                for way, labels in (("added", grown), ("from the start", anew)) for a, b in [moved(old, labels[there])]
            }  # fmt: skip
    return found


def million(links: Path | None) -> dict[str, object]:
    """From links to identities: a million vectors. Time and memory of the grouping alone, at its peak, in this process."""
    x, truth = generated(400_000, 128, 5)
    x, truth = x[:1_000_000], truth[:1_000_000]
    started = time.perf_counter()
    seconds: int | None = None
    if links and links.exists():
        with np.load(links) as kept:
            neighbours, similarity = kept["neighbours"], kept["similarity"]
    else:
        neighbours, similarity = nearest(x, K)
        seconds = round(time.perf_counter() - started)
        if links:
            np.savez(links, neighbours=neighbours, similarity=similarity)
    linked, processor = time.perf_counter(), time.process_time()
    clear = Path("/proc/self/clear_refs")
    if clear.exists():  # Linux: forget the peak of making the vectors and the links
        clear.write_text("5")
    groups = identify.group(x, neighbours, similarity, IdentifyConfig(impostor_mean=0.0, impostor_sd=128**-0.5))
    done, worked = time.perf_counter(), time.process_time() - processor
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    high = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    peak = (high[0] if high else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 2**20  # kB
    return {"faces": len(x), "links_seconds": seconds, "grouping_seconds": round(done - linked),
            "processor_seconds": round(worked), "peak_gib": round(peak, 2),
            "busy with other work": round(os.getloadavg()[0], 1), **scores(truth, groups.labels)}  # fmt: skip


def cpu() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eval", type=Path)
    parser.add_argument("--train", type=Path)
    parser.add_argument("--dense", type=int, default=17_000, help="faces up to which methods that need all pairs are run")
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--grow", action="store_true", help="measure what some more faces change, and nothing else")
    parser.add_argument("--links", type=Path, help="keep the million's links in this file (.npz), or take them from it")
    parser.add_argument("--only", help="sets whose name contains this")
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    card = card_of("bundled")
    known = {"teacher": (0.035, 0.115), "bundled": (card.impostor_mean, card.impostor_sd)}
    machine = {"cpu": cpu(), "cores": os.cpu_count(), "python": platform.python_version()}
    machine |= {name: version(name) for name in ("numpy", "scipy", "faiss-cpu")}
    result: dict[str, object] = {"machine": machine, "k": K}
    if args.million:
        result["million"] = million(args.links)
    sets: dict[str, Callable[[], tuple[Vectors, Ints, NDArray[np.float32] | None, float, float]]] = {}
    for name, path in (("eval", args.eval), ("train", args.train)):
        for vectors in known if path else ():
            sets[f"{name}, {vectors}"] = lambda p=path, v=vectors: (*faces(p, v), *known[v])  # type: ignore[misc]
    if args.grow:
        for name, make in sets.items():
            x, truth, _, mean, sd = make()
            result[name] = growing(x, truth, mean, sd)
            print(name, json.dumps(result[name]), flush=True)
        sets = {}
    elif not args.million:
        for dim, seed in ((64, 1), (128, 2), (512, 3)):
            sets[f"generated {dim}"] = lambda d=dim, s=seed: (*generated(1_500, d, s), None, 0.0, d**-0.5)  # type: ignore[misc]
        sets["generated, look-alikes"] = lambda: (*generated(1_500, 128, 4, alike=0.1), None, 0.0, 128**-0.5)
        sets["generated, 5,749 people"] = lambda: (*generated(5_749, 128, 7), None, 0.0, 128**-0.5)
        sets["generated, blur"] = lambda: (*generated(1_500, 128, 5, blur=0.1), None, 0.0, 128**-0.5)
    for name, make in sets.items():
        if not args.only or args.only in name:
            print(name, flush=True)
            result[name] = compare(*make(), args.dense)
            args.out.write_text(json.dumps(result, indent=1) + "\n")
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result.get("million", {})))


if __name__ == "__main__":
    main()
