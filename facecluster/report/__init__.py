"""The report: what a run found, as pages that open from disk without a network, and as tables.

text, plot     text and numbers as people read them (pure)
report_data    tables of the store -> faces, photos, people; crops in a temporary file
pagination     which faces and photos are on which page
pages          the HTML pages, from the templates in templates/
tables         faces.csv, people.csv, faces.parquet, people.parquet, summary.json
report_folder  the output folder, replaced atomically
write          write_report, which joins these
run_report   the report of a run, with the names of now and the people to check first
"""

from facecluster.report.report_data import PersonInfo, PersonToCheck
from facecluster.report.write import Summary, write_report

__all__ = ["Summary", "PersonToCheck", "PersonInfo", "write_report"]
