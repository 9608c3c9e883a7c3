"""Every text of the pages is in the catalogues, and every catalogue is complete."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import pytest
from jinja2 import nodes

from facecluster.language import LANGUAGES, language_of
from facecluster.language.po_file import read_po, write_po

ROOT = Path(__file__).parents[2]
ROOMS = [ROOT / "facecluster" / room for room in ("report", "review", "dedup", "curate", "language")]
CATALOGUES = sorted((ROOT / "facecluster" / "language" / "catalogue").glob("*.po"))
SHOWN = ("aria-label", "title", "alt", "placeholder")  # attributes that are read
PROSE = re.compile(r"[A-Za-z’']+,? [a-z’']{2,}|^[A-Z][a-z]+$")
# strings of scripts that are no texts: keys, headers, and parts of selectors
NO_TEXTS = {
    "Content-Type", "Enter", "Escape", "Shift", "Control", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "POST", "Tab", "Delete",
    "Backspace", "Home", "End", "Space", "use strict",
    "steps of grouping", "data set", "Starting", "Writing the report", "very sure", "no mask", "from the front", "turned left",
    "turned right", "trained model", "in the photos", "beside the photos",  # what the server says, as keys
}  # fmt: skip


@pytest.fixture(scope="module")
def build() -> Iterator[Any]:
    """workflows/build_catalogue.py."""
    sys.path.insert(0, str(ROOT / "workflows"))
    try:
        yield importlib.import_module("build_catalogue")
    finally:
        sys.path.remove(str(ROOT / "workflows"))


def test_every_language_has_a_catalogue() -> None:
    assert {path.stem for path in CATALOGUES} == {*LANGUAGES} - {"en"} and len(CATALOGUES) >= 2
    for path in CATALOGUES:
        assert f"\nLanguage: {path.stem}\n" in read_po(path.read_text(encoding="utf-8")).header
        assert len(language_of(path.stem).texts) > 300


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_the_catalogue_has_every_text_and_no_other(build: Any, path: Path) -> None:
    """If this fails: run workflows/build_catalogue.py, and translate what it names."""
    text = path.read_text(encoding="utf-8")
    catalogue = read_po(text)
    assert [m.key for m in build.all_texts().values() if m.key not in catalogue.messages] == []
    assert text == write_po(catalogue.header, build.merged(catalogue, build.all_texts().values()))


def places(text: str) -> list[str]:
    return sorted(re.findall(r"%\(\w+\)s|%%", text))


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_every_text_is_translated_with_its_places_and_tags(path: Path) -> None:
    catalogue = read_po(path.read_text(encoding="utf-8"))
    for m in catalogue.messages.values():
        assert not m.fuzzy and all(m.forms), f"not translated: {m.text}"
        assert len(m.forms) == (catalogue.forms if m.many else 1), m.text
        for form in m.forms:
            originals = [places(m.text), places(m.many)] if m.many else [places(m.text)]
            assert places(form) in originals, (m.text, form)
            assert re.findall(r"<[^>]*>", form) == re.findall(r"<[^>]*>", m.text), (m.text, form)
            bare = re.sub(r"<[^>]*>", "", form)
            assert not set('<>&"') & set(bare), f"would be read as HTML: {form}"
            form % dict.fromkeys(re.findall(r"%\((\w+)\)s", form), "x")  # no sign is left that formatting takes for a place
            assert form[:1].isspace() == m.text[:1].isspace() and form[-1:].isspace() == m.text[-1:].isspace(), form
    for n in range(200):
        assert 0 <= language_of(path.stem)._number_of_form(n) < catalogue.forms


def test_french_spaces_and_german_quotes() -> None:
    for m in read_po((CATALOGUES[0].parent / "fr.po").read_text(encoding="utf-8")).messages.values():
        for form in m.forms:
            assert not re.search(r" [:;?!»]|« |[^\W\d_][;?!]", form), f"a space that does not break is missing: {form}"
            assert "'" not in form and not re.search(r"\b(tu|toi|ton|tes)\b", form), form
    for m in read_po((CATALOGUES[0].parent / "de.po").read_text(encoding="utf-8")).messages.values():
        for form in m.forms:
            assert "'" not in form and not re.search(r"\b(Ihre?[rnms]?|Ihnen|wählen Sie|Sie können)\b", form), form


class Texts(HTMLParser):
    """The texts that a template shows, once its Jinja is taken out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in SHOWN and value]

    def handle_data(self, data: str) -> None:
        self.found.append(data.strip())


