"""Forget by age: the faces of photos that were taken before a day, or these photos with all that is known of them.

A photo's day is that of its date by the camera's clock, or, where it has none, that of its file's last change, also if that was an edit
which made another photo of it. A photo stays if neither is known: on the web, or if its file says 1 January 1970 or 1980, as one that lost
its time on the way. Forgetting is that of
`forget`: the same places are freed, the same marks keep a later run from bringing it back, and there is a receipt. An age is counted from
this machine's day; clock.py says when that is doubted.
"""

from __future__ import annotations

import calendar
import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.errors import InputError
from facecluster.language.english import plural
from facecluster.people import current_run, read_current_people
from facecluster.photos.dates import UNSET
from facecluster.photos.followed import PHOTO_CHARS, read_followed
from facecluster.photos.places import every_look
from facecluster.privacy.clock import jump, latest_ahead, stamps
from facecluster.privacy.forget import carry_out, receipt_of
from facecluster.privacy.forget_plan import ForgetPlan, isin, write_plan
from facecluster.privacy.make_plan import plan_for
from facecluster.privacy.targets import Targets, add_people_without_faces, named_faces, same_faces
from facecluster.store import Store

What = Literal["faces", "photos"]

_AGE = re.compile(r"(\d{1,4})([ymwd])")


def day_before(age: str, today: date) -> date:
    """The day that lies an age before today, or the day that is given.

    Args:
        age: years, months, weeks or days, as 2y, 18m, 6w or 90d; or a day, as 2024-12-31.
        today: the day to count from.

    Raises:
        InputError: it is neither, or lies before the year 1.
    """
    found = _age(age)
    try:
        if found is None:
            return date.fromisoformat(age.strip())
        number, unit = int(found[1]), found[2]
        if unit in "wd":
            return date.fromordinal(today.toordinal() - number * (7 if unit == "w" else 1))
        months = today.year * 12 + today.month - 1 - number * (12 if unit == "y" else 1)
        year, month = divmod(months, 12)
        return date(year, month + 1, min(today.day, calendar.monthrange(year, month + 1)[1]))
    except (ValueError, OverflowError, calendar.IllegalMonthError):
        raise InputError(f"expected an age (2y, 18m, 6w, 90d) or a day (2024-12-31), found {age!r}: correct it") from None


def is_age(text: str) -> bool:
    """Whether a text is an age, which counts from today, and no day."""
    return _age(text) is not None


def _age(text: str) -> re.Match[str] | None:
    return _AGE.fullmatch(text.strip().lower())


def preview_expiry(store: Store, before: date, what: What = "faces") -> tuple[dict[str, Any], list[str]]:
    """What `expire` would take out, as its receipt, and lines for the user. Nothing is written."""
    plan, lines = _plan(store, before, what)
    return receipt_of(store, plan), lines


def expire(store: Store, before: date, what: What = "faces") -> dict[str, Any]:
    """Forget what is older; gives the receipt. The store must be locked, and no forgetting be stopped half way.

    Args:
        store: an existing store.
        before: photos of earlier days go.
        what: "faces": their faces, with all that is of them; "photos": the photos too, as if they had never been in the store.
    """
    plan, _ = _plan(store, before, what)
    write_plan(store, plan)
    return carry_out(store, plan)


def doubted(store: Store, before: date, today: date) -> tuple[str, bool]:
    """What is to be said of this machine's clock, '' if nothing; and whether it may be so far ahead that nothing should be forgotten by it.

    Args:
        store: an existing store.
        before: the day that lies the age that was asked for before today.
        today: by the clock.
    """
    acts = stamps(store)
    if (found := jump(acts, _all_days(store), today)) is not None:
        between = f"a jump from {found[0]} to {found[1]}, without a photo, grouping or decision of {store.url} between"
        return f"expected a clock that is right, found {between}: set it, or give the day itself: --older-than {before}", True
    if (last := latest_ahead(acts, today)) is not None:
        return f"this machine's clock says {today}, but it was {last} already: photos that are as old by the right day stay", False
    return "", False


