"""The settings of a training."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from typing import Any

from facecluster.errors import InputError
from facecluster.training.margins import MARGINS

_DEVICES = r"auto|cpu|cuda(:\d+)?"
NETWORKS, LOSSES = ("hybrid", "vit"), (*MARGINS, "none")
_BUDGET = ("minutes", "steps", "threads", "device", "processes")  # no part of the recipe
_FREE = (*_BUDGET, "replay", "compile")  # what may change when a training goes on
_BOUNDS = {
    "depth": (1, 64), "margin": (0, 1), "partial": (1e-9, 1), "balance": (0, 1), "reweight": (0, 1), "teacher_weight": (0, math.inf),
    "map7_weight": (0, math.inf), "map14_weight": (0, math.inf), "rate": (1e-12, math.inf), "batch": (2, math.inf), "fall": (0, 1),
    "average": (0, 1), "hide": (0, 1), "reuse": (1, 100), "replay": (1, math.inf), "hold_out": (0, 0.9), "min_faces": (1, math.inf),
    "minutes": (1e-9, math.inf), "steps": (1, math.inf), "threads": (1, math.inf), "processes": (1, math.inf),
    "seed": (-(2**63), 2**63 - 1),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What decides the weights, and how long they are learnt."""

    network: str = "hybrid"  # the bundled architecture; vit: ViT-Ti/8
    init: str | None = None  # embedder whose weights to start from; it decides the network
    depth: int | None = None  # blocks of the hybrid network; those of `init` are spread among blocks that add nothing at first
    loss: str = "cosface"  # or arcface, adaface; none: learn from the teacher alone
    margin: float | None = None  # None: that of the loss's paper
    partial: float = 1.0  # share of the people that a step looks at
    balance: float = 0.0  # 0: faces as they are, 1: every person as often
    reweight: float = 0.0  # beta of the effective number of faces; 0: all faces alike
    teacher: str | None = None  # embedder to learn from besides the names
    teacher_weight: float = 1.0  # of its loss, beside 1 for the loss with a margin
    map7: str | None = None  # value in the teacher's ONNX graph, (n, parts, 7, 7), that the hybrid network's face parts should be like
    map7_weight: float = 0.5  # of its loss, the mean squared error relative to its variance
    map14: str | None = None  # the same, (n, any, 14, 14), of which the stem's map is made by a 1x1 convolution that is learnt too
    map14_weight: float = 0.1
    reuse: int = 1  # steps that a batch which the teacher has seen serves on average, drawn anew among the last `replay` faces
    replay: int = 20_000  # faces that all processes together keep for that: 40 kB each, 140 kB with both maps of `bundled`
    rate: float | None = None  # of AdamW; None: FROM_SCRATCH, or GOING_ON with `init`
    batch: int = 128  # faces a step, of all processes together
    fall: float = 0.5  # share of the budget in which the rate falls to zero at the end; 0: never
    average: float = 0.999  # decay a step of the mean of the weights, which is what is kept
    augment: bool = True
    hide: float = 0.1  # share of the augmented faces of which a part is hidden, after the teacher saw them
    freeze_norms: bool = False  # leave mean and variance of the batch norms as they are
    bf16: bool | None = None  # None: where the hardware has it
    compile: bool = False  # by torch.compile, which needs g++ and Python's headers on a CPU
    hold_out: float = 0.1  # share of the faces whose people are held out
    min_faces: int = 2  # people with fewer are left out
    seed: int = 0
    minutes: float | None = 20.0  # of all runs together
    steps: int | None = None
    threads: int | None = None  # None: as torch decides
    device: str = "auto"
    processes: int = 1

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not (low <= value <= high and value < math.inf):
                least = "above 0" if 0 < low < 1e-6 else f"of {low:g} or more"
                wanted = least if high == math.inf else f"from {low:g} to {high:g}"
                raise InputError(f"expected {name} {wanted}, found {value:g}: correct it")
        for name, known in {"network": NETWORKS, "loss": LOSSES}.items():
            if (word := getattr(self, name)) not in known:
                raise InputError(f"expected {name} to be one of {', '.join(known)}, found {word!r}: correct it")
        if not re.fullmatch(_DEVICES, self.device):
            raise InputError(f"expected device to be auto, cpu, cuda, or cuda:1 and so on, found {self.device!r}: correct it")
        if self.minutes is None and self.steps is None:
            raise InputError("expected --minutes or --steps, found neither: say how long to learn")
        if self.loss == "none" and self.teacher is None:
            raise InputError("expected a teacher for --loss none, found none: give --teacher, or another loss")
        if self.teacher is None and (self.map7 or self.map14 or self.reuse > 1):
            raise InputError("expected a teacher for map7, map14 or reuse, found none: give --teacher, or leave them out")
        if self.batch % self.processes or self.batch < 2 * self.processes:
            raise InputError(f"expected a --batch that {self.processes} processes share evenly, found {self.batch}: choose a multiple")

    @property
    def full_rate(self) -> float:
        """The rate before it falls."""
        return self.rate if self.rate is not None else FROM_SCRATCH if self.init is None else GOING_ON

    @property
    def maps(self) -> dict[str, str]:
        """The teacher's inner values by the name of their setting."""
        return {name: value for name in ("map7", "map14") if (value := getattr(self, name)) is not None}

    def recipe(self) -> dict[str, Any]:
        """What a card says of the settings, and a recipe may."""
        return {k: v for k, v in asdict(self).items() if k not in _BUDGET}

    def fixed(self) -> dict[str, Any]:
        """What must stay as it was when a training goes on."""
        return {k: v for k, v in asdict(self).items() if k not in _FREE}


FROM_SCRATCH, GOING_ON = 2e-3, 2e-4  # AdamW's rate
