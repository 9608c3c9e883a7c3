"""Picasa's faces: `.picasa.ini` in each folder of photos, and `contacts.xml` with the names of all contacts.

Google never documented them; this follows exiftool's config_files/picasa_faces.config and https://gist.github.com/fbuchinger/1073823.

    [Contacts2]                                         (older: [Contacts])
    8e62398ebda8c1a5=Ann Smith;;
    [photo.jpg]
    faces=rect64(3f845bcb59418507),8e62398ebda8c1a5;rect64(...),ffffffffffffffff

rect64 is a number of 64 bits in hex, without leading zeros: left, top, right and bottom edge, each as a share of 65535 of the picture as
stored; of a raw photo, as a share of the upright picture. The contact ffffffffffffffff is a face without a name.

Odd input: a line that is not understood is skipped; bytes that are not UTF-8, or UTF-16 with a mark, are read as Windows-1252.
"""

from __future__ import annotations

import codecs
import os
import re
from dataclasses import dataclass, field

from facecluster.errors import InputError
from facecluster.export import xmp_packet
from facecluster.export.face_regions import Box
from facecluster.export.people_tag import finite_box

INI = (".picasa.ini", "picasa.ini")  # the second, with any case, is that of Picasa 2
CONTACTS = "contacts.xml"
NO_CONTACT = "f" * 16
RAW = tuple(
    ".3fr .arw .cr2 .crw .cs1 .dcr .dng .eip .erf .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f"
    .split()
)  # fmt: skip
_FACE = re.compile(r"rect64\(([0-9a-f]{1,16})\)\s*,\s*([0-9a-f]{1,16})", re.IGNORECASE)


@dataclass(slots=True)
class PicasaFolder:
    """What an ini file says. Contacts are given by their id, in lower case, without leading zeros."""

    contacts: dict[str, str] = field(default_factory=dict)  # id -> name
    faces: dict[str, list[tuple[Box, str]]] = field(default_factory=dict)  # file name -> (centre x, y, w, h as shares; id or '')


def read_ini(data: bytes) -> PicasaFolder:
    """Read a `.picasa.ini`."""
    found, section = PicasaFolder(), ""
    for line in _text(data).splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        key, equals, value = line.partition("=")
        if equals and section.lower() in ("contacts2", "contacts"):
            name = value.split(";")[0].strip()
            if name and not re.match(r"\S+_lh,", name):  # in [Contacts], the account and id of Google's web albums, and no name
                found.contacts[_id(key)] = name
        elif key.strip().lower() == "faces":
            found.faces[section] = [(area, _id(who)) for rect, who in _FACE.findall(value) if (area := _area(rect)) is not None]
    return found


def read_contacts(data: bytes) -> dict[str, str]:
    """The names in a `contacts.xml`, by id. Raises InputError if it is none."""
    try:
        root = xmp_packet.parse_xml(data).documentElement
    except ValueError as e:
        raise InputError(f"expected Picasa's contacts, found no XML: {' '.join(str(e).split())}. Give another file, or leave it out") from e
    people = root.getElementsByTagName("contact") if root is not None else []
    return {_id(e.getAttribute("id")): e.getAttribute("name").strip() for e in people if e.getAttribute("name").strip()}


def is_upright(name: str) -> bool:
    """Whether Picasa's faces of a file lie in the upright picture, and not in the stored one."""
    return os.path.splitext(name)[1].lower() in RAW


def _id(text: str) -> str:
    plain = text.strip().lower()
    return "" if plain == NO_CONTACT else plain.lstrip("0")


def _area(rect: str) -> Box | None:
    left, top, right, bottom = (int(rect.zfill(16)[i : i + 4], 16) / 65535 for i in range(0, 16, 4))
    return finite_box(((left + right) / 2, (top + bottom) / 2, right - left, bottom - top))


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
