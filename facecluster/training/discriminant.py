"""The last layer of an embedder, learnt anew from named faces: for a network that learnt from a teacher.

A teacher's vectors say nothing of which differences matter: those between photos of one person count as much as those between people.
The layer begins with within-class covariance normalisation (Hatch, Kajarekar & Stolcke 2006), which shrinks the directions in which
photos of one person differ. It is then trained so that a face is nearest to the mean of the other faces of its person (prototypes as in
Snell et al. 2017, cosines with an additive margin as in CosFace, Wang et al. 2018), among all people and strangers. It is held near its
start, since it has more numbers than there are faces. It costs nothing at run time: the layer has the same size as before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize


@dataclass(frozen=True, kw_only=True)
class DiscriminantConfig:
    """How the layer is learnt."""

    shrinkage: float = 0.7  # of the within-class covariance towards a multiple of the identity, 0 to 1
    hold: float = 0.3  # weight of the squared distance from the start
    scale: float = 30.0  # of cosines in the softmax
    margin: float = 0.1  # taken from the cosine to the own person
    steps: int = 150  # of Adam
    rate: float = 0.002
    batch: int = 1024
    strangers: int = 3000  # that a step sees
    seed: int = 0


@dataclass(frozen=True)
class Head:
    """A linear layer: parts (n, parts) -> vectors (n, dim), not normalised."""

    weight: NDArray[np.float32]  # (parts, dim)
    bias: NDArray[np.float32]  # (dim,)

    def __call__(self, parts: NDArray[np.floating]) -> NDArray[np.float32]:
        return np.asarray(parts @ self.weight + self.bias, np.float32)

    def then(self, linear: NDArray[np.floating]) -> Head:
        """This layer and a map (dim, dim) of its vectors."""
        return Head(np.asarray(self.weight @ linear, np.float32), np.asarray(self.bias @ linear, np.float32))


def within_class(vectors: NDArray[np.floating], people: NDArray[np.str_]) -> NDArray[np.float64]:
    """Covariance (dim, dim) of vectors (n, dim) around the mean of their person; a person counts by the root of its faces."""
    _, person, count = np.unique(people, return_inverse=True, return_counts=True)
    mean = np.zeros((len(count), vectors.shape[1]))
    np.add.at(mean, person, vectors)
    apart = vectors - (mean / count[:, None])[person]
    weight = np.sqrt(count) / np.maximum(count - 1, 1)
    return np.asarray((apart * weight[person, None]).T @ apart / np.sqrt(count).sum())


def whitening(covariance: NDArray[np.floating], shrinkage: float) -> NDArray[np.float64]:
    """The symmetric map (dim, dim) that makes the shrunk covariance a multiple of the identity; mean square of its entries 1 / dim."""
    dim = len(covariance)
    shrunk = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / dim * np.eye(dim)
    values, axes = np.linalg.eigh(shrunk)
    found = axes @ np.diag(values**-0.5) @ axes.T
    return np.asarray(found / np.sqrt((found**2).sum() / dim))


def discriminant_head(parts: NDArray[np.float32], people: NDArray[np.str_], head: Head, config: DiscriminantConfig | None = None) -> Head:
    """Learn the layer anew.

    Args:
        parts: what the layer gets for each face (n, parts).
        people: the name of each face (n,); "" is a stranger.
        head: the layer as it is.

    Raises:
        ValueError: fewer than two people have two faces.
    """
    config = config or DiscriminantConfig()
    names, count = np.unique(people[people != ""], return_counts=True)
    if (count > 1).sum() < 2:
        raise ValueError(f"expected at least two people with two faces or more, found {(count > 1).sum()}")
    known = np.isin(people, names[count > 1])
    vectors = head(parts[known])
    length = np.linalg.norm(vectors, axis=1)
    start = head.then(whitening(within_class(vectors / length[:, None], people[known]), config.shrinkage))
    spread = parts[known].std(axis=0)
    unit = float(length.mean()) / np.sqrt(vectors.shape[1]) / np.maximum(spread, 0.1 * spread.mean())
    person = torch.tensor(np.unique(people[known], return_inverse=True)[1])
    return _trained(start, unit.astype(np.float32), torch.tensor(parts[known]), person, torch.tensor(parts[~known]), config)


def _trained(
    start: Head, unit: NDArray[np.float32], faces: Tensor, person: Tensor, strangers: Tensor, config: DiscriminantConfig
) -> Head:
    """Steps of Adam. `unit` (parts,) is by how much a weight changes at once, so that every part moves the vector about as much."""
    drawn = torch.Generator().manual_seed(config.seed)
    seldom = torch.bincount(person)[person].float().rsqrt()
    first, bias, per = torch.tensor(start.weight), torch.tensor(start.bias), torch.tensor(unit)[:, None]
    change = torch.zeros_like(first).requires_grad_()
    optimiser = torch.optim.Adam([change], lr=config.rate)
    for _ in range(config.steps):
        rows = torch.multinomial(seldom, min(config.batch, len(faces)), generator=drawn)
        others = strangers[torch.randperm(len(strangers), generator=drawn)[: config.strangers]]
        weight = first + change * per
        cosines = _to_prototypes(normalize(faces @ weight + bias, dim=1), person, rows, normalize(others @ weight + bias, dim=1), config)
        loss = cross_entropy(config.scale * cosines, person[rows]) + config.hold * (change**2).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return Head((first + change.detach() * per).numpy(), start.bias)


def _to_prototypes(faces: Tensor, person: Tensor, rows: Tensor, strangers: Tensor, config: DiscriminantConfig) -> Tensor:
    """Cosines (rows, people and strangers). The own person's mean leaves the face itself out, and the margin is taken from it."""
    sums = torch.zeros(int(person.max()) + 1, faces.shape[1]).index_add_(0, person, faces)
    asked, own = faces[rows], person[rows]
    rest = normalize(sums[own] - asked, dim=1)
    cosines = torch.cat([asked @ normalize(sums, dim=1).T, asked @ strangers.T], dim=1)
    return cosines.scatter(1, own[:, None], (rest * asked).sum(1, keepdim=True) - config.margin)
