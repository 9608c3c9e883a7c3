"""What a job will take before it starts: time, memory, disk, network, cost.

measured.json   runs that were measured, by workflows/benchmarks/growth.py and growth_photos.py
runs            reads them
laws            how a quantity grows with photos, faces and length of a vector: sums of few terms, fitted by non-negative least squares
stages          the laws of each stage, and their error against runs that they were not fitted to
predict         a job -> its stages, with workers, GPUs and prices
store_size      how many photos and faces a store has
numbers         "3M" -> 3,000,000
"""

from facecluster.plan.numbers import count_of, positive
from facecluster.plan.predict import Job, Plan, Prices, StagePlan, make_plan
from facecluster.plan.runs import read_runs
from facecluster.plan.stages import Miss, misses
from facecluster.plan.store_size import StoreSize, size_of_store

__all__ = [
    "Job", "Miss", "Plan", "Prices", "StagePlan", "StoreSize", "count_of", "make_plan", "misses", "positive", "read_runs", "size_of_store"
]  # fmt: skip
