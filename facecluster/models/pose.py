"""Where a head points, from its five landmarks: scaled orthographic projection (DeMenthon and Davis, 1995, without the iterations).

The landmarks are taken for a projection p = s [r1; r2] P + t of a rigid model P, with r1 and r2 the first rows of a rotation. Least squares
gives the 2x3 matrix; the nearest one with orthonormal rows (singular value decomposition) is [r1; r2], and r3 = r1 x r2.

The model, in distances of the eyes: positions in the picture are those of the ArcFace template made symmetric, so that its face looks
straight ahead; the depths of nose and mouth are those of a common face. The yaw of the table `faces` follows from the nose alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# right eye, left eye, nose, right and left corner of the mouth; x to the person's left, y down, z to the camera; eyes in depth 0
FACE = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.571, 0.5], [-0.414, 1.155, 0.15], [0.414, 1.155, 0.15]])


def head_pose(landmarks: NDArray[np.floating]) -> NDArray[np.float32]:
    """Yaw, pitch and roll of faces from landmarks (n, 5, 2) in px: (n, 3) degrees; not a number where the landmarks are no face.

    Rotation = roll about the line of sight x pitch x yaw about the head's own axis. Yaw is positive to the person's left, pitch upwards,
    roll clockwise in the picture. Perspective, and faces that differ from the model, make errors of some degrees; most of all of pitch.
    """
    points = np.asarray(landmarks, np.float64).reshape(-1, 5, 2)
    centred = points - points.mean(axis=1, keepdims=True)
    found = np.linalg.pinv(FACE - FACE.mean(axis=0)) @ centred  # (n, 3, 2)
    usable = np.isfinite(found).all(axis=(1, 2)) & (np.abs(centred).max(axis=(1, 2), initial=0) > 0)
    u, _, vt = np.linalg.svd(np.where(usable[:, None, None], found, 0).transpose(0, 2, 1), full_matrices=False)
    rows = u @ vt
    third = np.cross(rows[:, 0], rows[:, 1])
    yaw = np.arctan2(-third[:, 0], third[:, 2])
    pitch = np.arcsin(np.clip(third[:, 1], -1, 1))
    roll = np.arctan2(-rows[:, 0, 1], rows[:, 1, 1])
    return np.where(usable[:, None], np.degrees(np.stack([yaw, pitch, roll], axis=1)), np.nan).astype(np.float32)
