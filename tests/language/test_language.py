"""Texts, numbers and dates in a language, and which language a user has."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from facecluster.errors import InputError
from facecluster.language import ENGLISH, LANGUAGES, Language, language_of
from facecluster.language.po_file import Message, read_po, write_po
from facecluster.language.said import Bytes, Said, joined, say, say_n, translated
from facecluster.language.script import language_script, script_texts
from facecluster.language.templates import environment

DE, FR = language_of("de"), language_of("fr")


def test_numbers_have_the_separators_of_the_language() -> None:
    assert [lang.number(1234567.891, 2) for lang in (ENGLISH, DE, FR)] == ["1,234,567.89", "1.234.567,89", "1\u202f234\u202f567,89"]
    assert [lang.number(-1234) for lang in (ENGLISH, DE, FR)] == ["-1,234", "-1.234", "-1\u202f234"]
    assert [lang.size(3_400_000) for lang in (ENGLISH, DE, FR)] == ["3.4 MB", "3,4\u00a0MB", "3,4\u00a0Mo"]
    assert [lang.size(1) for lang in (ENGLISH, DE, FR)] == ["1 byte", "1 Byte", "1 octet"] and FR.size(812) == "812 octets"
    assert [lang.percent(share) for lang in (ENGLISH, DE) for share in (0.994, 0.9999, 1)] == [
        "99 %", "99 %", "100 %", "99\u00a0%", "99\u00a0%", "100\u00a0%",
    ]  # fmt: skip


def test_dates_are_written_as_in_the_language() -> None:
    assert [lang.date("2021-05-06") for lang in (ENGLISH, DE, FR)] == ["2021-05-06", "06.05.2021", "06/05/2021"]
    assert DE.date("2021-05-06T07:08:09") == "06.05.2021, 07:08:09" and ENGLISH.date("2021-05-06T07:08:09") == "2021-05-06 07:08:09"
    assert DE.date("2021-05-06 07:08 UTC") == "06.05.2021, 07:08 UTC"
    for odd in ("", "yesterday", "20210506", "<b>2021-05-06</b>"):
        assert DE.date(odd) == odd


def test_plural_forms() -> None:
    said = {lang.tag: [lang.tn("%(n)s face", "%(n)s faces", n) for n in (0, 1, 2, 1000)] for lang in (ENGLISH, DE, FR)}
    assert said["en"] == ["0 faces", "1 face", "2 faces", "1,000 faces"]
    assert said["de"] == ["0 Gesichter", "1 Gesicht", "2 Gesichter", "1.000 Gesichter"]
    assert said["fr"] == ["0 visage", "1 visage", "2 visages", "1\u202f000 visages"]
    polish = "n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2"
    pl = Language("pl", {"%(n)s face": ("%(n)s twarz", "%(n)s twarze", "%(n)s twarzy")}, polish)
    said_pl = [pl.tn("%(n)s face", "%(n)s faces", n) for n in (1, 2, 5, 22, 112)]
    assert said_pl == ["1 twarz", "2 twarze", "5 twarzy", "22 twarze", "112 twarzy"]


def test_a_context_makes_two_texts_of_a_word() -> None:
    assert (DE.t("Name"), DE.tp("button", "Name")) == ("Name", "Benennen")
    assert DE.tp("nowhere", "Name") == "Name" and DE.t("not in the catalogue %(n)s", n=3) == "not in the catalogue 3"


@pytest.mark.parametrize(
    "environment, tag",
    [
        ({"LANG": "de_DE.UTF-8"}, "de"), ({"LANG": "de_DE.UTF-8", "LC_ALL": "fr_FR"}, "fr"),
        ({"LANG": "de", "LC_MESSAGES": "en_GB"}, "en"),
        ({"LANG": "de_DE", "LC_ALL": ""}, "de"), ({"LC_ALL": "C.UTF-8", "LANG": "de_DE"}, "en"), ({"LANG": "it_IT.UTF-8"}, "en"),
        ({}, "en"),
        ({"LC_ALL": "POSIX"}, "en"), ({"LANG": "fr_CA@euro"}, "fr"), ({"LANG": "den_CA"}, "en"), ({"LANG": "../fr"}, "en"),
    ],
)  # fmt: skip
def test_the_language_of_the_user(environment: dict[str, str], tag: str) -> None:
    assert language_of("auto", environment).tag == tag
    assert all(language_of(wanted, environment).tag == wanted for wanted in LANGUAGES)


def test_an_unknown_language_is_an_error() -> None:
    with pytest.raises(InputError, match="expected a language .*de.*found 'xx'"):
        language_of("xx")


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00\x04"), min_size=1)


@given(st.lists(st.tuples(texts, texts, texts, texts), max_size=5), st.booleans())
def test_a_catalogue_is_read_as_it_was_written(rows: list[tuple[str, str, str, str]], plural: bool) -> None:
    every = [Message(a, b, c, (a, d), ["x.py"]) if plural else Message(a, forms=(d,), places=["x.py"]) for a, b, c, d in rows]
    made = {m.key: m for m in every}
    header = "Language: xx\nPlural-Forms: nplurals=2; plural=n != 1;\n"
    found = read_po(write_po(header, made.values()))
    assert found.messages == made and found.header == header and (found.forms, found.plural) == (2, "n != 1")


def test_what_is_no_catalogue_is_an_error() -> None:
    for text in ("msgid without quotes", 'msgid ""\nmsgstr "a"\nodd line', '"a text alone"', 'msgid "a" "b"'):
        with pytest.raises(InputError, match="expected a line of a catalogue"):
            read_po(text)
    with pytest.raises(InputError, match="Plural-Forms"):
        _ = read_po('msgid ""\nmsgstr "Language: de\\n"').plural
    fuzzy = read_po('#, fuzzy\nmsgid "a"\nmsgstr "b"\n\nmsgid "c"\nmsgstr ""')
    assert fuzzy.texts() == {}


def test_values_are_never_read_as_markup_or_as_places() -> None:
    name = "<b>%(n)s</b> $& {{ x }}"
    env = environment("facecluster.report", DE)
    for source in ('{{ t("Face of %(name)s, %(sure)s", name=x, sure=1) }}', '{% trans name=x %}%{{ name }}{% endtrans %}',
                   '{{ tn("%(n)s found for %(x)s", "%(n)s found for %(x)s", 2, x=x) }}'):  # fmt: skip
        text = env.from_string(source).render(x=name)
        assert "<b>" not in text and "&lt;b&gt;%(n)s&lt;/b&gt; $&amp; {{ x }}" in text
    assert "<code>" in env.from_string("{% trans %}<code>{{ x }}</code>{% endtrans %}").render(x="<b>")
    assert "&lt;b&gt;" in env.from_string("{{ x|date }}").render(x="<b>")
    assert DE.t("Named %(name)s", name=name) == f"{name} benannt"
    assert Markup("%(a)s") % {"a": "<"} == "&lt;"


def test_a_text_is_said_in_english_and_in_every_language() -> None:
    smaller = say("smaller: %(mine)s against %(other)s", mine="1x1", other="2x2")
    kept = say("kept: %(what)s", what=joined(", ", [smaller, "RAW", say("%(bits)s bits a channel", bits=16)]))
    assert kept == "kept: smaller: 1x1 against 2x2, RAW, 16 bits a channel" and isinstance(kept, str)
    assert translated(kept, DE) == "behalten: kleiner: 1x1 gegen 2x2, RAW, 16 Bits pro Kanal"
    sized = say("more compressed: %(mine)s against %(other)s", mine=Bytes(3_400_000), other=Bytes(12))
    assert sized == "more compressed: 3.4 MB against 12 bytes"
    assert translated(sized, FR) == "plus compressée\u00a0: 3,4\u00a0Mo contre 12 octets"
    found = say_n("%(n)s face", "%(n)s faces", 1000)
    assert (found, translated(found, DE)) == ("1,000 faces", "1.000 Gesichter")
    assert translated("as it is", DE) == "as it is" and isinstance(smaller, Said)


def test_the_texts_of_a_script() -> None:
    source = 'tn("%(n)s face",\n "%(n)s faces", x); t("a \\"b\\""); tp("c", "d"); part("no"); a.t("no")'
    found = [(m.text, m.many, m.context) for m in script_texts(source)]
    assert found == [("%(n)s face", "%(n)s faces", ""), ('a "b"', "", ""), ("d", "", "c")]
    for wrong in ("t(x)", "t(`a`)", "t('a')", 'tn("a", b)', 'tp("a")'):
        with pytest.raises(ValueError, match="with its text in double quotes"):
            list(script_texts(wrong))


def test_a_script_has_the_texts_that_it_shows_and_ends_no_script() -> None:
    lang = Language("xx", {"a": ("</script><!--",), "b": ("c",)}, "n > 1")
    script = language_script(lang, 't("a")')
    assert "</script" not in script and "<!--" not in script and "\\u003c/script" in script and "n > 1" in script
    sent = json.loads(re.findall(r"speak\((\{.*\}), ", script)[0])
    assert sent == {"tag": "xx", "texts": {"a": ["</script><!--"]}}
    assert set(json.loads(re.findall(r"speak\((\{.*\}), ", language_script(lang))[0])["texts"]) == {"a", "b"}
