"""The loop of a training: steps until the budget is spent, checkpoints, the log, and going on after a stop."""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facecluster.errors import InputError, shell
from facecluster.models.registry import AttentionModel, Card, best_device
from facecluster.training.accuracy import HeldOutPairs
from facecluster.training.config import TrainConfig
from facecluster.training.faces import LearningFaces, Parts, some_of
from facecluster.training.folder import replacing
from facecluster.training.learner import Learner
from facecluster.training.log import Log
from facecluster.training.networks import Network, dim_of
from facecluster.training.optimisers import rate
from facecluster.training.processes import World, joined, noted_interrupt, own_device
from facecluster.training.teacher import Teacher

CHECKPOINT = "checkpoint.pt"
_SAVE_SECONDS, _LOG_STEPS = 60.0, 20
_LOOKS = 5  # at people who are held out, over the whole budget
_WATCHED = 400  # faces of theirs
_DEFAULTS = {field.name: field.default for field in fields(TrainConfig)}


@dataclass(frozen=True, slots=True)
class Status:
    """How far a training is."""

    step: int
    share: float  # of the budget that is spent, 0 to 1
    seconds_left: float
    faces_per_second: float
    loss: float
    held_out_tar: float | None  # at a false accept rate of 1e-2, when last looked at


Report = Callable[[Status], None]


def learn(config: TrainConfig, faces: LearningFaces, parts: Parts, out: Path, report: Report | None = None) -> None:
    """Learn until the budget is spent, from the checkpoint in `out` if there is one; the last step is in a checkpoint too.

    Raises:
        InputError: the checkpoint was made with other settings or faces.
        ModelError: a model can't be loaded, or the loss is no longer a number.
        KeyboardInterrupt: it was stopped; what was learnt is in the checkpoint.
    """
    device = own_device(best_device(config.device))
    if config.threads:
        torch.set_num_threads(config.threads)
    out.mkdir(parents=True, exist_ok=True)
    with joined(device) as world, noted_interrupt() as pressed:
        run = _Run(config, Learner(config, faces, parts, world, device), out)
        log = Log(out, run.learner.step) if world.rank == 0 else None
        while True:
            share, stop = world.first_says([run.share, float(pressed[0])], run.learner.device)
            if share >= 1 or stop:
                break
            run.add(run.learner.learn(rate(share, fall=config.fall)))
            if log is not None:
                run.tell(log, report)
        if log is not None:
            run.tell(log, report, last=True)
            run.save()
            log.close()
    if stop and share < 1:
        raise KeyboardInterrupt


