"""The command line: the only place that imports click, prints, or exits. Commands are loaded when they are called for."""

from __future__ import annotations

import importlib
import os

import click

from facecluster import __version__

# Threads that wait must not spin: beside any other work on the same cores they make each other wait instead. Read when torch loads,
# inherited by Dask's workers; whoever set it knows better.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_COMMANDS = {
    "run": "Photos in, people out: embed, cluster and report in one go.",
    "embed": "Find the faces of photos and turn them into vectors.",
    "cluster": "Group the faces of a store into people.",
    "questions": "Who is least sure, and what to answer first.",
    "report": "Write the report of a store.",
    "review": "Name, merge and split people in the browser.",
    "name": "Say what a person is called.",
    "merge": "Say that two people are one.",
    "split": "Say that some faces are not of the person they are with.",
    "same": "Say that faces are of one person.",
    "not-same": "Say that faces are of different people.",
    "ignore": "Leave out people you don't want to hear of.",
    "undo": "Take back what you said.",
    "match": "Say who is on new photos, or that nobody known is.",
    "verify": "Say whether two photos have a person in common.",
    "show": "List the photos of people: with A and B, but not C.",
    "export": "Write sidecars, COCO, FiftyOne, Label Studio, folders, CSV, SQLite.",
    "import-names": "Read the names that other programs gave to faces.",
    "dedup": "Find duplicate photos, and set them aside so that it can be undone.",
    "curate": "Make a clean data set: labels checked, copies out, splits by person.",
    "evaluate": "Measure the people found against known answers.",
    "demo": "Try it on synthetic people: no photos, no network.",
    "doctor": "What this machine has, and what to install for more.",
}


class _Lazy(click.Group):
    """Loads a command's module (and torch, faiss...) only when the command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"facecluster.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(cls=_Lazy)
@click.version_option(__version__, prog_name="facecluster")
def main() -> None:
    """Group the faces of a photo collection into people, on this machine alone."""
