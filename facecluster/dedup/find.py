"""Find the duplicates of a store: look at the photos, pair them by hash and time, compare the pairs, form groups, choose keepers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from facecluster.dedup import library
from facecluster.dedup.candidates import candidates, near_in_time
from facecluster.dedup.eyes import Eyes
from facecluster.dedup.faces import Faces
from facecluster.dedup.folders import existing
from facecluster.dedup.groups import Group, Proofs, find_bursts, find_copies
from facecluster.dedup.judge import Judge
from facecluster.dedup.keeper import Facts
from facecluster.dedup.library import Bars, Looks, Photos
from facecluster.dedup.people import People
from facecluster.dedup.pixels import Pixels
from facecluster.dedup.places import Places
from facecluster.dedup.register import lay
from facecluster.errors import InputError
from facecluster.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupConfig:
    """What decides which photos are found to be duplicates and which is kept."""

    prefer: Sequence[str] = ()  # folders whose photos are kept before all others, the dearest first
    protect: Sequence[str] = ()  # folders whose photos are never moved
    burst: float = 3.0  # seconds between photos of a burst, at most; 0: no bursts
    embeddings: str | None = None  # table of the faces' vectors, which tell that a burst shows the same people; None: by the picture alone
    same_person: float = 0.4  # cosine from which two vectors are of one person

    def __post_init__(self) -> None:
        if not 0 <= self.burst <= 3600:
            raise InputError(f"expected 0 to 3600 seconds between the photos of a burst, found {self.burst}: choose another number")


@dataclass(slots=True)
class Findings:
    """What was found. Photos go by their number in `photos`."""

    photos: Photos
    looks: Looks
    copies: list[Group]  # one picture each
    bursts: list[Group]
    facts: Facts
    places: Places
    unseen: dict[str, str] = field(default_factory=dict)  # by uri, why a photo could only be compared by its bytes


@contextmanager
def find(store: Store, config: DedupConfig, *, bars: Bars, threads: int = 2) -> Iterator[Findings]:
    """Find duplicates and bursts; what is found can be used while the context lasts (thumbnails lie in a temporary file).

    Raises:
        InputError: a preferred or protected folder does not exist.
        StoreError: the store can't be read.
    """
    prefer, protect = ([existing(f) for f in folders] for folders in (config.prefer, config.protect))
    photos = library.read_photos(store)
    library.look(store, photos, bars=bars, threads=threads)
    with tempfile.TemporaryFile() as spool:
        looks = library.read_looks(store, photos, spool)
        facts = Facts(photos, looks, prefer, protect)
        places = Places(photos, protect)
        judge = Judge(photos, looks, candidates(photos, looks, threads=threads))
        pixels = Pixels(store, photos)
        pairs = judge.pairs()
        pairs = pairs[[bool(places.of(a) and places.of(b)) for a, b in pairs.tolist()]]
        faces = Faces(store, photos, set(pairs.ravel().tolist()))
        with bars("pairs compared", len(pairs)) as tick:
            copies = find_copies(pairs, judge, facts, Proofs(pixels.same, faces.same), tick)
        pixels.save()
        bursts = _bursts(store, config, judge, copies, facts, places) if config.burst > 0 else []
        unseen = {photos.places[p][0].uri: why for p, why in looks.errors.items()}
        yield Findings(photos, looks, copies, bursts, facts, places, unseen)


def _bursts(store: Store, config: DedupConfig, judge: Judge, copies: Sequence[Group], facts: Facts, places: Places) -> list[Group]:
    pairs = near_in_time(judge.photos, judge.looks, config.burst)
    pairs = pairs[[bool(places.of(a) and places.of(b)) for a, b in pairs.tolist()]]
    wanted = {judge.photos.ids[p] for p in np.unique(pairs).tolist()}
    people = People(store, config.embeddings, wanted, config.same_person)

    def alike(a: int, b: int) -> bool:
        shown = lay(judge.grey(a), judge.grey(b), (0, 1, 0, 1), side=48) is not None
        return shown or people.same(judge.photos.ids[a], judge.photos.ids[b])

    open_eyes = Eyes(store, wanted)
    eyes = {p: value for p in np.unique(pairs).tolist() if (value := open_eyes.of(judge.photos.ids[p])) is not None}
    return find_bursts(pairs, copies, alike, replace(facts, eyes=eyes))


