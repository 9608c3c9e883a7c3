"""Make trained embedder weights a model with a card: the bundled one, or another in any folder.

    python workflows/publish_embedder.py --weights runs/embedder/card.safetensors \
        --faces faces_train.parquet --more faces_more.parquet --photos photos_more.parquet --evaluation faces_eval.parquet \
        --teacher mobilefacenet.onnx --detector yunet_n.onnx --recipe "facecluster train --recipe bundled, 568,192 augmented faces"

The card gets the activation ranges for 8-bit arithmetic, the reading of cosines, the recognisability (embedder_recognisability.py), and
the accuracy by condition (benchmarks/embedder_conditions.py). All are made first, then weights and card are put in place together.

The reading is fitted on the faces that training held out (five people and a twentieth of the strangers; see embedder_faces.py): on faces
that the model learnt from, its cosines are better than they will be for its users. The evaluation file is measured, and nothing is fitted
to it. The probability is a logistic fit on as many pairs of one person as of a named person and anyone else.

The mask attribute is fitted to the weights of the bundled embedder: after it is replaced, run train_mask.py.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from embedder_faces import load_faces
from embedder_recognisability import fit_recognisability, section, write_section
from embedder_teacher import Teacher
from safetensors.torch import load_file

from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.int8 import measure_ranges
from facecluster.models.registry import WEIGHTS, AttentionModel, Card, fold_batch_norm, load_embedder
from facecluster.training.reading import fit_reading

sys.path.insert(0, str(Path(__file__).resolve().parent / "benchmarks"))
from embedder_conditions import Conditions  # noqa: E402

HELD_OUT = "five people and a twentieth of the nameless faces of the first sources held out"
LINEAGE = (
    "Several of the sources are, or copy, sets that allow research only (CelebA, UTKFace, IMDB-WIKI, IMFDB). "
    "Commercial users must judge that for themselves."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True, help="training faces, of which some were held out")
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="further training faces; the first give the recognisability")
    parser.add_argument("--photos", type=Path, required=True, help="photos without faces under sources negatives/...")
    parser.add_argument("--evaluation", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--detector", type=Path, required=True, help="YuNet, for the yaw of the evaluation faces")
    parser.add_argument("--recipe", required=True, help="how they were made: a line for the card")
    parser.add_argument("--name", default="bundled", help="of the model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--n", type=int, default=2_500, help="crops, and as many patches, for the recognisability")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder for embedder.toml and embedder.safetensors")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.out) as folder:
        make(Path(folder), args)
        for name in ("embedder.safetensors", "embedder.toml"):
            os.replace(Path(folder) / name, args.out / name)


def make(folder: Path, args: argparse.Namespace) -> None:
    """Write weights and card into `folder`."""
    path = folder / "embedder.toml"
    shutil.copyfile(args.weights, path.with_suffix(".safetensors"))
    network = AttentionEmbedder.from_weights(load_file(args.weights))
    teacher = Teacher(args.teacher, args.threads, spin=False)
    card, cosine = read(network, teacher, args)
    path.write_text(text(card, network, cosine, args), encoding="utf-8")
    model = load_embedder(str(path), device="cpu")
    found, figures = fit_recognisability(model, (args.more or [args.faces])[0], args.photos, args.n)
    print("recognisability:", figures)
    write_section(path, section(found, figures))
    conditions = Conditions(args.evaluation, teacher, args.detector)
    measured, best = conditions.measure(model.embed), conditions.accuracy(conditions.theirs)
    with path.open("a", encoding="utf-8") as file:
        file.write(accuracy_section(measured, best))


def read(network: AttentionEmbedder, teacher: Teacher, args: argparse.Namespace) -> tuple[Card, float]:
    """The card of a network, with ranges and reading; the mean cosine of held-out faces to the teacher's vectors."""
    sha = hashlib.sha256(args.weights.read_bytes()).hexdigest()
    crops, held = load_faces(args.faces)
    images = torch.from_numpy(crops[~held][::16]).permute(0, 3, 1, 2).float()
    found = measure_ranges(fold_batch_norm(copy.deepcopy(network).eval()), images)
    card = Card(
        name=args.name, dim=network.settings["dim"], sha256=sha, licence="Apache-2.0",
        slope=1, intercept=0, impostor_mean=0, impostor_sd=0.1,
        settings={k: v for k, v in network.settings.items() if k != "dim"},
        ranges={name: [round(v, 4) for v in ends] for name, ends in found.items()},
    )  # fmt: skip
    names = np.array([s or "" for s in pq.read_table(args.faces, columns=["subject"])["subject"].to_pylist()])[held]
    vectors = AttentionModel(copy.deepcopy(network), card).embed(crops[held])
    slope, intercept, mean, sd = fit_reading(vectors, names, np.random.default_rng(0))
    print(f"{len(names)} held-out faces; slope {slope:.3f}, intercept {intercept:.3f}; strangers {mean:.4f} +- {sd:.4f}")
    cosine = float((vectors * teacher.embed(crops[held])).sum(axis=1).mean())
    return replace(card, slope=slope, intercept=intercept, impostor_mean=mean, impostor_sd=sd), cosine


