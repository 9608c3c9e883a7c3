"""Measure `cluster --calibrate` where the whole truth is known, and how well the usual probabilities hold.

    python workflows/benchmarks/calibration.py --faces faces_train.parquet --eval faces_eval.parquet --photos photos_more.parquet \
        -o results/calibration.json

Collections are drawn from the training faces: people with a long-tailed number of photos (or all their photos), and nameless strangers. A
simulated user names some of the groups found, by the 64 surest faces of each, and takes out the wrong faces of them or does not look. The
fit sees those labels and nothing else. The expected calibration error is measured on data that the fit did not see: all pairs of named
people of the collection, also of those whom the grouping did not find, and all faces in groups where a named person has the majority.

Groups with a majority of nameless strangers are left out: it is not known which of the nameless faces show one person. The bundled model
was trained on these people, so they are more similar to it than its users' people, and its card, fitted on others, is a little off here.
The evaluation file only serves to measure how well the usual probabilities hold: the teacher's line was fitted on the training faces,
the bundled model's on its card.

With --photos the evaluation faces are measured with dirt among them, too: two faces in five are degraded (models/unclear_crops.py), and
there are patches of photos without faces. Here every face counts, whoever it shows: a group in which no two faces are of one person is
nobody, and all its faces are wrong. Which nameless faces are one person follows from the teacher's vectors of their clean crops.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from facecluster.calibrate import LabelledFaces, calibrate
from facecluster.calibrate.logistic import Line
from facecluster.evaluation import balanced, calibration, pairs
from facecluster.evaluation.scores import cosines
from facecluster.grouping.groups import Groups
from facecluster.grouping.identify import IdentifyConfig, group, group_kept
from facecluster.grouping.link import nearest
from facecluster.grouping.subset import recognisable
from facecluster.grouping.uncertainty import assess
from facecluster.models.registry import Card, card_of, load_embedder
from facecluster.models.unclear_crops import degraded

sys.path.insert(0, str(Path(__file__).parents[1]))
from embedder_recognisability import patches  # noqa: E402

CARDS = {"the model's": None, "flat": Line(1.0, 0.0), "steep": Line(40.0, -20.0), "eager": Line(20.0, -1.0)}
SHAPES = ((40, True, 500), (40, True, 3000), (40, False, 1000))  # people, long tail, strangers
TEACHER = Line(20.9, -4.75)  # by maximum likelihood on all named faces of the file
ONE_PERSON = 0.42  # teacher's cosine from which two nameless faces are one person
SMALL = 3
DIRT = {"clean": (0.0, 0), "dirty": (0.4, 300)}  # share of degraded faces, patches of things
USERS = ((5, True), (10, True), (20, True), (20, False))  # groups named, wrong faces taken out


def read(faces: Path, cache: Path | None) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.str_]]:
    """Vectors of both models, and names, '' for nobody known; masked faces are left out."""
    if cache is not None and cache.exists():
        found = np.load(cache)
        return {"teacher": found["teacher"], "bundled": found["bundled"]}, found["names"]
    table = pq.read_table(faces, columns=["source", "subject", "teacher", "crop"])
    keep = np.flatnonzero(np.array(table["source"].to_pylist()) != "rmfd-masked")
    names = np.array([s or "" for s in table["subject"].to_pylist()])[keep]
    teacher = np.stack(table["teacher"].to_numpy()).astype(np.float32)[keep]
    crops, model = table["crop"], load_embedder("bundled")
    bundled = [
        model.embed(np.stack([np.asarray(Image.open(io.BytesIO(crops[int(i)].as_py())).convert("RGB")) for i in part]))
        for part in np.array_split(keep, len(keep) // 256)
    ]
    vectors = {"teacher": teacher / np.linalg.norm(teacher, axis=1, keepdims=True), "bundled": np.concatenate(bundled)}
    if cache is not None:
        np.savez(cache, names=names, **vectors)  # type: ignore[arg-type]
    return vectors, names


def draw(names: NDArray[np.str_], people: int, tail: bool, strangers: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of a collection."""
    rows: list[int] = []
    for name in rng.choice(np.unique(names[names != ""]), people, replace=False):
        mine = np.flatnonzero(names == name)
        rows += rng.choice(mine, min(len(mine), 2 + int(np.ceil(3 * rng.pareto(1.0)))) if tail else len(mine), replace=False).tolist()
    return np.array(rows + rng.choice(np.flatnonzero(names == ""), strangers, replace=False).tolist())


