"""Runs the stages in order; no logic of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.calibrate import CalibrationResult, calibrate, check_enough_labels, labelled_faces, read_calibration, write_calibration
from facecluster.engine import Engine, EngineCrew, LocalEngine, Step
from facecluster.errors import FaceclusterError
from facecluster.faces.detect import KEPT, DetectConfig, detect_shard
from facecluster.faces.embed import RENEWABLE, EmbedConfig, check_vectors, embed_shard
from facecluster.faces.fit_reading import card_in
from facecluster.faces.fit_recognisability import recognisability_of
from facecluster.grouping.face_vectors import FaceVectors
from facecluster.grouping.free_memory import give_memory_back
from facecluster.grouping.identify import STEPS, IdentifyConfig, group_kept, identify, read_links
from facecluster.grouping.link import LinkConfig, link, load_vectors
from facecluster.grouping.link_large import Linked
from facecluster.grouping.link_plan import MEMORY, Task
from facecluster.grouping.link_shuffle import FaceOrder
from facecluster.grouping.shelved_vectors import is_large, shelve_vectors
from facecluster.grouping.stale_work import remove_stale_work, state_of_faces
from facecluster.grouping.subset import recognisable
from facecluster.grouping.work import Crew, FolderShelf, LocalCrew
from facecluster.language.english import plural
from facecluster.models.folder import BUNDLED
from facecluster.people import (
    OverlayStore,
    ReconciledRun,
    choose_stand_ins,
    find_previous_grouping,
    follow_faces,
    is_all_taken_in,
    prepare_decisions,
    read_current_people,
    reconcile,
    save_decisions,
    save_run,
)
from facecluster.people.drawn_faces import drop_undone
from facecluster.people.make_drawn import embed_drawn, update_drawn
from facecluster.people.unchanged import find_unchanged, remember_state
from facecluster.photos.collect import Collected, collect
from facecluster.photos.drawn import drawn_shards
from facecluster.photos.places import count_faces, current_photos
from facecluster.store import FACES, FaceIds, Ids, ShardResult, Store


class Bars(Protocol):
    """Opens a progress bar: what is counted, how many there are."""

    def __call__(self, what: str, total: int) -> AbstractContextManager[Callable[[int], None]]: ...


@dataclass(slots=True)
class Embedded:
    """What `embed_photos` did."""

    collected: Collected
    photos: int = 0
    faces: int = 0
    failed: int = 0
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what to know, a line each


def embed_photos(
    sources: Iterable[str],
    store: Store,
    detect: DetectConfig,
    embed: EmbedConfig,
    *,
    bars: Bars,
    engine: Engine | None = None,
    device: str = "auto",
    shard_size: int = 128,
    retry_failed: bool = False,
    lists: Iterable[str] = (),
) -> Embedded:
    """Photos to vectors: plan what is new, detect and embed each shard that is not done."""
    collected = collect(sources, store, lists=lists, retry_failed=retry_failed, shard_size=shard_size)
    done = Embedded(collected, warnings=collected.warnings, notes=_note_on_detectors(store, detect))
    runner = engine or LocalEngine()
    detecting = partial(detect_shard, store=store, config=detect, device=device)
    embedding = partial(embed_shard, store=store, config=embed, device=device)
    shards = store.shards("files")
    # a shard of other settings must stop the run before any work is done
    stamps = {"photos": {**detect.stamp(), "table": "photos"}, embed.table(): embed.stamp()}
    checked = set(store.finished_shards(stamps, ["faces"], RENEWABLE, KEPT))
    detected = set(store.shards("photos")) & set(store.shards("faces"))
    new = [s for s in shards if s not in checked and s not in detected]
    total = sum(store.read("files", s, ["size"]).num_rows for s in new)
    with bars("photos", total) as tick:
        for result in runner.run(new, [Step(detecting), Step(embedding, gpu=True, counts="")], tick):
            if result.stage == "detect":
                done.photos, done.faces, done.failed = done.photos + result.photos, done.faces + result.faces, done.failed + result.failed
    # faces that are found already: another model, other weights, or a run that was stopped; also those whose shard of files is lost
    todo = sorted(detected - checked)
    with bars("faces", sum(store.read("faces", s, ["score"]).num_rows for s in todo)) as tick:
        for _ in runner.run(todo, [Step(embedding, gpu=True, counts="faces")], tick):
            pass
    done.faces = count_faces(store, new) if done.faces else 0
    drawn = update_drawn(store, detect, embed, device=device)
    done.faces += len(drawn.made)
    done.notes += [f"the face {face}, which you drew, is not there: {why}" for face, why in drawn.left_out.items() if why]
    for shard in drawn_shards(store):  # of another model, or new weights
        embedding(shard)
    return done


def _note_on_detectors(store: Store, detect: DetectConfig) -> list[str]:
    """A note if another detector than the one that is asked for has searched the photos of the store."""
    shards = store.shards("faces")
    before = store.stamp("faces", shards[0]) if shards else None
    name = BUNDLED if before is None else before.get("detector_name", BUNDLED)
    if before is None or name == detect.detector:
        return []
    return [f"photos that were searched keep the faces that the detector {name} found: {detect.detector} searches new ones, or a new store"]


@dataclass(frozen=True, slots=True)
class Clustered:
    """What `cluster_faces` did."""

    table: str  # of identities, of the run that counts now; of a dry run, the one that counted before
    faces: int
    reconciled: ReconciledRun
    linked: Linked
    notes: list[str] = field(default_factory=list)  # on what was saved
    is_current: Callable[[], bool] = lambda: True  # whether the user has said nothing since that it does not know


def run_tasks(
    engine: Engine, bars: Bars | None, what: str, total: int, names: Sequence[str], task: Task, *, gpu: bool = False
) -> list[ShardResult]:
    """Have an engine do a task for each of `names`, with `gpu` where a GPU is; a bar named `what` shows how much of the `total` is done."""
    with bars(what, total) if bars and what else nullcontext() as tick:
        return list(engine.run(names, [Step(task, gpu=gpu, counts="faces")], tick))


def cluster_faces(
    store: Store,
    embed: EmbedConfig,
    links: LinkConfig,
    identities: IdentifyConfig | None,
    *,
    bars: Bars,
    tell: Callable[[ReconciledRun], None] = lambda reconciled: None,
    dry_run: bool = False,
    full: bool = False,
    engine: Engine | None = None,
    memory: int = MEMORY,
) -> Clustered:
    """Vectors to people: group, take in what the user decided, compare with the run before, keep the run.

    Args:
        store: holds the vectors, and gets the new run.
        embed: says which vectors.
        links: of the graph.
        identities: of the grouping; None for what the model's card and the store's calibration say.
        bars: shows progress.
        tell: called with what changes, before the run that counts is replaced; if it raises, the groups stay as they were.
        dry_run: leave the store as it is, to the byte.
        full: group all faces from the start, even if only a few came in since they were grouped.
        engine: where the links are made; None for this process. A dry run is always here: other machines do not see its tables.
        memory: bytes that a task of the engine may take.
    """
    card = card_in(store, embed, None if dry_run else store, fit=True)
    if identities is None:
        fitted = read_calibration(store, card).identify_settings()
        identities = IdentifyConfig(**card.grouping_settings(), **fitted)
    settings = embed.stamp(), links, identities, card
    same = None if full else find_unchanged(store, settings)
    if same is not None:
        tell(same)
        table = f"identities/{card.name}" if dry_run else same.run.identities
        return Clustered(table, same.run.counts["faces"], same, Linked(same.run.counts["faces"], "", skipped=True))
    runner = LocalEngine() if engine is None or dry_run else engine
    linking: dict[str, Any] = {"engine": runner, "memory": memory}
    with tempfile.TemporaryDirectory(prefix="facecluster-") as folder:
        made = OverlayStore(folder, store) if dry_run else store
        done = _cluster(store, made, embed, links, identities, bars, tell, linking, keep=not dry_run, full=full)
    if not dry_run:
        remember_state(store, settings, read_current_people(store)[2], done.is_current)
    return done


def _cluster(
    store: Store,
    made: Store,
    embed: EmbedConfig,
    links: LinkConfig,
    identities: IdentifyConfig,
    bars: Bars,
    tell: Callable[[ReconciledRun], None],
    linking: Mapping[str, Any],
    *,
    keep: bool,
    full: bool,
) -> Clustered:
    """Write tables to `made`; runs and decisions are those of `store`."""
    card = card_in(store, embed, fit=True)
    check_vectors(store, embed)
    if keep:
        remove_stale_work(store, card.name)
        drop_undone(store)
        with suppress(FaceclusterError):  # without the model they are left to the next 'run'
            embed_drawn(store, embed)
    followed = follow_faces(store, made, embed.table())
    ids, vectors, crew, order = _vectors(made, embed.table(), card.name, linking["engine"])
    choose_stand_ins(store, made, embed.table(), ids, vectors, card.even_cosine)
    prepared = prepare_decisions(store, ids, vectors, made)
    if keep:
        save_decisions(store, prepared)
    if followed:
        known = "is known again" if followed == 1 else "are known again"
        prepared.notes.append(f"{plural(followed, 'face')} of photos that were edited or moved {known}")
    run = partial(run_tasks, linking["engine"], bars)
    give_memory_back()  # for workers on this machine
    linked = link(
        made, embed.table(), f"links/{card.name}", links, run=run, memory=linking["memory"], same_person=card.best_impostor(len(ids)),
        order=order,
    )  # fmt: skip
    del order
    table = f"identities/{card.name}"
    weak = _poorer(store, ids, identities.min_quality) if identities.min_quality > 0 else None
    rules: dict[str, Any] = {"photos": prepared.photos, "weak": weak, "must": prepared.must_link, "cannot": prepared.cannot_link}
    rules["recognisability"] = prepared.without_aside(recognisability_of(store, made, embed, ids, vectors, crew.map))
    kept = _shards_of(made, table)
    grown: dict[str, Any] = {"embedded": embed.table(), "full": full, "crew": crew}
    previous = find_previous_grouping(store, table, ids, vectors, identities, prepared, **grown)
    start: dict[str, Any] = {"before": previous.groups, "history": previous.history, "full": full}
    with bars("steps of grouping", STEPS) if isinstance(crew, EngineCrew) and previous.groups is None else nullcontext() as tick:
        done = identify(made, vectors, f"links/{card.name}", table, identities, crew=crew, tick=tick, **start, **rules)
    if isinstance(crew, EngineCrew):
        FolderShelf(made.address(f"grouping/{card.name}")).clear()
    if previous.note and not done.skipped:
        prepared.notes.append(previous.note)
    reconciled = reconcile(store, prepared, made, table, card.name)
    try:
        tell(reconciled)
    except BaseException:  # the user does not want it: the next grouping goes on from the one before
        _put_back(made, table, kept)
        raise
    if not keep:
        return Clustered(table, len(ids), reconciled, linked)
    notes = save_run(store, prepared, reconciled)
    return Clustered(reconciled.run.identities, len(ids), reconciled, linked, notes, partial(is_all_taken_in, store, prepared))


def _shards_of(store: Store, table: str) -> dict[str, bytes]:
    """The shards of a table as they are."""
    holder = store.holder(table)
    return {shard: bytes(holder.fs.cat_file(holder.shard_path(table, shard))) for shard in store.shards(table)}


def _put_back(store: Store, table: str, shards: Mapping[str, bytes]) -> None:
    """Make a table of a store what it was."""
    for shard, data in shards.items():
        store.write_raw(data, table, f"part-{shard}.parquet")  # encrypted already, if the store is
    store.remove(table, keep=shards.keys())


def _vectors(
    made: Store, table: str, model: str, engine: Engine
) -> tuple[FaceIds, NDArray[np.float16] | FaceVectors, Crew, FaceOrder | None]:
    """face_ids (n,), vectors (n, dim), and who groups them: of many faces an engine, by way of files in the store, and their order."""
    if not is_large(made, table):
        FolderShelf(made.address(f"grouping/{model}")).clear()  # of a time when there were more faces
        return *load_vectors(made, table), LocalCrew(), None
    folder = FolderShelf(made.address(f"grouping/{model}"), "" if made.cipher is None else made.cipher.key_id)
    state = state_of_faces(made, table, "vectors")[:16]
    folder.clear(but=state)  # what is left of other faces
    crew = EngineCrew(engine, folder.within(state))
    order = FaceOrder.of(made, table)
    return *shelve_vectors(crew, made, table, order), crew, order


def calibrate_faces(
    store: Store, embed: EmbedConfig, links: LinkConfig, identities: IdentifyConfig, *, bars: Bars, dry_run: bool = False
) -> CalibrationResult:  # fmt: skip
    """Fit how the model's vectors are read to what the user said, and keep it in the store; what is not better leaves the card's.

    Args:
        store: holds the vectors and the decisions.
        embed: says which vectors.
        links: of the graph.
        identities: of the grouping, with the usual probabilities.
        bars: shows progress.
        dry_run: leave the store as it is, to the byte.

    Raises:
        InputError: the user has said too little.
    """
    card = card_in(store, embed, fit=True)
    check_vectors(store, embed)
    ids, vectors = load_vectors(store, embed.table())
    prepared = prepare_decisions(store, ids, vectors)
    labelled = labelled_faces(prepared.resolved, ids)
    check_enough_labels(labelled, store.url)
    with tempfile.TemporaryDirectory(prefix="facecluster-") as folder:
        made = OverlayStore(folder, store) if dry_run else store
        run = partial(run_tasks, LocalEngine(), bars)
        link(made, embed.table(), f"links/{card.name}", links, run=run, same_person=card.best_impostor(len(ids)))
        _, neighbours, similarity = read_links(made, f"links/{card.name}")
        clear = recognisability_of(store, made, embed, ids, vectors)
    weak = _poorer(store, ids, identities.min_quality) if identities.min_quality > 0 else None
    keep = recognisable(clear, prepared.must_link, identities.min_recognisability, len(ids))
    groups = group_kept(keep, vectors, neighbours, similarity, identities, photos=prepared.photos, weak=weak, recognisability=clear)
    found = calibrate(labelled, vectors, groups, card)
    if not dry_run:
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        write_calibration(store, card, found.calibration, {"at": now, "rests_on": found.to_dict()})
    return found


def _poorer(store: Store, ids: Ids, least: float) -> NDArray[np.bool_]:
    """Which of the faces `ids` have a quality under `least`."""
    table = store.read_all("faces", FACES, ["face_id", "quality"])
    return FaceIds.among(table.filter(pc.less(table["quality"], least))["face_id"]).has(ids)


def failed_photos(store: Store) -> Sequence[tuple[str, str]]:
    """Where the photos are that can't be used, and why."""
    rows = current_photos(store, ["uri", "error"]).to_pylist()
    return [(row["uri"], row["error"]) for row in rows if row["error"] and not row["gone"]]
