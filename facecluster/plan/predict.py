"""A job -> what each of its stages takes. All figures are of one core like that of the measured runs, divided among workers.

Assumptions, besides those that `make_plan` notes: a stage's tasks are equally long, and all workers equally fast; links and groups of up to
EXACT faces are made in one process; with GPUs, vectors are computed there and nowhere else, while workers decode and detect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from facecluster.grouping.link import EXACT, ROWS
from facecluster.grouping.link_plan import FAST_SCAN, MEMORY, sizes
from facecluster.plan.runs import EMBED, HERE, TASKS, Run, Size, read_runs
from facecluster.plan.stages import StageLaws, fit_stage
from facecluster.store import LINKS_K

SHARD = 128  # photos that a task searches
STAGES = ("decode", "detect", "embed", "link", "identify", "report")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices in any currency; None: not given."""

    worker_hour: float | None = None
    gpu_hour: float | None = None
    network_gb: float | None = None  # 1e9 bytes
    gb_month: float | None = None  # of the store


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be done, and with what."""

    new_photos: int  # to be searched
    new_faces: int  # in them
    faces: int  # to be grouped: those and the ones that are in the store
    dim: int = 128  # numbers of a vector
    megapixels: float = 12.0  # a photo, the mean
    mb_a_photo: float | None = None  # 1e6 bytes; None: as the measured photos, by megapixels
    ms_a_photo: float | None = None  # processor time from bytes to vectors; None: as measured
    gpu_faces_a_second: float | None = None  # vectors that a GPU computes; None: as many as one core
    workers: int = 1  # processes with a core each; 1: all is done in one process
    gpus: int = 0
    memory: int = MEMORY  # bytes that a worker may take
    speed: float = 1.0  # of a core: 2 = twice as fast as that of the measured runs


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """What a stage takes."""

    stage: str
    seconds: float  # by the clock
    processor_seconds: float  # of all cores together
    tasks: int  # that can be done at the same time
    command_bytes: float  # memory of the process that runs the command
    worker_bytes: float  # memory of each worker; 0 without
    disk_bytes: float  # that stay in the store
    scratch_bytes: float  # besides, until the stage ends
    network_bytes: float  # where photos and store are on other machines
    cost: float  # of workers, GPUs and network


_SUMMED = ("seconds", "processor_seconds", "disk_bytes", "network_bytes", "cost")
_MOST = ("tasks", "command_bytes", "worker_bytes", "scratch_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The stages of a job in order."""

    job: Job
    stages: tuple[StagePlan, ...]
    storage_cost: float  # of the store, a month
    notes: tuple[str, ...]  # what is assumed

    @property
    def total(self) -> StagePlan:
        """All stages: sums, and the most memory and scratch of any."""
        summed = {key: sum(getattr(stage, key) for stage in self.stages) for key in _SUMMED}
        most = {key: max((getattr(stage, key) for stage in self.stages), default=0) for key in _MOST}
        return StagePlan(stage="all", **summed, **most)

    def to_dict(self) -> dict[str, Any]:
        stages, total = [asdict(stage) for stage in self.stages], asdict(self.total)
        found = {"job": asdict(self.job), "stages": stages, "all": total, "storage_cost_a_month": self.storage_cost}
        return {**found, "assumed": list(self.notes)}


def make_plan(job: Job, prices: Prices | None = None, *, only: Sequence[str] = STAGES, runs: Sequence[Run] | None = None) -> Plan:
    """Predict what a job takes.

    Args:
        job: what is to be done.
        prices: None: all is free.
        only: the stages that are done.
        runs: measured runs; None: those that come with this package.

    Raises:
        InputError: the memory is too little for any plan of the links.
    """
    runs = read_runs() if runs is None else runs
    prices = prices or Prices()
    made = [*_of_photos(job, prices, runs), *(_of_faces(job, prices, runs, stage) for stage in STAGES[3:])]
    stages = tuple(stage for stage in made if stage.stage in only and (job.new_photos or stage.stage not in STAGES[:3]))
    stored = sum(stage.disk_bytes for stage in stages) / 1e9 * (prices.gb_month or 0)
    return Plan(job=job, stages=stages, storage_cost=stored, notes=tuple(_notes(job, prices, runs)))


