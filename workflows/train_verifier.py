"""Train the second stage of the detector on what the detector proposed (verifier_crops.py).

    python workflows/train_verifier.py --crops runs/verifier/crops.npz --out runs/verifier/verifier.safetensors --minutes 20

The network begins as the detector's backbone. Cross-entropy; AdamW with a rate that falls as a half cosine over the time budget; an
average of the weights is exported. Half of each batch are faces, half are none; what the two stages so far take for the other
is drawn more often. Candidates are moved, enlarged, mirrored, and changed in light, colour and sharpness. Then the
weights of the detector's and of the verifier's logit in the final score are fitted (logistic regression) on the tuning photos and printed
with what they give.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from verifier_crops import STORED, STORED_SIDE

from facecluster.geometry import TEMPLATE
from facecluster.models.backbone import fold_batch_norms
from facecluster.models.detector import Detector
from facecluster.models.verifier import FaceVerifier
from facecluster.models.views import SIDE, TIMES

BATCH = 128
TURNED = 0.3  # share of the pictures that are turned by 90, 180 or 270 degrees
PASTED = 0.3  # share of the pictures that stand on other ground
MINED = 1500  # steps between two looks at all candidates for those to draw more often
Crops = dict[str, NDArray[np.generic]]


def augmented(crops: Tensor, turns: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (n, 3, 64, 64) of the middle of crops (n, 3, 80, 80), turned counterclockwise `turns` (n,) times by 90 degrees.

    Also moved by up to 6 %, 12 % larger or smaller, turned by up to 12 degrees, and changed in light, colour and sharpness.
    """
    n = len(crops)

    def draw(*shape: int) -> Tensor:
        return torch.rand(n, *shape, generator=generator)

    size = TIMES / STORED * torch.exp(0.24 * (draw() - 0.5))
    angle = (draw() - 0.5) * 2 * math.radians(12) + turns * (math.pi / 2)
    flip = torch.where(draw() < 0.5, -1.0, 1.0)
    move = (draw(2) - 0.5) * 0.24 * TIMES / STORED
    cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
    # mirrored, then turned
    theta = torch.stack((torch.stack((cos * flip, -sin * flip, move[:, 0]), 1), torch.stack((sin, cos, move[:, 1]), 1)), 1)
    grid = F.affine_grid(theta, [n, 3, SIDE, SIDE], align_corners=False)
    out = F.grid_sample(crops, grid, mode="bilinear", padding_mode="border", align_corners=False)
    out = pasted(out, generator)
    contrast, light = 1 + 0.6 * (draw(1, 1, 1) - 0.5), 60 * (draw(1, 1, 1) - 0.5)
    mean = out.mean((1, 2, 3), keepdim=True)
    out = (out - mean) * contrast + mean + light + 24 * (draw(3, 1, 1) - 0.5)
    grey = draw(1, 1, 1) < 0.15
    out = torch.where(grey, out.mean(1, keepdim=True), out)
    factor = int(torch.randint(1, 5, (1,), generator=generator))  # a quarter of the batch loses its detail
    few = n // 4
    out[:few] = F.interpolate(F.avg_pool2d(out[:few], factor, ceil_mode=True), (SIDE, SIDE), mode="bilinear")
    out = out + torch.randn(out.shape, generator=generator) * 8 * draw(1, 1, 1)
    return out.clamp(0, 255)


