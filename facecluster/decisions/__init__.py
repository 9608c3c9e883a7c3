"""The user's decisions about faces: a journal that every run replays.

journal          decisions.jsonl in the store: read, append
journal_objects  the part of the journal that object stores keep in objects of its own
replay           decisions -> links between faces, names and lasting ids; a later decision overrules an earlier one
linked_faces     which faces are tied together, kept apart, and named
birth            dates of birth, and ages
constraints      these as must-links and cannot-links between the rows of a store
"""

from facecluster.decisions.constraints import constraint_pairs
from facecluster.decisions.journal import (
    ASIDE,
    BORN,
    DRAW,
    FILE,
    SHORT_ID,
    Decision,
    Journal,
    active,
    append,
    clean_name,
    new_id,
    read,
    rewrite,
)
from facecluster.decisions.replay import CORE_FACES, Claim, ResolvedDecisions, replay

__all__ = [
    "ASIDE", "BORN", "CORE_FACES", "DRAW", "FILE", "SHORT_ID", "Claim", "Decision", "Journal", "ResolvedDecisions", "active", "append",
    "clean_name", "constraint_pairs", "new_id", "read", "replay", "rewrite",
]  # fmt: skip
