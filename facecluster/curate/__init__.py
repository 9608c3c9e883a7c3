"""Curates a face data set: which faces are included, why others are not, and the files.

labelled_faces   the faces of a store and their labels
similarity       margins of faces to labels
clean            wrong labels of faces
label_proposals  two labels of one person; one label of several people
check_labels     both, in order
near_duplicates  groups of near-duplicates
balance          faces a person: the cap, and figures of balance
split            train, val and test by person
plan             all of these: in or out, and why, for every face
manifest         the plan as a table
datasheet        the plan in figures and words
samples          the faces of a split, their images and metadata
output_folder    the folder that is written to
write_*          the files of each format
"""

from facecluster.curate.check_labels import LabelCheck, check_labels
from facecluster.curate.clean import CleanConfig, Verdicts, clean_labels
from facecluster.curate.labelled_faces import LabelledFaces, read_labelled_faces
from facecluster.curate.plan import CurateConfig, Plan, curate

__all__ = [
    "CleanConfig", "CurateConfig", "LabelCheck", "LabelledFaces", "Plan", "Verdicts", "check_labels", "clean_labels", "curate",
    "read_labelled_faces",
]  # fmt: skip