def _plan(store: Store, before: date, what: What) -> tuple[ForgetPlan, list[str]]:
    looks = every_look(store, ["uri", "photo_id", "taken_at", "mtime_ns"])
    days = _days(looks)
    old = days < np.datetime64(before, "D")
    ids = looks["photo_id"]
    stay = set(ids.filter(pa.array(~old)).to_pylist())  # a copy of a photo that is not as old keeps it
    photos = {photo for photo in ids.filter(pa.array(old)).to_pylist() if photo} - stay
    photos = _with_edits(store, photos, stay, set(ids.filter(pc.is_valid(looks["taken_at"])).to_pylist()))
    found = Targets()
    if what == "photos":
        found.photos = photos
        found.uris = set(looks["uri"].filter(pa.array(isin(ids, photos))).to_pylist())
    else:
        for shard in store.shards("faces"):
            rows = store.read("faces", shard, ["face_id", "photo_id"])
            found.faces |= set(rows["face_id"].filter(pa.array(isin(rows["photo_id"], photos))).to_pylist())
        starts = {photo[:PHOTO_CHARS] for photo in photos}
        # drawn ones whose row is not made yet too, which the next run would make from the photo
        found.faces |= {face for face in named_faces(store) if face[:PHOTO_CHARS] in starts}
        found.faces = same_faces(store, found.faces)
    known = None if current_run(store) is None else read_current_people(store)[0]
    add_people_without_faces(store, found, known)
    undated = int(np.sum(old & isin(ids, photos) & np.asarray(pc.is_null(looks["taken_at"]), bool)))
    found.lines = [f"{what} of photos from before {before}"]
    if undated:
        found.lines.append(f"{undated:,} of the photos have no date: their files were last changed before that day")
    unknown = len(set(ids.filter(pa.array(np.isnat(days))).to_pylist()) - photos - {""})
    if unknown:
        found.lines.append(f"{plural(unknown, 'photo stays', 'photos stay')}: no date of the camera, and none of the file")
    return plan_for(store, found, known, ["expire", before.isoformat(), what])


def _with_edits(store: Store, old: set[str], young: set[str], dated: set[str]) -> set[str]:
    """Which photos are old, if a photo without a date has that of the edits of it, and of what it is an edit of.

    Of the photos that edits tie together those with a date decide, if there are any; else a file that was changed lately keeps all.
    """
    tied: dict[str, set[str]] = {}
    for face, news in read_followed(store).items():
        for one, other in ((a[:PHOTO_CHARS], b[:PHOTO_CHARS]) for new in news for a, b in ((face, new), (new, face))):
            tied.setdefault(one, set()).add(other)
    key_of = {photo[:PHOTO_CHARS]: photo for photo in old | young}
    found = set(old)
    for photo in (photo for photo in (old | young) - dated if photo[:PHOTO_CHARS] in tied):
        reached = [photo[:PHOTO_CHARS]]
        for at in reached:  # grows
            reached += tied[at].difference(reached)
        edits = {key_of[key] for key in reached if key in key_of}
        if (edits & dated or edits) <= old:
            found.add(photo)
        else:
            found.discard(photo)
    return found


def _all_days(store: Store) -> set[date]:
    """The days on which photos were taken, and those on which their files were changed."""
    looks = every_look(store, ["taken_at", "mtime_ns"])
    taken = np.asarray(looks["taken_at"].cast(pa.timestamp("s"), safe=False))
    changed = np.asarray(pc.fill_null(looks["mtime_ns"], 0), np.int64).astype("datetime64[ns]")
    days = np.unique(np.concatenate([taken.astype("datetime64[D]"), changed.astype("datetime64[D]")]))
    return set(days[~np.isnat(days)].tolist())


def _days(looks: pa.Table) -> NDArray[np.datetime64]:
    """The day of each photo (n,): the camera's, or else that of the file's last change; NaT if neither is known, as on the web."""
    taken = np.asarray(looks["taken_at"].cast(pa.timestamp("s"), safe=False)).astype("datetime64[D]")
    at = np.asarray(pc.fill_null(looks["mtime_ns"], 0), np.int64)
    undated = np.flatnonzero(np.isnat(taken))
    days = taken.copy()
    days[undated] = at[undated].astype("datetime64[ns]").astype("datetime64[D]")
    never = np.array(sorted(UNSET), "datetime64[D]")
    unset = (at == 0) | np.isin(days, never)  # of a file that lost its time on the way
    days[undated] = [_local_day(ns) for ns in at[undated].tolist()]
    unset |= np.isin(days, never)
    days[undated[unset[undated]]] = np.datetime64("NaT")
    return days


def _local_day(ns: int) -> date:
    """The day of a file's time in this machine's zone, as its owner sees it; UTC's where the system knows no zone for that time."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=ns // 10**9)
    with suppress(OSError, OverflowError, ValueError):
        at = at.astimezone()
    return at.date()


def today() -> date:
    """This machine's day."""
    return datetime.now().date()
