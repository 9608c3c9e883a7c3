"""Writes docs/cli.md from the help of the commands. A test checks that the file is current.

Example: python workflows/build_cli_docs.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click  # noqa: TID251 (this reads the commands, and is no part of the package)

from facecluster.cli import main

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
WIDTH = 100  # characters a line, whatever the terminal's width
_INTRO = """# All commands

Made from `facecluster COMMAND --help` by `workflows/build_cli_docs.py`: do not edit.
"""


def build_page() -> str:
    """The page as Markdown: the help of the program, then that of each command."""
    return "\n".join([_INTRO, *(f"## {title}\n\n```text\n{text}\n```\n" for title, text in _helps())])


def _helps() -> Iterator[tuple[str, str]]:
    group = _context(main, "facecluster")
    yield "facecluster", main.get_help(group)
    for name in main.list_commands(group):
        command = main.get_command(group, name)
        assert command is not None, f"{name} is listed and does not exist"
        context = _context(command, name, group)
        yield name, command.get_help(context)
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                yield f"{name} {inner}", command.commands[inner].get_help(_context(command.commands[inner], inner, context))


def _context(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    return click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH, max_content_width=WIDTH)


if __name__ == "__main__":
    PAGE.write_text(build_page(), encoding="utf-8")
    print(f"wrote {PAGE}", file=sys.stderr)