def user(groups: Groups, truth: NDArray[np.str_], named: int, looks: bool, rng: np.random.Generator) -> LabelledFaces:
    """The labels of a simulated user who names `named` groups of three faces and more, in random order."""
    labels, person = groups.labels, np.full(len(truth), -1, np.int64)
    people: list[str] = []
    rejected: dict[int, set[int]] = {}
    for i in rng.permutation(labels.max() + 1).tolist():
        rows = np.flatnonzero(labels == i)
        values, counts = np.unique(truth[rows], return_counts=True)
        name = str(values[counts.argmax()])
        if len(rows) < 3 or not name or (name not in people and len(people) == named):
            continue
        people += [] if name in people else [name]
        surest = rows[np.argsort(-groups.probabilities[rows], kind="stable")][:64]
        person[surest] = people.index(name)
        if looks:
            wrong = rows[truth[rows] != name]
            person[wrong] = -1
            rejected.setdefault(people.index(name), set()).update(wrong.tolist())
    return LabelledFaces(people, person, rejected, 0)


def errors(card: Card, place: Line, x: NDArray[np.float32], truth: NDArray[np.str_], groups: Groups) -> dict[str, float]:
    """Calibration errors over the whole collection: of pairs, and of places in groups that named people lead."""
    rows = np.flatnonzero(truth != "")
    one, two, same = pairs(np.unique(truth[rows], return_inverse=True)[1], 200_000)
    of_pairs = calibration(card.probability(cosines(x[rows], one, two)), same, weights=balanced(same))
    judged, right = [], []
    for i in range(groups.labels.max() + 1):
        mine = np.flatnonzero(groups.labels == i)
        values, counts = np.unique(truth[mine], return_counts=True)
        best = counts[values != ""].max(initial=0)
        if best >= 2 and best > counts[values == ""].max(initial=0) and (counts == best).sum() == 1:
            judged.append(mine)
            right.append(truth[mine] == values[counts.argmax()])
    of_places = calibration(place.probability(groups.margins[np.concatenate(judged)]), np.concatenate(right))
    assert of_pairs is not None and of_places is not None
    share = float(np.concatenate(right).mean())
    return {"pairs": round(of_pairs.ece, 4), "places": round(of_places.ece, 4), "faces right": round(share, 4)}


