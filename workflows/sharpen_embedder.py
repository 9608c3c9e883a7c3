"""Learn the last layer of a distilled embedder anew from the named training faces, so that it tells people apart better.

    python workflows/sharpen_embedder.py --weights trained.safetensors --faces faces_train.parquet --more faces_more.parquet \\
        --out sharpened.safetensors

See facecluster.training.discriminant. Faces that the training held out (embedder_faces.py) stay out. Before it writes, it says what to
expect: the people are divided into `--folds`, and of each the accuracy with a layer learnt from the others is measured, among strangers
of whom none was learnt from. The averages of true accept rates at false accept rates of .01, .001 and .0001 are printed, before and after.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from embedder_faces import held_out
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from facecluster.evaluation import verification
from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.registry import fold_batch_norm
from facecluster.training.discriminant import DiscriminantConfig, discriminant_head
from facecluster.training.faces import decode
from facecluster.training.last_layer import head_of, summed_parts, with_head

BATCH = 128
Named = tuple[NDArray[np.float32], NDArray[np.str_]]  # parts (n, parts) and names (n,), "" of strangers


def faces_of(network: AttentionEmbedder, path: Path, out: NDArray[np.bool_] | None, strangers: bool) -> Named:
    table = pq.read_table(path, columns=["subject", "crop"])
    names = np.array([name or "" for name in table["subject"].to_pylist()])
    keep = np.flatnonzero(((names != "") | strangers) & ~(False if out is None else out))
    crops = table["crop"].take(keep).to_pylist()
    batches = (np.stack([decode(c) for c in crops[at : at + BATCH]]) for at in range(0, len(crops), BATCH))
    return summed_parts(network, batches), names[keep]


def folds(names: NDArray[np.str_], count: int) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """What is learnt from (n,) and what is measured (n,), people and strangers of each fold."""
    rng = np.random.default_rng(0)
    people = rng.permutation(np.unique(names[names != ""]))
    fold = dict(zip(people.tolist(), (np.arange(len(people)) % count).tolist(), strict=True))
    of = np.array([fold.get(name, -1) for name in names.tolist()])
    of[names == ""] = rng.integers(count, size=(names == "").sum())
    for k in range(count):
        yield of != k, of == k


def accuracy(vectors: NDArray[np.float32], names: NDArray[np.str_]) -> NDArray[np.float64]:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    i, j = np.triu_indices(len(names), 1)
    known = (names[i] != "") | (names[j] != "")
    i, j = i[known], j[known]
    return np.array(verification((unit @ unit.T)[i, j], names[i] == names[j]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True, help="training faces, of which some were held out")
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="further training faces; of these only the named ones count")
    parser.add_argument("--hold", type=float, default=DiscriminantConfig.hold, help="how much the layer is held near its start")
    parser.add_argument("--folds", type=int, default=4, help="0: only learn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = DiscriminantConfig(hold=options.hold)
    weights = load_file(options.weights)
    network = fold_batch_norm(AttentionEmbedder.from_weights(weights).eval())
    faces = [faces_of(network, options.faces, held_out(options.faces), strangers=True)]
    faces += [faces_of(network, path, None, strangers=False) for path in options.more]
    parts, names = np.concatenate([p for p, _ in faces]), np.concatenate([s for _, s in faces])
    head = head_of(weights)
    print(f"{(names != '').sum()} faces of {len(set(names.tolist()) - {''})} people, {(names == '').sum()} strangers")
    figures = []
    for learnt, measured in folds(names, options.folds) if options.folds else ():
        found = discriminant_head(parts[learnt], names[learnt], head, config)
        figures.append([accuracy(h(parts[measured]), names[measured]) for h in (head, found)])
        print(f"fold {len(figures)}: before {figures[-1][0].round(4)}, after {figures[-1][1].round(4)}", flush=True)
    if figures:
        before, after = np.mean(figures, axis=0)
        print(f"people who were left out: before {before.round(4)}, after {after.round(4)}")
    found = discriminant_head(parts, names, head, config)
    save_file(with_head(weights, found), options.out)


if __name__ == "__main__":
    main()
