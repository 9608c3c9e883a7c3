"""Losses with a margin: the cosine to a face's own person must win over all others by more than it needs to.

With z the vector of a face, W_j a learnt direction of length 1 for each person, cos t_j = W_j . z / |z| and y the face's own person:

    loss = -log( exp(f_y) / (exp(f_y) + sum over j != y of exp(s cos t_j)) )

    CosFace   f_y = s (cos t_y - m)                         Wang et al. 2018, arXiv:1801.09414, equation 4
    ArcFace   f_y = s cos(t_y + m)                          Deng et al. 2019, arXiv:1801.07698, equation 3
              beyond t_y + m = pi, where the cosine would rise again, s (cos t_y - m sin m), as the authors' code has it
    AdaFace   f_y = s (cos(t_y - m q) - m q - m)            Kim et al. 2022, arXiv:2204.00964, equations 11 to 14
              q = clip((|z| - mean) / (sd / h), -1, 1): how clear the face is among those of its batches; no gradient goes through q

The angle of AdaFace is kept between 0 and pi. Mean and sd of |z| are moving means over batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALE = 64.0  # s
MARGINS = {"cosface": 0.35, "arcface": 0.5, "adaface": 0.4}  # m, as in the papers
_H, _KEEP = 0.333, 0.99  # AdaFace: h, and the decay a batch of mean and sd
_EDGE = 1e-3


class Margin(nn.Module):
    """f_y / s of the faces' own cosines, by the name of a loss: cosface, arcface or adaface."""

    mean: Tensor
    sd: Tensor

    def __init__(self, loss: str, margin: float | None = None) -> None:
        super().__init__()
        self.loss, self.m = loss, MARGINS[loss] if margin is None else margin
        self.register_buffer("mean", torch.tensor(20.0))
        self.register_buffer("sd", torch.tensor(100.0))

    def forward(self, cosine: Tensor, length: Tensor, gather: Callable[[Tensor], Tensor] = lambda x: x) -> Tensor:
        """Cosines (n,) to the own person, lengths (n,) of the vectors -> (n,); `gather` gives the lengths of all processes."""
        if self.loss == "cosface":
            return cosine - self.m
        if self.loss == "arcface":
            return arc(cosine, self.m)
        length = length.detach().clamp(1e-3, 100)
        if self.training:
            every = gather(length)
            self.mean.lerp_(every.mean(), 1 - _KEEP)
            self.sd.lerp_(every.std() if len(every) > 1 else self.sd, 1 - _KEEP)
        q = ((length - self.mean) / (self.sd + _EDGE) * _H).clamp(-1, 1)
        angle = torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))
        return torch.cos((angle - self.m * q).clamp(_EDGE, math.pi - _EDGE)) - self.m * q - self.m


def arc(cosine: Tensor, m: float) -> Tensor:
    """cos(t + m) of cos t, and cos t - m sin m beyond pi - m; (n,) -> (n,)."""
    sine = (1 - cosine.square()).clamp_min(1e-12).sqrt()
    return torch.where(cosine > -math.cos(m), cosine * math.cos(m) - sine * math.sin(m), cosine - m * math.sin(m))


def margin_loss(
    vectors: Tensor, centres: Tensor, own: Tensor, margin: Margin, *, scale: float = SCALE, weight: Tensor | None = None,
    gather: Callable[[Tensor], Tensor] = lambda x: x,
) -> Tensor:  # fmt: skip
    """The mean loss, weighted by the faces' weights, of the module's formula.

    Args:
        vectors: (n, dim), of any length.
        centres: (k, dim) of the people who are looked at, of any length.
        own: (n,) row of each face's own person among them.
        margin: f_y / s.
        scale: s.
        weight: (n,) of the faces; None: 1.
        gather: gives the lengths of the vectors of all processes.
    """
    vectors = vectors.float()
    cosine = F.linear(F.normalize(vectors), F.normalize(centres.float()))
    mine = cosine.gather(1, own[:, None])[:, 0]
    logits = scale * cosine.scatter(1, own[:, None], margin(mine, vectors.norm(dim=1), gather)[:, None])
    loss = F.cross_entropy(logits, own, reduction="none")
    return loss.mean() if weight is None else (loss * weight).mean()


class Centres:
    """The learnt directions of all people, of which each step looks at a share (partial softmax, An et al. 2022, arXiv:2203.15565).

    All people of the batch are looked at, and people drawn at random beside them until `share` of all are. Only these move: the optimiser
    (SparseAdam) leaves the others, and what it remembers of them, as they are.
    """

    def __init__(self, people: int, dim: int, *, share: float = 1.0, rate: float = 1e-3, seed: int = 0) -> None:
        g = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(people, dim, generator=g) * 0.01)
        self.share = share
        self.optimiser = torch.optim.SparseAdam([self.weight], lr=rate)

    def sample(self, labels: Tensor, g: torch.Generator) -> Tensor:
        """Rows (k,), sorted, of the people to look at for labels (n,)."""
        people = len(self.weight)
        if self.share >= 1 or not people:
            return torch.arange(people)
        score = torch.rand(people, generator=g)
        score[labels] = 2.0
        k = max(int((score == 2).sum()), min(people, math.ceil(self.share * people)))
        return score.topk(k).indices.sort().values

    def step(self, rows: Tensor, gradient: Tensor, rate: float) -> None:
        """Move rows (k,) against their gradient (k, dim) with this learning rate."""
        self.weight.grad = torch.sparse_coo_tensor(
            rows[None].to(self.weight.device), gradient, self.weight.shape, is_coalesced=True, check_invariants=False
        )
        self.optimiser.param_groups[0]["lr"] = rate
        self.optimiser.step()  # type: ignore[no-untyped-call]
        self.weight.grad = None
