"""The report: what a run found, as pages that open from disk without a network, and as tables.

text, plot   strings and numbers for people to read (pure)
data         tables of the store -> faces, photos, people; crops on a temporary file
plan         which face and photo stands on which page
pages        the pages, through the templates beside the code
export       faces.csv, people.csv, faces.parquet, people.parquet, summary.json
place        the folder: written beside, swapped in whole
write        write_report, which joins these
run_report   the report of a run, with the names of now and the people to check first
"""

from facecluster.report.data import Suspect, Title
from facecluster.report.write import Summary, write_report

__all__ = ["Summary", "Suspect", "Title", "write_report"]
