"""Measure the embedder: verification on faces of known people, likeness to its teacher, and speed beside the teacher's.

    python workflows/benchmarks/embedder.py --faces faces_eval.parquet --teacher mobilefacenet.onnx

Vectors are those of a crop and of its mirror image, summed and brought to length 1. The pairs are all with a known answer: two faces
of people with a name (same or different), and a face with a name against one without (different: strangers). Two strangers are not a
pair: nobody knows. The rule of the threshold stands in facecluster.evaluation.verification. The teacher sees the same decoded crops;
its vectors of the crops before they were compressed stand in the file and are measured too.
Speed is of one pass over crops, no mirror, in turns (ours, teacher at each batch size, ours, ...) on the same threads; medians.
Needs onnx and onnxruntime (the `train` dependency group) besides the product.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file

from facecluster.evaluation import FAR, verification
from facecluster.evaluation.reliability import balanced, calibration
from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.registry import AttentionModel, Card, load_embedder

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from embedder_teacher import Teacher  # noqa: E402

Crops = NDArray[np.uint8]
Vectors = NDArray[np.float32]
TEACHER_BATCHES = (1, 16, 64)
SPEED_CROPS = 512


def load_model(weights: Path | None) -> AttentionModel:
    """The bundled model, or the one in a file that the training script wrote."""
    if weights is None:
        return load_embedder("bundled", device="cpu")  # type: ignore[return-value]
    network = AttentionEmbedder.from_weights(load_file(weights))
    card = Card(name=weights.name, dim=128, sha256="", licence="", slope=1, intercept=0, impostor_mean=0, impostor_sd=0.1)
    return AttentionModel(network, card, device="cpu")


def load_faces(path: Path) -> tuple[Crops, NDArray[np.str_], Vectors]:
    """Crops (n, 112, 112, 3), people's names (n,), "" for strangers, and the teacher's vectors of the crops before compression."""
    table = pq.read_table(path, columns=["subject", "crop", "teacher"])
    crops = np.stack([np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in table["crop"].to_pylist()])
    stored = np.array(table["teacher"].to_pylist(), np.float32)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    return crops, np.array([name or "" for name in table["subject"].to_pylist()]), stored


def known_pairs(names: NDArray[np.str_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """First face, second face and whether they are one person, of all pairs with a known answer."""
    i, j = np.triu_indices(len(names), 1)
    known = (names[i] != "") | (names[j] != "")
    i, j = i[known], j[known]
    return i, j, names[i] == names[j]


def accuracy(vectors: Vectors, names: NDArray[np.str_]) -> dict[str, float]:
    """TAR at each FAR over all known pairs."""
    i, j, same = known_pairs(names)
    tar = verification((vectors @ vectors.T)[i, j], same)
    return {f"tar_at_far_{far:g}": round(float(t), 4) for far, t in zip(FAR, tar, strict=True)}


def stated(vectors: Vectors, names: NDArray[np.str_], card: Card) -> float:
    """Expected calibration error (15 bins of equal mass) of the card's probability over all known pairs, both kinds alike."""
    i, j, same = known_pairs(names)
    found = calibration(card.probability((vectors @ vectors.T)[i, j]), same, weights=balanced(same))
    assert found is not None
    return round(found.ece, 4)


def speed(ways: dict[str, Callable[[Crops], object]], crops: Crops, rounds: int) -> dict[str, float]:
    """Median crops a second of each way, taken in turns so that whatever else the machine does hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):  # the first turn warms up
        for name, way in ways.items():
            time.sleep(0.3)  # onnxruntime's threads still turn for a while after their work, on the cores of whoever comes next
            start = time.perf_counter()
            way(crops)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: round(len(crops) / float(np.median(s)), 1) for name, s in seconds.items()}


def machine(threads: int) -> dict[str, object]:
    """What the figures were measured on."""
    try:
        cpu = next(line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor()
    packages = {name: version(name) for name in ("numpy", "torch", "onnxruntime")}
    return {"cpu": cpu, "threads": threads, "python": platform.python_version(), **packages}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, default=Path("../shared/data/faces_eval.parquet"))
    parser.add_argument("--teacher", type=Path, default=Path("../shared/teachers/mobilefacenet.onnx"))
    parser.add_argument("--weights", type=Path, help="safetensors file of the training script; default: the bundled model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="of the speed measurement; 0 leaves it out")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "embedder.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    crops, names, stored = load_faces(options.faces)
    teacher, model = Teacher(options.teacher, options.threads), load_model(options.weights)
    theirs, ours = teacher.embed(crops), model.embed(crops)
    _, _, same = known_pairs(names)
    result: dict[str, object] = {
        "faces": len(crops),
        "pairs": {"same": int(same.sum()), "different": int((~same).sum())},
        "model": {"name": model.card.name, "arithmetic": model.arithmetic, **accuracy(ours, names)},
        "teacher": accuracy(theirs, names),
        "teacher before the crops were compressed": accuracy(stored, names),
        "calibration_error": stated(ours, names, model.card),
        "mean_cosine_to_teacher": round(float((ours * theirs).sum(axis=1).mean()), 4),
    }
    if options.rounds:
        ways: dict[str, Callable[[Crops], object]] = {"model": lambda c: model.embed(c, mirror=False)}
        for batch in TEACHER_BATCHES:
            ways[f"teacher, batch {batch}"] = lambda c, b=batch: teacher.run(c, b)  # type: ignore[misc]
        rates = speed(ways, crops[:SPEED_CROPS], options.rounds)
        best = max(rate for name, rate in rates.items() if name != "model")
        result["faces_per_second"] = rates
        result["speed_ratio"] = round(rates["model"] / best, 2)
    result["machine"] = machine(options.threads)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
