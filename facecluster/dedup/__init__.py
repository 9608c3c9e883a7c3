"""Duplicates of a store's photos: found, explained, and set aside in a way that can be undone. Nothing is ever deleted.

store_photos, file_locations   the photos of the store; their files as they are now
fingerprints                   hashes and a thumbnail of each photo (table dedup/looks, made by detection)
hamming_index, candidates      pairs of photos with similar hashes, or taken shortly after each other
registration, compare          lay one thumbnail over another and compare them block by block
copy_check                     whether two photos are copies, by thumbnails and times
face_check, pixel_hashes       the same question by the photos themselves: their faces; their pixels (table dedup/pixels)
same_scene, same_people, eye_openness   what bursts are grouped and ranked by
origins, pixel_traces, content_table    what files say about their camera (table dedup/origins), and pixels about their past (dedup/traces)
photo_facts, keeper, groups, find       what photos are worth, which is kept; groups of copies and bursts; all of it in order
plan, explain, page            a row for each file, with reasons; CSV; the page
apply, undo_file, undo, files  move files or link them; undo it
folders                        names of folders and files
"""

from facecluster.dedup.apply import Applied, ApplyOptions, apply_plan
from facecluster.dedup.find import DedupConfig, Findings, find_duplicates
from facecluster.dedup.page import write_page
from facecluster.dedup.plan import Plan, Row, from_csv, make_plan, to_csv
from facecluster.dedup.undo import undo
from facecluster.dedup.undo_file import UndoFile, read_undo_file

__all__ = [
    "Applied", "ApplyOptions", "DedupConfig", "Findings", "Plan", "Row", "UndoFile",
    "apply_plan", "find_duplicates", "from_csv", "make_plan", "read_undo_file", "to_csv", "undo", "write_page",
]  # fmt: skip
