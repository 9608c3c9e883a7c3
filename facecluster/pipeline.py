"""Runs the stages in order; no logic of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from facecluster.collect import Collected, collect
from facecluster.detect import DetectConfig, detect_shard
from facecluster.embed import EmbedConfig, embed_shard
from facecluster.engine import Engine, LocalEngine, Step
from facecluster.identify import IdentifyConfig, identify
from facecluster.link import LinkConfig, link, load_vectors
from facecluster.models.registry import card_of
from facecluster.tables import PHOTOS, ShardResult, Store

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
) -> Embedded:
    """Photos to vectors: plan what is new, detect and embed each shard that is not done."""
    collected = collect(sources, store, retry_failed=retry_failed, shard_size=shard_size)
    done = Embedded(collected, warnings=collected.warnings)
    runner = engine or LocalEngine()
    detecting = partial(detect_shard, store=store, config=detect, device=device)
    embedding = partial(embed_shard, store=store, config=embed, device=device)
    shards = store.shards("files")
    checked = {*store.shards("photos")} & {*store.shards(embed.table())}
    # a shard of other settings must stop the run before any work is done; looking at one of each table is enough to tell
    for shard in sorted(checked)[:1]:
        detecting(shard)
        embedding(shard)
    todo = [s for s in shards if s not in checked]
    total = sum(store.read("files", s, ["size"]).num_rows for s in todo if s not in set(store.shards("photos")))
    with bars("photos", total) as tick:
        for result in runner.run(todo, [Step(detecting), Step(partial(_silent, embedding), gpu=True)], tick):
            if result.stage == "detect":
                done.photos, done.faces, done.failed = done.photos + result.photos, done.faces + result.faces, done.failed + result.failed
    return done


def _silent(run: Callable[..., ShardResult], shard: str, tick: Callable[[int], None] | None = None) -> ShardResult:
    """A step that does not count towards the bar of photos."""
    return run(shard)


@dataclass(frozen=True, slots=True)
class Clustered:
    """What `cluster_faces` did."""

    table: str  # of identities
    faces: int


def cluster_faces(store: Store, embed: EmbedConfig, links: LinkConfig, identities: IdentifyConfig | None, *, bars: Bars) -> Clustered:
    """Vectors to identities; without a config the model's card says where to cut."""
    card = card_of(embed.model)
    identities = identities or IdentifyConfig(stranger_mean=card.stranger_mean, stranger_sd=card.stranger_sd)
    ids, vectors = load_vectors(store, embed.table())
    with bars("faces linked", len(ids)) as tick:
        link(store, embed.table(), f"links/{card.name}", links, tick)
    table = f"identities/{card.name}"
    identify(store, vectors, f"links/{card.name}", table, identities)
    return Clustered(table, len(ids))


def failed_photos(store: Store) -> Sequence[tuple[str, str]]:
    """Where the photos are that can't be used, and why."""
    rows = store.read_all("photos", PHOTOS, ["uri", "error"]).to_pylist()
    latest = {r["uri"]: r["error"] for r in rows}
    return [(uri, error) for uri, error in latest.items() if error]
