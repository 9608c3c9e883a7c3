"""Pictures of known people -> vectors in the store's table `known`, and names for the groups that these people are.

A group without a name gets one if it is a known person with a probability of SURE or more. A further group of the same name gets it if the
doubt is a fifth of that, and if it is like a group that has the name. The decision says so (`origin`). Groups that are less sure, and those
from whom the user took that name away, are suggestions in review. Pictures that were taken in before count on. A folder, contacts file or
store that is given again replaces all that came of it; a picture that was moved or renamed replaces itself, so that its older name does not
stand against the new one.

Odd inputs: a picture without a face, with several, or with one that is too unclear to tell is a line for the user and does not count; so
is one that can't be read. What was
taken of it earlier counts on; so does all of a place that has no picture now that can be used.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions import Decision, active, append, new_id
from facecluster.errors import PhotoError
from facecluster.faces.detect import DetectConfig
from facecluster.faces.embed import EmbedConfig
from facecluster.faces.fit_recognisability import unclear_faces
from facecluster.known import AGAIN, ALIKE, SURE
from facecluster.known.sources import Picture, comes_from
from facecluster.matching.probe import detect_config, probe_data, probe_photo
from facecluster.models.card import card_of
from facecluster.people import current_run, least_recognisability
from facecluster.people.current_people import CurrentPeople
from facecluster.people.known_names import Known, Proposal, read_known, write_known
from facecluster.review.session import Session
from facecluster.store import Store

ORIGIN = "known"
_ONE_PICTURE = 0.9999  # cosine from which two vectors are of one picture; that of float16 to float32 is higher


@dataclass(slots=True)
class TakenIn:
    """What became of the pictures, and the names that groups got or may have."""

    pictures: int = 0  # that count
    people: int = 0  # with such a picture
    notes: list[str] = field(default_factory=list)  # a line for each picture that does not count
    named: list[tuple[Proposal, str, int]] = field(default_factory=list)  # with the lasting id and number of faces of the group
    asked: list[tuple[Proposal, str, int]] = field(default_factory=list)
    no_longer: list[str] = field(default_factory=list)  # names of which there is no picture any more
    batch: str = ""  # of the decisions


def take_in(
    store: Store, pictures: Iterable[Picture], embed: EmbedConfig, *, device: str = "auto", sure: float = SURE,
    tick: Callable[[int], None] = lambda n: None, place: str | None = None,
) -> TakenIn:  # fmt: skip
    """Take pictures into a store that has people, and name the groups that are sure.

    Args:
        store: an existing store, locked.
        pictures: of people by name.
        embed: of the vectors of the store's current run.
        device: where to compute.
        sure: probability from which a group gets a name, 0 to 1.
        tick: called with 1 after each picture.
        place: of which these are all pictures there are now: others that came of it go. None: they count on.

    Raises:
        StoreError: the store was never grouped, or can't be written.
    """
    found = TakenIn()
    session = Session(store)
    try:
        known, unusable = _embedded(store, pictures, embed, device, found, tick)
        model, stamp = card_of(embed.model).name, {**embed.stamp(), "table": "known"}
        before = read_known(store, model)
        known = _joined(before, known, place, unusable)
        if known is not None:
            found.no_longer = sorted({*(before.by_name() if before else ())} - {*known.names}, key=str.casefold)
            write_known(store, model, known, stamp)
            _name_groups(store, session, sure, found)
    finally:
        session.close()
    return found


def _embedded(
    store: Store, pictures: Iterable[Picture], embed: EmbedConfig, device: str, found: TakenIn, tick: Callable[[int], None]
) -> tuple[Known | None, set[str]]:
    """The pictures that can be used, and the sources of the others."""
    run, detect = current_run(store), detect_config(store)
    least = 0.0 if run is None else least_recognisability(store, run.identities)
    names, sources, unusable, vectors = [], [], set[str](), list[NDArray[np.float32]]()
    for picture in pictures:
        try:
            vector = _vector(picture, detect, embed, device)
            if picture.vector is None and unclear_faces(embed, vector[None], least=least, store=store)[0]:
                raise PhotoError("expected a face that can be recognised, found one too unclear to tell: take a clearer picture")
            vectors.append(vector)
        except PhotoError as e:
            found.notes.append(f"{picture.source}: {e}")
            unusable.add(picture.source)
        else:
            names.append(picture.name)
            sources.append(picture.source)
        tick(1)
    found.pictures, found.people = len(names), len({name.casefold() for name in names})
    return Known(names, sources, np.stack(vectors)) if names else None, unusable


def _vector(picture: Picture, detect: DetectConfig, embed: EmbedConfig, device: str) -> NDArray[np.float32]:
    if picture.error:
        raise PhotoError(picture.error)
    if picture.vector is not None:
        return picture.vector
    if picture.data:
        probe = probe_data(picture.data, picture.source, detect, embed, device=device)
    else:
        probe = probe_photo(picture.source, detect, embed, device=device)
    if (faces := len(probe.vectors)) != 1:
        raise PhotoError(f"expected one face, found {faces or 'none'}: cut the picture to {picture.name or 'the person'}")
    return np.asarray(probe.vectors[0], np.float32)


def _joined(before: Known | None, now: Known | None, place: str | None, unusable: set[str]) -> Known | None:
    """The pictures of both, without those of before that were given again, or are in `place` no more."""
    if before is None or now is None:
        return now or before
    again = {*now.sources}
    unread = unusable - {source.rpartition("#")[0] for source in again}  # a file of contacts of which some can be used was read
    moved = (_of_length_1(before.vectors) @ _of_length_1(now.vectors).T).max(axis=1) > _ONE_PICTURE
    kept = [
        i for i, source in enumerate(before.sources)
        if source not in again and not moved[i] and (place is None or not comes_from(source, place) or _is_in(source, unread))
    ]  # fmt: skip
    return Known(
        [before.names[i] for i in kept] + now.names, [before.sources[i] for i in kept] + now.sources,
        np.concatenate([before.vectors[kept], now.vectors]),
    )  # fmt: skip


def _of_length_1(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Float16 of the store changes lengths more than directions."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _is_in(source: str, places: set[str]) -> bool:
    """Whether a source is one of these, in a file of contacts that is, or under a folder that is."""
    path = source.rpartition("#")[0] or source
    return not places.isdisjoint((source, path, *map(str, PurePath(path).parents)))


def _name_groups(store: Store, session: Session, sure: float, found: TakenIn) -> None:
    view = session.view()
    people = view.current.people
    made: list[Decision] = []
    found.batch = new_id()
    refused = _taken_away(view.journal.decisions, view.current)
    given = defaultdict[str, list[int]](list)
    for group, name in enumerate(people.names):
        given[(name or "").casefold()].append(group)
    for proposal in sorted(session.proposals(view), key=lambda p: -p.probability):
        about = proposal, people.person_ids[proposal.group], people.faces[proposal.group]
        name = proposal.name.casefold()
        # the grouping held a further group of the same name for another person
        doubt, others = 1 - proposal.probability, given[name]
        is_sure = doubt <= (1 - sure) * (AGAIN if others else 1)
        if name not in refused[proposal.group] and is_sure and (not others or session.likeness(view, proposal.group, others) >= ALIKE):
            found.named.append(about)
            others.append(proposal.group)
            made.append(replace(view.current.name(proposal.group, proposal.name), batch=found.batch, origin=ORIGIN))
        else:
            found.asked.append(about)
    append(store, made)


def _taken_away(decisions: Sequence[Decision], current: CurrentPeople) -> defaultdict[int, set[str]]:
    """The names, in lower case, that the user took away from each group and did not give back."""
    named = {d.id: d.name.casefold() for d in decisions if d.act == "name" and d.name}
    found = defaultdict[int, set[str]](set)
    for decision in active(decisions):
        if decision.act == "name" and not decision.name:
            groups = Counter(int(current.faces.identity[row]) for face in decision.faces for row in current.find_rows(face))
            for group, _ in groups.most_common(1):
                found[group] |= {named[earlier] for earlier in decision.replaces if earlier in named}
    return found
