"""Identities and the user's decisions -> people with lasting ids and names, run after run.

runs               the tables of each run, and which run is current
face_ids           finds a face again whose face_id changed
follow             follows faces from a photo to the edited one that took its place
stand_ins          faces that stand for deleted ones in what the user said
edited_photos      whether two photos show the same picture, one of them edited
claims             whom a decision is about
assign_ids         lasting ids and names for the groups of a run
retired_ids        lasting ids that nobody has any more, and who took over
churn              the changes from one run to the next
people_csv         STORE/people.csv, where the user may write names
find_person        the person that a text means
current_people     makes decisions about people
lost_names         names that the journal has lost, and a run still knows
confirmed_labels   the names that the user confirmed, as ground truth for evaluation
previous_grouping  the groups that an incremental grouping starts from
reconcile          all of these, in order: decisions before the grouping, ids and names after it
unclear            the faces that are too unclear to tell
overlay_store      a store for dry runs: reads from one store, writes to another folder
"""

from facecluster.people.churn import Churn
from facecluster.people.confirmed_labels import named_faces, read_confirmed_labels
from facecluster.people.current_people import CurrentPeople
from facecluster.people.follow import follow_faces
from facecluster.people.overlay_store import OverlayStore
from facecluster.people.previous_grouping import PreviousGrouping, find_previous_grouping
from facecluster.people.reconcile import (
    PreparedDecisions,
    ReconciledRun,
    decisions_to_come,
    is_all_taken_in,
    people_with_current_names,
    prepare_decisions,
    read_current_people,
    reconcile,
    save_decisions,
    save_run,
)
from facecluster.people.runs import PEOPLE, People, Run, all_runs, current_run, read_people, return_to
from facecluster.people.stand_ins import choose_stand_ins
from facecluster.people.unclear import least_recognisability, read_unclear
from facecluster.photos.followed import read_followed

__all__ = [
    "PEOPLE", "Churn", "CurrentPeople", "OverlayStore", "People", "PreparedDecisions", "PreviousGrouping", "ReconciledRun", "Run",
    "all_runs", "choose_stand_ins", "current_run", "decisions_to_come", "find_previous_grouping", "follow_faces", "named_faces",
    "people_with_current_names", "prepare_decisions", "read_confirmed_labels", "read_current_people", "read_followed", "read_people",
    "is_all_taken_in", "least_recognisability", "read_unclear", "reconcile", "return_to", "save_decisions", "save_run",
]  # fmt: skip
