"""The demo: a collection of photos of synthetic people, and scores of how well their faces were found and grouped.

face_space  faces as coefficients of learnt components
scene       heads, clothes and backgrounds
photo       photos of people, with camera effects
collection  a folder of photos with the ground truth
unfinished  a demo that was stopped goes on
scoring     detections and groups against the ground truth
"""

from facecluster.demo.collection import Face, GroundTruth, make_collection
from facecluster.demo.scoring import DemoScore, score

__all__ = ["DemoScore", "Face", "GroundTruth", "make_collection", "score"]
