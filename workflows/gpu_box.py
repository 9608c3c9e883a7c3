"""The whole job on one machine with GPUs: python workflows/gpu_box.py PHOTOS... -o STORE [options of facecluster run]

Each GPU gets a worker process of its own, which embeds faces; the other workers read photos and detect faces. They end with the job. Run
the same line again to go on after a stop. `facecluster` must be on the PATH: activate its environment first.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import distributed
import torch


def worker(gpu: int | None, memory: str) -> dict[str, object]:
    """How to start a worker process that sees one GPU, or none."""
    sees = {"CUDA_VISIBLE_DEVICES": "" if gpu is None else str(gpu)}
    resources = {} if gpu is None else {"GPU": 1}
    return {"cls": distributed.Nanny, "options": {"nthreads": 1, "memory_limit": memory, "env": sees, "resources": resources}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, default=torch.cuda.device_count(), help="workers with a GPU (default: as many as there are)")
    parser.add_argument("--cpu-workers", type=int, help="workers without one (default: the cores that are left)")
    parser.add_argument("--worker-memory", default="auto", metavar="SIZE", help="of each worker, such as 4GB (default: its share)")
    options, run = parser.parse_known_args()
    if not run:
        parser.error("expected the photos and -o STORE, as for 'facecluster run'")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    others = max(1, cores - options.gpus) if options.cpu_workers is None else options.cpu_workers
    kinds = [*range(options.gpus), *[None] * others]
    workers = {i: worker(gpu, options.worker_memory) for i, gpu in enumerate(kinds)}
    scheduler = {"cls": distributed.Scheduler, "options": {"host": "127.0.0.1", "port": 0, "dashboard": False}}
    with distributed.SpecCluster(workers=workers, scheduler=scheduler) as cluster:
        print(f"{options.gpus} workers with a GPU, {others} without, at {cluster.scheduler_address}", file=sys.stderr)
        return subprocess.run(["facecluster", "run", *run, "--scheduler", cluster.scheduler_address]).returncode


if __name__ == "__main__":
    sys.exit(main())
