"""The whole job on a Slurm cluster: python workflows/slurm.py PHOTOS... -o STORE [--jobs 8 --cores 16 --job-memory 64GB ...]

Run it on a login node (or in a small job of its own), with the environment of facecluster activated. Photos and store lie on a filesystem
that all nodes share, under one path, or on s3://. It needs dask-jobqueue (BSD-3-Clause): pip install dask-jobqueue.

Each Slurm job holds one worker process a core. Jobs that end (time limit, preemption) are submitted again as long as the run goes on, and
their workers stop in good time before the limit. Options that are not of this script go to `facecluster run`. After a stop, run the same
line again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Any

import dask
from dask.utils import parse_bytes, parse_timedelta
from dask_jobqueue import SLURMCluster


def seconds(walltime: str) -> int:
    """Seconds of Slurm's HH:MM:SS or D-HH:MM:SS."""
    days, _, clock = walltime.rpartition("-")
    hours, minutes, rest = (int(part) for part in clock.split(":"))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + rest


def cluster_of(options: argparse.Namespace) -> Any:
    """A cluster whose jobs are as the options say; none is submitted yet."""
    limit = seconds(options.walltime)
    extra = ["--lifetime", f"{limit * 9 // 10}s", "--lifetime-stagger", f"{limit // 20}s"]
    directives = []
    if options.gpu:
        extra += ["--resources", "GPU=1"]
        directives = ["--gres=gpu:1"]
    return SLURMCluster(
        queue=options.queue, account=options.account, walltime=options.walltime, cores=options.cores, processes=options.cores,
        memory=options.job_memory, interface=options.interface, local_directory=options.scratch, log_directory=options.logs,
        worker_extra_args=extra, job_extra_directives=directives,
        scheduler_options={"dashboard": False},
    )  # fmt: skip


def renew(cluster: Any, jobs: int, seen: set[str]) -> None:
    """Submit jobs anew for those whose workers were there (`seen`) and are gone: dask-jobqueue alone waits for them for ever."""
    workers = {state.name for state in list(cluster.scheduler.workers.values())}
    there = {name for name, spec in cluster.worker_spec.items() if workers & {name + part for part in spec.get("group", [""])}}
    gone = seen - there
    for name in gone:
        cluster.worker_spec.pop(name, None)
    cluster.scale(jobs=len(cluster.worker_spec) if gone else jobs)  # first it must forget them: the new ones take their names
    seen.clear()
    seen.update(there)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=4, help="jobs at a time (default: 4)")
    parser.add_argument("--cores", type=int, default=16, help="cores, and worker processes, of a job (default: 16)")
    parser.add_argument("--job-memory", default="64GB", help="memory of a job; its workers share it (default: 64GB)")
    parser.add_argument("--walltime", default="04:00:00", help="time limit of a job: HH:MM:SS or D-HH:MM:SS (default: 04:00:00)")
    parser.add_argument("--gpu", action="store_true", help="each job has one GPU, which its workers share: take few cores, such as 4")
    parser.add_argument("--queue", help="Slurm partition")
    parser.add_argument("--account", help="Slurm account")
    parser.add_argument("--interface", help="network interface of scheduler and workers, such as ib0")
    parser.add_argument("--scratch", help="folder on each node's own disk for what a worker sets aside")
    parser.add_argument("--logs", help="folder for the logs of the jobs")
    parser.add_argument("--patience", default="1 day", help="how long to wait for the first job to start (default: '1 day')")
    parser.add_argument("--look", type=float, default=10, help="seconds after which it looks whether jobs have ended (default: 10)")
    options, run = parser.parse_known_args()
    if not run:
        parser.error("expected the photos and -o STORE, as for 'facecluster run'")
    share = str(parse_bytes(options.job_memory) // options.cores // 2)  # a --memory of the user's comes later and counts
    with dask.config.set({"distributed.scheduler.allowed-failures": 10}), cluster_of(options) as cluster:
        cluster.scale(jobs=options.jobs)
        print(f"{options.jobs} jobs submitted; scheduler at {cluster.scheduler_address}", file=sys.stderr)
        cluster.wait_for_workers(1, timeout=parse_timedelta(options.patience))
        where = ["--scheduler", cluster.scheduler_address, "--memory", share]
        seen = set[str]()
        with subprocess.Popen(["facecluster", "run", *where, *run]) as process:
            while True:
                try:
                    return process.wait(options.look)
                except subprocess.TimeoutExpired:
                    renew(cluster, options.jobs, seen)


if __name__ == "__main__":
    sys.exit(main())