def _of_photos(job: Job, prices: Prices, runs: Sequence[Run]) -> list[StagePlan]:
    """decode, detect, embed."""
    size = Size(photos=job.new_photos, faces=job.new_faces, dim=job.dim, megapixels=job.megapixels)
    laws = {stage: fit_stage(runs, stage, EMBED) for stage in STAGES[:3]}
    used = {stage: laws[stage].of("processor", size) / job.speed for stage in laws}
    if job.ms_a_photo is not None:
        times = job.ms_a_photo / 1000 * job.new_photos / max(sum(used.values()), 1e-9)
        used = {stage: seconds * times for stage, seconds in used.items()}
    tasks = -(-job.new_photos // SHARD)
    at_once = max(1, min(job.workers, tasks))
    clock = {stage: seconds / at_once for stage, seconds in used.items()}
    if job.gpus:
        rate = job.gpu_faces_a_second or job.new_faces / max(used["embed"], 1e-9)
        alone = job.new_faces / max(rate, 1e-9) / max(1, min(job.gpus, tasks))
        used["embed"] = 0.0 if job.gpu_faces_a_second else used["embed"]
        clock["embed"] = max(0.0, alone - clock["decode"] - clock["detect"])  # while others decode and detect
    photos = laws["decode"]
    read = job.mb_a_photo * 1e6 * job.new_photos if job.mb_a_photo else photos.of("photo_bytes", size)
    kept = {"decode": photos.of("kept_photos", size), "detect": photos.of("kept_faces", size) - 2 * job.new_faces * 128}
    kept["embed"] = 2.0 * job.new_faces * job.dim
    moved = {"decode": read + kept["decode"], "detect": kept["detect"], "embed": kept["detect"] + kept["embed"]}
    peak, base = photos.of("peak", size), photos.of("base", size)
    memory = (peak if job.workers == 1 else base), peak
    return [_stage(job, prices, stage, clock[stage], used[stage], tasks, memory, kept[stage], 0.0, moved[stage]) for stage in used]


def _of_faces(job: Job, prices: Prices, runs: Sequence[Run], stage: str) -> StagePlan:
    """link, identify or report."""
    way = TASKS if job.faces > EXACT and stage != "report" else HERE
    size, laws = Size(faces=job.faces, dim=job.dim), fit_stage(runs, stage, way)
    used, tasks = laws.of("processor", size), 1
    serial = used if way == HERE else min(used, laws.of("serial", size))
    if way == TASKS:
        shards = -(-job.faces // ROWS)
        span = sizes(job.faces, job.dim, LINKS_K, ROWS, FAST_SCAN, job.memory)["span"] if stage == "link" else 1
        tasks = -(-shards // span)
    clock = serial + (used - serial) / max(1, min(job.workers, tasks))
    moved = laws.of("read", size) + laws.of("written", size)
    if way == TASKS:
        moved += (job.workers - 1) * 2.0 * job.faces * job.dim  # each worker copies the vectors that it looks at
    memory, kept, scratch = _memory(job, laws, size, stage, way), laws.of("kept", size), laws.of("scratch", size)
    return _stage(job, prices, stage, clock / job.speed, used / job.speed, tasks, memory, kept, scratch, moved)


def _memory(job: Job, laws: StageLaws, size: Size, stage: str, way: str) -> tuple[float, float]:
    """Bytes of the command, and of a worker."""
    peak = laws.of("peak", size)
    if way == TASKS and job.workers > 1:
        return laws.of("outside", size), laws.of("base", size) + min(laws.of("rise", size), job.memory)
    return peak, peak if stage == "link" else 0.0  # a worker makes the links of few faces


def _stage(
    job: Job, prices: Prices, stage: str, seconds: float, used: float, tasks: int, memory: tuple[float, float], kept: float, scratch: float,
    moved: float,
) -> StagePlan:  # fmt: skip
    hour = job.workers * (prices.worker_hour or 0) + job.gpus * (prices.gpu_hour or 0)
    return StagePlan(
        stage=stage, seconds=seconds, processor_seconds=used, tasks=tasks, command_bytes=memory[0],
        worker_bytes=memory[1] if job.workers > 1 else 0.0, disk_bytes=kept, scratch_bytes=scratch, network_bytes=moved,
        cost=seconds / 3600 * hour + moved / 1e9 * (prices.network_gb or 0),
    )  # fmt: skip


def _notes(job: Job, prices: Prices, runs: Sequence[Run]) -> list[str]:
    found = ["all faces are grouped from the start; tasks of a stage are equally long"]
    if job.new_photos and job.ms_a_photo is None:
        found.append(f"photos are JPEG of {job.megapixels:g} megapixels and {job.new_faces / job.new_photos:.2g} faces, like drawn ones")
    if job.gpus and job.gpu_faces_a_second is None:
        found.append("each GPU is counted as one core, unless you give --gpu-faces-per-second")
    if job.gpus:
        found.append("links are made on processors")
    measured = sorted({run.size.dim for run in runs})
    if job.dim not in measured:
        found.append(f"vectors of {job.dim} numbers take what the laws say: measured were those of {' and '.join(map(str, measured))}")
    beyond = {stage: n for stage in STAGES[3:] if (n := max((r.size.faces for r in runs if r.stage == stage), default=0)) < job.faces}
    if beyond:
        up_to = ", ".join(f"{stage} {n:,.0f}" for stage, n in beyond.items())
        found.append(f"the laws hold beyond the most faces that were measured ({up_to})")
    if prices.worker_hour or prices.gpu_hour:
        found.append("all workers and GPUs are paid from the first photo to the report")
    return found
