"""Finds the duplicates of a store: fingerprints, candidate pairs, comparison, groups, keepers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from facecluster.dedup import fingerprints, store_photos
from facecluster.dedup.candidates import find_candidates, pairs_near_in_time
from facecluster.dedup.copy_check import CopyCheck
from facecluster.dedup.eye_openness import EyeOpenness
from facecluster.dedup.face_check import FaceCheck
from facecluster.dedup.file_locations import FileLocations
from facecluster.dedup.fingerprints import Fingerprints
from facecluster.dedup.folders import existing_folder
from facecluster.dedup.groups import Group, PhotoChecks, find_bursts, find_copies
from facecluster.dedup.origins import Origins
from facecluster.dedup.photo_facts import PhotoFacts
from facecluster.dedup.pixel_hashes import PixelHashes
from facecluster.dedup.pixel_traces import PixelTraces
from facecluster.dedup.same_people import SamePeople
from facecluster.dedup.same_scene import SAME, SAME_WITH_PEOPLE, found_share
from facecluster.dedup.store_photos import Bars, Photos
from facecluster.errors import InputError
from facecluster.store import Store
from facecluster.store.scratch import scratch_file


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupConfig:
    """Settings that decide which photos are duplicates and which is kept."""

    prefer: Sequence[str] = ()  # folders whose photos are kept before others, the most preferred first
    protect: Sequence[str] = ()  # folders whose photos are never moved
    burst_seconds: float = 3.0  # between photos of a burst, at most; 0: no bursts
    embeddings: str | None = None  # table of the faces' vectors, to find the same people in a burst; None: by the picture alone
    same_person_cosine: float = 0.4  # from which two vectors are of one person

    def __post_init__(self) -> None:
        if not 0 <= self.burst_seconds <= 3600:
            raise InputError(f"expected 0 to 3600 seconds between the photos of a burst, found {self.burst_seconds}: choose another number")


@dataclass(slots=True)
class Findings:
    """The duplicates found. Photos go by their number in `photos`."""

    photos: Photos
    fingerprints: Fingerprints
    copies: list[Group]
    bursts: list[Group]
    facts: PhotoFacts
    locations: FileLocations
    not_opened: dict[str, str] = field(default_factory=dict)  # by uri, why a photo could only be compared by its bytes


@contextmanager
def find_duplicates(store: Store, config: DedupConfig, *, bars: Bars, threads: int = 2) -> Iterator[Findings]:
    """Find duplicates and bursts. The findings can be used inside the `with` block: thumbnails lie in a temporary file.

    Raises:
        InputError: a preferred or protected folder does not exist.
        StoreError: the store can't be read.
    """
    prefer, protect = ([existing_folder(f) for f in folders] for folders in (config.prefer, config.protect))
    photos = store_photos.read_photos(store)
    fingerprints.update_fingerprints(store, photos, bars=bars, threads=threads)
    with scratch_file(store) as spool:
        prints = fingerprints.read_fingerprints(store, photos, spool)
        facts = PhotoFacts(photos, prints, Origins(store, photos), PixelTraces(store, photos), prefer, protect)
        locations = FileLocations(photos, protect)
        copy_check = CopyCheck(photos, prints, find_candidates(photos, prints, threads=threads))
        pixels = PixelHashes(store, photos)
        pairs = copy_check.pairs()
        pairs = pairs[[bool(locations.of(a) and locations.of(b)) for a, b in pairs.tolist()]]
        faces = FaceCheck(store, photos, set(pairs.ravel().tolist()))
        with bars("pairs compared", len(pairs)) as tick:
            copies = find_copies(pairs, copy_check, facts, PhotoChecks(pixels.same, faces.same), tick)
        bursts = _bursts(store, config, copy_check, copies, facts, locations) if config.burst_seconds > 0 else []
        for table in (pixels, facts.traces, facts.origins):
            table.save()
        not_opened = {photos.files[p][0].uri: why for p, why in prints.errors.items()}
        yield Findings(photos, prints, copies, bursts, facts, locations, not_opened)


def _bursts(
    store: Store, config: DedupConfig, copy_check: CopyCheck, copies: Sequence[Group], facts: PhotoFacts, locations: FileLocations
) -> list[Group]:
    photos = copy_check.photos
    pairs = pairs_near_in_time(photos, copy_check.fingerprints, config.burst_seconds)
    shots = copy_check.shots  # a shot is in a burst by its RAW
    pairs = pairs[[bool(locations.of(a) and locations.of(b)) and not {a, b} & shots.keys() for a, b in pairs.tolist()]]
    wanted = {photos.pictures[p] for p in np.unique(pairs).tolist()}
    people = SamePeople(store, config.embeddings, wanted, config.same_person_cosine)

    def alike(a: int, b: int) -> bool:
        share = found_share(copy_check.grey(a), copy_check.grey(b)) if facts.origins.same_camera(a, b) else 0.0
        return share >= SAME or (share >= SAME_WITH_PEOPLE and people.same(photos.pictures[a], photos.pictures[b]))

    openness = EyeOpenness(store, wanted)
    eyes = {p: value for p in np.unique(pairs).tolist() if (value := openness.of(photos.pictures[p])) is not None}
    bursts = find_bursts(pairs, copies, alike, replace(facts, eyes=eyes))
    developed = {raw: photo for photo, raw in shots.items()}
    for burst in bursts:
        burst.members.extend([replace(m, photo=developed[m.photo]) for m in burst.members if m.photo in developed])
    return bursts