def pasted(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Some of the pictures (n, 3, 64, 64) on other ground: around a square or circle in their middle is another picture, or one colour.

    Faces are also in collages, on screens and in documents, where what is around them says nothing.
    """
    n = len(pictures)
    half = SIDE / TIMES / 2 * (0.95 + 0.6 * torch.rand(n, 1, 1, 1, generator=generator))
    away = (torch.arange(SIDE) + 0.5 - SIDE / 2).abs()
    square, oval = torch.maximum(away[:, None], away[None]), torch.hypot(away[:, None], away[None])
    away = torch.where(torch.rand(n, 1, 1, 1, generator=generator) < 0.5, square, oval)
    soft = 8 * torch.rand(n, 1, 1, 1, generator=generator) ** 2 + 0.01  # px of the border
    outside = ((away - half) / soft + 0.5).clamp(0, 1) * (torch.rand(n, 1, 1, 1, generator=generator) < PASTED)
    colour = torch.rand(n, 3, 1, 1, generator=generator) * 255
    plain = torch.rand(n, 1, 1, 1, generator=generator) < 0.3
    ground = torch.where(plain, colour, pictures[torch.randperm(n, generator=generator)])
    return pictures + outside * (ground - pictures)


def laid_over(crops: Tensor, faces: Tensor, generator: torch.Generator) -> Tensor:
    """Aligned faces (n, 3, 112, 112) on the middle of crops (n, 3, 80, 80) of things, as wide as a candidate there, softly bordered."""
    side = round(1.5 * STORED_SIDE / STORED)  # an aligned face is about one and a half times as wide as its box
    tiles = F.interpolate(faces, (side, side), mode="bilinear", antialias=True)
    away = (torch.arange(side) + 0.5 - side / 2).abs()
    square, oval = torch.maximum(away[:, None], away[None]), torch.hypot(away[:, None], away[None])
    away = torch.where(torch.rand(len(crops), 1, 1, 1, generator=generator) < 0.5, square, oval)
    share = ((side / 2 - away) / (6 * torch.rand(len(crops), 1, 1, 1, generator=generator) + 0.01)).clamp(0, 1)
    left, top = (round(STORED_SIDE / 2 - at / 112 * side) for at in TEMPLATE.mean(axis=0))
    out = crops.clone()
    part = out[:, :, top : top + side, left : left + side]
    part += share * (tiles - part)
    return out


def middle(crops: NDArray[np.uint8]) -> Tensor:
    """Pictures (n, 3, 64, 64) of the middle of crops (n, 80, 80, 3), as the detector will show them."""
    low = (STORED_SIDE - SIDE) // 2
    return torch.from_numpy(crops[:, low : low + SIDE, low : low + SIDE]).permute(0, 3, 1, 2).float()


def chances(crops: Crops, label: int, network: FaceVerifier | None) -> NDArray[np.float64]:
    """Chance (n,) of each candidate of a label to be drawn: the more, the surer the detector, and the network so far, are of the wrong."""
    logit = np.log(crops["score"] / (1 - crops["score"])).astype(float)
    rows = np.flatnonzero((crops["label"] == label) & ~crops["tuning"].astype(bool))
    if network is not None:
        for part in np.array_split(rows, max(1, len(rows) // 4096)):
            logit[part] += logits_of(network, middle(crops["crop"][part].astype(np.uint8)))
    wrong = 1 / (1 + np.exp(logit if label else -logit))
    photo, counts = np.unique(crops["photo"], return_inverse=True, return_counts=True)[1:]
    weight = np.zeros(len(logit))
    sought = 0.4 + wrong if label else np.where(crops["thing"], 0.1 + wrong, 0.3)  # beside faces there are some that the teacher missed
    weight[rows] = sought[rows] / np.sqrt(counts[photo[rows]])  # a crowd of hundreds does not decide alone
    return weight / weight.sum()


def fit_score(detector: NDArray[np.float64], verifier: NDArray[np.float64], label: NDArray[np.int8]) -> NDArray[np.float64]:
    """Logistic regression of "a face" on both logits (n,): weight of the detector's, of the verifier's, offset."""
    x = torch.from_numpy(np.stack((detector, verifier, np.ones(len(label))), 1))
    w, y = torch.zeros(3, dtype=torch.float64, requires_grad=True), torch.from_numpy(label.astype(float))
    solver = torch.optim.LBFGS([w], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        value = F.binary_cross_entropy_with_logits(x @ w, y) + 1e-3 * (w[:2] ** 2).sum()
        value.backward()
        return value

    solver.step(loss)
    return np.asarray(w.detach().numpy())


def figures(score: NDArray[np.float64], crops: Crops) -> dict[str, float]:
    """Share of the tuning photos' proposed faces kept at the score at which one in a hundred photos of things has an alarm."""
    label, alone = crops["label"], crops["thing"].astype(bool)
    alarms = np.sort(score[(label == 0) & alone])[::-1]
    limit = float(alarms[int(crops["things"][0]) // 100])
    faces, small = (label == 1) & (crops["teacher"] >= 0.8), crops["side"] < 24
    return {
        "limit": round(limit, 3), "kept_24": round(float((score[faces & ~small] > limit).mean()), 4),
        "kept_12": round(float((score[faces & small] > limit).mean()), 4),
        "others": int(((label == 0) & ~alone & (score > limit)).sum()),
    }  # fmt: skip


def _decoded(faces: pa.LargeBinaryArray, rows: NDArray[np.integer]) -> Tensor:
    """Pictures (n, 3, 112, 112) of some coded faces."""
    pictures = [np.asarray(Image.open(io.BytesIO(faces[int(row)].as_py())).convert("RGB")) for row in rows]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()


@torch.inference_mode()
def logits_of(network: FaceVerifier, pictures: Tensor) -> NDArray[np.float64]:
    both = [(network(part) + network(part.flip(3)))[:, 0] for part in pictures.split(256)]
    return np.asarray(torch.cat(both).double().numpy() / 2)


@torch.inference_mode()
def turned_logits(network: FaceVerifier, pictures: Tensor) -> NDArray[np.float64]:
    """Logits (n, 5) of how often each picture was turned, and of "no face"."""
    return np.asarray(torch.cat([network(part)[:, 1:] for part in pictures.split(256)]).double().numpy())


def beginning(detector: Path | None, earlier: Path | None) -> FaceVerifier:
    """The second stage to train: the detector's backbone with a new head, or an earlier second stage."""
    network = fold_batch_norms(FaceVerifier())
    weights = Detector.load(detector, arithmetic="float32").model.float().state_dict()
    network.load_state_dict({k: v for k, v in weights.items() if k.startswith(("stem", "stages"))}, strict=False)
    if earlier:
        network.load_state_dict({name: value.float() for name, value in load_file(earlier).items()})
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def drawn(
    crops: Crops, faces: pa.LargeBinaryArray, chance: list[NDArray[np.float64]], rng: np.random.Generator, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """A batch: pictures (n, 3, 64, 64), whether each shows a face (n,), and how often it was turned to the left (n,).

    `chance`: of each candidate to be drawn as a thing, and as a face, cumulated: (m,) each.
    """
    rows = np.concatenate([np.searchsorted(c, rng.random(BATCH // 2) * c[-1]) for c in chance])
    rows = np.minimum(rng.permutation(rows), len(crops["label"]) - 1)
    turns = torch.where(torch.rand(len(rows), generator=generator) < TURNED, torch.randint(1, 4, (len(rows),), generator=generator), 0)
    batch = torch.from_numpy(crops["crop"][rows]).permute(0, 3, 1, 2).float()
    wanted = torch.from_numpy(crops["label"][rows].astype(np.float32))
    if len(faces):  # some things get a face
        given = torch.nonzero(wanted == 0)[: BATCH // 8, 0]
        batch[given] = laid_over(batch[given], _decoded(faces, rng.integers(len(faces), size=len(given))), generator)
        wanted[given] = 1
    return augmented(batch, turns, generator), wanted, turns


def loss_of(logits: Tensor, wanted: Tensor, turns: Tensor) -> Tensor:
    """Of logits (n, 6): "a face" of the pictures that were not turned, and which way they lie, or that there is no face, of all."""
    upright = turns == 0
    face = F.binary_cross_entropy_with_logits(logits[upright, 0], 0.98 * wanted[upright] + 0.01)
    return face + 0.3 * F.cross_entropy(logits[:, 1:], torch.where(wanted > 0, turns, 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--faces", type=Path, nargs="*", default=[], help="Parquet with a column crop: aligned faces to lay over things")
    parser.add_argument("--init", type=Path, help="an earlier second stage to go on from")
    parser.add_argument("--detector", type=Path, help="another detector to begin with")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    crops: Crops = dict(np.load(options.crops))
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    read = [pq.read_table(path, columns=["crop"])["crop"].cast(pa.large_binary()) for path in options.faces]
    faces = pa.chunked_array([chunk for column in read for chunk in column.chunks], pa.large_binary()).combine_chunks()
    tuning = np.flatnonzero(crops["tuning"])
    held: Crops = {name: column[tuning] for name, column in crops.items() if name != "things"} | {"things": crops["things"]}
    pictures = middle(held["crop"].astype(np.uint8))
    detector_logits = np.log(held["score"] / (1 - held["score"])).astype(float)
    network = beginning(options.detector, options.init)
    average, forward = copy.deepcopy(network), torch.compile(network)
    optimizer = torch.optim.AdamW(network.parameters(), options.rate, weight_decay=0.02)
    began, step, losses = time.monotonic(), 0, list[float]()
    while (share := (time.monotonic() - began) / (60 * options.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = options.rate * min(1, (step + 1) / 200) * (0.5 + 0.5 * math.cos(math.pi * share))
        if step % MINED == 0:
            sure = [np.cumsum(chances(crops, label, average if step or options.init else None)) for label in (0, 1)]
        batch, wanted, turns = drawn(crops, faces, sure, rng, generator)
        loss = loss_of(forward(batch.contiguous(memory_format=torch.channels_last)), wanted, turns)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
        step += 1
        keep = min(0.999, step / (step + 10))
        with torch.no_grad():
            for a, b in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
                a.lerp_(b, 1 - keep) if a.is_floating_point() else a.copy_(b)
        if step % 400 == 0:
            line = report(average, pictures, detector_logits, held)
            line |= {"step": step, "minutes": round((time.monotonic() - began) / 60, 1), "loss": round(float(np.mean(losses[-400:])), 4)}
            print(json.dumps(line), file=sys.stderr, flush=True)  # noqa: T201
            save(average, line["weights"], options.out)
    last = report(average, pictures, detector_logits, held) | {"step": step}
    print(json.dumps(last))  # noqa: T201
    save(average, last["weights"], options.out)


def save(network: FaceVerifier, weights: object, path: Path) -> None:
    state = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(state, path, metadata={"weights": json.dumps(weights)})


def report(network: FaceVerifier, pictures: Tensor, detector_logits: NDArray[np.float64], held: Crops) -> dict[str, object]:
    """What the tuning photos say: the fitted score and its figures, beside those of the detector alone."""
    verifier = logits_of(network, pictures)
    weights = fit_score(detector_logits, verifier, held["label"].astype(np.int8))
    score = weights[0] * detector_logits + weights[1] * verifier + weights[2]
    faces = pictures[torch.from_numpy((held["label"] == 1) & (held["side"] >= 24))]
    right = [float((turned_logits(network, faces.rot90(k, (2, 3)))[:, :4].argmax(1) == k).mean()) for k in range(4)]
    return {
        "turns": [round(share, 3) for share in right], "weights": [round(float(w), 3) for w in weights],
        "both": figures(score, held), "verifier": figures(verifier, held), "detector": figures(detector_logits, held),
    }  # fmt: skip


if __name__ == "__main__":
    main()
