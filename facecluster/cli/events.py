"""What `cluster --ask --json` says while it works, for a program that shows it: a JSON object a line on stdout."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from facecluster.people import ReconciledRun

_SECONDS = 0.2  # between two lines of progress


class DeclinedError(Exception):
    """The user does not want what a grouping found."""


def say(event: str, **more: Any) -> None:
    """Print an event at once."""
    click.echo(json.dumps({"event": event, **more}))


@contextmanager
def event_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """As progress.progress_bar: events with `what`, `done` and `total`."""
    done, last = 0, time.monotonic()
    if total > 0:
        say("progress", what=what, done=0, total=total)

    def tick(n: int) -> None:
        nonlocal done, last
        done += n
        if time.monotonic() - last >= _SECONDS or done == total:
            last = time.monotonic()
            say("progress", what=what, done=done, total=total)

    yield tick


def ask(reconciled: ReconciledRun, as_json: bool) -> None:
    """Ask whether what a grouping changes counts; no answer is no.

    Raises:
        DeclinedError: it does not.
    """
    if not reconciled.changed:
        return
    if as_json:
        people = reconciled.people
        run = {"number": reconciled.run.number, "model": reconciled.run.model, "counts": reconciled.run.counts}
        who = {"person_ids": people.person_ids, "names": people.names, "faces": people.faces, "ignored": people.ignored}
        say("asks", run=run, people=who, notes=reconciled.notes, churn=reconciled.churn.to_dict())
        answer = sys.stdin.readline().strip().lower() in ("y", "yes")
    else:
        try:
            answer = click.confirm("Is this to count?", err=True)
        except click.Abort:
            answer = False
    if not answer:
        raise DeclinedError
