"""The README and the commands' help say what is there, and nothing that is not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from facecluster.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(group: click.Group, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, by its words: those of a group stand for it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"{name} is listed and does not exist"
        if isinstance(command, click.Group):
            yield from commands(command, (*before, name))
        else:
            yield (*before, name), command


COMMANDS = dict(commands(main))


def listed() -> list[list[str]]:
    """Commands in the README's table: the words of the first cell of each row that starts with one."""
    return [shlex.split(cell) for cell in re.findall(r"^\| *`facecluster +([^`]+)`", README, re.MULTILINE)]


def command_lines(text: str) -> list[list[str]]:
    """Lines of a text that call facecluster, as words: `x && facecluster demo` gives ["demo"]."""
    found = []
    for line in text.splitlines():
        for part in re.split(r"&&|;|\|", line):
            call = re.match(r"(?:\S*/)?facecluster +(.*)", part.strip())
            if call:
                found.append(shlex.split(call[1], comments=True))
    return found


def parse(words: list[str]) -> None:
    """Have click read a command line, but run nothing; fail if it can't."""
    depth = next((n for n in range(len(words), 0, -1) if tuple(words[:n]) in COMMANDS), 0)
    assert depth, f"no such command: facecluster {shlex.join(words)}"
    try:
        COMMANDS[tuple(words[:depth])].make_context(" ".join(words[:depth]), list(words[depth:]))
    except click.ClickException as e:
        pytest.fail(f"facecluster {shlex.join(words)}: {e.format_message()}")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example_that_can_be_read(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*words, "--help"], terminal_width=1000)
    assert result.exit_code == 0 and result.output.startswith(f"Usage: main {' '.join(words)} ")
    examples = re.findall(r"^ *Example: (.*)$", result.output, re.MULTILINE)
    assert examples, f"the help of {' '.join(words)} has no line 'Example: facecluster ...'"
    for example in examples:
        calls = command_lines(example)
        assert calls and calls[0][: len(words)] == list(words)
        for call in calls:
            parse(call)


def test_help_lists_every_command() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert {words[0] for words in COMMANDS} == set(re.findall(r"^  (\w[\w-]*)  ", result.output, re.MULTILINE))


def test_the_table_names_every_command_and_no_other() -> None:
    rows = listed()
    assert rows, "the README has no table of commands"
    named = {row[0] for row in rows}
    exist = {words[0] for words in COMMANDS}
    assert exist - named == set(), "these are missing in README's table"
    assert named - exist == set(), "these stand in README's table and do not exist"
    assert [row for row in rows if not any(tuple(row[:n]) in COMMANDS for n in (1, 2, 3)) and len(row) > 1] == []


def test_command_lines_in_code_blocks_can_be_read() -> None:
    calls = [call for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for call in command_lines(block)]
    assert ["demo"] in calls
    for call in calls:
        parse(call)


def test_options_that_the_readme_names_exist() -> None:
    """Old spellings, which are hidden, are not named."""
    known = {option for command in COMMANDS.values() for p in command.params for option in (*p.opts, *p.secondary_opts)} | {"--help"}
    prose = re.sub(r"```.*?```|`(?:python|pip|pipx|uv) [^`]*`", "", README, flags=re.DOTALL)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", prose)) - known == set()


def test_files_that_the_readme_names_exist() -> None:
    folders = {p.name for p in ROOT.iterdir() if p.is_dir()}
    spans = re.findall(r"`([^`\n]+)`", README) + re.findall(r"\]\(([^)\s]+)\)", README)
    names = set()
    for word in (w for span in spans for w in span.split()):
        if re.match(r"[a-z]+:|[~/<-]", word):
            continue
        if word.split("/")[0] in folders and "/" in word or re.search(r"\.(py|md|toml)$", word):
            names.add(word.split("#")[0].rstrip("/.,;:"))
    assert names
    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []
