"""facecluster plan: what a job will take, before it starts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option, memory_option, model_option
from facecluster.errors import InputError
from facecluster.language.english import plural

if TYPE_CHECKING:
    from facecluster.plan import Job, Miss, Plan

FACES, MEGAPIXELS = 2, 12  # a photo, where nobody says how many


@click.command("plan")
@click.argument("store", required=False)
@click.option("--photos", metavar="N", help="How many photos there are to search (of a STORE: that come in): 250000, 1e6, 3M, 100k.")
@click.option("--faces", metavar="N", show_default=f"as in STORE, else {FACES} a photo", help="How many faces these photos have.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes with a core each.")
@click.option("--gpus", type=click.IntRange(0), default=0, show_default=True, help="Workers with a GPU, beside the others.")
@click.option("--megapixels", type=float, help="Of a photo, the mean.", show_default=f"as in STORE, else {MEGAPIXELS}")
@click.option("--mb-per-photo", type=float, help="Megabytes of a photo.", show_default="as in STORE, else by megapixels")
@click.option(
    "--ms-per-photo", type=float, help="Processor time of 'embed' a photo, as you measured it.", show_default="by megapixels and faces"
)
@click.option("--gpu-faces-per-second", type=float, help="What one of your GPUs embeds.", show_default="as one core")
@click.option("--core-speed", type=float, default=1.0, show_default=True, help="2: twice as fast as that of the measured runs.")
@click.option("--price-worker", type=float, help="Price of a worker an hour.")
@click.option("--price-gpu", type=float, help="Price of a worker with a GPU an hour.")
@click.option("--price-network", type=float, help="Price of a gigabyte that is read or written, if photos and store are elsewhere.")
@click.option("--price-storage", type=float, help="Price of a gigabyte of the store a month.")
@model_option
@memory_option
@json_option
@handle_errors
def command(store: str | None, as_json: bool, **given: Any) -> None:
    """Say what a job takes before it starts: time, memory, disk, network, and cost if you give prices. Nothing but STORE's tables is read.

    Give --photos; or a STORE, which is grouped and reported as it is or, with --photos, after its growth. Each stage has a law that was
    fitted to measured runs; how far the laws are off for runs that they were not fitted to is printed. All is counted as if nothing was
    done yet, except the search of the photos that are in STORE.

    \b
    Example: facecluster plan --photos 1e6 --faces 3e6 --workers 32 --gpus 8
    """
    from facecluster.plan import Prices, make_plan, misses, positive, read_runs

    for name, value in given.items():
        if isinstance(value, float):
            positive(value, f"--{name.replace('_', '-')}")
    prices = {name: given[f"price_{option}"] for name, option in _PRICES.items()}
    made, missed = make_plan(_job(store, given), Prices(**prices)), misses(read_runs())
    if as_json:
        click.echo(json.dumps(made.to_dict() | {"not_fitted": [miss.to_dict() for miss in missed]}, indent=1))
        return
    _print(made, priced=any(price is not None for price in prices.values()))
    for line in _errors(made, missed):
        click.echo(line)


_PRICES = {"worker_hour": "worker", "gpu_hour": "gpu", "network_gb": "network", "gb_month": "storage"}


def _job(store: str | None, given: Mapping[str, Any]) -> Job:
    """What the options ask for. What they leave open is as in the store or, without one, as an assumption."""
    from facecluster.models.card import card_of
    from facecluster.plan import Job, StoreSize, count_of, size_of_store
    from facecluster.store import Store

    photos, faces = given["photos"], given["faces"]
    if store is None and photos is None:
        raise InputError("expected --photos or a STORE, found neither: say how many photos there are, such as --photos 1e6")
    if faces is not None and photos is None:
        raise InputError("expected --photos with --faces, found --faces alone: say in how many photos these faces are")
    there = StoreSize(0, 0, 0.0, 0.0) if store is None else size_of_store(Store(store))
    new = 0 if photos is None else count_of(photos, "--photos")
    a_photo = there.faces / there.photos if there.photos else FACES
    new_faces = round(new * a_photo) if faces is None else count_of(faces, "--faces")
    mb = there.mb_a_photo if given["megapixels"] is None else 0.0  # of the store's photos; others have other sizes
    return Job(
        new_photos=new, new_faces=new_faces, faces=there.faces + new_faces, dim=card_of(given["model"]).dim,
        megapixels=given["megapixels"] or there.megapixels or MEGAPIXELS, mb_a_photo=given["mb_per_photo"] or mb or None,
        ms_a_photo=given["ms_per_photo"], gpu_faces_a_second=given["gpu_faces_per_second"], workers=given["workers"], gpus=given["gpus"],
        memory=given["memory"], speed=given["core_speed"],
    )  # fmt: skip


def duration(seconds: float) -> str:
    """A time that people read at a glance."""
    if seconds >= 1:
        seconds = round(seconds)
    for unit, size, part, small in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            whole, rest = divmod(round(seconds / small), size // small)
            return f"{whole} {unit} {rest} {part}" if whole < 10 and rest else f"{whole} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"


def amount(size: float) -> str:
    """Bytes, in the unit that fits."""
    unit, times = next(((u, t) for u, t in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)) if size >= t), ("kB", 1e3))
    return f"{size / times:.3g} {unit}"


def _print(plan: Plan, *, priced: bool) -> None:
    job = plan.job
    who = f"{plural(job.workers, 'worker')}, {plural(job.gpus, 'GPU')}"
    click.echo(f"{plural(job.new_photos, 'photo')} to search, {plural(job.faces, 'face')} to group, {who}")
    head = ("stage", "time", "core time", "command", "a worker", "disk", "meanwhile", "network", *(["cost"] if priced else []))
    rows: list[Any] = [head]
    for s in (*plan.stages, plan.total):
        sizes = (s.command_bytes, s.worker_bytes, s.disk_bytes, s.scratch_bytes, s.network_bytes)
        cells = (s.stage, duration(s.seconds), duration(s.processor_seconds), *(amount(size) if size else "-" for size in sizes))
        rows.append((*cells, *([f"{s.cost:.2f}"] if priced else [])))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        click.echo("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))))
    if plan.storage_cost:
        click.echo(f"the store costs {plan.storage_cost:.2f} a month")
    for note in plan.notes:
        click.echo(f"assumed: {note}")


def _errors(plan: Plan, missed: Sequence[Miss]) -> Iterator[str]:
    """How far the laws of the plan's stages are off for runs that they were not fitted to."""
    for stage in plan.stages:
        if some := [m for m in missed if m.run.stage == stage.stage]:
            largest, far = max(some, key=lambda m: (m.run.size.faces, m.run.size.photos)), max(some, key=lambda m: abs(m.error))
            yield (
                f"{stage.stage}: processor time of {plural(len(some), 'run')}, each predicted from the others: "
                f"{largest.error:+.0%} for the largest ({largest.run.name}), at worst {far.error:+.0%} ({far.run.name})"
            )


def say_time_to_group(store: str, model: str, workers: int | None, memory: int) -> None:
    """Print on stderr how long a grouping of the store from the start takes: a dry run, which is done here, and the run with workers."""
    from facecluster.models.card import card_of
    from facecluster.plan import Job, make_plan, size_of_store
    from facecluster.store import Store

    faces, dim = size_of_store(Store(store)).faces, card_of(model).dim
    if not faces:
        return
    here, there = (
        make_plan(Job(new_photos=0, new_faces=0, faces=faces, dim=dim, workers=n, memory=memory), only=("link", "identify"))
        for n in (1, workers or 1)
    )
    more = f", the run itself on {workers} workers about {duration(there.total.seconds)}" if workers and workers > 1 else ""
    takes = f"a dry run takes about {duration(here.total.seconds)}{more}"
    click.echo(f"{plural(faces, 'face')}: {takes}; 'facecluster plan' says more", err=True)
