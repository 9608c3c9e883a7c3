"""Measure `facecluster train`: from bundled weights and from scratch, an imbalanced draw, and fine-tuning on ten people.

    python workflows/benchmarks/train.py --data FACES --work FOLDER
    python workflows/benchmarks/train.py --data FACES --work FOLDER --minutes 6 --threads 1 --only drawn balanced

bundled, scratch   the named people of faces_train.parquet, some held out by the command; from the bundled weights, and from random ones
drawn, balanced    of each of these people eight faces are kept apart; of the rest the k-th person, in a random order, gives 1 / k of what
                   the first one gives, two at least. From the bundled weights, as they are drawn and balanced. Measured on the faces that
                   were kept apart, by thirds of the people by what they gave, at the threshold of all
finetune           ten people of faces_eval.parquet, as `--finetune bundled` does; measured on the other five
last               the last layer alone, from every other face of the same ten people; measured on their other faces too

The command runs as a user runs it, 20 minutes each on 2 threads. Stop it when you like: a run that was stopped goes on from its checkpoint
in --work, and one that was measured there for as many minutes is not run again. What is measured goes to results/train.json, a plot of it
to --work/train.svg.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from embedder import load_faces
from numpy.typing import NDArray
from train_plot import draw

from facecluster.evaluation.face_pairs import cosines, pairs
from facecluster.evaluation.verify import roc
from facecluster.models.registry import load_embedder
from facecluster.training.accuracy import PARTS, RATES, HeldOutPairs
from facecluster.training.config import TrainConfig
from facecluster.training.faces import LearningFaces
from facecluster.training.log import CSV, read_log
from facecluster.training.read_faces import read_faces
from facecluster.training.train import compare, parts_of

APART, FEWEST = 8, 2  # faces of a person that are measured; that are learnt, at least
TUNED = 10  # people of the evaluation file who are learnt
RUNS = {  # what each is called in the results, and what it adds to the command
    "bundled": ("from the bundled weights", ["--init", "bundled"]), "scratch": ("from scratch", []),
    "drawn": ("as drawn", ["--init", "bundled", "--hold-out", "0"]),
    "balanced": ("balanced", ["--init", "bundled", "--hold-out", "0", "--balance", "1"]),
    "finetune": ("finetune", ["--finetune", "bundled"]), "last": ("last layer", ["--finetune", "bundled", "--layers", "last"]),
}  # fmt: skip
DONE = "done.json"  # in --work: minutes of each run that was measured


def named(data: Path) -> pa.Table:
    """Crops and people of the named part of the training faces."""
    table = pq.read_table(data / "faces_train.parquet", columns=["subject", "crop"])
    return table.filter(pc.is_valid(table["subject"]))


def imbalanced(table: pa.Table, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, int]]:
    """Rows to learn, rows kept apart, and how many faces each person gives."""
    rng = np.random.default_rng(seed)
    people = np.array(table["subject"].to_pylist())
    rows = {name: rng.permutation(np.flatnonzero(people == name)) for name in rng.permutation(np.unique(people)).tolist()}
    rows = {name: r for name, r in rows.items() if len(r) >= APART + 40}
    gives = {name: max(FEWEST, round((len(r) - APART) / (k + 1))) for k, (name, r) in enumerate(rows.items())}
    learnt = [rows[name][APART : APART + n] for name, n in gives.items()]
    return np.concatenate(learnt), np.concatenate([r[:APART] for r in rows.values()]), gives


def output_of(command: Sequence[str]) -> str:
    """What a command writes to stdout. On Ctrl-C it is waited for, since it writes its checkpoint before it ends."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            said, _ = process.communicate()
        except KeyboardInterrupt:
            process.wait()
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return said


def train(source: Path, out: Path, options: argparse.Namespace, more: Sequence[str]) -> dict[str, Any]:
    """Run the command; what it says, and how much it saw."""
    command = [sys.executable, "-c", "from facecluster.cli import main; main()", "train", str(source), "-o", str(out), "--json"]
    budget = ["--minutes", str(options.minutes), "--threads", str(options.threads), "--batch", str(options.batch)]
    written = output_of([*command, *budget, *more])
    last = read_log(out / CSV)[-1]
    said = json.loads(written)
    return said | {"kept": said.pop("card") is not None, "faces_seen": int(last["faces"]), "minutes": round(float(last["minutes"]), 2)}


def by_thirds(vectors: NDArray[np.float32], people: list[str], gives: dict[str, int]) -> dict[str, list[float]]:
    """True accept rates at RATES of all, and of head, body and tail at the threshold of all."""
    first, second, same = pairs(people)
    similar = cosines(vectors, first, second)
    curve = roc(similar, same)
    at = curve.at(RATES)
    owner = np.array(people)[first[same]]
    found = {"all": [round(float(curve.tar[i]), 4) for i in at]}
    order = sorted(gives, key=lambda name: -gives[name])
    for part, names in zip(PARTS, np.array_split(np.array(order), len(PARTS)), strict=True):
        mine = similar[same][np.isin(owner, names)]
        found[part] = [round(float((mine >= curve.threshold[i]).mean()), 4) for i in at]
    return found


def write(table: pa.Table, path: Path) -> Path:
    pq.write_table(table, path)
    return path


def folder(options: argparse.Namespace, run: str) -> Path:
    """Of a run's training, anew for other settings."""
    return Path(options.work / f"{run}-batch{options.batch}")


def measure_named(options: argparse.Namespace, run: str, result: dict[str, Any]) -> None:
    source = write(named(options.data), options.work / "named.parquet")
    found = result.setdefault("named", {})
    if "before" not in found:
        faces = read_faces(str(source))
        rows = parts_of(faces, TrainConfig()).held_out
        before = HeldOutPairs(faces.label[rows]).accuracy(load_embedder("bundled", "cpu").embed(faces.take(rows)))
        found["before"] = None if before is None else before.to_dict()
    way, more = RUNS[run]
    found[way] = train(source, folder(options, run), options, more)


