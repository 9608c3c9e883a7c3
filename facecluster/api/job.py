"""The main job from Python: photos to people and a report. The same stages, tables and locks as `facecluster run`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from facecluster.api.arguments import as_count, as_number
from facecluster.api.collection import Collection, open, place_of, store_at
from facecluster.dask_engine import DaskEngine
from facecluster.errors import ArgumentError
from facecluster.faces.detect import DetectConfig
from facecluster.faces.embed import EmbedConfig
from facecluster.grouping.link import LinkConfig
from facecluster.known.suppression import keep_out
from facecluster.language import AUTO, language_of
from facecluster.people.known_names import pictures_left_out
from facecluster.photos.gone import gone_folders
from facecluster.pipeline import Bars, cluster_faces, embed_photos, failed_photos
from facecluster.report.run_report import write_run_report
from facecluster.store.copies import remember_copy
from facecluster.store.keys import first_key, key_id

Progress = Callable[[str, int, int], None]  # what is counted, how many are done, how many there are


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What `run` did."""

    store: str  # where it is
    run: int  # number of the run that is now the current one
    new_photos: int  # that this call looked at
    faces: int  # in all photos of the store
    people: int
    nobody: int  # faces without a person
    failed: list[tuple[str, str]]  # photos of the store that can't be used, and why
    changes: list[str]  # against the run before, a line each
    notes: list[str]  # what to know about decisions and files, a line each
    report: str | None  # its first page

    def open(self) -> Collection:
        """The store, to read."""
        return open(self.store)


def run(
    photos: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], store: str | os.PathLike[str], *, progress: Progress | None = None,
    threshold: float | None = None, model: str | os.PathLike[str] = "bundled", detector: str | os.PathLike[str] = "bundled",
    device: str = "auto", workers: int | None = None, scheduler: str | None = None, retry_failed: bool = False, report: bool = True,
    encrypt: bool = False, language: str = AUTO,
) -> RunSummary:  # fmt: skip
    """Find the faces in photos, group them into people, and write the report. What is done already is not done again.

    Args:
        photos: a folder, a file or a pattern such as "2024/*.jpg", or several.
        store: folder, or an address such as s3://bucket/people, for the results. It is made if it is not there.
        progress: called as progress(what, done, total) when a stage begins and as it goes on; `what` is "photos", "faces", "faces linked",
            "report pages" or, of more than 200,000 faces, another step. An exception that it raises stops the run; what is done is kept.
        threshold: score from which a face counts, 0 to 1; None for the model card's.
        model: the embedder: "bundled", a name of `facecluster models list`, or the path of a model card.
        detector: the face detector, likewise.
        device: "auto", "cpu", "cuda", ...
        workers: work in this many processes (Dask); a script then needs `if __name__ == "__main__":`.
        scheduler: work on the Dask cluster at this address.
        retry_failed: try photos again that could not be used.
        report: write the report: into the store, or to ./facecluster-report if the store is not on this machine. An encrypted store gets
            none: `facecluster report STORE --out DIR` writes one that is not encrypted.
        language: of the report: "en", "de", "fr", or "auto" for that of the environment (LC_ALL, LC_MESSAGES, LANG).
        encrypt: make an encrypted store, with the key that FACECLUSTER_KEY_FILE or FACECLUSTER_KEY gives.

    Raises:
        InputError: no photos, no faces in them, or an argument that can't be used.
        StoreError: the store can't be used, or another run is at work in it.
        ModelError, EngineError: see there.
    """
    sources = _sources(photos)
    place, spoken = store_at(store), language_of(language)
    model, detector = place_of(model, "model"), place_of(detector, "detector")
    workers = None if workers is None else as_count(workers, "workers")
    if progress is not None and not callable(progress):
        raise ArgumentError(f"expected a function as progress, found {progress!r}: it is called as progress(what, done, total)")
    if threshold is not None and not 0 <= as_number(threshold, "threshold") <= 1:
        raise ArgumentError(f"expected a threshold from 0 to 1, found {threshold}: leave it out for the usual one")
    detecting, embedding, bars = DetectConfig(detector=detector, threshold=threshold), EmbedConfig(model=model), _bars(progress)
    place.create(key_id(first_key()) if encrypt else None)
    with place.lock(), DaskEngine(workers=workers, scheduler=scheduler) if workers or scheduler else nullcontext() as engine:
        done = embed_photos(
            sources, place, detecting, embedding, bars=bars, engine=engine, device=device, retry_failed=retry_failed
        )  # fmt: skip
        grouped = cluster_faces(place, embedding, LinkConfig(), None, bars=bars, engine=engine)
        kept_out = [*keep_out(place), *pictures_left_out(place, grouped.reconciled.run.model)]
    page = None
    if report and place.cipher is None:
        told = None if progress is None else lambda n, total: progress("report pages", n, total)
        page = write_run_report(place, grouped.table, model=model, progress=told, gone=gone_folders(place), language=spoken).index
        remember_copy(place, "report", os.path.dirname(os.path.abspath(page)))
    found = grouped.reconciled
    counts = found.run.counts
    return RunSummary(
        store=place.url, run=found.run.number, new_photos=done.photos, faces=grouped.faces, people=counts["people"],
        nobody=grouped.faces - sum(found.people.faces), failed=list(failed_photos(place)), changes=found.churn.lines(),
        notes=[*done.warnings, *done.notes, *found.notes, *grouped.notes, *kept_out], report=page,
    )  # fmt: skip


def _sources(photos: Any) -> list[str]:
    if isinstance(photos, (str, os.PathLike)):
        return [place_of(photos, "photos")]
    if not isinstance(photos, Iterable) or isinstance(photos, bytes):
        raise ArgumentError(f"expected the path of photos, or several, found {type(photos).__name__}: give a folder, or a list of paths")
    return [place_of(photo, "photos") for photo in photos]


def _bars(progress: Progress | None) -> Bars:
    """The pipeline's progress bars as calls of a function."""

    @contextmanager
    def bars(what: str, total: int) -> Iterator[Callable[[int], None]]:
        done = 0

        def tick(n: int) -> None:
            nonlocal done
            done += n
            if progress is not None:
                progress(what, done, total)

        if progress is not None and total > 0:
            progress(what, 0, total)
        yield tick

    return bars
