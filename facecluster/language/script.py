"""A language in the scripts of pages: the functions of text.js with the texts of a catalogue.

Texts are found in a script by how they are written: t("..."), tn("...", "...") and tp("...", "..."), with double quotes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files

from facecluster.language.language import Language
from facecluster.language.po_file import Message

_STRING = r'\s*("(?:[^"\\\n]|\\.)*")'
_CALL = re.compile(rf"(?<![\w.$])(t|tn|tp)\((?:{_STRING}(?:\s*,{_STRING})?)?")
_DEFINES = re.compile(r"\b(?:function|const|let)\s+$")


def script_texts(source: str) -> Iterator[Message]:
    """The texts in a script. Raises ValueError for a call whose texts are not written out."""
    for found in _CALL.finditer(source):
        name, one, two = found.groups()
        texts = [json.loads(text) for text in (one, two if name != "t" else None) if text is not None]
        if len(texts) != (1 if name == "t" else 2):
            raise ValueError(f"expected {name} with its text in double quotes, found {source[found.start() : found.start() + 60]!r}")
        if name == "tp":
            yield Message(texts[1], context=texts[0])
        else:
            yield Message(texts[0], texts[1] if name == "tn" else "")


def language_script(language: Language, source: str | None = None) -> str:
    """A script that defines t, tn, tp, number, percent, day and moment, with the texts of another script, or all. It may stand in HTML."""
    functions = (files("facecluster.language") / "text.js").read_text(encoding="utf-8")
    keys = language.texts.keys() if source is None else {m.key for part in (functions, source) for m in script_texts(part)}
    texts = {key: list(language.texts[key]) for key in sorted(keys) if key in language.texts}
    coded = json.dumps({"tag": language.tag, "texts": texts}, separators=(",", ":")).replace("<", "\\u003c")
    return f"{functions}const {{ t, tn, tp, number, percent, day, moment }} = speak({coded}, (n) => Number({language.plural}));\n"


def language_module(language: Language) -> str:
    """The same as a module."""
    return f"{language_script(language)}export {{ t, tn, tp, number, percent, day, moment }};\n"
