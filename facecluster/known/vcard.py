"""Contacts of a vCard file (2.1, 3.0 and 4.0: RFC 2426, RFC 6350) that have a name and a photo. Pure.

Odd inputs: a contact without a name is left out. A photo that is only an address elsewhere (nothing is fetched) is None, one that can't be
decoded is b''. Text of an unknown encoding is read as UTF-8; a file with UTF-16's mark as UTF-16.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import quopri
import re
from collections.abc import Iterator

# of texts in vCard 2.1; of the names that Python has for codecs, most are of something else
_CHARSETS = re.compile(
    r"(?i)utf-8|us-ascii|iso-8859-(?:[1-9]|1[013456])|windows-125[0-8]|shift_jis|euc-jp|euc-kr|gb2312|gbk|gb18030|big5|koi8-[ru]"
)
Property = tuple[str, dict[str, str], str]


def contacts(data: bytes) -> Iterator[tuple[str, bytes | None]]:
    """The name and the bytes of the photo of each contact that has both, in order; several photos of one come one after the other.

    A contact whose only photos are addresses elsewhere comes once, with None.
    """
    name, photos, addressed = "", list[bytes](), False
    for key, parameters, value in _properties(_decoded(data)):
        if key == "BEGIN":
            name, photos, addressed = "", [], False
        elif key == "FN":
            name = name or _text(value, parameters)
        elif key == "N" and not name:
            parts = [_text(part, parameters) for part in re.split(r"(?<!\\);", value)]
            name = " ".join(part for part in (*parts[1:2], *parts[:1]) if part)
        elif key == "PHOTO" and (photo := _photo(value, parameters)) is not None:
            photos.append(photo)
        elif key == "PHOTO" and value.strip():
            addressed = True
        elif key == "END" and name:
            found: list[bytes | None] = [*photos] if photos or not addressed else [None]
            yield from ((name, photo) for photo in found)


def _decoded(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "replace")


def _properties(text: str) -> Iterator[Property]:
    """The properties of the file, with upper-case names and parameters; a line that begins with a blank goes on with the one before."""
    lines: list[list[str]] = []  # parts of each, joined at the end: a photo has thousands
    for line in text.splitlines():
        if line[:1] in (" ", "\t") and lines:
            lines[-1].append(line[1:])
        elif lines and lines[-1][-1].endswith("=") and "QUOTED-PRINTABLE" in lines[-1][0].partition(":")[0].upper():
            lines[-1][-1] = lines[-1][-1][:-1]
            lines[-1].append(line)
        else:
            lines.append([line])
    for line in map("".join, lines):
        head, colon, value = line.partition(":")
        name, *rest = head.split(";")
        if colon:
            pairs = (part.partition("=") for part in rest)
            parameters = {key.upper() if sign else "TYPE": (found if sign else key).upper().strip('"') for key, sign, found in pairs}
            bare = {part.upper() for part in rest if "=" not in part} & {"BASE64", "QUOTED-PRINTABLE"}  # as 2.1 allows
            yield name.rpartition(".")[2].upper(), parameters | ({"ENCODING": bare.pop()} if bare else {}), value


def _text(value: str, parameters: dict[str, str]) -> str:
    if parameters.get("ENCODING") == "QUOTED-PRINTABLE":
        value = quopri.decodestring(value.encode()).decode(_charset(parameters), "replace")
    return " ".join(re.sub(r"\\(.)", lambda m: " " if m[1] in "nN" else m[1], value).split())


def _charset(parameters: dict[str, str]) -> str:
    stated = parameters.get("CHARSET", "utf-8")
    return stated if _CHARSETS.fullmatch(stated) else "utf-8"


def _photo(value: str, parameters: dict[str, str]) -> bytes | None:
    """The bytes of a photo; None if it is an address elsewhere."""
    if value.startswith("data:"):
        value = value.partition(",")[2]
    elif parameters.get("ENCODING") not in ("B", "BASE64"):
        return None
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""