def play(x: NDArray[np.float32], names: NDArray[np.str_], card: Card, seeds: int) -> list[dict[str, Any]]:
    """Every shape of collection, user and card."""
    found = []
    config = IdentifyConfig(**card.grouping_settings())
    usual = Line(config.confidence_slope, config.confidence_intercept)
    for shape in SHAPES:
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            rows = draw(names, *shape, rng)
            vectors, truth = x[rows], names[rows]
            groups = group(vectors, *nearest(vectors, 64), config)
            for named, looks in USERS:
                labelled = user(groups, truth, named, looks, rng)
                for name, line in CARDS.items():
                    bad = card if line is None else replace(card, slope=line.slope, intercept=line.intercept)
                    fit = calibrate(labelled, vectors, groups, bad)
                    before = errors(bad, usual, vectors, truth, groups)
                    after = errors(fit.calibration.apply_to(bad), fit.membership.used or usual, vectors, truth, groups)
                    found.append({
                        "people": shape[0], "long tail": shape[1], "strangers": shape[2], "seed": seed, "named": len(labelled.names),
                        "faces": int((labelled.person >= 0).sum()), "looks": looks, "card": name, "faces right": before.pop("faces right"),
                        "before": before, "after": {k: after[k] for k in before},
                        "used": {"pairs": fit.pairs.used is not None, "places": fit.membership.used is not None},
                        "own pairs": fit.pairs.held_out and [round(v, 4) for v in fit.pairs.held_out.ece],
                    })  # fmt: skip
    return found


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over collections, by card and number of names."""
    found = {}
    for key in sorted({(r["card"], r["named"], r["looks"]) for r in rows}):
        mine = [r for r in rows if (r["card"], r["named"], r["looks"]) == key]
        for part in ("pairs", "places") if key[0] == "the model's" else ("pairs",):
            found[f"{part}, card: {key[0]}, {key[1]} named" + ("" if key[2] else ", not looked at")] = {
                "collections": len(mine), "used": sum(r["used"][part] for r in mine),
                **{when: round(float(np.mean([r[when][part] for r in mine])), 4) for when in ("before", "after")},
                "worst after": max(r["after"][part] for r in mine),
            }  # fmt: skip
    return found


def usual_errors(x: NDArray[np.float32], truth: NDArray[np.str_], card: Card) -> dict[str, Any]:
    """How well stated probabilities hold with the card as it is, and what persons are said to be against what they are."""
    config = IdentifyConfig(**card.grouping_settings())
    neighbours, similarity = nearest(x, 64)
    groups = group(x, neighbours, similarity, config)
    uncertainty = assess(x, neighbours, similarity, groups.labels, groups.probabilities, config)
    purity, completeness, sizes = [], [], []
    names, counts = np.unique(truth[truth != ""], return_counts=True)
    there = dict(zip(names.tolist(), counts.tolist(), strict=True))
    for i in range(groups.labels.max() + 1):
        values, inside = np.unique(truth[groups.labels == i], return_counts=True)
        name = str(values[inside.argmax()])
        if name:
            purity.append(uncertainty.purity[i] - inside.max() / inside.sum())
            completeness.append(uncertainty.completeness[i] - inside.max() / there[name])
            sizes.append(inside.sum())
    of_people = {
        f"{key}, stated - true": {"over people": round(float(np.mean(v)), 4), "over faces": round(float(np.average(v, weights=sizes)), 4)}
        for key, v in (("purity", purity), ("completeness", completeness))
    }
    return errors(card, Line(config.confidence_slope, config.confidence_intercept), x, truth, groups) | {"people": len(purity)} | of_people


def nameless_people(names: NDArray[np.str_], teacher: NDArray[np.float32]) -> NDArray[np.int64]:
    """The person (n,) of each face: nameless faces that the teacher's vectors link are one."""
    nameless = names == ""
    alike = (teacher @ teacher.T >= ONE_PERSON) & nameless[:, None] & nameless[None]
    people = connected_components(csr_matrix(alike), directed=False)[1].astype(np.int64)
    known = np.unique(names, return_inverse=True)[1]
    return np.where(nameless, people + known.max() + 1, known)


def dirty_faces(
    path: Path, photos: Path, share: float, things: int, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.str_], NDArray[np.int64]]:
    """Bundled vectors of the evaluation faces, this share of them degraded, and of patches of things; names ('' = none); who they show."""
    rng = np.random.default_rng(seed)
    table = pq.read_table(path, columns=["source", "subject", "teacher", "crop"])
    keep = np.flatnonzero(np.array(table["source"].to_pylist()) != "rmfd-masked")
    crops = [np.asarray(Image.open(io.BytesIO(table["crop"][int(i)].as_py())).convert("RGB")) for i in keep]
    crops = [degraded(crop, rng) if rng.random() < share else crop for crop in crops]
    names = np.array([s or "" for s in table["subject"].to_pylist()])[keep]
    teacher = np.stack(table["teacher"].to_numpy()).astype(np.float32)[keep]
    people = nameless_people(names, teacher / np.linalg.norm(teacher, axis=1, keepdims=True))
    if things:
        crops += list(patches(photos, things, rng, held_out=True))
    model = load_embedder("bundled")
    x = np.concatenate([model.embed(np.stack(crops[i : i + 128])) for i in range(0, len(crops), 128)])
    return x, np.r_[names, np.full(things, "")], np.r_[people, people.max() + 1 + np.arange(things)]


