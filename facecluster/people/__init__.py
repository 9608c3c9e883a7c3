"""STAGE: identities and the user's decisions -> people with lasting ids and names, run after run.

runs     the tables of each run, and which run counts
content  the same face under another id
assign   lasting ids and names for groups
churn    what a run changes against the one before
book     STORE/people.csv, where the user may write names
lookup   the person that a text means, and decisions about them
confirmed  what decisions say of who faces are, to measure a grouping against
earlier  what of an earlier grouping stays
settle   all of these, in order
overlay  a store to try things in
"""

from facecluster.people.churn import Churn
from facecluster.people.confirmed import confirmed, named_faces
from facecluster.people.earlier import earlier
from facecluster.people.lookup import Register
from facecluster.people.overlay import Overlay
from facecluster.people.runs import PEOPLE, People, Run, all_runs, current, read_people, return_to
from facecluster.people.settle import Prepared, Settled, keep_run, known_now, prepare, register, settle

__all__ = [
    "PEOPLE", "Churn", "Overlay", "People", "Prepared", "Register", "Run", "Settled", "all_runs", "confirmed", "current", "earlier",
    "keep_run", "known_now", "named_faces", "prepare", "read_people", "register", "return_to", "settle",
]  # fmt: skip
