"""facecluster compact: fewer and larger files in a store."""

from __future__ import annotations

import json
from contextlib import nullcontext

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option


@click.command("compact")
@click.argument("store")
@click.option(
    "--keep-runs", type=click.IntRange(min=1), metavar="N",
    help="Remove all but the newest N runs and the current one.  [default: keep all]"
)
@click.option("--dry-run", is_flag=True, help="Say what would be merged, and change nothing.")
@json_option
@handle_errors
def command(store: str, keep_runs: int | None, dry_run: bool, as_json: bool) -> None:
    """Merge the small shards of STORE, as many runs with few new photos leave them, so that commands open fewer files.

    No row of a table changes, and nothing is computed anew afterwards. It can be stopped, and goes on where it was. Runs stay, unless
    --keep-runs says how many: then 'cluster --return-to' no longer knows the others. Names are in the journal, and stay.

    Example: facecluster compact ~/people
    """
    from facecluster.cli.progress import open_progress_bar
    from facecluster.language.english import plural
    from facecluster.store import Store
    from facecluster.upkeep import compact

    place = Store(store)
    place.check()
    with nullcontext() if dry_run else place.lock(), open_progress_bar("merges") as bar:
        found = compact(place, keep_runs=keep_runs, dry_run=dry_run, tick=bar)
    if as_json:
        click.echo(json.dumps({"before": found.before, "after": found.after, "runs_removed": found.runs, "dry_run": dry_run}))
        return
    click.echo(f"{plural(found.before, 'shard')}{' would become' if dry_run else ', now'} {found.after:,}")
    if found.runs:
        click.echo(f"{plural(len(found.runs), 'run')} {'would be ' if dry_run else ''}removed")
