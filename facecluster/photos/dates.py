"""Which dates of photos are believed: a camera whose clock was never set, or was reset, writes a date all the same.

| date | why it is not |
|---|---|
| before 1826 | there were no photos |
| 1 January 1904, 1970, 1980 (or the day before) | the zero of the clocks of QuickTime, Unix and FAT, from which cameras start |
| more than a day after now | nobody has taken it yet; a day, since a camera may be in another time zone |

A clock that is before this version was written is wrong, as of a machine whose battery is empty: then dates of the ten years after it are
believed too, since a photo keeps what was believed when it was read.

Of a scan somebody may have written one of these days, who knew the year alone: it is believed where XMP or IPTC say that the picture was
created then. A clock that ran on from its zero for longer than that day can't be told from one that is right.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

FIRST_YEAR = 1826  # of the oldest photo that is left, Niépce's
_ZERO = [date(year, 1, 1) for year in (1904, 1970, 1980)]
UNSET = frozenset(day - timedelta(days) for day in _ZERO for days in (0, 1))
RELEASED = datetime(2026, 11, 1)  # no clock that is right is before it
_AHEAD = timedelta(days=1)
_UNKNOWN = timedelta(days=3653)  # how long after RELEASED it may be if the clock is wrong
_IPTC = 0x0404  # Photoshop's image resource that holds IPTC's data sets


def believed(at: datetime | None, *, created: frozenset[date] = frozenset(), now: datetime | None = None) -> datetime | None:
    """The time if it can be when a photo was taken, else None.

    Args:
        at: by the camera's clock.
        created: days on which the file says elsewhere that the picture was made.
        now: by this machine's clock.
    """
    if at is None or at.year < FIRST_YEAR or at > _latest(now or datetime.now()):
        return None
    return None if at.date() in UNSET and at.date() not in created else at


def _latest(now: datetime) -> datetime:
    return now + _AHEAD if now >= RELEASED else RELEASED + _UNKNOWN


def days_created(info: dict[Any, Any]) -> frozenset[date]:
    """The days that XMP's and IPTC's DateCreated name, in Pillow's `info` of an image; those that are no date are left out."""
    xmp, resources = info.get("xmp", b""), info.get("photoshop")
    xmp = xmp.encode("utf-8", "replace") if isinstance(xmp, str) else xmp
    iptc = resources.get(_IPTC, b"") if isinstance(resources, dict) else b""
    found = re.findall(rb"DateCreated(?:>|\s*=\s*[\"'])\s*(\d{4})-(\d\d)-(\d\d)", xmp) if isinstance(xmp, bytes) else []
    found += re.findall(rb"\x1c\x02\x37\0\x08(\d{4})(\d\d)(\d\d)", iptc) if isinstance(iptc, bytes) else []
    days = set()
    for parts in found:
        try:
            days.add(date(*map(int, parts)))
        except ValueError:
            continue
    return frozenset(days)
