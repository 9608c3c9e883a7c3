"""facecluster report: people to pages and tables."""

from __future__ import annotations

import click

from facecluster.cli import jobs, results
from facecluster.cli.errors import handle_errors


@click.command("report")
@click.argument("store")
@click.option("--model", help="'bundled' or the path of a model card [default: that of the run that counts].")
@click.option("--out", help="Folder for the report [default: report/ in the store].")
@handle_errors
def command(store: str, model: str | None, out: str | None) -> None:
    """Write the report of STORE: pages to look at, faces.csv, people.csv, summary.json, Parquet.

    Example: facecluster report ~/people
    """
    from facecluster.store import Store

    place = Store(store)
    place.check()
    jobs.report(store, results.identity_table(place, model), out, model or "bundled")
