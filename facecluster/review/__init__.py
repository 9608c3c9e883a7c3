"""The review: a web page on this machine, where the user names, merges and splits people and answers questions.

apply_decisions  the groups of a run after the decisions since, without a new grouping (pure)
face_details     what the page shows of faces: photo, date, crop
looks            pictures of where the model looks on a face
people_view      the current people, with everything that lists need
questions        pairs of faces to ask about, and how much the answers resolve
question_list    these and names of known people in one list, and what an answer changes
suggestions      who else a person may be
known_pairs      what decisions say about two faces (pure)
whole_photo      the photo of a face, and the photos before and after it
drawing          faces that the user draws
regroup          a new grouping in the background
changes          what that changes
file_state       whether a file has changed
actions          actions on the page -> decisions
session          all of these: reads the store again when it has changed, appends to the journal
api              URLs -> JSON answers
access           which requests are allowed (pure)
server           HTTP on 127.0.0.1
static/          the page
"""

from facecluster.review.server import Review, open_review

__all__ = ["Review", "open_review"]
