"""Curate a face data set: which faces are in, why, and the files.

clean      which labels of faces are wrong
proposals  two labels for one person, one label for two
judge      both, in order
copies     near-duplicates of a face
bounds     faces a person: cap, floor, the tail
split      train, val and test by person
source     the faces of a store and their labels
plan       all of these: a verdict for every face
manifest   the plan as a table
datasheet  the plan in numbers and words
out        the folder that is written to
images     the pictures of faces
write_*    the files
"""

from facecluster.curate.clean import CleanConfig, Verdicts, clean
from facecluster.curate.judge import Judgement, judge
from facecluster.curate.plan import CurateConfig, Plan, curate
from facecluster.curate.source import Source, read_source

__all__ = ["CleanConfig", "CurateConfig", "Judgement", "Plan", "Source", "Verdicts", "clean", "curate", "judge", "read_source"]
