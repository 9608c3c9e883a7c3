"""Runs facecluster again and again, each time until it is killed (kill -9) at a given point. A program for test_killed.py.

Arguments: a JSON list of [what, n], then the command line. `what` is a table: the n-th of its shards is half written when the process
dies; or "report": it dies when n pages are there. Prints the status of each as JSON, with the shards that each left.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import Any

import small_shards

import facecluster.report.run_report
from facecluster.store import Store


def die_at(what: str, n: int) -> None:
    """Have this process killed at a point."""
    left = n

    def die_at_the_nth() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    replace, write_report = os.replace, facecluster.report.run_report.write_report

    def cut(beside: Any, path: Any) -> None:
        if f"/{what}/part-" in str(path):
            if left == 1:
                os.truncate(beside, os.path.getsize(beside) // 2)
            die_at_the_nth()
        replace(beside, path)

    def cut_report(*arguments: Any, **options: Any) -> Any:
        options["progress"] = lambda done, total: die_at_the_nth()
        return write_report(*arguments, **options)

    if what == "report":
        setattr(facecluster.report.run_report, "write_report", cut_report)  # noqa: B010  as below
    else:
        setattr(os, "replace", cut)  # noqa: B010  mypy takes no other function here


def main() -> None:
    points, arguments = json.loads(sys.argv[1]), sys.argv[2:]
    small_shards.use()
    cli = importlib.import_module("facecluster.cli").main
    store = Store(arguments[arguments.index("-o") + 1])
    for what, n in points:
        child = os.fork()  # what is imported already need not be imported again
        if not child:
            die_at(what, n)
            cli(arguments, standalone_mode=False)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        parts = {t: {s: os.stat(store.shard_path(t, s)).st_mtime_ns for s in store.shards(t)} for t in ("files", "photos", "faces")}
        for table in ("embeddings/bundled", "links/bundled", "identities/bundled"):
            parts[table] = {s: os.stat(store.shard_path(table, s)).st_mtime_ns for s in store.shards(table)}
        sys.stdout.write(json.dumps([status, parts]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
