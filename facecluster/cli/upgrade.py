"""facecluster upgrade: a store of an earlier version in today's format."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option


@click.command("upgrade")
@click.argument("store")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and change nothing.")
@json_option
@handle_errors
def command(store: str, dry_run: bool, as_json: bool) -> None:
    """Write STORE, made by an earlier version, in today's format.

    Every command reads older stores as they are. After this their tables have the columns of today's and a digest for each shard, by which
    'check' finds a changed bit, and only you can read the files. No row changes, no photo is opened, nothing is grouped anew. It can be
    stopped, and goes on where it was.

    Example: facecluster upgrade ~/people
    """
    from facecluster.cli.progress import open_progress_bar
    from facecluster.language.english import plural
    from facecluster.store import Store
    from facecluster.upkeep import upgrade

    place = Store(store)
    place.check()
    with nullcontext() if dry_run else place.lock(), open_progress_bar("shards") as bar:
        found = upgrade(place, dry_run=dry_run, tick=bar)
    if as_json:
        click.echo(json.dumps(asdict(found) | {"dry_run": dry_run}))
        return
    would = "would be " if dry_run else ""
    click.echo(f"{plural(found.shards, 'shard')} looked at: {found.written:,} {would}written in today's format")
    click.echo(f"{plural(found.modes, 'file or folder', 'files and folders')} {would}closed to other users")
