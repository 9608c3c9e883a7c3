"""What several commands print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from facecluster.people import ReconciledRun


def printable(text: str) -> str:
    """`text` on one line, and printable whatever characters or bytes a name or a path holds."""
    from facecluster.report.text import one_line

    return one_line(text).encode("utf-8", "replace").decode()


def print_changes(reconciled: ReconciledRun, *, err: bool = False) -> None:
    """Print what a grouping changes (to stderr with `err`), and notes about decisions (always to stderr)."""
    for note in reconciled.notes:
        click.echo(f"note: {printable(note)}", err=True)
    for line in reconciled.churn.lines():
        click.echo(printable(line), err=err)
