"""The jobs that several commands do: embed photos, group faces, write the report."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli import results
from facecluster.cli.printing import print_changes, print_gone, printable
from facecluster.cli.progress import open_progress_bar, progress_bar
from facecluster.errors import shell
from facecluster.language.english import plural

if TYPE_CHECKING:
    from facecluster.calibrate import StoreCalibration
    from facecluster.engine import Engine
    from facecluster.people import ReconciledRun
    from facecluster.photos.gone import GoneFolder
    from facecluster.pipeline import Bars, Clustered


def embed(
    photos: tuple[str, ...], store: str, *, model: str = "bundled", detector: str = "bundled", device: str = "auto",
    threshold: float | None = None, workers: int | None = None, scheduler: str | None = None, retry_failed: bool = False,
    lists: tuple[str, ...] = (), encrypt: bool = False,
) -> None:  # fmt: skip
    """Detect and embed the faces of photos, and print what was done."""
    from facecluster.faces.detect import DetectConfig
    from facecluster.faces.embed import EmbedConfig
    from facecluster.pipeline import embed_photos
    from facecluster.store import Store
    from facecluster.store.keys import first_key, key_id

    if not photos and not lists:
        raise click.UsageError("Missing argument 'PHOTOS...'.")
    place = Store(store)
    place.create(key_id(first_key()) if encrypt else None)
    configs = DetectConfig(detector=detector, threshold=threshold), EmbedConfig(model=model)
    options: dict[str, Any] = {"bars": progress_bar, "device": device, "retry_failed": retry_failed, "lists": lists}
    with place.lock(), engine_of(workers, scheduler) as engine:
        done = embed_photos(photos, place, *configs, engine=engine, **options)
    for line in done.warnings:
        click.echo(f"warning: {printable(line)}", err=True)
    for line in done.notes:
        click.echo(f"note: {printable(line)}", err=True)
    before = done.collected.new + done.collected.known - done.photos  # a run that was stopped leaves known photos to look at
    known = f", {before:,} known before" if before > 0 else ""
    # of those known before the report says it
    failed = f", {plural(done.failed, 'photo')} could not be used" if done.failed or not before else ""
    click.echo(f"{plural(done.photos, 'photo')} looked at{known}: {plural(done.faces, 'face')}{failed}", err=True)
    for line in done.collected.passed_over:
        click.echo(f"passed over: {printable(line)}", err=True)


def group(
    store: str, model: str, tell: Callable[[ReconciledRun], None], *, dry_run: bool = False, full: bool = False,
    reading: StoreCalibration | None = None, workers: int | None = None, scheduler: str | None = None, memory: int | None = None,
    bars: Bars = progress_bar, **changes: Any,
) -> Clustered:  # fmt: skip
    """Group the faces of a store.

    Args:
        store: path or address of the store.
        model: 'bundled', a model's name, or the path of a card.
        tell: called with what changes, before the new run becomes the current one.
        dry_run: change nothing.
        full: group all faces from the start, even if few are new.
        reading: the probabilities; None for those of the store's calibration or, without one, of the model card.
        workers: how many processes make the links; None: this one alone.
        scheduler: address of a Dask cluster that makes the links.
        memory: bytes of a process while it makes links; None for the default.
        bars: show progress.
        changes: settings of the grouping; None stands for the default.
    """
    from facecluster.faces.embed import EmbedConfig
    from facecluster.faces.fit_reading import card_in
    from facecluster.grouping.identify import IdentifyConfig
    from facecluster.grouping.link import LinkConfig
    from facecluster.known.suppression import keep_out
    from facecluster.people.known_names import pictures_left_out
    from facecluster.pipeline import cluster_faces
    from facecluster.store import Store

    place = Store(store)
    place.check()
    embedding = EmbedConfig(model=model)
    wanted = {k: v for k, v in changes.items() if v is not None}
    more = {} if memory is None else {"memory": memory}
    with nullcontext() if dry_run else place.lock(), (nullcontext() if dry_run else engine_of(workers, scheduler)) as engine:
        card = card_in(place, embedding, None if dry_run else place, fit=True)
        fitted = (results.calibration_of(place, card) if reading is None else reading).identify_settings()
        config = IdentifyConfig(**card.grouping_settings(), **fitted, **wanted)
        options: dict[str, Any] = {"bars": bars, "tell": tell, "dry_run": dry_run, "full": full, "engine": engine, **more}
        done = cluster_faces(place, embedding, LinkConfig(), config, **options)
        kept_out = [] if dry_run else [*keep_out(place), *pictures_left_out(place, card.name)]
    for line in done.linked.lines():
        click.echo(line, err=True)
    for note in [*done.notes, *kept_out]:
        click.echo(f"note: {printable(note)}", err=True)
    return done


def engine_of(workers: int | None, scheduler: str | None) -> AbstractContextManager[Engine | None]:
    """A Dask engine of some processes, or of a running cluster; None for this process."""
    if not workers and not scheduler:
        return nullcontext()
    from facecluster.dask_engine import DaskEngine

    return DaskEngine(workers=workers, scheduler=scheduler)


def cluster(store: str, model: str, **where: Any) -> str:
    """Group the faces of a store, and print on stderr what changes; returns the name of the table of identities.

    `where` is what `group` takes of workers, scheduler and memory.
    """
    return group(store, model, lambda reconciled: print_changes(reconciled, err=True), **where).table


def say_gone(store: str) -> list[GoneFolder]:
    """Print how many photos of a store are gone, and where; returns all that is gone."""
    from facecluster.photos.gone import gone_folders
    from facecluster.store import Store

    found = gone_folders(Store(store))
    print_gone(store, found)
    return found


def report(
    store: str, table: str, out: str | None = None, model: str = "bundled", gone: Sequence[GoneFolder] | None = None,
    written_with_run: bool = False, faces: str | None = None, lang: str = "auto",
    explain: str | None = None,
) -> str:  # fmt: skip
    """Write the report of a table of identities, and print where it is; returns the path of its first page.

    With `written_with_run` an encrypted store gets none, and that is printed.
    With `explain`, a model, pages of people show where it looks on some of their faces.
    With `gone`, which says what is gone of the store, a report that is up to date stays as it is. `lang`: its language.
    """
    from facecluster.language import language_of
    from facecluster.report.hide_faces import Faces
    from facecluster.report.run_report import write_run_report
    from facecluster.store import Store
    from facecluster.store.copies import remember_copy

    if out is None and written_with_run and Store(store).cipher is not None:
        click.echo(f"no report, since the store is encrypted: 'facecluster report {shell(store)} --out DIR' writes one that is not")
        return ""
    how = None if faces is None else Faces(faces)
    look = None
    if explain is not None:
        from facecluster.explain.small_pictures import SmallPictures

        look = SmallPictures(explain)
    with open_progress_bar("report pages") as progress:
        shown: dict[str, Any] = {"gone": gone, "faces": how, "language": language_of(lang), "look": look}
        summary = write_run_report(Store(store), table, out, model=model, progress=progress, **shown)
    remember_copy(Store(store), "report", os.path.dirname(os.path.abspath(summary.index)))
    found = f"{plural(summary.people, 'person', 'people')} in {plural(summary.faces, 'face')} of {plural(summary.photos, 'photo')}"
    unclear = f", {summary.unclear:,} too unclear to tell" if summary.unclear else ""
    click.echo(f"{found}; {plural(summary.nobody, 'face')} without a person{unclear}")
    if summary.ungrouped:
        newer = f"{summary.ungrouped:,} of the faces without a person {'is' if summary.ungrouped == 1 else 'are'} newer than the grouping"
        click.echo(f"{newer}: 'facecluster cluster {shell(store)}' groups {'it' if summary.ungrouped == 1 else 'them'}")
    if summary.failed:
        click.echo(f"{plural(summary.failed, 'photo')} could not be used: the report says why")
    click.echo(f"open {summary.index}")
    return str(summary.index)
