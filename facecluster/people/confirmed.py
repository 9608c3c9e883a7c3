"""What the user's own decisions say of who faces are, as answers to measure a grouping against.

Only faces that come to a name count: those that a name was given to (and no later split or name took away), and those that merges and
`same` tie to them. Two names are two people. Faces of other decisions are left out: nobody said that they are not one of the named.
"""

from __future__ import annotations

from facecluster.decisions import Verdict, active, read, replay
from facecluster.errors import InputError
from facecluster.evaluation.answers import Answers
from facecluster.evaluation.sheet import LeftOut
from facecluster.people.content import translated
from facecluster.people.runs import current, read_faces
from facecluster.store import Store


def confirmed(store: Store) -> Answers:
    """Answers from the journal of a store.

    Raises:
        InputError: no face has a name.
    """
    run = current(store)
    decisions = read(store).decisions
    if run is not None:
        faces = read_faces(store, run)
        decisions = translated(decisions, faces.ids, faces.boxes)
    people = named_faces(replay(decisions))
    spoken = sorted({face for d in active(decisions) for face in (*d.faces, *d.others)})
    if not people:
        raise InputError(
            f"expected known answers, found none: give --truth labels.csv (path,person) or --pairs pairs.txt, or say who people are with "
            f"'facecluster name {store.url}'"
        )
    others = [face for face in spoken if face not in people]
    left_out = [LeftOut("face in a decision that has no name", len(others), repr(others[0]))] if others else []
    names = sorted(people.items())
    return Answers("the decisions in decisions.jsonl", [f for f, _ in names], [n for _, n in names], given=len(spoken), left_out=left_out)


def named_faces(verdict: Verdict) -> dict[str, str]:
    """The name of each face that comes to one, by face_id."""
    people = {face: claim.text for claim in reversed(verdict.names) for face in claim.faces}
    for tied in verdict.together():
        name = next((people[face] for face in tied if face in people), None)
        if name is not None:
            people |= {face: people.get(face, name) for face in tied}
    return people
