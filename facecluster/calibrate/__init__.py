"""JOB: fit the probabilities of a model to the labels that the user of one store gave.

labels             which of the user's decisions are labels
samples            labels as weighted samples to fit to
logistic           a logistic line fitted to samples, with a prior around the old line
cross_validation   whether the fitted line is better for people who were left out
fit_lines          all of these, in order
store_calibration  STORE/calibration/MODEL.json, which later commands read
"""

from facecluster.calibrate.fit_lines import CalibrationResult, LineFit, calibrate, check_enough_labels
from facecluster.calibrate.labels import LabelledFaces, labelled_faces
from facecluster.calibrate.store_calibration import (
    StoreCalibration,
    calibration_path,
    read_calibration,
    remove_calibration,
    write_calibration,
)

__all__ = [
    "CalibrationResult", "LabelledFaces", "LineFit", "StoreCalibration", "calibrate", "calibration_path", "check_enough_labels",
    "labelled_faces", "read_calibration", "remove_calibration", "write_calibration",
]  # fmt: skip