def sources(files: Sequence[Path]) -> str:
    """How many faces of which sources."""
    found = Counter(s for path in files for s in pq.read_table(path, columns=["source"])["source"].to_pylist())
    return ", ".join(f"{name} {n:,}" for name, n in found.most_common())


def accuracy_section(measured: dict[str, dict[str, Any]], teacher: dict[str, dict[str, Any]]) -> str:
    """What the evaluation faces say of the model, by condition."""
    lines = [
        f'"{name}" = {{ tar = {values["tar"]}, teacher = {teacher[name]["tar"]}, cosine_to_teacher = {values["cosine_to_teacher"]} }}'
        for name, values in measured.items()
        if "tar" in values
    ]
    lines += [
        f'"{name}" = {{ pairs_accepted = {values["pairs_accepted"]}, teacher = {teacher[name]["pairs_accepted"]} }}  # of two of them'
        for name, values in measured.items()
        if name == "children" and "pairs_accepted" in values
    ]
    return (
        "\n[accuracy]  # tar: share of pairs of one person (a face in the condition, a clean one) accepted where one in 1,000 pairs\n"
        "# of two people is; on people of no training; by workflows/benchmarks/embedder_conditions.py\n" + "\n".join(lines) + "\n"
    )


def text(card: Card, network: AttentionEmbedder, cosine: float, args: argparse.Namespace) -> str:
    """The card as TOML, without recognisability and accuracy. `cosine` is that of held-out faces to the teacher's vectors."""
    ranges = "\n".join(f'"{name}" = {ends}' for name, ends in card.ranges.items())
    settings = "\n".join(f"{name} = {value}" for name, value in card.settings.items())
    data = f"aligned faces: {sources([args.faces, *args.more])}; {HELD_OUT}; 756 of loose group photos"
    return f'''# Model card of an embedder. Weights: embedder.safetensors (float16).

[model]
name = "{card.name}"
dim = {card.dim}
sha256 = "{card.sha256}"
licence = "{card.licence}"
parameters = {sum(p.numel() for p in network.parameters())}
input = "aligned face, 112x112 RGB, 0 to 255 (ArcFace template); scaled to -1..1 inside the network"

[network]
{settings}

[reading]  # fitted on the faces that training held out, by workflows/publish_embedder.py
slope = {card.slope:.3f}  # probability of one person = 1 / (1 + exp(-(slope * cosine + intercept))), both cases as likely
intercept = {card.intercept:.3f}
impostor_mean = {card.impostor_mean:.4f}  # of the cosine of faces of two people
impostor_sd = {card.impostor_sd:.4f}

[ranges]  # of what the layers say of training faces, for 8-bit arithmetic (models/int8.py)
{ranges}

[training]
teacher = "MobileFaceNet (foamliu/MobileFaceNet), Apache-2.0: its vectors and two inner maps"
data = "{data}"
lineage = "{LINEAGE}"
recipe = "{args.recipe}"
held_out_cosine = {cosine:.4f}  # to the teacher, crop and mirror summed
'''


if __name__ == "__main__":
    main()