def measure_imbalanced(options: argparse.Namespace, run: str, result: dict[str, Any]) -> None:
    table = named(options.data)
    learnt, apart, gives = imbalanced(table)
    source = write(table.take(learnt), options.work / "imbalanced.parquet")
    rest = table.take(apart)
    people = rest["subject"].to_pylist()
    crops = LearningFaces(rest["crop"].to_pylist(), people, "kept apart")
    every = crops.take(np.arange(len(crops)))
    found = result.setdefault("imbalanced", {})
    found |= {"faces": len(learnt), "people": len(gives), "most": max(gives.values()), "fewest": min(gives.values())}
    found["before"] = {"apart": by_thirds(load_embedder("bundled", "cpu").embed(every), people, gives)}
    way, more = RUNS[run]
    said = train(source, folder(options, run), options, more)
    card = str(folder(options, run) / "card.toml")
    found[way] = said | {"apart": by_thirds(load_embedder(card, "cpu").embed(every), people, gives)}


def measure_finetune(options: argparse.Namespace, run: str, result: dict[str, Any]) -> None:
    table = pq.read_table(options.data / "faces_eval.parquet", columns=["subject", "crop"])
    people = sorted({name for name in table["subject"].to_pylist() if name})
    tuned = np.random.default_rng(0).permutation(people)[:TUNED].tolist()
    source = write(table.filter(pc.is_in(table["subject"], pa.array(tuned))), options.work / "ten.parquet")
    said = result["finetune"] = train(source, folder(options, run), options, RUNS[run][1])
    if not said["kept"]:
        return
    crops, names, _ = load_faces(options.data / "faces_eval.parquet")
    crops, names = crops[names != ""], names[names != ""]
    models = [load_embedder(m, "cpu").embed(crops) for m in ("bundled", str(folder(options, run) / "card.toml"))]
    is_tuned = np.isin(names, tuned)
    for group, rows in {"the ten": is_tuned, "the other five": ~is_tuned}.items():
        both = compare(HeldOutPairs(np.unique(names[rows], return_inverse=True)[1]), *(v[rows] for v in models))
        said[group] = {"before": both.before, "after": both.after, "difference, 95 %": [both.low, both.high]}


def measure_last_layer(options: argparse.Namespace, run: str, result: dict[str, Any]) -> None:
    table = pq.read_table(options.data / "faces_eval.parquet", columns=["subject", "crop"])
    names = np.array([name or "" for name in table["subject"].to_pylist()])
    tuned = np.random.default_rng(0).permutation(sorted(set(names.tolist()) - {""}))[:TUNED].tolist()
    place = {name: 0 for name in tuned}
    is_learnt = np.zeros(len(names), bool)
    for i, name in enumerate(names.tolist()):
        if name in place:
            is_learnt[i] = place[name] % 2 == 0
            place[name] += 1
    source = write(table.filter(pa.array(is_learnt | (names == ""))), options.work / "half.parquet")
    out = folder(options, run)
    command = [sys.executable, "-c", "from facecluster.cli import main; main()", "train", str(source), "-o", str(out), "--json"]
    began = time.process_time() + sum(os.times()[2:4])
    said = result["last layer"] = json.loads(output_of([*command, "--threads", str(options.threads), *RUNS[run][1]]))
    said["processor seconds"] = round(time.process_time() + sum(os.times()[2:4]) - began, 1)
    if said.pop("card") is None:
        return
    crops, _, _ = load_faces(options.data / "faces_eval.parquet")
    models = [load_embedder(m, "cpu").embed(crops) for m in ("bundled", str(out / "card.toml"))]
    groups = {"the ten, faces that were not learnt": np.isin(names, tuned) & ~is_learnt, "the other five": ~np.isin(names, [*tuned, ""])}
    for group, rows in groups.items():
        both = compare(HeldOutPairs(np.unique(names[rows], return_inverse=True)[1]), *(v[rows] for v in models))
        said[group] = {"before": both.before, "after": both.after, "difference, 95 %": [both.low, both.high]}


MEASURES = {
    "bundled": measure_named, "scratch": measure_named, "drawn": measure_imbalanced, "balanced": measure_imbalanced,
    "finetune": measure_finetune, "last": measure_last_layer,
}  # fmt: skip


def read_json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def write_json(values: dict[str, Any], path: Path) -> None:
    """Whole or not at all."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    beside.replace(path)


def picture(options: argparse.Namespace, result: dict[str, Any]) -> str:
    """The plot of what is measured so far, of the runs in --work."""
    logs = {RUNS[run][0]: folder(options, run) / CSV for run in ("bundled", "scratch")}
    found = result.get("imbalanced", {})
    ways = {name: found[name]["apart"] for name in ("before", "as drawn", "balanced") if name in found}
    return draw(result.get("named", {}), logs, ways)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces_train.parquet and faces_eval.parquet")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20, help="of each run")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--only", metavar="RUN", choices=RUNS, nargs="*", default=list(RUNS), help=f"of {', '.join(RUNS)}")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "train.json")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    result, done = read_json(options.out), read_json(options.work / DONE)
    for run in options.only:
        if done.get(run) == [options.minutes, options.batch]:
            print(f"{run}: measured already", file=sys.stderr)
            continue
        MEASURES[run](options, run, result)
        write_json(result, options.out)
        write_json(done | {run: [options.minutes, options.batch]}, options.work / DONE)
        done = read_json(options.work / DONE)
    (options.work / "train.svg").write_text(picture(options, result), encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
