"""The user's decisions about faces: a journal that every run replays.

decision         one decision, its line, and the names and ids in it
journal          decisions.jsonl in the store: read, append
journal_objects  the part of the journal that object stores keep in objects of its own
replay           decisions -> links between faces, names and lasting ids; a later decision overrules an earlier one
linked_faces     which faces are tied together, kept apart, and named
birth            dates of birth, and ages
constraints      these as must-links and cannot-links between the rows of a store
"""

from facecluster.decisions.constraints import constraint_pairs
from facecluster.decisions.decision import ASIDE, BORN, DRAW, SHORT_ID, Decision, active, clean_name, new_id
from facecluster.decisions.journal import FILE, Journal, append, read, rewrite
from facecluster.decisions.replay import CORE_FACES, Claim, ResolvedDecisions, replay

__all__ = [
    "ASIDE", "BORN", "CORE_FACES", "DRAW", "FILE", "SHORT_ID", "Claim", "Decision", "Journal", "ResolvedDecisions", "active", "append",
    "clean_name", "constraint_pairs", "new_id", "read", "replay", "rewrite",
]  # fmt: skip
