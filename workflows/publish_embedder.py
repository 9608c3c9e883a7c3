"""Put trained embedder weights into the package: copies them, fits the reading of their cosines, writes the card.

    python workflows/publish_embedder.py --weights runs/embedder/embedder.safetensors --log runs/embedder/log.jsonl --faces faces_train.parquet

Reads the training file only (its names are not used in training); the evaluation file stays unseen. The probability is a logistic fit
on as many pairs of one person as of two. `cut` and `merge` are the pair with the best sum of BCubed and pairwise F on that file.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from safetensors.torch import load_file

from facecluster.evaluate import bcubed, pairwise
from facecluster.identify import IdentifyConfig, group
from facecluster.link import nearest
from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.registry import WEIGHTS, AttentionModel, Card


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True)
    args = parser.parse_args()
    network = AttentionEmbedder()
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load_file(args.weights).items()})
    sha = hashlib.sha256(args.weights.read_bytes()).hexdigest()
    blank = Card(name="bundled", dim=128, sha256=sha, licence="Apache-2.0", slope=1, intercept=0, cut=0, merge=0)
    settings = dict(network.settings)
    model = AttentionModel(network, blank)

    table = pq.read_table(args.faces, columns=["source", "subject", "crop"]).to_pydict()
    rng = np.random.default_rng(0)
    named = [i for i, s in enumerate(table["subject"]) if s]
    people = sorted({table["subject"][i] for i in named})
    # a long tail, as in albums: a third of the people with all their faces, the rest with one to six; and strangers
    most = {p: 1000 if j % 3 == 0 else 1 + j % 6 for j, p in enumerate(people)}
    rows: list[int] = []
    for i in rng.permutation(named):
        if most[table["subject"][i]] > 0:
            most[table["subject"][i]] -= 1
            rows.append(int(i))
    strangers = [i for i, s in enumerate(table["source"]) if s == "all-age-faces"]
    rows += [int(i) for i in rng.choice(strangers, 2000, replace=False)]
    crops = np.stack([np.asarray(Image.open(io.BytesIO(table["crop"][i])).convert("RGB")) for i in rows])
    truth = np.array([people.index(table["subject"][i]) if table["subject"][i] else 10_000 + i for i in rows])
    vectors = model.embed(crops)
    print(f"{len(rows)} faces of {len(np.unique(truth))} people", flush=True)

    slope, intercept = fit(vectors, truth, rng)
    neighbours, similarity = nearest(vectors, 64)
    best = (-1.0, 0.0, 0.0)
    for cut, merge in itertools.product(np.arange(0.35, 0.66, 0.05), np.arange(0.45, 0.81, 0.05)):
        labels = group(vectors, neighbours, similarity, IdentifyConfig(cut=float(cut), merge=float(merge))).labels
        b, p = bcubed(truth, labels).f, pairwise(truth, labels).f
        print(f"cut {cut:.2f} merge {merge:.2f}: BCubed F {b:.3f}, pairwise F {p:.3f}", flush=True)
        best = max(best, (b + p, float(cut), float(merge)))
    last = json.loads(args.log.read_text().splitlines()[-1])
    shutil.copyfile(args.weights, WEIGHTS / "embedder.safetensors")
    network_text = "\n".join(f"{k} = {v}" for k, v in settings.items() if k != "dim")
    (WEIGHTS / "embedder.toml").write_text(f'''# Model card of the bundled embedder. Weights: embedder.safetensors (float16).

[model]
name = "bundled"
dim = 128
sha256 = "{sha}"
licence = "Apache-2.0"
parameters = {sum(p.numel() for p in AttentionEmbedder().parameters())}
input = "aligned face, 112x112 RGB, 0 to 255 (ArcFace template); scaled to -1..1 inside the network"

[network]
{network_text}

[reading]  # fitted on the training photos' names by workflows/publish_embedder.py
slope = {slope:.3f}  # probability of one person = 1 / (1 + exp(-(slope * cosine + intercept))), both cases as likely
intercept = {intercept:.3f}
cut = {best[1]:.2f}  # cosine under which two faces are not linked
merge = {best[2]:.2f}  # mean cosine from which two groups are one

[training]
teacher = "MobileFaceNet (foamliu/MobileFaceNet), Apache-2.0: its vectors and two inner maps"
data = "15,830 aligned faces (all-age-faces, pins, rmfd-masked, bollywood6; 850 more held out) and 756 of loose group photos"
recipe = "workflows/train_embedder.py: {last["samples"]} augmented faces in {last["minutes"]} minutes on two shared CPU cores"
held_out_cosine = {last["held_out_cosine"]}  # to the teacher, crop and mirror summed
''')


def fit(vectors: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:  # type: ignore[type-arg]
    """Slope and intercept of the logistic fit, by maximum likelihood."""
    i, j = np.triu_indices(len(truth), 1)
    same = truth[i] == truth[j]
    one = np.flatnonzero(same)
    two = rng.choice(np.flatnonzero(~same), len(one))
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
    return float(w[0].detach()), float(w[1].detach())


if __name__ == "__main__":
    main()
