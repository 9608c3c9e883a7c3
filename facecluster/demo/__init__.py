"""The demo: photos of people who do not exist, and how well they were found and grouped."""

from facecluster.demo.collection import Face, Truth, make_collection
from facecluster.demo.judge import DemoScore, score

__all__ = ["DemoScore", "Face", "Truth", "make_collection", "score"]
