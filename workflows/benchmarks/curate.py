"""Measures the cleaning of labels: a tenth of the labels of real faces is flipped, faces of unknown people are added; both must be found.

    python workflows/benchmarks/curate.py --eval faces_eval.parquet -o results/curate.json

One setting, the default, for all sets and seeds; it was chosen on named people of the training file alone (--tune shows the same figures
there). Unknown people ("strangers") have no name in the file; each of their faces gets the label of a random person. Flipped faces and
these are the wrong ones. For comparison: simple rules, each with the setting that is best on the set it is measured on: a fixed cosine to
the centroid of the label, a vote of the ten nearest faces. Then whole labels: a third of the people under two names, a third of the labels
with a second person in them.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from facecluster.curate import CleanConfig, check_labels
from facecluster.grouping.link import nearest
from facecluster.models.registry import card_of, load_embedder

Vectors = NDArray[np.float32]
Ints = NDArray[np.int64]
TEACHER = (0.035, 0.115)  # mean and sd of impostor cosines


def faces(path: Path, vectors: str, most: int) -> tuple[Vectors, NDArray[np.str_]]:
    """Vectors and names ('' = unknown) of a file: at most `most` faces of each person, in order, and a thousand of unknown people."""
    table = pq.read_table(path, columns=["source", "subject", "teacher", "crop"])
    names, source = np.array([s or "" for s in table["subject"].to_pylist()]), np.array(table["source"].to_pylist())
    people = np.unique(names[(names != "") & (source != "rmfd-masked")])
    rows = [np.flatnonzero(names == p)[:most] for p in people] + [np.flatnonzero((names == "") & (source == "all-age-faces"))[:1_000]]
    keep = np.concatenate(rows)
    if vectors == "teacher":
        x = np.stack(table["teacher"].to_numpy())[keep].astype(np.float32)
    else:
        crops = table["crop"].to_pylist()
        x = load_embedder("bundled").embed(np.stack([np.asarray(Image.open(io.BytesIO(crops[i])).convert("RGB")) for i in keep]))
    return x / np.linalg.norm(x, axis=1, keepdims=True), names[keep]


def spoiled(
    x: Vectors, names: NDArray[np.str_], seed: int, people: int, most: int, flips: float, strange: float
) -> tuple[Vectors, Ints, Ints]:
    """Vectors, labels with errors, and truth (-1 = unknown person)."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(np.unique(names[names != ""]))[:people]
    rows = np.concatenate([rng.permutation(np.flatnonzero(names == p))[:most] for p in chosen])
    truth = np.unique(names[rows], return_inverse=True)[1].astype(np.int64)
    people, labels = int(truth.max()) + 1, truth.copy()
    flip = rng.choice(len(rows), round(flips * len(rows)), replace=False)
    labels[flip] = (truth[flip] + rng.integers(1, people, len(flip))) % people
    mixed = rng.permutation(np.flatnonzero(names == ""))[: round(strange * len(rows))]
    filed = rng.integers(0, people, len(mixed))
    return x[np.r_[rows, mixed]], np.r_[labels, filed], np.r_[truth, np.full(len(mixed), -1)]