class _Run:
    """The clock, the log and the checkpoints of a training."""

    def __init__(self, config: TrainConfig, learner: Learner, out: Path) -> None:
        self.config, self.learner, self.path = config, learner, out / CHECKPOINT
        self.fixed = {**config.fixed(), "faces": _digest(learner.faces)}
        self.before, self.watch = 0.0, _Watch(learner.faces, learner.parts, learner.teacher)
        if self.path.exists():
            self._go_on(read_checkpoint(self.path))
        self.started = self.saved = self.told = time.monotonic()
        self.told_step = learner.step
        self.sums: dict[str, float] = {}
        self.looked, self.tar = int(self.share * _LOOKS), None if not learner.step else self.watch.tar(learner.mean)

    @property
    def spent(self) -> float:
        """Seconds, of all runs together."""
        return self.before + time.monotonic() - getattr(self, "started", time.monotonic())

    @property
    def share(self) -> float:
        """Of the budget that is spent."""
        by_time = 0.0 if self.config.minutes is None else self.spent / (60 * self.config.minutes)
        return max(by_time, 0.0 if self.config.steps is None else self.learner.step / self.config.steps)

    def add(self, said: dict[str, float]) -> None:
        """Take the parts of a step's loss."""
        for name, value in said.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def tell(self, log: Log, report: Report | None, *, last: bool = False) -> None:
        """Log, look at the people who are held out, and save, each when it is due."""
        step, now = self.learner.step, time.monotonic()
        steps = step - self.told_step
        due = int(self.share * _LOOKS) > self.looked
        if steps and (steps >= _LOG_STEPS or due or last):
            fast = steps * self.config.batch / max(now - self.told, 1e-9)
            means = {name: value / steps for name, value in self.sums.items()}
            if due or last:
                self.tar, self.looked = self.watch.tar(self.learner.mean), int(self.share * _LOOKS)
            values: dict[str, float | int | None] = {
                "step": step, "faces": step * self.config.batch, "minutes": self.spent / 60, "faces_per_second": fast,
                "rate": rate(min(self.share, 1.0), fall=self.config.fall), **means, "held_out_tar": self.tar if due or last else None,
                "held_out_cosine": self.watch.cosine(self.learner.mean) if due or last else None,
            }  # fmt: skip
            log.add(values)
            if due or last:
                log.draw()
            if report is not None:
                report(Status(step, min(self.share, 1.0), self._seconds_left(fast), fast, means["loss"], self.tar))
            self.sums, self.told, self.told_step = {}, time.monotonic(), step
        if now - self.saved > _SAVE_SECONDS:
            self.save()
            self.saved = time.monotonic()

    def _seconds_left(self, faces_per_second: float) -> float:
        """Of the budget that ends first."""
        config, steps = self.config, np.inf if self.config.steps is None else self.config.steps - self.learner.step
        by_time = np.inf if config.minutes is None else 60 * config.minutes - self.spent
        return float(max(0.0, min(by_time, steps * config.batch / faces_per_second)))

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        with replacing(self.path) as file:
            torch.save({**self.learner.state(), "spent": self.spent, "fixed": self.fixed}, file)

    def _go_on(self, state: dict[str, Any]) -> None:
        before = _DEFAULTS | state["fixed"]  # an earlier version had fewer settings
        other = next((k for k in self.fixed if before.get(k) != self.fixed[k]), None)
        if other is not None:
            found = f"{other} {before.get(other)!r}" if other != "faces" else "other faces"
            said = f"{other} {self.fixed[other]!r}" if other != "faces" else "the same faces"
            where = shell(str(self.path.parent))
            raise InputError(f"expected {said} of the training in {where}, found {found}: give the same command, or another folder with -o")
        self.learner.restore(state)
        self.before = state["spent"]


class _Watch:
    """Some faces of the people who are held out, and of strangers who are."""

    def __init__(self, faces: LearningFaces, parts: Parts, teacher: Teacher | None = None) -> None:
        rows = some_of(parts.held_out, _WATCHED)
        self.crops, self.pairs = faces.take(rows), HeldOutPairs(faces.label[rows])
        every = some_of(np.sort(np.concatenate([parts.held_out, parts.strangers])), _WATCHED)
        self.likened = faces.take(every) if teacher is not None else self.crops[:0]
        self.wanted = teacher.embedder.embed(self.likened) if teacher is not None and len(every) else None

    def tar(self, network: Network) -> float | None:
        """Their true accept rate at a false accept rate of 1e-2; None without pairs of both kinds."""
        if not self.pairs:
            return None
        return float(self.pairs.rates(model_of(network).embed(self.crops, mirror=False))[0])


    def cosine(self, network: Network) -> float | None:
        """Mean cosine to the teacher's vectors, both summed over a face and its mirror image; None without a teacher of as many numbers."""
        if self.wanted is None or self.wanted.shape[1] != dim_of(network):
            return None
        return float((model_of(network).embed(self.likened) * self.wanted).sum(axis=1).mean())


def model_of(network: Network) -> AttentionModel:
    """A copy of a network, ready to run, with a blank card."""
    blank = Card(name="", dim=dim_of(network), sha256="", licence="", slope=1, intercept=0, impostor_mean=0, impostor_sd=0.1)
    return AttentionModel(copy.deepcopy(network), blank, str(next(network.parameters()).device))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds. Raises InputError if it can't be read."""
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:  # a damaged file raises nearly anything
        hint = f"choose another folder with -o, or delete {shell(str(path.parent))} to begin again"
        raise InputError(f"expected a checkpoint at {path}, found one that can't be read: {hint}") from e
    if not isinstance(found, dict) or not isinstance(found.get("fixed"), dict) or not {"spent", "mean"} <= found.keys():
        raise InputError(f"expected a checkpoint of a training at {path}, found something else: choose another folder with -o")
    return found


def _digest(faces: LearningFaces) -> str:
    """Stands for the faces by their names and numbers."""
    return hashlib.sha256("\0".join(faces.names).encode("utf-8", "surrogatepass") + faces.label.tobytes()).hexdigest()[:16]


__all__ = ["CHECKPOINT", "Report", "Status", "World", "learn", "model_of", "read_checkpoint"]
