"""Catalogues as gettext's .po files, which any translation program opens. They are read as they are: there is no compiled form.

Odd inputs: what is no line of a .po file is an InputError with its number; a fuzzy or empty translation counts as none.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from facecluster.errors import InputError

CONTEXT_END = "\x04"  # between a context and its text, as in gettext's .mo files
_LINE = re.compile(r'(?:(msgctxt|msgid_plural|msgid|msgstr(?:\[\d+\])?)\s+)?("(?:[^"\\]|\\.)*")')


@dataclass(slots=True)
class Message:
    """A text: `text` is its English, `many` its English plural or '', `forms` its translations."""

    text: str
    many: str = ""
    context: str = ""
    forms: tuple[str, ...] = ()
    places: list[str] = field(default_factory=list)  # files that it is in
    fuzzy: bool = False

    @property
    def key(self) -> str:
        """Under which it is found."""
        return f"{self.context}{CONTEXT_END}{self.text}" if self.context else self.text


@dataclass(slots=True)
class Catalogue:
    """The messages of a language, the header, and the plural expression."""

    header: str
    messages: dict[str, Message]

    @property
    def plural(self) -> str:
        """The expression of Plural-Forms, in C."""
        return self._plural_forms()[1]

    @property
    def forms(self) -> int:
        """How many plural forms there are."""
        return int(self._plural_forms()[0])

    def _plural_forms(self) -> tuple[str, str]:
        found = re.search(r"^Plural-Forms: *nplurals *= *(\d+); *plural *= *([^;\n]+);", self.header, re.MULTILINE)
        if not found:
            raise InputError("expected a header with Plural-Forms in a catalogue, found none: add it")
        return found[1], found[2].strip()

    def texts(self) -> dict[str, tuple[str, ...]]:
        """The translations, by key."""
        return {key: m.forms for key, m in self.messages.items() if not m.fuzzy and all(m.forms)}


def read_po(text: str) -> Catalogue:
    """A catalogue from its text.

    Raises:
        InputError: it is no .po file.
    """
    messages: list[Message] = []
    for number, block in enumerate(re.split(r"\n\s*\n", text.strip())):
        message = _message(block, number)
        if message is not None:
            messages.append(message)
    header = next((m.forms[0] for m in messages if not m.key), "")
    return Catalogue(header, {m.key: m for m in messages if m.key})


def _message(block: str, number: int) -> Message | None:
    fields: dict[str, str] = {}
    places: list[str] = []
    fuzzy, now = False, ""
    for line in map(str.strip, block.split("\n")):
        if line.startswith("#"):
            fuzzy |= line.startswith("#,") and "fuzzy" in line
            places += line[2:].split() if line.startswith("#:") else []
            continue
        found = _LINE.fullmatch(line)
        now = (found[1] or now) if found else ""
        if not found or not now:
            raise InputError(f"expected a line of a catalogue, found {line[:60]!r} in its message {number}: correct it")
        fields[now] = fields.get(now, "") + ast.literal_eval(found[2])
    if "msgid" not in fields:  # comments alone
        return None
    forms = tuple(fields[name] for name in sorted(fields) if name.startswith("msgstr"))
    return Message(fields["msgid"], fields.get("msgid_plural", ""), fields.get("msgctxt", ""), forms, places, fuzzy)


def write_po(header: str, messages: Iterable[Message]) -> str:
    """The text of a catalogue."""
    lines = [line + "\n" for line in header.removesuffix("\n").split("\n")]
    blocks = ["\n".join(['msgid ""', 'msgstr ""', *map(_quoted, lines)])]
    return "\n\n".join([*blocks, *map(_block, messages)]) + "\n"


def _block(m: Message) -> str:
    lines = [f"#: {' '.join(m.places)}"] if m.places else []
    lines += ["#, fuzzy"] if m.fuzzy else []
    lines += [f"msgctxt {_quoted(m.context)}"] if m.context else []
    lines.append(f"msgid {_quoted(m.text)}")
    if m.many:
        lines.append(f"msgid_plural {_quoted(m.many)}")
        lines += [f"msgstr[{i}] {_quoted(form)}" for i, form in enumerate(m.forms)]
    else:
        lines.append(f"msgstr {_quoted(m.forms[0] if m.forms else '')}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
