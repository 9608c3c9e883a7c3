"""What the commands share: options, progress bars, errors in one line."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from tqdm import tqdm

from facecluster.errors import FaceclusterError

F = TypeVar("F", bound=Callable[..., Any])


def tidy(function: F) -> F:
    """The user's fault is one line and exit 1; Ctrl-C says how to go on and exits 130; our fault is a traceback."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except FaceclusterError as e:
            click.echo(f"facecluster: {' '.join(str(e).split())}", err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            click.echo("\nfacecluster: stopped. What is done is kept: run the same command again to go on.", err=True)
            sys.stderr.flush()
            os._exit(130)  # decoding threads would keep the process for the photo they are at

    return run  # type: ignore[return-value]


@contextmanager
def bars(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr with count, rate and time left; a plain line now and then where there is no terminal."""
    if total <= 0:
        yield lambda n: None
        return
    with tqdm(total=total, desc=what, unit="", mininterval=0.2 if sys.stderr.isatty() else 10, smoothing=0.1) as bar:
        yield lambda n: None if bar.update(n) is None else None


def photo_options(function: F) -> F:
    """Options of the commands that read photos."""
    for option in reversed(
        [
            click.argument("photos", nargs=-1, required=True),
            click.option("-o", "--store", required=True, help="Folder (or s3:// and the like) for the results."),
            click.option("--threshold", type=click.FloatRange(0, 1), help="Score from which a face counts [default: the model card's]."),
            click.option("--model", default="bundled", show_default=True, help="'bundled' or the path of a model card."),
            click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ..."),
            click.option("--workers", type=click.IntRange(1), help="Work in this many processes (Dask)."),
            click.option("--scheduler", help="Work on a running Dask cluster: tcp://host:8786."),
            click.option("--retry-failed", is_flag=True, help="Try photos again that could not be used."),
        ]
    ):
        function = option(function)
    return function


def embed(
    photos: tuple[str, ...], store: str, threshold: float | None, model: str, device: str,
    workers: int | None, scheduler: str | None, retry_failed: bool,
) -> None:  # fmt: skip
    """Run the stages from photos to vectors and say what happened."""
    from facecluster.detect import DetectConfig
    from facecluster.embed import EmbedConfig
    from facecluster.engine import DaskEngine
    from facecluster.pipeline import embed_photos
    from facecluster.tables import Store

    place = Store(store)
    place.create()
    configs = DetectConfig(threshold=threshold), EmbedConfig(model=model)
    options: dict[str, Any] = {"bars": bars, "device": device, "retry_failed": retry_failed}
    with place.lock():
        if workers or scheduler:
            with DaskEngine(workers=workers, scheduler=scheduler) as engine:
                done = embed_photos(photos, place, *configs, engine=engine, **options)
        else:
            done = embed_photos(photos, place, *configs, **options)
    for line in done.warnings:
        click.echo(f"warning: {line!r}", err=True)
    known = f", {done.collected.known} known before" if done.collected.known else ""
    click.echo(f"{done.photos} photos looked at{known}: {done.faces} faces, {done.failed} photos could not be used", err=True)


def cluster(store: str, model: str, **changes: Any) -> str:
    """Group the faces of a store; returns the name of the table of identities."""
    from facecluster.embed import EmbedConfig
    from facecluster.identify import IdentifyConfig
    from facecluster.link import LinkConfig
    from facecluster.models.registry import card_of
    from facecluster.pipeline import cluster_faces
    from facecluster.tables import Store

    place = Store(store)
    place.check()
    card = card_of(model)
    config = IdentifyConfig(
        stranger_mean=card.stranger_mean, stranger_sd=card.stranger_sd, **{k: v for k, v in changes.items() if v is not None}
    )
    with place.lock():
        done = cluster_faces(place, EmbedConfig(model=model), LinkConfig(), config, bars=bars)
    return done.table


def report(store: str, table: str, out: str | None = None) -> str:
    """Write the report and print where it is; returns the path of its first page."""
    from facecluster.report import write_report
    from facecluster.tables import Store

    place = Store(store)
    place.check()
    target = out or (place.path("report") if place.is_local else "facecluster-report")
    with tqdm(desc="report pages", unit="", mininterval=0.2 if sys.stderr.isatty() else 10) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        summary = write_report(place, table, target, progress=progress)
    click.echo(f"{summary.people} people in {summary.faces} faces of {summary.photos} photos; {summary.nobody} faces of nobody known")
    if summary.failed:
        click.echo(f"{summary.failed} photos could not be used: the report says why")
    click.echo(f"open {summary.index}")
    return str(summary.index)
