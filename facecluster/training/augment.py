"""How faces are changed before a network learns from them: placed, lit, blurred and partly hidden in other ways each time.

Faces are (n, 3, 112, 112), aligned, RGB from 0 to 255, on a processor or a GPU; the generator lies where they do.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from facecluster.geometry import CROP


def augment(x: Tensor, g: torch.Generator, *, new_people: bool = True) -> Tensor:
    """(n, 3, 112, 112) 0..255 -> the same, changed: half of it lightly, half of it a lot.

    `new_people`: also bend some faces and blend some with others, which makes faces of nobody. A teacher says what they are; names do not.
    """
    n = len(x)

    def rand(*size: int) -> Tensor:
        return torch.rand(*size, generator=g, device=x.device)

    hard = rand(n) < 0.5
    # bend and place: a similarity transform and, for half, a smooth random field (another face shape: the teacher says whose)
    angle = (rand(n) - 0.5) * torch.where(hard, 0.35, 0.08)
    scale = 1 + (rand(n) - 0.5) * torch.where(hard, 0.26, 0.06)
    shift = (rand(n, 2) - 0.5) * torch.where(hard, 0.20, 0.05)[:, None]
    mirror = torch.where(rand(n) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta = torch.stack([torch.stack([cos * mirror, -sin, shift[:, 0]], 1), torch.stack([sin * mirror, cos, shift[:, 1]], 1)], 1)
    grid = F.affine_grid(theta, [n, 3, CROP, CROP], align_corners=False)
    if new_people:
        field = F.interpolate(torch.randn(n, 2, 5, 5, generator=g, device=x.device), size=(CROP, CROP), mode="bicubic", align_corners=True)
        grid = grid + (field * (torch.where(rand(n) < 0.5, 0.035, 0.0) * hard).view(n, 1, 1, 1)).permute(0, 2, 3, 1)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    x = _blend(x, g) if new_people else x
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
        x[noisy] += torch.randn(x[noisy].shape, generator=g, device=x.device) * 12 * rand(1)
    return x.clamp_(0, 255)


def _blend(x: Tensor, g: torch.Generator) -> Tensor:
    """Some faces blended with another one, evenly or by regions with a soft border."""
    n = len(x)
    other = x[torch.randperm(n, generator=g, device=x.device)]
    noise = torch.randn(n, 1, 3, 3, generator=g, device=x.device)
    mask = torch.sigmoid(4 * F.interpolate(noise, size=(CROP, CROP), mode="bicubic", align_corners=True))
    even = (0.5 + 0.5 * torch.rand(n, generator=g, device=x.device)).view(n, 1, 1, 1)
    kind = torch.rand(n, generator=g, device=x.device).view(n, 1, 1, 1)
    keep = torch.where(kind < 0.3, even, torch.where(kind < 0.6, mask, 1.0))
    return keep * x + (1 - keep) * other


MASK, GLASSES = 0.45, 0.75  # shares of hidden faces, added up, that wear a mask or dark glasses; the others have a patch


def occlude(x: Tensor, g: torch.Generator, share: float = 0.2, kind: float | None = None) -> Tensor:
    """Hide a part of some faces (n, 3, 112, 112), aligned and 0..255: a mask, dark glasses, or a patch anywhere; returns a copy.

    The teacher is asked before, the student learns after: what is hidden must not move the vector. `kind`: 0 a mask for all, MASK glasses,
    GLASSES a patch; None: drawn for each face.
    """
    x = x.clone()
    chosen = torch.nonzero(torch.rand(len(x), generator=g, device=x.device) < share).flatten()
    n = len(chosen)
    drawn, a, b, c, d, dark = torch.rand(6, n, 1, 1, generator=g, device=x.device)
    which = drawn if kind is None else torch.full_like(drawn, kind)
    along = torch.arange(float(CROP), device=x.device)
    rows, columns = along.view(1, CROP, 1), along.view(1, 1, CROP)
    # a mask: from below the eyes to the chin, rounded at the top
    mask = rows > 62 + 12 * a + (6 + 8 * b) * ((columns - 56) / 56) ** 2
    # glasses: two ellipses and a bridge
    wide, high, y = 13 + 9 * a, 8 + 8 * b, 50 + 4 * c
    left, right = (((columns - eye) / wide) ** 2 + ((rows - y) / high) ** 2 < 1 for eye in (38, 74))
    glasses = left | right | ((rows - y + 2).abs() < 2)
    patch = ((columns - 112 * a).abs() < 8 + 20 * c) & ((rows - 112 * b).abs() < 8 + 20 * d)
    hidden = torch.where(which < MASK, mask, torch.where(which < GLASSES, glasses, patch)).unsqueeze(1)
    dark = torch.where((which >= MASK) & (which < GLASSES), 0.3 * dark, dark).unsqueeze(1)
    colour = 255 * dark + 60 * (torch.rand(n, 3, 1, 1, generator=g, device=x.device) - 0.5)
    noise = F.interpolate(torch.randn(n, 1, 7, 7, generator=g, device=x.device), size=(CROP, CROP), mode="bilinear") * 20 * c.unsqueeze(1)
    x[chosen] = torch.where(hidden, (colour + noise).clamp(0, 255), x[chosen])
    return x
