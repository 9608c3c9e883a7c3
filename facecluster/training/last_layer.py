"""The last layer of an embedder of the bundled architecture, learnt from named faces; all other layers stay (see discriminant)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facecluster.errors import InputError
from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.registry import fold_batch_norm, has_bf16
from facecluster.training.discriminant import DiscriminantConfig, Head, discriminant_head
from facecluster.training.faces import Crops, LearningFaces, Parts

_BATCH = 128  # faces at a time
Weights = dict[str, Tensor]


def summed_parts(network: AttentionEmbedder, batches: Iterator[Crops]) -> NDArray[np.float32]:
    """What the last layer gets for each face and its mirror image together (n, parts). The network's batch norms must be folded."""
    found = []
    for crops in batches:
        images = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=has_bf16("cpu")):
            both = [network.summed(network.features(x)[1].float()) for x in (images, images.flip(3))]
        found.append((both[0] + both[1]).numpy())
    return np.concatenate(found)


def head_of(weights: Weights) -> Head:
    """The last layer, for the parts of a face and of its mirror image together."""
    if "head.weight" not in weights or "place" not in weights:
        raise InputError("expected an embedder of the bundled architecture for --layers last, found another: leave --layers out")
    return Head(weights["head.weight"].float().numpy().T.copy(), 2 * weights["head.bias"].float().numpy())


def with_head(weights: Weights, head: Head) -> Weights:
    """The weights with another last layer, which `head_of` would give."""
    kind = weights["head.weight"].dtype
    weight, bias = torch.tensor(head.weight.T.copy()).to(kind), torch.tensor(head.bias / 2).to(kind)
    return weights | {"head.weight": weight, "head.bias": bias}


def learnt_last_layer(weights: Weights, faces: LearningFaces, parts: Parts, config: DiscriminantConfig) -> Weights:
    """The weights with the last layer learnt from the faces to learn from; those of nobody known count as strangers.

    Raises:
        InputError: weights of another architecture.
        ValueError: fewer than two people have two faces.
    """
    head = head_of(weights)
    network = AttentionEmbedder.from_weights(weights).eval()
    fold_batch_norm(network)
    rows = parts.learn
    found = summed_parts(network, (faces.take(rows[at : at + _BATCH]) for at in range(0, len(rows), _BATCH)))
    people = np.array([*parts.people, ""])[parts.label[rows]]  # the last one is that of UNNAMED, -1
    return with_head(weights, discriminant_head(found, people, head, config))
