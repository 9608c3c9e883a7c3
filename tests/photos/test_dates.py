"""Dates of cameras whose clock was not set, that lie ahead, or before there were photos; scans that are as old as they say."""

from __future__ import annotations

import io
from datetime import date, datetime, timedelta

import pytest
from PIL import Image

from facecluster.photos.dates import believed, days_created
from facecluster.photos.images import open_photo

NOW = datetime(2026, 11, 27, 12)


@pytest.mark.parametrize("at", [
    datetime(1904, 1, 1), datetime(1903, 12, 31, 19), datetime(1970, 1, 1, 0, 0, 3), datetime(1969, 12, 31), datetime(1980, 1, 1, 23, 59),
    datetime(1979, 12, 31, 20), datetime(2036, 2, 7, 6, 28), NOW + timedelta(days=2), datetime(1825, 12, 31), None,
])  # fmt: skip
def test_times_that_are_not_believed(at: datetime | None) -> None:
    assert believed(at, now=NOW) is None


@pytest.mark.parametrize("at", [
    datetime(1904, 7, 15), datetime(1970, 1, 2), datetime(1980, 12, 31), datetime(2000, 1, 1), NOW, NOW + timedelta(hours=14),
    datetime(1826, 1, 1),
])  # fmt: skip
def test_times_that_are(at: datetime) -> None:
    assert believed(at, now=NOW) == at


@pytest.mark.parametrize("wrong", [datetime(1970, 1, 1, 0, 5), datetime(2020, 1, 1)])
def test_a_clock_that_lost_its_time_takes_no_dates_from_photos(wrong: datetime) -> None:
    """A photo keeps what was believed when it was read: all dates would be gone for good."""
    assert believed(datetime(2026, 5, 1), now=wrong) == datetime(2026, 5, 1)
    assert believed(datetime(2031, 5, 1), now=wrong) == datetime(2031, 5, 1)
    assert believed(datetime(2099, 5, 1), now=wrong) is None


def photo(taken: str, changed: str = "", xmp: bytes = b"") -> datetime | None:
    """The time of a JPEG with EXIF and XMP."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = taken
    if changed:
        exif[0x0132] = changed
    out = io.BytesIO()
    Image.new("RGB", (64, 48)).save(out, "JPEG", exif=exif, xmp=xmp)
    return open_photo(out.getvalue()).taken_at


@pytest.mark.parametrize("taken", ["1980:01:01 00:00:07", "1970:01:01 00:00:00", "1904:01:01 00:00:00", "2136:01:01 00:00:00"])
def test_a_photo_of_an_unset_clock_has_no_date(taken: str) -> None:
    """Nor has it that of its last change: an editor wrote it years later."""
    assert photo(taken) is None
    assert photo(taken, changed="2015:05:06 07:08:09") is None


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">%s</rdf:RDF></x:xmpmeta>'
ATTRIBUTE = b'<rdf:Description xmlns:p="http://ns.adobe.com/photoshop/1.0/" p:DateCreated="%s"/>'
ELEMENT = b'<rdf:Description xmlns:p="http://ns.adobe.com/photoshop/1.0/"><p:DateCreated>%s</p:DateCreated></rdf:Description>'


@pytest.mark.parametrize("form", [ATTRIBUTE, ELEMENT])
def test_a_scan_that_says_when_it_was_created_has_its_date(form: bytes) -> None:
    assert photo("1970:01:01 00:00:00", xmp=XMP % (form % b"1970-01-01T00:00:00")) == datetime(1970, 1, 1)
    assert photo("1970:01:01 00:00:00", xmp=XMP % (form % b"2011-03-04")) is None
    assert photo("1970:01:01 00:00:00", xmp=XMP % (form % b"1970-99-01")) is None


def test_the_days_that_xmp_and_iptc_name() -> None:
    iptc = b"\x1c\x02\x37\x00\x0819800101\x1c\x02\x37\x00\x0820009999"
    assert days_created({"photoshop": {0x0404: iptc}, "xmp": 'x:DateCreated="1970-01-01"'}) == {date(1980, 1, 1), date(1970, 1, 1)}
    assert days_created({"photoshop": {0x0404: None}, "xmp": None}) == days_created({}) == frozenset()
