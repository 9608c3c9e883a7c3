"""Measure `match` against a million stored faces: CPU time of a query, of brute force in numpy and of FAISS's flat index, in one run.

    OMP_NUM_THREADS=1 python workflows/benchmarks/match.py -o results/match.json

Vectors are generated: people of one to nine faces around random centres (two faces of a person have a cosine of about .6). Queries are
further faces of them and of people who are not stored. The measure is the CPU time of the process (all threads): it does not depend on
the other load of the machine, though a full machine still slows memory. The methods take turns, and the fastest round counts. The run
checks that all methods give the same nearest faces, and compares the probabilities with those from all cosines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facecluster.matching import posterior as posterior_module
from facecluster.matching.gallery import Gallery, build_gallery
from facecluster.matching.index import Index, build_faiss_index
from facecluster.matching.match import match
from facecluster.matching.posterior import normalise_by_cohort, person_log_odds, posterior
from facecluster.matching.probe import Probe
from facecluster.matching.recognition import Person, Recognition
from facecluster.models.registry import card_of

Vectors = NDArray[np.float32]
BLOCK = 8_192


def generated(faces: int, dim: int, queries: int) -> tuple[NDArray[np.float16], NDArray[np.int32], Vectors]:
    """Stored vectors, their persons, and new vectors: half of stored people, half of others."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(faces), rng.integers(1, 10, faces))[:faces].astype(np.int32)
    x = np.empty((faces, dim), np.float16)
    middles = rng.normal(size=(int(person[-1]) + 1, dim)).astype(np.float32)
    for i in range(0, faces, 50_000):
        rows = middles[person[i : i + 50_000]] + 0.8 * rng.normal(size=(len(person[i : i + 50_000]), dim))
        x[i : i + 50_000] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    half = middles[rng.choice(len(middles), queries // 2, replace=False)]
    new = np.concatenate([half, rng.normal(size=(queries - len(half), dim))]) + 0.8 * rng.normal(size=(queries, dim))
    return x, person, np.asarray(new / np.linalg.norm(new, axis=1, keepdims=True), np.float32)


def stored(x: NDArray[np.float16], person: NDArray[np.int32], path: str) -> tuple[Gallery, dict[str, float]]:
    """A gallery whose index was opened from a file; CPU seconds to build, open, and prepare it."""
    start = time.process_time()
    faiss.write_index(build_faiss_index(x), path)
    made = time.process_time()
    ids = pa.array([f"{i:024x}-0000" for i in range(len(x))])
    begin = time.process_time()
    index = Index(ids, ids, (faiss.read_index(path, faiss.IO_FLAG_MMAP),), "")
    opened = time.process_time()
    people = [Person(f"p-{j}", None, int(n), j) for j, n in enumerate(np.bincount(person))]
    recognition = Recognition(ids, person, np.ones(len(x), np.float32), people)
    prepared = time.process_time()
    gallery = build_gallery(index, recognition)
    seconds = {"made": made - start, "opened": opened - begin, "people put beside faces": time.process_time() - prepared}
    return gallery, seconds


def numpy_nearest(x: NDArray[np.float16], queries: Vectors, k: int) -> NDArray[np.int64]:
    """Rows of the k nearest, by every cosine in numpy."""
    cosines = np.concatenate([x[i : i + BLOCK].astype(np.float32) @ queries.T for i in range(0, len(x), BLOCK)]).T
    near = np.argpartition(-cosines, k, axis=1)[:, :k]
    return np.take_along_axis(near, np.argsort(-np.take_along_axis(cosines, near, 1), axis=1, kind="stable"), 1)


def timed(ways: dict[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, float], dict[str, Any]]:
    """CPU seconds of the fastest round of each method, and its result."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    results = {}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.process_time()
            results[name] = way()
            seconds[name].append(time.process_time() - start)
    return {name: min(values) for name, values in seconds.items()}, results


def from_all(query: Vectors, x: NDArray[np.float16], gallery: Gallery) -> NDArray[np.float64]:
    """Probabilities of all people and of nobody, from every cosine, none of them by a bound."""
    posterior_module._EXACT_PEOPLE = len(gallery.recognition.people)
    card = card_of("bundled")
    cosines = np.concatenate([x[i : i + BLOCK].astype(np.float32) @ query for i in range(0, len(x), BLOCK)])
    members = np.split(gallery.order, gallery.start[1:-1])
    normalised = normalise_by_cohort(cosines, gallery.cohort_rows, card)
    log_odds = person_log_odds(
        normalised, gallery.person, members, card, lambda j: float(np.linalg.norm(x[members[j]].astype(np.float32).mean(axis=0)))
    )
    return posterior(log_odds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--queries", type=int, default=6, help="faces of the new photo")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    x, person, queries = generated(args.faces, args.dim, args.queries)
    card = card_of("bundled")
    n = len(queries)
    probe = Probe("new", "f" * 64, np.zeros((n, 4), np.float32), np.ones(n, np.float32), np.ones(n, np.float32), queries)
    with tempfile.TemporaryDirectory() as folder:
        gallery, once = stored(x, person, os.path.join(folder, "vectors.faiss"))
        flat = faiss.IndexFlatIP(args.dim)
        flat.add(x.astype(np.float32))
        ways: dict[str, Callable[[], Any]] = {
            "match, whole": lambda: match(probe, gallery, card),
            "index, 5 nearest": lambda: gallery.index.nearest(queries, 5)[1],
            "numpy, 5 nearest": lambda: numpy_nearest(x, queries, 5),
            "faiss flat, float32, 5 nearest": lambda: flat.search(queries, 5)[1],
        }
        seconds, results = timed(ways, args.rounds)
        ours = results["index, 5 nearest"]
        shares = [from_all(q, x, gallery) for q in queries]
        best = [m.candidates[0] for m in results["match, whole"]]
        result = {
            "machine": {"cpu": platform.processor() or platform.machine(), "python": platform.python_version(), "faiss": faiss.__version__},
            "threads": faiss.omp_get_max_threads(), "faces": len(x), "people": len(gallery.recognition.people), "queries": n,
            "dim": args.dim,
            "processor seconds a query": {name: round(value / n, 5) for name, value in seconds.items()},
            "of numpy": {name: round(value / seconds["numpy, 5 nearest"], 4) for name, value in seconds.items()},
            "once, processor seconds": {name: round(value, 3) for name, value in once.items()},
            "same nearest as": {name: float((ours == rows).mean()) for name, rows in results.items() if name.endswith("5 nearest")},
            "largest difference of a share from that by all cosines": max(
                max(abs(m.unknown - s[-1]), abs(b.probability - s[b.person.number]))
                for m, b, s in zip(results["match, whole"], best, shares, strict=True)
            ),
            "memory, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }  # fmt: skip
    print(json.dumps(result, indent=1))
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
