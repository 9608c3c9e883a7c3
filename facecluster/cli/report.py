"""facecluster report: people to pages and tables."""

from __future__ import annotations

import click

from facecluster.cli import common


@click.command("report")
@click.argument("store")
@click.option("--model", default="bundled", show_default=True, help="'bundled' or the path of a model card.")
@click.option("--out", help="Folder for the report [default: report/ in the store].")
@common.tidy
def command(store: str, model: str, out: str | None) -> None:
    """Write the report of STORE: pages to look at, faces.csv, people.csv, summary.json, Parquet.

    Example: facecluster report ~/people
    """
    from facecluster.models.registry import card_of

    common.report(store, f"identities/{card_of(model).name}", out)
