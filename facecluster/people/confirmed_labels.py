"""The names that the user confirmed, as ground truth for the evaluation of a grouping.

A face has a label if a name was given to it and no later split or name removed it, or if a merge or `same` links it to such a face. Two
names are two people. Faces in other decisions have no label: they may still show one of the named people.
"""

from __future__ import annotations

from facecluster.decisions import ResolvedDecisions, active, read, replay
from facecluster.errors import InputError, shell
from facecluster.evaluation.csv_file import LeftOut
from facecluster.evaluation.ground_truth import Answers
from facecluster.people.face_ids import with_current_ids
from facecluster.people.runs import current_run, read_faces
from facecluster.people.stand_ins import faces_meant, read_stand_ins
from facecluster.photos.followed import read_followed
from facecluster.store import Store


def read_confirmed_labels(store: Store) -> Answers:
    """Ground truth from the journal of a store.

    Raises:
        InputError: no face has a name.
    """
    run = current_run(store)
    decisions = read(store).decisions
    if run is not None:
        faces = read_faces(store, run)
        meant = faces_meant(read_followed(store), read_stand_ins(store), faces.rows)
        decisions = with_current_ids(decisions, faces.ids, faces.boxes, meant)
    people = named_faces(replay(decisions))
    mentioned = sorted({face for d in active(decisions) for face in (*d.faces, *d.others)})
    if not people:
        raise InputError(
            f"expected known answers, found none: give --truth labels.csv (path,person) or --pairs pairs.txt, or name people with "
            f"'facecluster name {shell(store.url)}'"
        )
    others = [face for face in mentioned if face not in people]
    left_out = [LeftOut("face in a decision that has no name", len(others), repr(others[0]))] if others else []
    names = sorted(people.items())
    face_ids, labels = [face for face, _ in names], [name for _, name in names]
    return Answers("the decisions in decisions.jsonl", face_ids, labels, given=len(mentioned), left_out=left_out)


def named_faces(resolved: ResolvedDecisions) -> dict[str, str]:
    """face_id -> name, for the faces that were named and those linked to them."""
    people = {face: claim.text for claim in reversed(resolved.names) for face in claim.faces}
    for linked in resolved.must_link_sets():
        name = next((people[face] for face in linked if face in people), None)
        if name is not None:
            people |= {face: people.get(face, name) for face in linked}
    return people
