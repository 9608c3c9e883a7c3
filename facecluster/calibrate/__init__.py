"""JOB: how a model's vectors are read in one store, fitted to what its user said.

known     which answers count
evidence  answers as rows to fit to
fit       the line that they speak for, drawn towards the one before
cross     whether it does better on people left out
store     all of these, in order
reading   STORE/calibration/MODEL.json, which later commands go by
"""

from facecluster.calibrate.known import Known, known
from facecluster.calibrate.reading import Reading, path_of, read_reading, remove_reading, write_reading
from facecluster.calibrate.store import Calibrated, Part, calibrate, check_enough

__all__ = [
    "Calibrated", "Known", "Part", "Reading", "calibrate", "check_enough", "known", "path_of", "read_reading", "remove_reading",
    "write_reading",
]  # fmt: skip
