"""Whether this machine's clock can be believed where photos are forgotten by their age: what one that is ahead forgets never comes back.

A store and its photos say on which days somebody was at work: runs, decisions, receipts, dates of photos and of their files' last changes.
Since the store's first such stamp no year passes without one, unless the store was left alone, or the clock jumped. Which of the two it
was nobody but the user can say: whoever gives a day in place of an age needs no clock. A jump is doubted for as long as RECENT, so that a
run that notes the new time a moment before does not make it believable.

Odd inputs: a store without stamps has nothing to compare with; one with later stamps than now has a clock that is, or was, wrong.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from datetime import date, timedelta

from facecluster.decisions import read
from facecluster.people import all_runs
from facecluster.photos.dates import RELEASED
from facecluster.photos.forgotten import TABLE
from facecluster.store import Store

GAP = timedelta(days=366)  # between two signs of life, from which it is doubted
RECENT = timedelta(days=90)  # since a jump
_DAY = timedelta(days=1)


def stamps(store: Store) -> set[date]:
    """The days on which the store says that it was worked on."""
    said = {run.at for run in all_runs(store)} | {d.at for d in read(store).decisions} | set(_receipts(store))
    return {day for text in said if (day := _day(text)) is not None}


def jump(stamped: Iterable[date], photos: Iterable[date], today: date) -> tuple[date, date] | None:
    """The two days between which the clock went on by more than a year not long ago, without a sign of life; None if it did not.

    Args:
        stamped: days of the store's own acts.
        photos: days on which photos were taken, or their files changed.
        today: by the clock.
    """
    acts = set(stamped)
    days = sorted(day for day in {*acts, *photos, today} if acts and min(acts) <= day <= today)
    found = ((one, two) for one, two in itertools.pairwise(days) if two - one > GAP and today - two <= RECENT)
    return max(found, default=None)


def latest_ahead(stamped: Iterable[date], today: date) -> date | None:
    """The store's last stamp, or this version's day, if today is before it: then the clock is behind, or was ahead; else None."""
    last = max({RELEASED.date(), *stamped})
    return last if last > today + _DAY else None


def _receipts(store: Store) -> Iterable[str]:
    folder = store.path(TABLE)
    names = [str(path).rsplit("/", 1)[-1] for path in store.fs.ls(folder, detail=False)] if store.fs.isdir(folder) else []
    for name in names:
        if found := re.match(r"receipt-(\d{4})(\d\d)(\d\d)T", name):
            yield "-".join(found.groups())


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None
