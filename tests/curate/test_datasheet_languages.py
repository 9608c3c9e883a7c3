"""The datasheet of `curate --lang`: no English is left but reasons, verdicts and measures; numbers are those of the language."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from page_texts import english, marked_language, unmarked
from test_curate import NAMES, call, made

from facecluster.curate.datasheet import markdown
from facecluster.language import language_of


def lines(text: str) -> list[str]:
    """The texts: of a table each cell, without Markdown."""
    cells = [cell for line in text.splitlines() for cell in (line.strip("|").split("|") if line.startswith("|") else [line])]
    return [bare for cell in cells if (bare := re.sub(r"^(#+|-) |\|", "", cell.strip()).strip("- |")) and re.search(r"[^\W\d_]{2}", bare)]


def sheet_of(folder: Path, *more: str) -> str:
    store, _ = made(folder / "store")
    (folder / "groups.csv").write_text("person,group\nAnn,old\nDee,old\nEve,young\n")
    where = ("--labels", "folder", "-o", str(folder / "out"), "--format", "csv", "--groups", str(folder / "groups.csv"))
    result = call(store.url, *where, *more)
    assert result.exit_code == 0, result.output
    return (folder / "out" / "datasheet.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("tag", "title", "faces"), [("de", "# Datenblatt", "Gesichter"), ("fr", "# Fiche", "visages")])
def test_no_english_is_left(tmp_path: Path, tag: str, title: str, faces: str) -> None:
    text = sheet_of(tmp_path, "--lang", tag)
    found = lines(text)
    assert text.startswith(title) and faces in text
    measures = json.loads((tmp_path / "out" / "datasheet.json").read_text(encoding="utf-8"))["quality"]
    assert english([line for line in found if line not in measures], tag, NAMES) == []
    assert len(found) > 30 and english([*found, "Where do the photos come from, and did the people agree to this use?"], tag) != []


def test_every_sentence_comes_from_the_catalogue(tmp_path: Path) -> None:
    sheet_of(tmp_path)
    sheet = json.loads((tmp_path / "out" / "datasheet.json").read_text(encoding="utf-8"))
    marked = markdown(sheet, marked_language())
    keys = {key for part in ("why", "splits", "quality", "groups") for key in sheet[part]} | {*sheet["labels"]["verdicts"]}
    rest = unmarked(lines(marked), {*keys, sheet["made_by"], "manifest.csv", *NAMES})
    assert rest == [] and marked.count("⟦") > 25


def test_numbers_in_tables_are_those_of_the_language(tmp_path: Path) -> None:
    sheet_of(tmp_path)
    sheet = json.loads((tmp_path / "out" / "datasheet.json").read_text(encoding="utf-8"))
    sheet["splits"]["train"]["faces"] = 1234567
    sheet["quality"] = {"sharpness": {"5%": 0.125, "50%": 0.5}}
    english_text, german = markdown(sheet), markdown(sheet, language_of("de"))
    assert "| 1,234,567 |" in english_text and "| 1.234.567 |" in german
    assert "| sharpness | 0.125 |" in english_text and "| sharpness | 0,125 |" in german
    assert "| 5 % |" in english_text and f"| {language_of('de').percent(0.05)} |" in german
