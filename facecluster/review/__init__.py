"""The review: a page on this machine alone, where people are named, merged and split, and questions are answered.

overlay    decisions laid over the groups of a run, without grouping anew (pure)
library    what the page shows of faces: photo, date, crop
view       the people as they stand, with all that lists need of them
questions  pairs of faces to ask about, and what the answers settle
acts       what the user does -> decisions
session    these together: reads the store again when it has changed, appends to the journal
api        addresses -> answers
guard      who may ask (pure)
server     HTTP on 127.0.0.1
static/    the page
"""

from facecluster.review.server import Review, open_review

__all__ = ["Review", "open_review"]
