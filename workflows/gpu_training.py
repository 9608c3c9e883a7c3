"""Learning from a teacher with everything on one device: what train_embedder_gpu.py does in a step."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from torch_teacher import TorchTeacher

from facecluster.errors import InputError
from facecluster.geometry import CROP
from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.registry import has_bf16
from facecluster.training.augment import augment, occlude
from facecluster.training.networks import images_of
from facecluster.training.optimisers import move_mean, optimisers_of
from facecluster.training.recipe import read_recipe
from facecluster.training.student import Student, compiled, compiler_failure, likeness_loss, map_losses

RECIPE = read_recipe("bundled")
MAPS = ("map7", "map14")
LOSSES = ("loss", "teacher", *MAPS)
CLIP = 2.0  # largest norm of a gradient


class Distillation(nn.Module):
    """The loss of a batch and its parts (4,), as LOSSES names them."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student, self.device = student, next(student.parameters()).device.type
        self.bf16, self.weights = has_bf16(self.device), [1.0, *(RECIPE[f"{name}_weight"] for name in MAPS)]

    def forward(self, images: Tensor, vectors: Tensor, maps: Sequence[Tensor]) -> Tensor:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
            mine, found = self.student(images)
        parts = [likeness_loss(mine.float(), vectors.float()), *map_losses(found, [value.float() for value in maps])]
        weighted = torch.stack([weight * part for weight, part in zip(self.weights, parts, strict=True)])
        return torch.cat([weighted.sum()[None], weighted])


class Training:
    """Network, optimisers and the mean of the weights, with the faces and the teacher on one device."""

    def __init__(self, args: argparse.Namespace, faces: Tensor, held_out: Tensor) -> None:
        """Of the options of train_embedder_gpu.py, and faces (n, 112, 112, 3) uint8. Raises InputError or ModelError: no such teacher."""
        torch.manual_seed(args.seed)
        self.args, self.faces, self.held_out, self.device = args, faces, held_out, args.device
        teacher = TorchTeacher(args.teacher, [RECIPE[name] for name in MAPS], args.mean, args.std).eval().requires_grad_(False)
        self.teacher = teacher.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        told = self.teacher(torch.zeros(1, 3, CROP, CROP, device=self.device))
        network = AttentionEmbedder.from_weights(load_file(args.init))
        if told[0].shape[1] != network.head.out_features:
            wanted = f"expected vectors of {network.head.out_features} numbers of the teacher, as those of --init are"
            raise InputError(f"{wanted}, found {told[0].shape[1]}: choose another of them")
        student = Student(network, {name: tuple(value.shape[1:]) for name, value in zip(MAPS, told[1:], strict=True)})
        self.student = student.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network, self.mean = self.student.network, copy.deepcopy(self.student.network)
        self.optimisers = optimisers_of(self.network, args.rate, self.student.extra())
        self.losses: Callable[..., Tensor] = Distillation(self.student)
        if args.compile:
            self.losses = compiled(self.losses, self.device)  # type: ignore[arg-type]
        self.likened = self.summed(lambda x: self.teacher(x)[0])
        self.step = 0

    @torch.no_grad()
    def batches(self, count: int) -> list[tuple[Tensor, Tensor, list[Tensor]]]:
        """Changed faces, the teacher's vectors of them and its maps. What is drawn depends on the seed and the step alone."""
        g = torch.Generator(self.device).manual_seed((self.args.seed << 40) + self.step)
        found = []
        for _ in range(count):
            rows = torch.randint(len(self.faces), (self.args.batch,), generator=g, device=self.device)
            x = augment(images_of(self.faces[rows]).contiguous(), g).round_()
            with torch.autocast(self.device, torch.float16, enabled=self.device == "cuda"):
                vectors, *maps = self.teacher(x.contiguous(memory_format=torch.channels_last))
            hidden = occlude(x, g, RECIPE["hide"]).contiguous(memory_format=torch.channels_last)
            found.append((hidden, vectors.contiguous(), [value.contiguous() for value in maps]))
        return found

    def learn(self, images: Tensor, vectors: Tensor, maps: list[Tensor], share: float) -> Tensor:
        """One step at a share of the full rate, 0 to 1; gives the parts of the loss (4,)."""
        self.student.train()
        with compiler_failure() if self.args.compile else nullcontext():
            said = self.losses(images, vectors, maps)
            self.student.zero_grad(set_to_none=True)
            said[0].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.student.parameters(), CLIP)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group.setdefault("full", group["lr"]) * share
            optimiser.step()
        self.step += 1
        move_mean(self.mean, self.network, min(RECIPE["average"], self.step / (self.step + 10)))
        return said.detach()

    @torch.no_grad()
    def summed(self, look: Callable[[Tensor], Tensor]) -> Tensor:
        """Vectors (n, dim) of length 1 of the held-out faces, each with its mirror image."""
        parts = [look(x) + look(x.flip(3)) for x in map(images_of, self.held_out.split(256))]
        return F.normalize(torch.cat(parts).float())

    def cosine(self) -> float:
        """Mean cosine of the mean weights' vectors of the held-out faces to the teacher's."""
        return float((self.summed(self.mean.eval()) * self.likened).sum(dim=1).mean())

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "student": self.student.state_dict(), "mean": self.mean.state_dict(), "optimisers": [o.state_dict() for o in self.optimisers],
            "step": self.step,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint holds."""
        self.student.load_state_dict(state["student"])
        self.mean.load_state_dict(state["mean"])
        for optimiser, kept in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        self.step = state["step"]
