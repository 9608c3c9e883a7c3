"""Duplicates of a store's photos: found, explained, and set aside so that it can be taken back. Nothing is ever deleted.

hashing, looks, pixels       what is kept of a photo (tables dedup/looks and dedup/pixels)
library, places              the photos of the store; their files as they are now
candidates                   pairs worth a second look, by hash and by time
register, compare, judge     the second look, at thumbnails
faces                        the third look, at the faces of the photos themselves
people, eyes, keeper         what decides on bursts and on which is kept
groups, find                 groups of copies, and bursts
plan, words, page            rows with reasons; CSV; the page
files, journal, apply, undo  acts on files
"""

from facecluster.dedup.apply import Applied, How, apply_plan
from facecluster.dedup.find import DedupConfig, Findings, find
from facecluster.dedup.journal import Journal, read_journal
from facecluster.dedup.page import write_page
from facecluster.dedup.plan import Plan, Row, from_csv, make_plan, to_csv
from facecluster.dedup.undo import undo

__all__ = [
    "Applied", "DedupConfig", "Findings", "How", "Journal", "Plan", "Row",
    "apply_plan", "find", "from_csv", "make_plan", "read_journal", "to_csv", "undo", "write_page",
]  # fmt: skip
