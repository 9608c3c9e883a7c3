"""How people look in a notebook: a line of text and a strip of faces for each. Text is escaped; faces are data: URLs, no file is needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from facecluster.language.english import plural
from facecluster.photos.picture_type import image_data_url

PEOPLE = 12  # shown at most
FACES = 8  # of each shown at most
_SIDE = 64  # px of a face


@dataclass(frozen=True, slots=True)
class Strip:
    """A person as shown."""

    title: str
    note: str
    faces: Sequence[bytes] = ()  # coded images: JPEG, WebP or PNG


def people_html(heading: str, strips: Iterable[Strip], more: int = 0) -> str:
    """A heading, a row for each person, and how many more there are."""
    rows = "".join(_row(strip) for strip in strips)
    rest = f"<p>{plural(more, 'more person', 'more people')}</p>" if more > 0 else ""
    return f"<div><p><b>{escape(heading)}</b></p><table>{rows}</table>{rest}</div>"


def _row(strip: Strip) -> str:
    urls = [url for face in strip.faces[:FACES] if (url := image_data_url(face))]  # what is no picture is not shown
    images = "".join(f'<img src="{url}" width="{_SIDE}" height="{_SIDE}" alt="face">' for url in urls)
    text = f"<b>{escape(strip.title)}</b><br>{escape(strip.note)}"
    return f'<tr><td style="text-align:left">{text}</td><td style="text-align:left">{images}</td></tr>'
