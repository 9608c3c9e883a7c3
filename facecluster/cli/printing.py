"""What several commands print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from facecluster.errors import shell

if TYPE_CHECKING:
    from facecluster.people import ReconciledRun
    from facecluster.photos.gone import GoneFolder
    from facecluster.store import Store


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


def print_decisions_to_come(store: Store) -> None:
    """Say on stderr that what the user said since the last grouping is not in what is shown or written."""
    from facecluster.language.english import plural
    from facecluster.people import decisions_to_come

    if found := decisions_to_come(store):
        what = f"{plural(len(found), 'decision')} since the last grouping ({', '.join(sorted({d.act for d in found}))})"
        click.echo(f"note: {what} will count after 'facecluster cluster {shell(store.url)}'", err=True)


def gone_line(folder: GoneFolder) -> str:
    """What is gone in a folder, and why perhaps."""
    from facecluster.language.english import plural

    places = plural(len(folder.places), "place")
    if not folder.elsewhere:
        places += f" of {plural(len(folder.photos), 'photo')}"
    rest = "" if not folder.elsewhere else f"; {nowhere_else(len(folder.photos))}"
    if not folder.folder:
        return f"{places}, moved or deleted from folders that are there{rest}"
    why = "perhaps a disk is not mounted" if folder.whole_root else "moved, renamed or deleted"
    return f"{places} in {printable(folder.folder)}, which is missing or empty ({why}){rest}"


def nowhere_else(photos: int) -> str:
    """How many photos had no other place than those that are gone."""
    from facecluster.language.english import plural

    return f"{plural(photos, 'photo is', 'photos are')} nowhere else" if photos else "no photo was only there"


def print_gone(store: str, gone: Sequence[GoneFolder]) -> None:
    """Print on stderr how many photos of a store are gone, and where."""
    from facecluster.language.english import plural

    found = [folder for folder in gone if folder.photos]
    if found:
        photos = plural(len(set[str]().union(*(folder.photos for folder in found))), "photo is", "photos are")
        click.echo(f"{photos} gone but still counted; 'facecluster prune {shell(store)}' drops them:", err=True)
        for folder in found:
            click.echo(f"  {gone_line(folder)}", err=True)
