"""The command line: the only place that imports click, prints, or exits. A command's module is loaded when the command is called."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any

import click

from facecluster import __version__
from facecluster.cli.spare_pandas import spare_pandas

# Waiting threads must not spin: with other work on the same cores they slow each other down. torch reads this when it is loaded; Dask's
# workers inherit it. A value that the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_COMMANDS = {
    "run": "Find the faces of photos, group them into people, write the report.",
    "embed": "Find the faces of photos and compute their vectors.",
    "cluster": "Group the faces of a store into people.",
    "people": "List the people of a store.",
    "questions": "Show the least certain people, and what to answer first.",
    "report": "Write the report of a store.",
    "review": "Name, merge and split people in the browser.",
    "name": "Give a person a name.",
    "known": "Name people whom you have pictures of.",
    "merge": "Say that two people are one.",
    "split": "Say that some faces are not of the person they are with.",
    "same": "Say that faces are of one person.",
    "not-same": "Say that faces are of different people.",
    "ignore": "Show people apart whom you don't want to see.",
    "born": "Say when a person was born, so that pages say ages.",
    "undo": "Undo decisions.",
    "match": "Recognise the people of a store on new photos.",
    "verify": "Say whether two photos have a person in common.",
    "show": "List the photos of people: with A and B, but not C.",
    "export": "Write sidecars, COCO, FiftyOne, Label Studio, folders, CSV, SQLite.",
    "import-names": "Take over the names that other programs gave to faces.",
    "dedup": "Find duplicate photos, and set them aside in a way that can be undone.",
    "prune": "Let photos that are gone no longer count.",
    "forget": "Forget a person, a photo or a face.",
    "expire": "Forget what is older than an age.",
    "encrypt": "Encrypt a store, and make keys.",
    "decrypt": "Write an encrypted store as one that is not.",
    "curate": "Make a clean data set: labels checked, duplicates out, split by person.",
    "evaluate": "Measure the people found against known answers.",
    "explain": "Show where the embedder looks on faces.",
    "attributes": "Measure attributes of faces: masks, where the head points, others by models of yours.",
    "demo": "Try it on synthetic people: needs no photos and no network.",
    "plan": "Say what a job takes before it starts: time, memory, disk, network, cost.",
    "models": "Use other models than the bundled ones.",
    "check": "Say whether a store is as it was written, and repair it.",
    "upgrade": "Write a store of an earlier version in today's format.",
    "compact": "Merge the small shards of a store.",
    "train": "Train an embedder on faces with names, or fine-tune one on the people of a store.",
    "doctor": "Print what this machine has, and what to install for more.",
}


class _LazyGroup(click.Group):
    """Loads a command's module (and torch, faiss...) only when the command runs."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **options: Any) -> Any:
        if args is None:  # a process of its own, not a call in another program
            spare_pandas()
        return super().main(args, *more, **options)

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


@click.command(cls=_LazyGroup)
@click.version_option(__version__, prog_name="facecluster")
def main() -> None:
    """Group the faces of a photo collection into people, on this machine alone.

    The results are kept in a store: a folder that the first run makes and the other commands read.
    """
    from facecluster.permissions import keep_private

    keep_private()
