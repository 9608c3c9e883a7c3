"""What the commands share: options, progress bars, errors in one line."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import click
from tqdm import tqdm

from facecluster.errors import FaceclusterError, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from facecluster.calibrate import Reading
    from facecluster.grouping.uncertainty import Uncertainty
    from facecluster.models.registry import Card
    from facecluster.people import People, Settled
    from facecluster.pipeline import Clustered
    from facecluster.report import Suspect, Title
    from facecluster.store import Store

_RIGHT = 0.9  # people less likely right than this are listed to be checked first

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
    from facecluster.engine import DaskEngine
    from facecluster.faces.detect import DetectConfig
    from facecluster.faces.embed import EmbedConfig
    from facecluster.pipeline import embed_photos
    from facecluster.store import Store

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


def group(
    store: str, model: str, tell: Callable[[Settled], None], *, dry_run: bool = False, anew: bool = False,
    reading: Reading | None = None, **changes: Any,
) -> Clustered:  # fmt: skip
    """Group the faces of a store; `changes` are settings of the grouping that are not None. `tell` is called before the run counts.

    `anew` groups all faces, also if few are new. `reading` says how sure what is; None for what the store's calibration says.
    """
    from facecluster.faces.embed import EmbedConfig
    from facecluster.grouping.identify import IdentifyConfig
    from facecluster.grouping.link import LinkConfig
    from facecluster.models.registry import card_of
    from facecluster.pipeline import cluster_faces
    from facecluster.store import Store

    place = Store(store)
    place.check()
    card = card_of(model)
    fitted = (reading_of(place, card) if reading is None else reading).grouping()
    wanted = {k: v for k, v in changes.items() if v is not None}
    config = IdentifyConfig(impostor_mean=card.impostor_mean, impostor_sd=card.impostor_sd, **fitted, **wanted)
    with nullcontext() if dry_run else place.lock():
        return cluster_faces(place, EmbedConfig(model=model), LinkConfig(), config, bars=bars, tell=tell, dry_run=dry_run, anew=anew)


def reading_of(store: Store, card: Card) -> Reading:
    """How a store reads a model's vectors; says so on stderr if its calibration is of other weights, which is not used."""
    from facecluster.calibrate import path_of, read_reading

    found = read_reading(store, card)
    if found.other_weights:
        click.echo(
            f"note: {'/'.join(path_of(card))} is of other weights of the model {shown(card.name)} and not used: "
            f"'facecluster cluster {store.url} --calibrate' makes it anew",
            err=True,
        )
    return found


def cluster(store: str, model: str) -> str:
    """Group the faces of a store, and say on stderr what changes; returns the name of the table of identities."""
    return group(store, model, lambda settled: show_churn(settled, err=True)).table


def show_churn(settled: Settled, *, err: bool = False) -> None:
    """Say what a grouping changes, and what is to note about decisions."""
    for note in settled.notes:
        click.echo(f"note: {shown(note)}", err=True)
    for line in settled.churn.lines():
        click.echo(shown(line), err=err)


def shown(text: str) -> str:
    """On one line, and printable whatever names hold."""
    from facecluster.report.text import shown as plain

    return plain(text).encode("utf-8", "replace").decode()


def identities_of(store: Store, model: str | None) -> str:
    """The table of identities to read: of the run that counts if no model is named or it is its model, else what the model gave last."""
    from facecluster.models.registry import card_of
    from facecluster.people import current

    run = current(store)
    name = None if model is None else card_of(model).name
    if run is not None and name in (None, run.model):
        return run.identities
    return f"identities/{name or card_of('bundled').name}"


def _titles(people: People) -> dict[int, Title]:
    from facecluster.report import Title

    rows = zip(people.names, people.person_ids, people.ignored, strict=True)
    return {i: Title(name or "", person, ignored) for i, (name, person, ignored) in enumerate(rows)}


def assess(store: Store, table: str, model: str) -> tuple[list[str], NDArray[np.int64], Uncertainty]:
    """Face ids, their identities in a table of `model`, and how sure they are; raises InputError if it is of other faces."""
    from facecluster.faces.embed import EmbedConfig
    from facecluster.grouping.identify import IdentifyConfig
    from facecluster.grouping.uncertainty import assess_store
    from facecluster.models.registry import card_of

    card = card_of(model)
    config = IdentifyConfig(impostor_mean=card.impostor_mean, impostor_sd=card.impostor_sd)
    return assess_store(store, EmbedConfig(model=model).table(), f"links/{card.name}", table, config)


def _check_first(store: Store, table: str, model: str, top: int = 12) -> list[Suspect]:
    """The people of a table that are least likely to be right, the least first; none if the table is of other faces or another model."""
    from facecluster.models.registry import card_of
    from facecluster.people import current
    from facecluster.report import Suspect

    name, run = card_of(model).name, current(store)
    of = run.model if run is not None and run.identities == table else table.partition("/")[2]
    if of != name or not store.shards(f"links/{name}"):
        return []
    try:
        uncertainty = assess(store, table, model)[2]
    except InputError:  # photos came or went since
        return []
    order = uncertainty.confidence.argsort(kind="stable")[:top].tolist()
    rows = [Suspect(i, float(uncertainty.purity[i]), float(uncertainty.completeness[i])) for i in order]
    return [s for s in rows if s.purity * s.completeness < _RIGHT]


def report(store: str, table: str, out: str | None = None, model: str = "bundled") -> str:
    """Write the report and print where it is; returns the path of its first page."""
    from facecluster.people import current, known_now
    from facecluster.report import write_report
    from facecluster.store import Store

    place = Store(store)
    place.check()
    run = current(place)
    known = known_now(place) if run is not None and table == run.identities else None
    suspects = _check_first(place, table, model)
    target = out or (place.path("report") if place.is_local else "facecluster-report")
    with tqdm(desc="report pages", unit="", mininterval=0.2 if sys.stderr.isatty() else 10) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        summary = write_report(place, table, target, people=_titles(known[0]) if known else None, suspects=suspects, progress=progress)
    click.echo(f"{summary.people} people in {summary.faces} faces of {summary.photos} photos; {summary.nobody} faces of nobody known")
    if summary.failed:
        click.echo(f"{summary.failed} photos could not be used: the report says why")
    click.echo(f"open {summary.index}")
    return str(summary.index)
