"""Equal short trainings of the family, and how well what they give tells people apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from attention_networks import VARIANTS, Member, Variant
from attention_speed import in_turns, noise
from embedder import accuracy, load_faces
from embedder_teacher import Teacher
from numpy.typing import NDArray
from torch import Tensor

from facecluster.training.optimisers import optimisers_of, rate

Crops = NDArray[np.uint8]
Vectors = NDArray[np.float32]
Embed = Callable[[Tensor], Tensor]  # faces (n, 3, 112, 112) uint8 -> vectors


def labelled(faces: Path, teacher: Path | None, work: Path) -> tuple[Crops, NDArray[np.str_], Vectors]:
    """Crops of a file, names of people, and what the teacher says of these crops; its vectors are kept in the folder `work`.

    Without a teacher, its vectors are those that stand in the file: of the crops before they were compressed, at a cosine of .96 to .97.
    """
    crops, names, stored = load_faces(faces)
    if teacher is None:
        return crops, names, stored
    kept = work / f"{faces.stem}-teacher.npy"
    if not kept.exists():
        np.save(kept.with_suffix(".new.npy"), Teacher(teacher, 1, spin=False).embed(crops))
        kept.with_suffix(".new.npy").replace(kept)
    vectors = np.load(kept)
    if len(vectors) != len(crops):
        raise SystemExit(f"expected {len(crops)} vectors in {kept}, found {len(vectors)}: delete it and run again")
    return crops, names, vectors


def batches(count: int, steps: int, batch: int, seed: int) -> NDArray[np.int64]:
    """Which faces each step sees (steps, batch): all of them before any of them again."""
    draw = np.random.default_rng(seed)
    rounds = -(-steps * batch // count)
    return np.concatenate([draw.permutation(count) for _ in range(rounds)])[: steps * batch].reshape(steps, batch)


class Training:
    """A network that learns what the teacher says.

    The loss is 1 - cosine to the teacher's vector + 2 x mean squared error of the batch's cosine matrix. Matrices learn by Muon, the rest
    by AdamW, as in `workflows/train_embedder.py`.
    """

    def __init__(self, variant: Variant) -> None:
        self.network = Member(variant).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.optimisers = optimisers_of(self.network, 2e-3)
        self.groups = [group for o in self.optimisers for group in o.param_groups]
        self.full = [group["lr"] for group in self.groups]

    def step(self, images: Tensor, told: Tensor, share: float) -> float:
        """One step on faces (n, 3, 112, 112), 0 to 255, after a `share` of all; returns the mean cosine."""
        for group, most in zip(self.groups, self.full, strict=True):
            group["lr"] = most * rate(share, warm=0.03, fall=0.6)
        with torch.autocast("cpu", torch.bfloat16):
            found = self.network(images.contiguous(memory_format=torch.channels_last))
        mine = F.normalize(found.float())
        cosine = (mine * told).sum(dim=1).mean()
        loss = 1 - cosine + 2 * F.mse_loss(mine @ mine.T, told @ told.T)
        for o in self.optimisers:
            o.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        for o in self.optimisers:
            o.step()
        return float(cosine.detach())


def train(variant: Variant, crops: Crops, told: Vectors, steps: int, batch: int, report: Callable[[str], None]) -> tuple[Member, float]:
    """A network after `steps` steps, and the seconds of processor time that they took; half of the faces of a batch are mirrored.

    The teacher's vector is the same for both: the sum of those of the face and of its mirror image.
    """
    rows, pool, target = batches(len(crops), steps, batch, variant.seed), torch.from_numpy(crops), torch.from_numpy(told)
    flips = torch.rand(steps, batch, 1, 1, 1, generator=torch.Generator().manual_seed(variant.seed)) < 0.5
    training, began = Training(variant), time.process_time()
    for step, mine in enumerate(torch.from_numpy(rows)):
        x = pool[mine].permute(0, 3, 1, 2).float()
        cosine = training.step(torch.where(flips[step], x.flip(3), x), target[mine], step / steps)
        if step % 100 == 99 or step == steps - 1:
            report(f"step {step + 1} of {steps}, cosine {cosine:.3f}, {time.process_time() - began:.0f} s")
    return training.network.eval(), time.process_time() - began


@torch.inference_mode()
def embed(run: Embed, crops: Crops) -> Vectors:
    """Vectors of crops and their mirror images, summed, of length 1."""
    rows = []
    for i in range(0, len(crops), 64):
        x = torch.from_numpy(crops[i : i + 64]).permute(0, 3, 1, 2)
        rows.append(run(x).float() + run(x.flip(3)).float())
    return np.asarray(F.normalize(torch.cat(rows)).numpy())


def judged(run: Embed, crops: Crops, names: NDArray[np.str_], told: Vectors) -> dict[str, Any]:
    """Mean cosine to the teacher, and TAR at each FAR."""
    vectors = embed(run, crops)
    return {"cosine_to_teacher": round(float((vectors * told).sum(axis=1).mean()), 4), **accuracy(vectors, names)}


def training_speed(batch: int, rounds: int) -> dict[str, float]:
    """Faces a second of processor time of a step of training."""
    names, faces = [n for n, v in VARIANTS.items() if not v.seed], noise(batch).float()
    told = F.normalize(torch.randn(batch, 128, generator=torch.Generator().manual_seed(0)))
    ways = {name: partial(Training(VARIANTS[name]).step, faces, told, 0.5) for name in names}
    return {name: round(batch / seconds, 1) for name, seconds in in_turns(ways, rounds, 1).items()}
