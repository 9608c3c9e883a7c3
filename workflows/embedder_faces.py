"""The faces that the embedder learns from, and how they are changed before the teacher and the student look at them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from facecluster.models.embedder import CROP

TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])


def load_faces(faces: Path, photos: Path | None, more: Sequence[Path] = ()) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """All crops (n, 112, 112, 3), and which are held out: five named people and a twentieth of the nameless faces of `faces`.

    `more`: further files of the same columns, of which nothing is held out. Crops are decoded straight into one array: 37,632 bytes each.
    """
    table = pq.read_table(faces, columns=["source", "subject"]).to_pydict()
    people = sorted({s for s, source in zip(table["subject"], table["source"], strict=True) if s and source == "pins"})[::18][:5]
    held = [s in people if s else i % 20 == 0 for i, s in enumerate(table["subject"])]
    extra = [] if photos is None else _faces_of_photos(photos)
    rows = [pq.ParquetFile(path).metadata.num_rows for path in (faces, *more)]
    crops = np.empty((sum(rows) + len(extra), CROP, CROP, 3), np.uint8)
    with ThreadPoolExecutor(2) as pool:
        at = 0
        for path in (faces, *more):
            for batch in pq.ParquetFile(path).iter_batches(2048, columns=["crop"]):
                for crop in pool.map(_decode, batch["crop"].to_pylist()):
                    crops[at] = crop
                    at += 1
    for crop in extra:
        crops[at] = crop
        at += 1
    return crops, np.array(held + [False] * (len(crops) - len(held)))


def _decode(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _faces_of_photos(photos: Path) -> list[NDArray[np.uint8]]:
    """Aligned faces of 28 px and more from loose group photos: strangers, for variety."""
    found = []
    table = pq.read_table(photos).to_pydict()
    for source, image, boxes, marks in zip(table["source"], table["image"], table["boxes"], table["landmarks"], strict=True):
        if not source.startswith("groups/"):
            continue
        picture = Image.open(io.BytesIO(image)).convert("RGB")
        for box, points in zip(boxes, marks, strict=True):
            if box[2] < 28:
                continue
            # least squares for x' = a x - b y + tx, y' = b x + a y + ty, from the template to the photo (PIL maps output to input)
            target = np.asarray(points, float).reshape(5, 2)
            a = np.zeros((10, 4))
            a[0::2] = np.c_[TEMPLATE[:, 0], -TEMPLATE[:, 1], np.ones(5), np.zeros(5)]
            a[1::2] = np.c_[TEMPLATE[:, 1], TEMPLATE[:, 0], np.zeros(5), np.ones(5)]
            p, q, tx, ty = np.linalg.lstsq(a, target.ravel(), rcond=None)[0]
            crop = picture.transform((CROP, CROP), Image.Transform.AFFINE, (p, -q, tx, q, p, ty), Image.Resampling.BICUBIC)
            found.append(np.asarray(crop))
    return found


def augment(x: Tensor, g: torch.Generator) -> Tensor:
    """(n, 3, 112, 112) 0..255 -> the same, changed: half of it lightly, half of it a lot; new people by blending and bending faces."""
    n = len(x)

    def rand(*size: int) -> Tensor:
        return torch.rand(*size, generator=g)

    hard = rand(n) < 0.5
    # bend and place: a similarity transform and, for half, a smooth random field (another face shape: the teacher says whose)
    angle = (rand(n) - 0.5) * torch.where(hard, 0.35, 0.08)
    scale = 1 + (rand(n) - 0.5) * torch.where(hard, 0.26, 0.06)
    shift = (rand(n, 2) - 0.5) * torch.where(hard, 0.20, 0.05)[:, None]
    mirror = torch.where(rand(n) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta = torch.stack([torch.stack([cos * mirror, -sin, shift[:, 0]], 1), torch.stack([sin * mirror, cos, shift[:, 1]], 1)], 1)
    grid = F.affine_grid(theta, [n, 3, CROP, CROP], align_corners=False)
    field = F.interpolate(torch.randn(n, 2, 5, 5, generator=g), size=(CROP, CROP), mode="bicubic", align_corners=True)
    grid = grid + (field * (torch.where(rand(n) < 0.5, 0.035, 0.0) * hard).view(n, 1, 1, 1)).permute(0, 2, 3, 1)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    # blend two faces, evenly or by regions with a soft border
    other = x[torch.randperm(n, generator=g)]
    mask = torch.sigmoid(4 * F.interpolate(torch.randn(n, 1, 3, 3, generator=g), size=(CROP, CROP), mode="bicubic", align_corners=True))
    even = (0.5 + 0.5 * rand(n)).view(n, 1, 1, 1)
    kind = rand(n).view(n, 1, 1, 1)
    keep = torch.where(kind < 0.3, even, torch.where(kind < 0.6, mask, torch.ones(1)))
    x = keep * x + (1 - keep) * other
    # resolution: down to 24..112 px and up again
    if (small := rand(n) < 0.15).any():
        side = int(24 + 60 * rand(1).item())
        low = F.interpolate(x[small], size=(side, side), mode="bilinear", antialias=True)
        x[small] = F.interpolate(low, size=(CROP, CROP), mode="bilinear")
    # light and colour
    much = torch.where(hard, 1.0, 0.3).view(n, 1, 1, 1)
    x = x * (1 + (rand(n, 1, 1, 1) - 0.5) * much) * (1 + (rand(n, 3, 1, 1) - 0.5) * 0.2 * much) + (rand(n, 1, 1, 1) - 0.5) * 60 * much
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = mean + (x - mean) * (1 + (rand(n, 1, 1, 1) - 0.5) * 0.8 * much)
    grey = (rand(n) < 0.06).view(n, 1, 1, 1)
    x = torch.where(grey, x.mean(dim=1, keepdim=True).expand_as(x), x)
    if (noisy := rand(n) < 0.15).any():
        x[noisy] += torch.randn(x[noisy].shape, generator=g) * 12 * rand(1)
    return x.clamp_(0, 255)


MASK, GLASSES = 0.45, 0.75  # shares of hidden faces, added up, that wear a mask or dark glasses; the others have a patch


def occlude(x: Tensor, g: torch.Generator, share: float = 0.2, kind: float | None = None) -> Tensor:
    """Hide a part of some faces (n, 3, 112, 112), aligned and 0..255: a mask, dark glasses, or a patch anywhere; returns a copy.

    The teacher is asked before, the student learns after: what is hidden must not move the vector. `kind`: 0 a mask for all, MASK glasses,
    GLASSES a patch; None: drawn for each face.
    """
    x = x.clone()
    rows, columns = torch.meshgrid(torch.arange(float(CROP)), torch.arange(float(CROP)), indexing="ij")
    for i in torch.nonzero(torch.rand(len(x), generator=g) < share).flatten().tolist():
        drawn, a, b, c, d, dark = torch.rand(6, generator=g).tolist()
        which = drawn if kind is None else kind
        if which < MASK:  # a mask: from below the eyes to the chin, rounded at the top
            hidden = rows > 62 + 12 * a + (6 + 8 * b) * ((columns - 56) / 56) ** 2
        elif which < GLASSES:  # glasses: two ellipses and a bridge
            wide, high, y = 13 + 9 * a, 8 + 8 * b, 50 + 4 * c
            left = ((columns - 38) / wide) ** 2 + ((rows - y) / high) ** 2 < 1
            right = ((columns - 74) / wide) ** 2 + ((rows - y) / high) ** 2 < 1
            hidden = left | right | ((rows - y + 2).abs() < 2)
            dark *= 0.3
        else:
            hidden = ((columns - 112 * a).abs() < 8 + 20 * c) & ((rows - 112 * b).abs() < 8 + 20 * d)
        colour = 255 * dark + 60 * (torch.rand(3, 1, generator=g) - 0.5)
        noise = F.interpolate(torch.randn(1, 1, 7, 7, generator=g), size=(CROP, CROP), mode="bilinear")[0, 0] * 20 * c
        x[i][:, hidden] = (colour + noise[hidden]).clamp(0, 255)
    return x