def strict(x: NDArray[np.float32], people: NDArray[np.int64], card: Card) -> NDArray[np.float64]:
    """For each face in a group (m, 3): the probability as the product states it, whether it is right, and the faces of its group."""
    config = IdentifyConfig(**card.grouping_settings())
    assert card.recognisability is not None
    clear = card.recognisability.of(x)
    groups = group_kept(recognisable(clear, None, config.min_recognisability, len(x)), x, *nearest(x, 64), config, recognisability=clear)
    found = []
    for i in range(groups.labels.max() + 1):
        mine = np.flatnonzero(groups.labels == i)
        _, who, counts = np.unique(people[mine], return_inverse=True, return_counts=True)
        lead = counts == counts.max()
        right = lead[who] / lead.sum() if counts.max() > 1 else np.zeros(len(mine))
        found.append(np.column_stack([groups.probabilities[mine], right, np.full(len(mine), len(mine))]))
    return np.concatenate(found)


def strict_errors(faces: NDArray[np.float64]) -> dict[str, Any]:
    """How well the probabilities of `strict` hold; groups of up to SMALL faces apart."""
    found: dict[str, Any] = {}
    small = faces[:, 2] <= SMALL
    for name, some in (("all", faces), (f"groups of up to {SMALL} faces", faces[small]), ("larger groups", faces[~small])):
        stated, right = some[:, 0], some[:, 1]
        error = calibration(stated, right)
        assert error is not None
        figures = {"stated": float(stated.mean()), "right": float(right.mean()), "error": error.ece}
        found[name] = {"faces": len(some), **{key: round(value, 4) for key, value in figures.items()}}
    return found


def every_face(path: Path, photos: Path, card: Card, seeds: int) -> dict[str, Any]:
    """Clean and dirty evaluation faces: all of them, and collections whose people have a long-tailed number of photos."""
    found = {}
    for name, dirt in DIRT.items():
        x, names, people = dirty_faces(path, photos, *dirt)
        found[f"{name}, all"] = strict_errors(strict(x, people, card))
        named, nameless = len(np.unique(names)) - 1, int((names == "").sum())
        rows = [draw(names, named, True, nameless, np.random.default_rng(seed)) for seed in range(seeds)]
        found[f"{name}, long tail"] = strict_errors(np.concatenate([strict(x[r], people[r], card) for r in rows]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--eval", type=Path, help="evaluation faces: how well the usual probabilities hold")
    parser.add_argument("--photos", type=Path, help="photos without faces: measure the evaluation faces with dirt among them, too")
    parser.add_argument("--cache", type=Path, help="file that keeps the vectors for another time")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    vectors, names = read(args.faces, args.cache)
    bundled = card_of("bundled")
    teacher = replace(bundled, slope=TEACHER.slope, intercept=TEACHER.intercept, impostor_mean=0.035, impostor_sd=0.115)
    machine = {"cpu": platform.processor() or platform.machine(), "python": platform.python_version(), "numpy": np.__version__}
    result: dict[str, Any] = {"machine": machine, "bundled_sha256": bundled.sha256, "seeds": args.seeds}
    if args.eval and args.photos:
        result["every face"] = every_face(args.eval, args.photos, bundled, args.seeds)
        print(json.dumps(result["every face"], indent=1), flush=True)
    for name, card in (("teacher", teacher), ("bundled", bundled)):
        result[name] = {}
        if args.eval:
            held, truth = read(args.eval, None)
            result[name]["evaluation faces, the usual probabilities"] = usual_errors(held[name], truth, card)
        result[name]["training faces"] = summary(play(vectors[name], names, card, args.seeds))
        print(name, json.dumps(result[name], indent=1), flush=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
