"""Put trained embedder weights into the package: copies them, fits the reading of their cosines, writes the card.

    python workflows/publish_embedder.py --weights runs/embedder/embedder.safetensors --log runs/embedder/log.jsonl \
        --faces faces_train.parquet --recipe "workflows/train_embedder.py, 568,192 augmented faces"

Fitted on the faces that training held out (five people and a twentieth of the strangers; see embedder_faces.py): on faces that the
model learnt from, its cosines are better than they will be for its users. The evaluation file stays unseen. The probability is a
logistic fit on as many pairs of one person as of a named person and anyone else.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from embedder_faces import load_faces
from safetensors.torch import load_file

from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.int8 import measure_ranges
from facecluster.models.registry import WEIGHTS, AttentionModel, Card, fold_batch_norm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--recipe", required=True, help="how they were made: a line for the card")
    args = parser.parse_args()
    network = AttentionEmbedder.from_weights(load_file(args.weights))
    parameters = sum(p.numel() for p in network.parameters())
    sha = hashlib.sha256(args.weights.read_bytes()).hexdigest()
    crops, held = load_faces(args.faces, None)
    images = torch.from_numpy(crops[~held][::16]).permute(0, 3, 1, 2).float()
    found = measure_ranges(fold_batch_norm(copy.deepcopy(network).eval()), images)
    card = Card(
        name="bundled", dim=128, sha256=sha, licence="Apache-2.0", slope=1, intercept=0, impostor_mean=0, impostor_sd=0.1,
        settings={k: v for k, v in network.settings.items() if k != "dim"},
        ranges={name: [round(v, 4) for v in ends] for name, ends in found.items()},
    )  # fmt: skip
    names = np.array([s or "" for s in pq.read_table(args.faces, columns=["subject"])["subject"].to_pylist()])[held]
    vectors = AttentionModel(network, card).embed(crops[held])
    slope, intercept, mean, sd = fit(vectors, names, np.random.default_rng(0))
    print(f"{len(names)} held-out faces; slope {slope:.3f}, intercept {intercept:.3f}; strangers {mean:.4f} +- {sd:.4f}")
    card = replace(card, slope=slope, intercept=intercept, impostor_mean=mean, impostor_sd=sd)
    held_out = json.loads(args.log.read_text().splitlines()[-1])["held_out_cosine"]
    shutil.copyfile(args.weights, WEIGHTS / "embedder.safetensors")
    (WEIGHTS / "embedder.toml").write_text(text(card, parameters, args.recipe, held_out))


def text(card: Card, parameters: int, recipe: str, held_out: float) -> str:
    """The card as TOML."""
    ranges = "\n".join(f'"{name}" = {ends}' for name, ends in card.ranges.items())
    network = "\n".join(f"{name} = {value}" for name, value in card.settings.items())
    return f'''# Model card of the bundled embedder. Weights: embedder.safetensors (float16).

[model]
name = "{card.name}"
dim = {card.dim}
sha256 = "{card.sha256}"
licence = "{card.licence}"
parameters = {parameters}
input = "aligned face, 112x112 RGB, 0 to 255 (ArcFace template); scaled to -1..1 inside the network"

[network]
{network}

[reading]  # fitted on the faces that training held out, by workflows/publish_embedder.py
slope = {card.slope:.3f}  # probability of one person = 1 / (1 + exp(-(slope * cosine + intercept))), both cases as likely
intercept = {card.intercept:.3f}
impostor_mean = {card.impostor_mean:.4f}  # of the cosine of two strangers
impostor_sd = {card.impostor_sd:.4f}

[ranges]  # of what the layers say of training faces, for 8-bit arithmetic (models/int8.py)
{ranges}

[training]
teacher = "MobileFaceNet (foamliu/MobileFaceNet), Apache-2.0: its vectors and two inner maps"
data = "15,830 aligned faces (all-age-faces, pins, rmfd-masked, bollywood6; 850 more held out) and 756 of loose group photos"
recipe = "{recipe}"
held_out_cosine = {held_out}  # to the teacher, crop and mirror summed
'''


def fit(vectors: np.ndarray, names: np.ndarray, rng: np.random.Generator) -> tuple[float, float, float, float]:  # type: ignore[type-arg]
    """Slope and intercept of the logistic fit, by maximum likelihood; mean and sd of cosines of strangers. No name ("") is a stranger."""
    i, j = np.triu_indices(len(names), 1)
    same = (names[i] == names[j]) & (names[i] != "")
    other = rng.choice(np.flatnonzero(~same), min((~same).sum(), 1_000_000), replace=False)
    strangers = np.einsum("ij,ij->i", vectors[i[other]], vectors[j[other]])
    one = np.flatnonzero(same)
    two = rng.choice(np.flatnonzero(~same & ((names[i] != "") | (names[j] != ""))), len(one))
    pick = np.r_[one, two]
    cosine = torch.tensor(np.einsum("ij,ij->i", vectors[i[pick]], vectors[j[pick]]), dtype=torch.float64)
    target = torch.tensor(same[pick], dtype=torch.float64)
    w = torch.tensor([10.0, -4.0], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([w], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(w[0] * cosine + w[1], target)
        value.backward()
        return value

    solver.step(loss)
    return float(w[0].detach()), float(w[1].detach()), float(strangers.mean()), float(strangers.std())


if __name__ == "__main__":
    main()