def score(found: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> tuple[float, float]:
    """Recall and precision of what was found."""
    hits = int((found & wrong).sum())
    return hits / max(int(wrong.sum()), 1), hits / max(int(found.sum()), 1)


def fixed_cosine(x: Vectors, labels: Ints, least: float) -> NDArray[np.bool_]:
    """Faces whose cosine to the centroid of their label is below a fixed one."""
    sums = np.zeros((int(labels.max()) + 1, x.shape[1]))
    np.add.at(sums, labels, x)
    rest = sums[labels] - x
    return np.asarray(np.einsum("ij,ij->i", x, rest) / np.linalg.norm(rest, axis=1) < least)


def vote(x: Vectors, labels: Ints, share: float) -> NDArray[np.bool_]:
    """Faces with less than a share of their label among their ten nearest faces."""
    near, _ = nearest(x, 10)
    return np.asarray((labels[near] == labels[:, None]).mean(axis=1) < share)


def best(
    rule: Callable[[Vectors, Ints, float], NDArray[np.bool_]], settings: NDArray[np.float64], sets: list[tuple[Vectors, Ints, Ints]]
) -> Any:
    """The setting with the best mean F over the sets: an upper limit of the rule."""
    rows = []
    for setting in settings:
        r, p = np.mean([score(rule(x, labels, float(setting)), labels != truth) for x, labels, truth in sets], axis=0)
        rows.append((2 * r * p / max(r + p, 1e-9), {"setting": round(float(setting), 2), "recall": round(r, 4), "precision": round(p, 4)}))
    return max(rows, key=lambda row: row[0])[1]


def measure(
    x: Vectors, names: NDArray[np.str_], config: CleanConfig, seeds: int, people: int, most: int, flips: float, strange: float
) -> Any:
    """Figures of one set with the default settings, seed by seed."""
    sets = [spoiled(x, names, seed, people, most, flips, strange) for seed in range(seeds)]
    rows, named, rounds = [], [], 0
    for vectors, labels, truth in sets:
        checked = check_labels(vectors, labels, config)
        rows.append(score(checked.flagged, labels != truth))
        known = checked.flagged & (truth >= 0) & (labels != truth)
        named.append(float((checked.verdicts.best_other[known] == truth[known]).mean()))
        rounds = max(rounds, checked.verdicts.rounds)
    recall, precision = np.array(rows).T
    return {
        "faces": len(sets[0][0]), "people": int(sets[0][1].max()) + 1, "flipped": flips, "strangers": strange,
        "recall": round(recall.mean(), 4), "precision": round(precision.mean(), 4),
        "recall_by_seed": recall.round(3).tolist(), "precision_by_seed": precision.round(3).tolist(),
        "true_person_named": round(float(np.mean(named)), 4), "rounds_at_most": rounds,
        "fixed cosine, best setting": best(fixed_cosine, np.arange(0, 0.6, 0.05), sets),
        "vote of ten nearest, best setting": best(vote, np.arange(0.05, 0.8, 0.1), sets),
    }  # fmt: skip


def as_it_is(x: Vectors, names: NDArray[np.str_], config: CleanConfig) -> set[int]:
    """Named faces that are flagged before labels are changed: errors of the method, or of the file."""
    rows = np.flatnonzero(names != "")
    labels = np.unique(names[rows], return_inverse=True)[1].astype(np.int64)
    return {int(rows[i]) for i in np.flatnonzero(check_labels(x[rows], labels, config).flagged)}


def whole_labels(x: Vectors, names: NDArray[np.str_], config: CleanConfig, seeds: int) -> dict[str, Any]:
    """Proposals, and how many of them are right, summed over the seeds."""
    keep = names != ""
    x, truth = x[keep], np.unique(names[keep], return_inverse=True)[1].astype(np.int64)
    people = int(truth.max()) + 1
    sums = {"one_person": [0, 0, 0], "several_people": [0, 0, 0]}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        order, third = rng.permutation(people), people // 3
        labels, wanted = truth.copy(), set()
        for i, person in enumerate(order[:third]):
            rows = rng.permutation(np.flatnonzero(truth == person))
            labels[rows[: rng.integers(len(rows) // 6, len(rows) // 2)]] = people + i
            wanted.add((int(person), people + i))
        got = {(m.first, m.second) for m in check_labels(x, labels, config).merges}
        sums["one_person"] = [a + b for a, b in zip(sums["one_person"], (len(wanted), len(got), len(got & wanted)), strict=True)]
        labels = truth.copy()
        for into, person in zip(order[:third], order[third : 2 * third], strict=True):
            rows = rng.permutation(np.flatnonzero(truth == person))
            labels[rows] = -1
            labels[rows[: rng.integers(len(rows) // 6, len(rows))]] = into
        split = {s.label for s in check_labels(x, labels, config).splits}
        hits = len(split & set(order[:third].tolist()))
        sums["several_people"] = [a + b for a, b in zip(sums["several_people"], (third, len(split), hits), strict=True)]
    return {name: dict(zip(("there", "proposed", "right"), counts, strict=True)) for name, counts in sums.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eval", type=Path)
    parser.add_argument("--tune", type=Path, help="the training file: its named people, for choosing the default")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    card = card_of("bundled")
    known = {"teacher": TEACHER, "bundled": (card.impostor_mean, card.impostor_sd)}
    setting = CleanConfig()
    result: dict[str, Any] = {
        "machine": {"cpu": platform.processor() or platform.machine(), "python": platform.python_version(), "numpy": np.__version__},
        "setting": {"low": setting.min_margin, "spread": setting.max_deviation, "share": setting.other_weight}, "seeds": args.seeds,
        "bundled_sha256": card.sha256,
    }  # fmt: skip
    for file, path in (("eval", args.eval), ("tune", args.tune)):
        flagged: dict[str, set[int]] = {}
        for vectors, (mean, sd) in known.items() if path else ():
            x, names = faces(path, vectors, 60)
            config = CleanConfig(impostor_mean=mean, impostor_sd=sd)
            rows = {"bar: 10 % flipped, 5 % strangers": measure(x, names, config, args.seeds, 15, 60, 0.1, 0.05)}
            for name, rest in (("30 % flipped, 10 % strangers", (15, 60, 0.3, 0.1)),
                               ("1 % flipped, .5 % strangers", (15, 60, 0.01, 0.005)), ("12 faces a person", (15, 12, 0.1, 0.05)),
                               ("5 faces a person", (15, 5, 0.1, 0.05)), ("all people", (1_000, 60, 0.1, 0.05))):  # fmt: skip
                if name != "all people" or file == "tune":
                    rows[name] = measure(x, names, config, 2 if name == "all people" else args.seeds, *rest)
            flagged[vectors] = as_it_is(x, names, config)
            rows["whole labels"] = whole_labels(x, names, config, 2 if file == "tune" else args.seeds)
            result[f"{file}, {vectors}"] = rows
            print(file, vectors, json.dumps(result[f"{file}, {vectors}"], indent=1), flush=True)
        if flagged:
            both = set.intersection(*flagged.values())
            result[f"{file}, flagged with the labels of the file as they are"] = {v: len(f) for v, f in flagged.items()} | {
                "both": len(both)
            }
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
