"""Names of the current run that the journal does not hold: it was lost, cut off, or another one took its place.

A grouping from such a journal would take these names from everybody. What the run knows is written into it again: names, and who is
ignored. Merges and splits are in the groups of the run; dates of birth, and what was said of single faces, is lost.

Odd inputs: a store without a run has lost nothing. A name that a line of the journal holds is not lost, whatever became of it; neither is
that of a person whom a line names otherwise, as after an edit by hand.
"""

from __future__ import annotations

from collections.abc import Sequence

from facecluster.decisions import FILE, Decision, append, read, replay
from facecluster.errors import StoreError, shell
from facecluster.people.current_people import CurrentPeople
from facecluster.people.runs import People, Run, current_run, read_faces, read_people
from facecluster.photos.followed import read_followed
from facecluster.store import Store

_SHOWN = 5  # names in a message


def lost_people(people: People, decisions: Sequence[Decision]) -> list[int]:
    """Indices of the people of a run whom decisions named or ignored that the journal does not hold."""
    said = {d.name.casefold() for d in decisions if d.name}
    former = people.former
    about = {former.get(d.person, d.person) for d in decisions if d.act == "name" and d.person}  # perhaps by another name, set by hand
    ignores = any(d.act == "ignore" for d in decisions)

    def is_lost(i: int) -> bool:
        name = people.names[i]
        named = not name or name.casefold() in said or people.person_ids[i] in about
        return not named or (people.ignored[i] and not ignores)

    return [i for i in range(len(people.names)) if is_lost(i)]


def describe_lost(store: Store, decisions: Sequence[Decision] | None = None) -> str:
    """Whom the journal has lost, by name; '' if nobody. `decisions`: of the journal, if they are known."""
    _, people, lost = _find(store, decisions)
    return _labels(people, lost)


def note_on_lost(people: People, decisions: Sequence[Decision]) -> list[str]:
    """A line on whom of the people of a run the journal has lost; none if nobody."""
    who = _labels(people, lost_people(people, decisions))
    return [f"{FILE} holds nothing of what you said of {who}: 'facecluster check STORE --repair' writes these names into it"] if who else []


def _labels(people: People, some: Sequence[int]) -> str:
    labels = ", ".join(people.label(i) for i in some[:_SHOWN])
    return f"{labels}, and {len(some) - _SHOWN:,} more" if len(some) > _SHOWN else labels


def refuse_lost(store: Store, decisions: Sequence[Decision]) -> None:
    """Raise StoreError if a grouping would take names from people because the journal, of these decisions, has lost them."""
    if who := describe_lost(store, decisions):
        raise StoreError(
            f"expected {FILE} with what you said of the people of the current run, found nothing of {who}: put it back from a copy, or "
            f"'facecluster check {shell(store.url)} --repair' writes these names into it again"
        )


def restore_lost(store: Store) -> list[Decision]:
    """Write what the current run knows of people whom the journal has lost into it again; gives the new decisions."""
    run, people, lost = _find(store)
    if run is None or not lost:
        return []
    bare = People(people.person_ids, [None] * len(people.names), people.faces, [False] * len(people.names), people.retired)
    known = CurrentPeople(bare, read_faces(store, run), replay(read(store).decisions), read_followed(store))
    made = [known.name(i, people.names[i] or "") for i in lost if people.names[i]]
    return append(store, made + [known.ignore(i) for i in lost if people.ignored[i]])


def _find(store: Store, decisions: Sequence[Decision] | None = None) -> tuple[Run | None, People, list[int]]:
    run = current_run(store)
    if run is None:
        return None, People([], [], [], []), []
    people = read_people(store, run)
    return run, people, lost_people(people, read(store).decisions if decisions is None else decisions)
