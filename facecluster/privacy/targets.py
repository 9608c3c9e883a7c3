"""The faces and photos that a user's words mean, when they are to be forgotten: a face_id, the place or photo_id of a photo, or a person.

A person is all faces of the group, and what the store still holds of the same person: faces under their ids from before an edit, and faces
of earlier runs whose photos no longer count. A photo is all its copies, and what was at the same places before, unless that is elsewhere.

Odd inputs: words that mean a photo and a person are an InputError; so is a face_id that no table has.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from facecluster.decisions import read
from facecluster.decisions.decision import is_face_id
from facecluster.errors import InputError
from facecluster.language.english import plural
from facecluster.people import CurrentPeople, all_runs, current_run, read_current_people, read_people
from facecluster.people.known_names import known_names
from facecluster.people.runs import read_faces
from facecluster.people.stand_ins import read_stand_ins
from facecluster.photos.followed import read_followed
from facecluster.photos.listing import uri_of
from facecluster.photos.places import current_photos, every_look, of_current_photos
from facecluster.privacy.forget_plan import fold
from facecluster.store import FaceIds, Store


@dataclass(slots=True)
class Targets:
    """What the user named."""

    faces: set[str] = field(default_factory=set)  # face_ids
    photos: set[str] = field(default_factory=set)  # photo_ids
    uris: set[str] = field(default_factory=set)  # places of the photos
    names: set[str] = field(default_factory=set)  # of known people (facecluster known)
    people: set[int] = field(default_factory=set)  # index in the current run
    lines: list[str] = field(default_factory=list)  # what each word means, for the user
    ungrouped: int = 0  # faces that came in since the last grouping, if people are among the words: some may be of them


def find_targets(store: Store, who: Sequence[str]) -> tuple[Targets, CurrentPeople | None]:
    """What the words of `who` mean, and the people of the store; None if it was never grouped.

    Raises:
        InputError: a word means nothing, or several things.
    """
    known = None if current_run(store) is None else read_current_people(store)[0]
    looks = every_look(store, ["uri", "photo_id"])
    places = set(looks["uri"].to_pylist()) | _planned(store)
    ids = set(looks["photo_id"].to_pylist()) - {""}
    found = Targets()
    for text in who:
        uri = next((place for place in _places_of(text) if place in places), None)
        if uri is not None or text in ids:
            if known is not None and fold(text) in {fold(name) for name in known.people.names if name}:
                found_both = f"{text!r}, which is both"
                raise InputError(f"expected a person or a photo, found {found_both}: give the person's id or the photo's full path")
            _add_photo(store, found, [uri] if uri else [], [text] if text in ids else [], looks)
            found.lines.append(f"the photo {text}")
        elif is_face_id(text):
            faces = same_faces(store, [text])
            if not _any_exists(store, faces):
                raise InputError(f"expected a face_id of {store.url}, found {text!r}, which no face has: the report's faces.csv lists them")
            found.faces |= faces
            found.lines.append(f"the face {text}")
        else:
            called = {name for name in known_names(store) if fold(name) == fold(text)}
            found.names |= called
            if called and (known is None or fold(text) not in {fold(name) for name in known.people.names if name}):
                found.lines.append(f"the pictures of {text}, who has no group")
            else:
                found.lines.append(_add_person(store, found, text, known))
    if known is not None and found.people:
        found.ungrouped = _ungrouped(store, known)
    add_people_without_faces(store, found, known)
    return found, known


def add_people_without_faces(store: Store, found: Targets, known: CurrentPeople | None) -> None:
    """Add those who have no face left to the people who go, and what earlier runs hold of all of these."""
    if known is None:
        return
    photos = {photo[:24] for photo in found.photos}
    gone = np.array([face in found.faces or face[:24] in photos for face in known.faces.ids], bool)
    left = np.bincount(known.faces.identity[~gone & (known.faces.identity >= 0)], minlength=len(known.people.faces))
    found.people |= set(np.flatnonzero((left == 0) & (np.array(known.people.faces) > 0)).tolist())
    for i in sorted(found.people):
        found.faces |= _earlier_faces(store, known, i)


def _planned(store: Store) -> set[str]:
    """The uris of all files that were found."""
    return {uri for shard in store.shards("files") for uri in store.read("files", shard, ["uri"])["uri"].to_pylist()}


def _places_of(text: str) -> list[str]:
    """The uris that a path or an address may stand for."""
    try:
        return [text, uri_of(os.path.abspath(os.path.expanduser(text)))]
    except ValueError:  # a null byte
        return [text]


def _add_photo(store: Store, found: Targets, uris: list[str], ids: list[str], looks: pa.Table) -> None:
    """Add a photo, its copies, and what was at the same places before."""
    rows = list(zip(looks["uri"].to_pylist(), looks["photo_id"].to_pylist(), strict=True))
    now = current_photos(store, ["uri", "photo_id"])
    shown = dict(zip(now["uri"].to_pylist(), now["photo_id"].to_pylist(), strict=True))
    places, photos = set(uris), set(ids) | {shown.get(uri, "") for uri in uris}
    before: tuple[int, int] | None = None
    while before != (before := (len(places), len(photos))):
        photos.discard("")
        places |= {uri for uri, photo in rows if photo in photos}
        elsewhere = {photo for uri, photo in shown.items() if uri not in places}
        photos |= {photo for uri, photo in rows if uri in places and photo not in elsewhere}
    found.uris |= places
    found.photos |= photos - {""}


def _add_person(store: Store, found: Targets, text: str, known: CurrentPeople | None) -> str:
    if known is None:
        raise InputError(f"expected a photo or a face of {store.url}, found {text!r}: it has no people, as it was never grouped")
    if os.sep in text:
        raise InputError(f"expected a photo of {store.url}, found {text!r}, which it does not know: give the path as the report shows it")
    person = known.find(text)
    found.people.add(person)
    rows = np.flatnonzero(known.faces.identity == person).tolist()
    found.faces |= same_faces(store, [known.faces.ids[row] for row in rows])
    return f"the person {known.people.label(person)}: {plural(len(rows), 'face')}"


def same_faces(store: Store, faces: Iterable[str]) -> set[str]:
    """Faces, and the same ones under the ids from before and after edits of their photos."""
    tied: dict[str, set[str]] = {}
    for old, news in read_followed(store).items():
        for new in news:
            tied.setdefault(old, set()).add(new)
            tied.setdefault(new, set()).add(old)
    found = list(dict.fromkeys(faces))
    seen = set(found)
    for face in found:  # grows
        more = tied.get(face, set()) - seen
        seen |= more
        found += more
    return seen


def named_faces(store: Store) -> set[str]:
    """The face_ids that decisions name, with a row or without: of a drawn face it is made by the next run."""
    return {face for d in read(store).decisions for face in (*d.faces, *d.others, *d.boxes)}


def _any_exists(store: Store, faces: set[str]) -> bool:
    if not faces.isdisjoint(named_faces(store)):
        return True
    ids = pa.array(sorted(faces), pa.string())
    return any(FaceIds.among(store.read("faces", shard, ["face_id"])["face_id"]).has(ids).any() for shard in store.shards("faces"))


def _ungrouped(store: Store, known: CurrentPeople) -> int:
    """How many faces of photos that count came in since the last grouping."""
    present, total = FaceIds.of(known.faces.ids), 0
    for shard in store.shards("faces"):
        ids = store.read("faces", shard, ["face_id"])["face_id"]
        new = ids.filter(pa.array(~present.has(ids)))
        total += int(np.asarray(of_current_photos(store, new), bool).sum()) if len(new) else 0
    return total


def _earlier_faces(store: Store, known: CurrentPeople, person: int) -> set[str]:
    """Faces that a person had in earlier runs and that are in no group's photo now, and those for which one of the person's stands."""
    ids = {known.people.person_ids[person], *(old for old, now in known.people.former.items() if now == known.people.person_ids[person])}
    mine = {known.faces.ids[row] for row in np.flatnonzero(known.faces.identity == person).tolist()}
    present = FaceIds.of(known.faces.ids)
    found = {old for old, new in read_stand_ins(store).items() if new in mine and old not in present}
    for run in all_runs(store):
        people, faces = read_people(store, run), read_faces(store, run)
        groups = [i for i, other in enumerate(people.person_ids) if other in ids]
        rows = np.flatnonzero(np.isin(faces.identity, groups) & ~present.has(faces.ids)).tolist()
        found |= {faces.ids[row] for row in rows}
    return same_faces(store, found) - set(present) if found else found
