"""One step of a training: the loss of a batch, its gradient, and how the weights move; and what a checkpoint holds of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecluster.errors import ModelError
from facecluster.geometry import CROP
from facecluster.models.registry import AttentionModel, Card, has_bf16
from facecluster.training.augment import augment, occlude
from facecluster.training.config import TrainConfig
from facecluster.training.faces import Crops, LearningFaces, Parts
from facecluster.training.margins import Centres, Margin, margin_loss
from facecluster.training.networks import build, dim_of, images_of
from facecluster.training.optimisers import move_mean, optimisers_of
from facecluster.training.processes import World
from facecluster.training.replay import LEAST, Replay
from facecluster.training.sampling import Sampler, face_weights
from facecluster.training.student import Student, compiled, compiler_failure, likeness_loss, map_losses
from facecluster.training.teacher import Teacher

Batch = tuple[Tensor, Tensor, list[Tensor]]  # images, labels, what a teacher said
_CENTRES = 5  # the centres' rate, times that of the network
_SHOWN = 10  # faces of a person whose mean vector is the first centre, if the network knows something
_CLIP = 2.0  # largest norm of a gradient


class Learner:
    """Network, centres, optimisers and the mean of the weights."""

    def __init__(self, config: TrainConfig, faces: LearningFaces, parts: Parts, world: World, device: str) -> None:
        torch.manual_seed(config.seed)
        self.config, self.faces, self.parts, self.world, self.device = config, faces, parts, world, torch.device(device)
        self.teacher = None if config.teacher is None else Teacher(config.teacher, list(config.maps.values()), device)
        network = build(config.network, config.init, config.depth)
        dim = dim_of(network)
        student = Student(network, self._shapes())
        self.centres = Centres(len(parts.people), dim, share=config.partial, seed=config.seed)
        if config.init is not None and config.loss != "none":
            self._imprint(network, dim)
        self.student = student.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = self.student.network
        self.centres.weight.data = self.centres.weight.data.to(self.device)
        self.mean = copy.deepcopy(self.network)
        self.margin = Margin("cosface" if config.loss == "none" else config.loss, config.margin).to(self.device)
        self.optimisers = optimisers_of(self.network, config.full_rate, self.student.extra())
        self.wrapped = world.wrap(self.student)
        if config.compile:
            self.wrapped = compiled(self.wrapped, self.device.type)
        self.replay = Replay(max(1, config.replay // world.size)) if config.reuse > 1 else None
        self.bf16 = has_bf16(device) if config.bf16 is None else config.bf16
        self.sampler = Sampler(parts.learn, parts.label, config.balance)
        self.weights = torch.from_numpy(face_weights(parts.counts(), config.reweight)).to(self.device)
        self.label = torch.from_numpy(parts.label)
        self.step = 0

    def learn(self, share: float) -> dict[str, float]:
        """One step at a share of the full rate, 0 to 1; gives the parts of the loss."""
        with compiler_failure() if self.config.compile else nullcontext():
            said, rows, gradient = self.backward(*self.batch())
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group.setdefault("full", group["lr"]) * share
        nn.utils.clip_grad_norm_(self.student.parameters(), _CLIP)
        for optimiser in self.optimisers:
            optimiser.step()
        if gradient is not None:
            self.centres.step(rows, gradient, _CENTRES * self.config.full_rate * share)
        self.step += 1
        move_mean(self.mean, self.network, min(self.config.average, self.step / (self.step + 10)))
        if not math.isfinite(said["loss"]):
            raise ModelError("expected a loss that is a number, found one that is not: choose a lower --rate and another folder")
        return said

    def batch(self) -> Batch:
        """This process's part of the next batch: images (n, 3, 112, 112), labels (n,), and what a teacher says of them."""
        g = _generator(self.config.seed, self.step, 2 + self.world.rank)
        on_device = g if self.device.type == "cpu" else torch.Generator(self.device).manual_seed(g.initial_seed())
        if self.replay is None:
            found = self._fresh(on_device)
        else:
            own = self.config.batch // self.world.size
            if self.step % self.config.reuse == 0 or self.replay.seen < LEAST * own:
                self.replay.add(*self._fresh(on_device))
            found = self.replay.draw(own, g)
        images, labels, told = found
        images = images.to(self.device, memory_format=torch.channels_last)
        return images, labels.to(self.device), [value.to(self.device) for value in told]

    def _fresh(self, g: torch.Generator) -> Batch:
        """Faces drawn and changed anew: the teacher sees them before parts are hidden."""
        config = self.config
        rows = self.world.part(self.sampler.draw(config.batch, _generator(config.seed, self.step, 0)))
        x = images_of(torch.from_numpy(self.faces.take(rows.numpy())).to(self.device))
        if config.augment:
            x = augment(x, g, new_people=config.loss == "none").round_()
        told: list[Tensor] = []
        if self.teacher is not None:
            told = self.teacher.look(np.ascontiguousarray(x.permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()))
        if config.augment:
            x = occlude(x, g, config.hide)
        return x, self.label[rows], told

    def backward(self, images: Tensor, labels: Tensor, told: Sequence[Tensor] = ()) -> tuple[dict[str, float], Tensor, Tensor | None]:
        """Leave the gradient of the mean loss of all processes in the network; gives the parts of the loss, and the centres' gradient."""
        self.wrapped.train()
        if self.config.freeze_norms:
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        self.student.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            vectors, maps = self.wrapped(images)
        vectors = vectors.float()
        parts: dict[str, Tensor] = {}
        rows = self.centres.sample(self.world.gather(labels).clamp_min(0).cpu(), _generator(self.config.seed, self.step, 1))
        centres = self.centres.weight.detach()[rows.to(self.device)].requires_grad_()
        if self.config.loss != "none":
            parts["margin"] = self._margin(vectors, labels, rows.to(self.device), centres)
        if told:
            parts["teacher"] = self.config.teacher_weight * likeness_loss(vectors, told[0])
            for name, value in zip(self.config.maps, map_losses(maps, told[1:]), strict=True):
                parts[name] = getattr(self.config, f"{name}_weight") * value
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

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the teacher's inner values for a face, by the names of their settings."""
        if self.teacher is None or not self.config.maps:
            return {}
        blank: Crops = np.zeros((1, CROP, CROP, 3), np.uint8)
        return {name: tuple(value.shape[1:]) for name, value in zip(self.config.maps, self.teacher.look(blank)[1:], strict=True)}

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
            "adapt": None if self.student.adapt is None else self.student.adapt.state_dict(),
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint holds."""
        for name in ("network", "mean", "margin"):
            getattr(self, name).load_state_dict(state[name])
        if self.student.adapt is not None:
            self.student.adapt.load_state_dict(state["adapt"])
        self.centres.weight.data = state["centres"].to(self.device)
        self.centres.optimiser.load_state_dict(state["centres_optimiser"])
        for optimiser, kept in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        self.step = state["step"]


def _generator(*seeds: int) -> torch.Generator:
    """Its numbers depend on the seeds alone, so a training that goes on draws what it would have drawn."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence([abs(s) for s in seeds]).generate_state(1, np.uint64)[0] >> 1))