def bare_texts(source: str) -> list[str]:
    """What a template shows in letters that no catalogue has."""
    source = re.sub(r"{%-?\s*trans\b.*?endtrans\s*-?%}", "", source, flags=re.DOTALL)
    parser = Texts()
    parser.feed(re.sub(r"{%.*?%}|{{.*?}}|{#.*?#}", "", source, flags=re.DOTALL))
    return [text for text in parser.found if re.search(r"[A-Za-z]{2}", text)]


def strings_outside(source: str) -> list[str]:
    """Strings of a template's expressions that read like a text, and are no text of t, tn or tp."""
    tree = jinja2.Environment(extensions=["jinja2.ext.i18n"]).parse(source)
    names = ("t", "tn", "tp", "gettext", "ngettext")
    calls = [c for c in tree.find_all(nodes.Call) if isinstance(c.node, nodes.Name) and c.node.name in names]
    inside = {id(const) for call in calls for const in call.find_all(nodes.Const)}
    consts = [c for c in tree.find_all(nodes.Const) if isinstance(c.value, str) and id(c) not in inside]
    return [c.value for c in consts if PROSE.search(c.value)]


def test_the_readers_see_what_is_not_translated() -> None:
    assert bare_texts('<p title="A title">Some {{ x }} text</p>') == ["A title", "Some  text"]
    assert bare_texts('<p title="{{ t("A title") }}">{% trans %}Some text{% endtrans %}: {{ x }}</p>') == []
    assert strings_outside('{{ "some text" if x else t("other text") }}') == ["some text"]
    assert literals('a(`x ${b ? `some ${c} text` : "more text"}`); // a comment\nt("no text"); tn("no text", "no texts", 3);') == [
        "x ", "some ", " text", "more text", "",
    ]  # fmt: skip


@pytest.mark.parametrize("path", [p for room in ROOMS for p in sorted(room.rglob("*.html"))], ids=lambda path: path.name)
def test_every_text_of_a_template_is_translated(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    names = {"faces.csv", "people.csv", "summary.json", "facecluster", "– facecluster", "facecluster review"}  # names of things
    assert [text for text in bare_texts(source) if text not in names] == []
    assert strings_outside(source) == []


PATTERN = re.compile(r"/(?:\[(?:[^\]\\]|\\.)*\]|[^/\\\n]|\\.)+/[a-z]*")


def literals(source: str) -> list[str]:
    """The strings of a script, and the parts of its template strings, but for the texts of t, tn and tp."""
    source = re.sub(r'(?<![\w.$])(?:t|tn|tp)\(\s*"(?:[^"\\\n]|\\.)*"(?:\s*,\s*"(?:[^"\\\n]|\\.)*")?', "t(", source)
    source = re.sub(r'\bclass: "[^"]*"', "", source)
    found, at, open_braces = [], 0, [0]
    while at < len(source):
        rest = source[at:]
        if comment := re.match(r"//[^\n]*|/\*.*?\*/", rest, re.DOTALL):
            at += comment.end()
        elif (pattern := PATTERN.match(rest)) and source[at - 1] in "(,=: ":
            at += pattern.end()
        elif string := re.match(r'"((?:[^"\\\n]|\\.)*)"|\'((?:[^\'\\\n]|\\.)*)\'', rest):
            found.append(string[1] if string[1] is not None else string[2])
            at += string.end()
        elif rest[0] == "`" or (rest[0] == "}" and len(open_braces) > 1 and open_braces[-1] == 0):
            if rest[0] == "}":
                open_braces.pop()
            part = re.match(r".((?:[^`\\$]|\\.|\$(?!\{))*)", rest, re.DOTALL)
            assert part is not None
            found.append(part[1])
            at += part.end()
            if source.startswith("${", at):
                open_braces.append(0)
                at += 2
            else:
                at += 1
        else:
            open_braces[-1] += {"{": 1, "}": -1}.get(rest[0], 0)
            at += 1
    return found


@pytest.mark.parametrize("path", [p for room in ROOMS for p in sorted(room.rglob("*.js"))], ids=lambda path: path.name)
def test_every_text_of_a_script_is_translated(path: Path) -> None:
    prose = [text for text in literals(path.read_text(encoding="utf-8")) if PROSE.search(text) and text not in NO_TEXTS]
    selectors = re.compile(r"[#.\[\]>=]|^/api|:not|:open|^data-|;$")
    assert [text for text in prose if not selectors.search(text)] == []
