"""Put the texts of the pages into the catalogues: new ones without a translation, and without those that are no more.

Texts are found in Python (t, tn and tp of a Language; say, say_n and mark), in Jinja templates (t, tn, tp, {% trans %}) and in scripts
(t, tn, tp). Run it after a change of a text, and translate what it names.

    python workflows/build_catalogue.py            writes facecluster/language/catalogue/*.po
    python workflows/build_catalogue.py --check    says what is not translated, and writes nothing
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import jinja2
from jinja2.ext import extract_from_ast

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from facecluster.language.po_file import Catalogue, Message, read_po, write_po  # noqa: E402
from facecluster.language.script import script_texts  # noqa: E402

CATALOGUES = ROOT / "facecluster" / "language" / "catalogue"
ROOMS = ("language", "store", "photos", "faces", "decisions", "people", "report", "review", "dedup", "curate")
FUNCTIONS = ("t", "tn", "tp", "say", "say_n", "mark")


def message_of(function: str, texts: list[str]) -> Message | None:
    """The message of a call with these texts; None if its texts are not written out."""
    two = function in ("tn", "say_n", "ngettext", "tp")
    if len(texts) < 1 + two:
        return None
    if function == "tp":
        return Message(texts[1], context=texts[0])
    return Message(texts[0], texts[1] if two else "")


def python_texts(source: str) -> Iterator[Message]:
    """The texts in a module."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        texts = []
        for argument in node.args:
            if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                break
            texts.append(argument.value)
        if name in FUNCTIONS and (found := message_of(name, texts)) is not None:
            yield found


def template_texts(source: str) -> Iterator[Message]:
    """The texts in a Jinja template."""
    env = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.i18n"])
    env.policies["ext.i18n.trimmed"] = True
    functions = (*FUNCTIONS, "gettext", "ngettext")
    for _, name, found in extract_from_ast(env.parse(source), functions):
        texts = [text for text in ((found,) if isinstance(found, str) else found) if text is not None]
        message = message_of(name, texts)
        if message is not None:
            yield message


READERS = {".py": python_texts, ".html": template_texts, ".js": script_texts}


def all_texts() -> dict[str, Message]:
    """Every text of the pages, with its files, in the order of its first file."""
    messages: dict[str, Message] = {}
    for room in ROOMS:
        for path in sorted((ROOT / "facecluster" / room).rglob("*")):
            if path.suffix not in READERS:
                continue
            for found in READERS[path.suffix](path.read_text(encoding="utf-8")):
                known = messages.setdefault(found.key, found)
                if found.many and known.many and found.many != known.many:
                    raise ValueError(f"{found.text!r} has two plurals: {found.many!r} and {known.many!r}")
                known.many = known.many or found.many
                place = path.relative_to(ROOT / "facecluster").as_posix()
                if place not in known.places:
                    known.places.append(place)
    return messages


def merged(catalogue: Catalogue, texts: Iterable[Message]) -> list[Message]:
    """The texts with the translations of a catalogue."""
    found = []
    for m in texts:
        old = catalogue.messages.get(m.key)
        wanted = catalogue.forms if m.many else 1
        forms = old.forms if old is not None and len(old.forms) == wanted else ("",) * wanted
        found.append(Message(m.text, m.many, m.context, forms, m.places, old is not None and old.fuzzy))
    return found


def main() -> int:
    """Write or check the catalogues; gives the exit code."""
    texts, missing = all_texts(), 0
    for path in sorted(CATALOGUES.glob("*.po")):
        catalogue = read_po(path.read_text(encoding="utf-8"))
        messages = merged(catalogue, texts.values())
        for m in messages:
            if m.fuzzy or not all(m.forms):
                missing += 1
                print(f"{path.name}: not translated: {m.text!r}")
        if "--check" not in sys.argv:
            path.write_text(write_po(catalogue.header, messages), encoding="utf-8")
    print(f"{len(texts)} texts; {missing} translations are missing")
    return int(missing > 0 and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
