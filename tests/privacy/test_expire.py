"""expire: what is older goes from every byte, by the camera's date or else the file's; what is younger stays as it was."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from full_store import NAMES, Full, build, forms, needles_of, noise, uri, where
from people_store import call, refused

import facecluster
from facecluster.check import check
from facecluster.decisions import DRAW, Decision, append, read
from facecluster.errors import InputError
from facecluster.photos.drawn import DRAWN, write_drawn
from facecluster.photos.images import encode_crop
from facecluster.privacy.clock import jump, latest_ahead
from facecluster.privacy.expire import day_before
from facecluster.store import FACES, FOLLOWED, PHOTOS, Store, embeddings_schema, table_of, table_of_rows

OLD = range(9)  # all faces of the first person, two of the second
UNDATED = 20


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Full:
    """Photos of 2015 and 2024, one without a date, whose file is of 2014."""
    full = build(tmp_path_factory.mktemp("full"))
    rows = full.store.read("photos", "00000")
    dates = [datetime(2015, 6, 1, 12) if i in OLD else datetime(2024, 6, 1, 12) for i in range(len(full.ids))]
    at = rows.column_names.index("taken_at")
    taken = pa.array([None if i == UNDATED else d for i, d in enumerate(dates)], rows.schema.field(at).type)
    changed = pa.array([1_400_000_000_000_000_000 if i == UNDATED else 1_700_000_000_000_000_000 for i in range(len(dates))], pa.int64())
    rows = rows.set_column(at, rows.schema.field(at), taken)
    at = rows.column_names.index("mtime_ns")
    full.store.write("photos", "00000", rows.set_column(at, rows.schema.field(at), changed), full.store.stamp("photos", "00000") or {})
    return full


@pytest.fixture
def full(built: Full, tmp_path: Path) -> Full:
    shutil.copytree(built.store.url, tmp_path / "store")
    return replace(built, store=Store(str(tmp_path / "store")))


@pytest.mark.parametrize("what", ["faces", "photos"])
def test_what_is_older_goes_and_the_rest_stays(full: Full, what: str) -> None:
    url, root = full.store.url, Path(full.store.url)
    old = [*OLD, UNDATED]
    others = [i for i in range(len(full.ids)) if i not in old]
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    planned = json.loads(call("expire", url, "--older-than", "2020-01-01", "--what", what, "--json").output)
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before
    assert planned["dry_run"] and planned["forgotten"] == {"people": 1, "faces": len(old), "photos": len(old) if what == "photos" else 0}
    said = call("expire", url, "--older-than", "2020-01-01", "--what", what)
    assert f"{what} of photos from before 2020-01-01" in said.output and "1 of the photos have no date" in said.output
    receipt = json.loads(call("expire", url, "--older-than", "2020-01-01", "--what", what, "--yes", "--json").output)
    assert receipt["forgotten"] == planned["forgotten"] and (root / "forgotten").is_dir()
    needles = needles_of(full, old)
    assert {name: where(root, some) for name, some in needles.items()} == {name: [] for name in needles}
    assert where(root, needles_of(full, others)["crop"])
    photos = set(full.store.read("photos", "00000")["uri"].to_pylist())
    assert (uri(0) in photos) == (what == "faces") and uri(15) in photos
    call("cluster", url)
    people = {p.name for p in facecluster.open(url)}
    assert NAMES[0] not in people and {NAMES[1], NAMES[3]} <= people
    assert len(facecluster.open(url).faces) == len(others)
    assert [f for f in check(full.store).findings if f.serious] == []
    again = json.loads(call("expire", url, "--older-than", "2020-01-01", "--what", what, "--json").output)
    assert again["forgotten"] == {"people": 0, "faces": 0, "photos": 0}


@pytest.mark.parametrize("changed", [0, 1, -3_600_000_000_000, 315_532_800_000_000_000])
def test_a_photo_of_which_no_date_is_known_stays(full: Full, changed: int) -> None:
    """It was on the web, or its file lost its time: neither says that it is old, and what is forgotten never comes back."""
    rows = full.store.read("photos", "00000")
    at = rows.column_names.index("mtime_ns")
    times = [changed if i == UNDATED else time for i, time in enumerate(rows["mtime_ns"].to_pylist())]
    times = rows.set_column(at, rows.schema.field(at), pa.array(times, pa.int64()))
    full.store.write("photos", "00000", times, full.store.stamp("photos", "00000") or {})
    said = call("expire", full.store.url, "--older-than", "2020-01-01").output
    assert f"{len(OLD)} faces" in said and "1 photo stays: no date of the camera, and none of the file" in said
    receipt = json.loads(call("expire", full.store.url, "--older-than", "2020-01-01", "--yes", "--json").output)
    assert receipt["forgotten"]["faces"] == len(OLD)


def test_a_copy_that_is_younger_keeps_a_photo(full: Full) -> None:
    rows = full.store.read("photos", "00000")
    copy = rows.slice(0, 1)
    at = copy.column_names.index("taken_at")
    copy = copy.set_column(at, copy.schema.field(at), pa.array([datetime(2024, 1, 1)], copy.schema.field(at).type))
    copy = copy.set_column(copy.column_names.index("uri"), copy.schema.field("uri"), pa.array(["/elsewhere.jpg"]))
    full.store.write("photos", "00001", copy, full.store.stamp("photos", "00000") or {})
    planned = json.loads(call("expire", full.store.url, "--older-than", "2020-01-01", "--json").output)
    assert planned["forgotten"]["faces"] == len(OLD)  # one less than above


@pytest.mark.parametrize("what", ["faces", "photos"])
@pytest.mark.parametrize("has_row", [True, False])
def test_faces_that_were_drawn_since_the_last_grouping_go(full: Full, what: str, has_row: bool) -> None:
    """One of an old photo that no run has, with its row or, where another program was at work when it was drawn, without one."""
    store, root = full.store, Path(full.store.url)
    old, young = (f"{full.ids[i][:24]}-8abc" for i in (0, 15))
    box, crop, vector = (31.25, 47.5, 99.75, 101.5), encode_crop(np.asarray(noise(77, 112, 112))), -full.vectors["bundled"][:1]
    if has_row:
        row = store.read("faces", "00000").slice(0, 1).to_pylist()[0]
        rows = table_of_rows(FACES, [row | {"face_id": old, "box": box, "crop": crop, "origin": DRAWN}])
        vectors = table_of(embeddings_schema(vector.shape[1]), {"face_id": [old], "embedding": vector})
        stamp = store.stamp("embeddings/bundled", "00000") or {}
        write_drawn(store, rows, {"embeddings/bundled": (vectors, stamp)}, {"table": "faces", "origin": DRAWN})
    append(store, [Decision(act=DRAW, faces=(face,), boxes={face: box}) for face in (old, young)])
    append(store, [Decision(act="name", faces=(old,), name="Zed Drawn")])
    call("expire", store.url, "--older-than", "2020-01-01", "--what", what, "--yes")
    needles = [*forms(old), *forms("Zed Drawn"), crop, vector.tobytes(), np.float32(box).tobytes()]
    assert where(root, needles) == []
    assert [d.faces for d in read(store).decisions if d.act == DRAW] == [(young,)]
    assert [f for f in check(store).findings if f.serious] == []


def test_a_drawn_face_without_a_row_can_be_forgotten(full: Full) -> None:
    face = f"{full.ids[15][:24]}-8abc"
    append(full.store, [Decision(act=DRAW, faces=(face,), boxes={face: (1.5, 2.5, 30.0, 30.0)})])
    call("forget", full.store.url, face, "--yes")
    assert where(Path(full.store.url), forms(face)) == []


def test_a_clock_that_jumped_ahead_forgets_nothing_by_an_age(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 2099 everything is older than two years. Whoever gives the day itself needs no clock."""
    url, clock = full.store.url, sys.modules["facecluster.privacy.expire"]
    ahead = date(2099, 1, 1)
    monkeypatch.setattr(clock, "today", lambda: ahead)
    before = {p: p.read_bytes() for p in Path(full.store.root).rglob("*") if p.is_file()}
    said = refused("expire", url, "--older-than", "2y", "--yes")
    assert "a jump from 20" in said and "to 2099-01-01, without" in said and "--older-than 2097-01-01" in said
    assert "note: expected a clock that is right" in call("expire", url, "--older-than", "2y").output  # only says what would go
    assert {p: p.read_bytes() for p in Path(full.store.root).rglob("*") if p.is_file()} == before
    # neither does what somebody did under that clock make it right at once
    append(full.store, [Decision(act="ignore", faces=(full.ids[15],), at="2098-12-30T00:00:00Z")])
    assert "to 2098-12-30" in refused("expire", url, "--older-than", "2y", "--yes")
    receipt = json.loads(call("expire", url, "--older-than", "2020-01-01", "--yes", "--json").output)
    assert receipt["forgotten"]["faces"] == len(OLD) + 1


