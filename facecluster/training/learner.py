"""One step of a training: the loss of a batch, its gradient, and how the weights move; and what a checkpoint holds of it."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecluster.errors import ModelError
from facecluster.models.registry import AttentionModel, Card, Embedder, has_bf16, load_embedder
from facecluster.training.augment import augment, occlude
from facecluster.training.config import TrainConfig
from facecluster.training.faces import LearningFaces, Parts
from facecluster.training.margins import Centres, Margin, margin_loss
from facecluster.training.networks import build, dim_of, images_of
from facecluster.training.optimisers import move_mean, optimisers_of
from facecluster.training.processes import World
from facecluster.training.sampling import Sampler, face_weights

HIDDEN = 0.1  # share of the faces that are partly hidden
_CENTRES = 5  # the centres' rate, times that of the network
_SHOWN = 10  # faces of a person whose mean vector is the first centre, if the network knows something
_CLIP = 2.0  # largest norm of a gradient


class Learner:
    """Network, centres, optimisers and the mean of the weights."""

    def __init__(self, config: TrainConfig, faces: LearningFaces, parts: Parts, world: World, device: str) -> None:
        torch.manual_seed(config.seed)
        self.config, self.faces, self.parts, self.world, self.device = config, faces, parts, world, torch.device(device)
        network = build(config.network, config.init)
        dim = dim_of(network)
        self.centres = Centres(len(parts.people), dim, share=config.partial, seed=config.seed)
        if config.init is not None:
            self._imprint(network, dim)
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.centres.weight.data = self.centres.weight.data.to(self.device)
        self.mean = copy.deepcopy(self.network)
        self.margin = Margin("cosface" if config.loss == "none" else config.loss, config.margin).to(self.device)
        self.optimisers = optimisers_of(self.network, config.full_rate)
        self.wrapped = world.wrap(self.network)
        self.teacher: Embedder | None = None if config.teacher is None else load_embedder(config.teacher, device)
        self.bf16 = has_bf16(device) if config.bf16 is None else config.bf16
        self.sampler = Sampler(parts.learn, parts.label, config.balance)
        self.weights = torch.from_numpy(face_weights(parts.counts(), config.reweight)).to(self.device)
        self.label = torch.from_numpy(parts.label)
        self.step = 0

    def learn(self, share: float) -> dict[str, float]:
        """One step at a share of the full rate, 0 to 1; gives the parts of the loss."""
        images, labels, told = self.batch()
        said, rows, gradient = self.backward(images, labels, told)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group.setdefault("full", group["lr"]) * share
        nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        for optimiser in self.optimisers:
            optimiser.step()
        if gradient is not None:
            self.centres.step(rows, gradient, _CENTRES * self.config.full_rate * share)
        self.step += 1
        move_mean(self.mean, self.network, min(self.config.average, self.step / (self.step + 10)))
        if not math.isfinite(said["loss"]):
            raise ModelError("expected a loss that is a number, found one that is not: choose a lower --rate and another folder")
        return said

    def batch(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """This process's part of the next batch: images (n, 3, 112, 112), labels (n,), and what the teacher says of them (n, dim)."""
        config, world = self.config, self.world
        rows = world.part(self.sampler.draw(config.batch, _generator(config.seed, self.step, 0)))
        g = _generator(config.seed, self.step, 2 + world.rank)
        x = images_of(torch.from_numpy(self.faces.take(rows.numpy())))
        if config.augment:
            x = augment(x, g, new_people=config.loss == "none").round_()
        told = None
        if self.teacher is not None:
            seen = np.ascontiguousarray(x.permute(0, 2, 3, 1).to(torch.uint8).numpy())
            told = torch.from_numpy(self.teacher.embed(seen, mirror=False)).to(self.device)
        if config.augment:
            x = occlude(x, g, HIDDEN)
        return x.to(self.device, memory_format=torch.channels_last), self.label[rows].to(self.device), told

    def backward(self, images: Tensor, labels: Tensor, told: Tensor | None) -> tuple[dict[str, float], Tensor, Tensor | None]:
        """Leave the gradient of the mean loss of all processes in the network; gives the parts of the loss, and the centres' gradient."""
        self.wrapped.train()
        if self.config.freeze_norms:
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        self.network.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            vectors = self.wrapped(images)
        vectors = vectors.float()
        parts: dict[str, Tensor] = {}
        rows = self.centres.sample(self.world.gather(labels).clamp_min(0).cpu(), _generator(self.config.seed, self.step, 1))
        centres = self.centres.weight.detach()[rows.to(self.device)].requires_grad_()
        if self.config.loss != "none":
            parts["margin"] = self._margin(vectors, labels, rows.to(self.device), centres)
        if told is not None:
            parts["teacher"] = self.config.teacher_weight * likeness_loss(vectors, told)
        loss = torch.stack(list(parts.values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        said = {name: float(value.detach()) for name, value in parts.items()} | {"loss": float(loss.detach())}
        if self.config.loss == "none":
            return said, rows, None
        gradient = centres.grad if centres.grad is not None else torch.zeros_like(centres)
        return said, rows, self.world.mean(gradient)

    def _margin(self, vectors: Tensor, labels: Tensor, rows: Tensor, centres: Tensor) -> Tensor:
        """The loss of the named faces, as a share of all: nobody's faces have none."""
        named = labels >= 0
        if not named.any() and self.world.size == 1:
            return vectors.sum() * 0
        own = torch.searchsorted(rows, labels.clamp_min(0))
        weight = torch.where(named, self.weights[labels.clamp_min(0)], 0.0)
        return margin_loss(vectors, centres, own, self.margin, weight=weight, gather=self.world.gather)

    def _imprint(self, network: nn.Module, dim: int) -> None:
        """Set each centre to the mean vector of its person by a network that knows something (Qi et al. 2018, arXiv:1712.07136)."""
        blank = Card(name="", dim=dim, sha256="", licence="", slope=1, intercept=0, impostor_mean=0, impostor_sd=0.1)
        model = AttentionModel(copy.deepcopy(network), blank, str(self.device))  # type: ignore[arg-type]
        order = self.parts.learn[np.argsort(self.parts.label[self.parts.learn], kind="stable")]
        label = self.parts.label[order]
        place = np.arange(len(label)) - np.searchsorted(label, label)
        chosen = order[(place < _SHOWN) & (label >= 0)]
        total = np.zeros((len(self.parts.people), dim), np.float32)
        for i in range(0, len(chosen), 1024):
            rows = chosen[i : i + 1024]
            np.add.at(total, self.parts.label[rows], model.embed(self.faces.take(rows), mirror=False))
        self.centres.weight.data = F.normalize(torch.from_numpy(total))

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "network": self.network.state_dict(), "mean": self.mean.state_dict(), "margin": self.margin.state_dict(),
            "centres": self.centres.weight.detach(), "centres_optimiser": self.centres.optimiser.state_dict(),
            "optimisers": [o.state_dict() for o in self.optimisers], "step": self.step,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint holds."""
        for name in ("network", "mean", "margin"):
            getattr(self, name).load_state_dict(state[name])
        self.centres.weight.data = state["centres"].to(self.device)
        self.centres.optimiser.load_state_dict(state["centres_optimiser"])
        for optimiser, kept in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        self.step = state["step"]


def likeness_loss(mine: Tensor, theirs: Tensor) -> Tensor:
    """1 - cosine to the teacher's vectors (n, dim) if they are as long, + 2 * mean squared error of the cosines between all faces."""
    a, b = F.normalize(mine), F.normalize(theirs)
    matrix = 2 * F.mse_loss(a @ a.T, b @ b.T)
    return matrix + 1 - (a * b).sum(dim=1).mean() if a.shape == b.shape else matrix


def _generator(*seeds: int) -> torch.Generator:
    """Its numbers depend on the seeds alone, so a training that goes on draws what it would have drawn."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence([abs(s) for s in seeds]).generate_state(1, np.uint64)[0] >> 1))
