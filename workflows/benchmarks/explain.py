"""Check maps of where the embedder looks against what counts: how far its vector moves when a patch of the face is covered.

    python workflows/benchmarks/explain.py --faces faces_eval.parquet

Each face is covered with its mean colour, one of 7 x 7 patches at a time. A map is as good as its rank correlation (Spearman) with
1 - cosine of the vectors with and without the patch. Stated are means over faces with bootstrap intervals (95 %, of faces). The target of
gradients is the face's own vector, or the mean vector of the person's other faces. The method is chosen on the faces of half of the
people, and stated on those of the other half. Beside it: random maps, a Gaussian in the middle, the strength of edges, and the mean effect
of the patches over the first half, which knows nothing of the face. "Of this face" is what goes beyond that: map and effect are both
divided by their means over the first half before they are ranked.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from embedder import Crops, Vectors, load_faces, machine
from numpy.typing import NDArray
from scipy.stats import rankdata

from facecluster.explain import REGIONS, region_areas, shares
from facecluster.explain.face_maps import GRID, occlusion_effects
from facecluster.models.attention_maps import METHODS, SHIPPED, trace
from facecluster.models.registry import load_embedder, load_network

Maps = NDArray[np.float64]  # (n, 7, 7)
BATCH = 20


def chosen(names: NDArray[np.str_], count: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Rows of `count` faces, as many of each half of the people, and whether each is of the first half."""
    rng, people = np.random.default_rng(0), np.unique(names[names != ""])
    halves = people[: len(people) // 2], people[len(people) // 2 :]
    rows = [rng.choice(np.flatnonzero(np.isin(names, half)), count // 2, replace=False) for half in halves]
    return np.concatenate(rows), np.arange(count // 2 * 2) < count // 2


def correlations(maps: Maps, effects: Maps) -> NDArray[np.float64]:
    """Spearman's rank correlation of map and effect of each face: (n,)."""
    a, b = (rankdata(x.reshape(len(x), -1), axis=1) for x in (maps, effects))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    length = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.asarray(np.divide((a * b).sum(axis=1), length, out=np.zeros(len(a)), where=length > 0))


def stated(values: NDArray[np.float64]) -> dict[str, object]:
    """Mean and bootstrap interval."""
    drawn = np.random.default_rng(0).integers(0, len(values), (5_000, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return {"mean": round(float(values.mean()), 4), "interval": [round(float(low), 4), round(float(high), 4)]}


def network_maps(crops: Crops, targets: Vectors | None) -> dict[str, Maps]:
    """Maps of each method, of the face and its mirror image; targets (n, dim), or None: the face's own vector."""
    network = load_network()
    assert network is not None
    found: dict[str, list[Maps]] = {name: [] for name in METHODS}
    for i in range(0, len(crops), BATCH):
        images = torch.from_numpy(crops[i : i + BATCH]).permute(0, 3, 1, 2).float()
        both: dict[str, Maps] = {}
        for mirrored in (False, True):
            run = trace(network, images.flip(3) if mirrored else images)
            own = torch.nn.functional.normalize(run.vectors.detach())
            target = own if targets is None else torch.from_numpy(targets[i : i + BATCH])
            for name, method in METHODS.items():
                maps = run.maps(method(run, target)).detach().double().numpy()
                both[name] = both.get(name, 0) + (maps[:, :, ::-1] if mirrored else maps)
        for name, sums in both.items():
            found[name].append(sums / 2)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def baselines(crops: Crops, effects: Maps, first: NDArray[np.bool_]) -> dict[str, Maps]:
    """Maps that know nothing of the network."""
    n, side = len(crops), crops.shape[1] // GRID
    y, x = np.mgrid[:GRID, :GRID] - (GRID - 1) / 2
    down, along = np.gradient(crops.astype(float).mean(axis=3), axis=(1, 2))
    edges = np.hypot(down, along).reshape(n, GRID, side, GRID, side).mean(axis=(2, 4))
    everywhere = np.ones((n, 1, 1))
    return {
        "random": np.random.default_rng(0).random((n, GRID, GRID)), "edges": edges, "middle": np.exp(-(x**2 + y**2) / 8) * everywhere,
        "mean effect of the first half": effects[first].mean(axis=0) * everywhere,
    }  # fmt: skip


def measure(maps: Maps, effects: Maps, first: NDArray[np.bool_]) -> dict[str, object]:
    """Correlations on both halves, and of what goes beyond the means over the first."""
    values = correlations(maps, effects)
    found: dict[str, object] = {"first_half": stated(values[first]), "second_half": stated(values[~first])}
    if np.ptp(maps, axis=0).max() == 0:  # one map for all faces says nothing of this one
        return found
    own = correlations(maps / maps[first].mean(axis=0), effects / effects[first].mean(axis=0))
    return found | {"of_this_face": stated(own[~first])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, default=Path("../shared/data/faces_eval.parquet"))
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "explain.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    every, names, _ = load_faces(options.faces)
    every, names = every[names != ""], names[names != ""]
    rows, first = chosen(names, options.count)
    crops, embedder = every[rows], load_embedder("bundled", device="cpu")
    vectors = embedder.embed(every)
    means = np.stack([vectors[(names == names[row]) & (np.arange(len(names)) != row)].mean(axis=0) for row in rows])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    effects = occlusion_effects(embedder, crops)
    ways: dict[str, Callable[[], dict[str, Maps]]] = {
        "": lambda: baselines(crops, effects, first), ", own vector": lambda: network_maps(crops, None),
        ", mean of the person": lambda: network_maps(crops, means),
    }  # fmt: skip
    maps = {name + suffix: found for suffix, make in ways.items() for name, found in make().items()}
    result = {
        "faces": len(rows), "patches": GRID**2, "shipped": f"{SHIPPED}, own vector",
        "rank_correlation": {name: measure(found, effects, first) for name, found in maps.items()},
        "shares": {"areas": region_areas()} | {
            name: dict(zip(REGIONS, shares(found).mean(axis=0).round(4).tolist(), strict=True))
            for name, found in (("map", maps[f"{SHIPPED}, own vector"]), ("covering", effects / effects.sum(axis=(1, 2), keepdims=True)))
        },
        "machine": machine(options.threads),
    }  # fmt: skip
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