def test_a_clock_that_is_behind_is_told(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = sys.modules["facecluster.privacy.expire"]
    monkeypatch.setattr(clock, "today", lambda: date(2021, 1, 1))
    said = call("expire", full.store.url, "--older-than", "2y", "--yes").output
    assert "this machine's clock says 2021-01-01, but it was 20" in said and f"{len(OLD) + 1} faces, 0 photos forgotten" in said


def test_jumps_of_the_clock() -> None:
    first, today = date(2027, 1, 1), date(2030, 1, 1)
    photos = [date(1950, 1, 1), date(2027, 12, 1), date(2028, 11, 30), date(2029, 11, 29), date(2060, 1, 1)]
    assert jump([first], photos, today) is None  # photos show that time went by
    assert jump([first], photos[:1], today) == (first, today)
    assert jump([first, date(2029, 12, 1)], [], today) == (first, date(2029, 12, 1))
    assert jump([first, date(2029, 9, 1)], [], today) is None  # long enough ago for somebody to see it
    assert jump([today], photos, today) is jump([], photos, today) is None  # a new store of old photos
    assert latest_ahead([first], date(2026, 12, 31)) is None and latest_ahead([first], date(2026, 12, 30)) == first
    assert latest_ahead([], date(1970, 1, 2)) is not None


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of a process can't be set")
@pytest.mark.parametrize("zone, goes", [("UTC", True), ("Asia/Tokyo", False), ("America/New_York", True)])
def test_the_day_of_a_file_is_that_of_its_owner(full: Full, monkeypatch: pytest.MonkeyPatch, zone: str, goes: bool) -> None:
    """Last changed at 22:30 on 31 December UTC: in Tokyo that is in the new year."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        rows = full.store.read("photos", "00000")
        at = rows.column_names.index("mtime_ns")
        changed = int(datetime(2019, 12, 31, 22, 30, tzinfo=UTC).timestamp()) * 10**9
        times = pa.array([changed if i == UNDATED else ns for i, ns in enumerate(rows["mtime_ns"].to_pylist())], pa.int64())
        full.store.write("photos", "00000", rows.set_column(at, rows.schema.field(at), times), full.store.stamp("photos", "00000") or {})
        planned = json.loads(call("expire", full.store.url, "--older-than", "2020-01-01", "--json").output)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert planned["forgotten"]["faces"] == len(OLD) + goes


def test_ages() -> None:
    today = date(2024, 2, 29)
    wanted = {"2y": date(2022, 2, 28), "4y": date(2020, 2, 29), "18m": date(2022, 8, 29), "1m": date(2024, 1, 29), "6w": date(2024, 1, 18),
              "90d": date(2023, 12, 1), "0d": today, "2020-12-31": date(2020, 12, 31)}  # fmt: skip
    assert {age: day_before(age, today) for age in wanted} == wanted
    assert day_before("3m", date(2024, 5, 31)) == date(2024, 2, 29)
    for wrong in ("", "2", "y", "2 years", "-1y", "9999y", "2020-13-01", "1h", "2y2m"):
        with pytest.raises(InputError, match="expected an age"):
            day_before(wrong, today)


def test_nothing_begins_over_a_forgetting_that_was_stopped(full: Full) -> None:
    (Path(full.store.root) / "forgetting.json").write_bytes(b"{}")
    assert "half forgotten" in refused("expire", full.store.url, "--older-than", "2y", "--yes")


def test_a_store_without_photos(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "empty"))
    store.create()
    assert json.loads(call("expire", store.url, "--older-than", "1d", "--yes", "--json").output)["forgotten"]["faces"] == 0


@pytest.mark.parametrize("what", ["faces", "photos"])
@pytest.mark.parametrize("dated", [False, True])
def test_a_photo_without_a_date_that_was_edited_lately_stays(full: Full, what: str, dated: bool) -> None:
    """Its first state is old, but its file was changed since; the date of the camera counts more, also if the editor lost it."""
    store = full.store
    old = OLD[1] if dated else UNDATED
    rows = store.read("photos", "00000").slice(old, 1).to_pylist()[0]
    new = f"{'ab' * 12}{rows['photo_id'][24:]}"
    edited = rows | {"photo_id": new, "taken_at": None, "mtime_ns": 1_750_000_000_000_000_000, "content": new, "picture": "cd" * 16}
    store.write("photos", "00001", table_of_rows(PHOTOS, [edited]), store.stamp("photos", "00000") or {})
    face = f"{new[:24]}-0000"
    shards = [store.read("faces", shard) for shard in store.shards("faces")]
    row = next(r for shard in shards for r in shard.to_pylist() if r["face_id"] == full.ids[old])
    row |= {"face_id": face, "photo_id": new}
    store.write("faces", "00001", table_of_rows(FACES, [row]), store.stamp("faces", "00000") or {})
    store.write("followed", "00009", table_of(FOLLOWED, {"old": [full.ids[old]], "new": [face]}), {"table": "followed"})
    receipt = json.loads(call("expire", store.url, "--older-than", "2020-01-01", "--what", what, "--yes", "--json").output)
    assert receipt["forgotten"]["faces"] == (len(OLD) + 2 if dated else len(OLD))
    held = {f for shard in store.shards("faces") for f in store.read("faces", shard)["face_id"].to_pylist()}
    assert (face in held) == (full.ids[old] in held) == (not dated)
    assert store.read("photos", "00001")["photo_id"].to_pylist() == ([] if dated and what == "photos" else [new])
