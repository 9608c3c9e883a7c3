"""The settings of a training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from facecluster.errors import InputError
from facecluster.training.margins import MARGINS

NETWORKS, LOSSES = ("hybrid", "vit"), (*MARGINS, "none")
_FREE = ("minutes", "steps", "threads", "device", "processes")  # what may change when a training goes on


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What decides the weights, and how long they are learnt."""

    network: str = "hybrid"  # the bundled architecture; vit: ViT-Ti/8
    init: str | None = None  # embedder whose weights to start from; it decides the network
    loss: str = "cosface"  # or arcface, adaface; none: learn from the teacher alone
    margin: float | None = None  # None: that of the loss's paper
    partial: float = 1.0  # share of the people that a step looks at
    balance: float = 0.0  # 0: faces as they are, 1: every person as often
    reweight: float = 0.0  # beta of the effective number of faces; 0: all faces alike
    teacher: str | None = None  # embedder to learn from besides the names
    teacher_weight: float = 1.0  # of its loss, beside 1 for the loss with a margin
    rate: float | None = None  # of AdamW; None: FROM_SCRATCH, or GOING_ON with `init`
    batch: int = 128  # faces a step, of all processes together
    average: float = 0.999  # decay a step of the mean of the weights, which is what is kept
    augment: bool = True
    freeze_norms: bool = False  # leave mean and variance of the batch norms as they are
    bf16: bool | None = None  # None: where the hardware has it
    hold_out: float = 0.1  # share of the faces whose people are held out
    min_faces: int = 2  # people with fewer are left out
    seed: int = 0
    minutes: float | None = 20.0  # of all runs together
    steps: int | None = None
    threads: int | None = None  # None: as torch decides
    device: str = "auto"
    processes: int = 1

    def __post_init__(self) -> None:
        if self.minutes is None and self.steps is None:
            raise InputError("expected --minutes or --steps, found neither: say how long to learn")
        if self.loss == "none" and self.teacher is None:
            raise InputError("expected a teacher for --loss none, found none: give --teacher, or another loss")
        if self.batch % self.processes or self.batch < 2 * self.processes:
            raise InputError(f"expected a --batch that {self.processes} processes share evenly, found {self.batch}: choose a multiple")

    @property
    def full_rate(self) -> float:
        """The rate before it falls."""
        return self.rate if self.rate is not None else FROM_SCRATCH if self.init is None else GOING_ON

    def fixed(self) -> dict[str, Any]:
        """What must stay as it was when a training goes on."""
        return {k: v for k, v in asdict(self).items() if k not in _FREE}


FROM_SCRATCH, GOING_ON = 2e-3, 2e-4  # AdamW's rate
