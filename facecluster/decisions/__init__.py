"""What the user said of faces: a journal that is replayed on every run.

journal  decisions.jsonl in the store: read, append
objects  what stands beside it on object stores
replay   decisions -> what must be together, what must not, who has which name; later ones overrule earlier ones
"""

from facecluster.decisions.journal import FILE, Decision, Journal, active, append, clean_name, read
from facecluster.decisions.replay import CORE, Claim, Verdict, pairs, replay

__all__ = ["CORE", "FILE", "Claim", "Decision", "Journal", "Verdict", "active", "append", "clean_name", "pairs", "read", "replay"]
