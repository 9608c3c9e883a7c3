"""facecluster cluster: vectors to people."""

from __future__ import annotations

import click

from facecluster.cli import common


@click.command("cluster")
@click.argument("store")
@click.option("--model", default="bundled", show_default=True, help="'bundled' or the path of a model card.")
@click.option("--margin", type=click.FloatRange(-5, 10), help="How far above the best stranger a link must lie, in sd [default: 0.7].")
@click.option("--merge", type=click.FloatRange(-5, 10), help="How far above strangers two large groups must lie to be one, in sd [default: 2.1].")
@common.tidy
def command(store: str, model: str, margin: float | None, merge: float | None) -> None:
    """Group the faces of STORE into people.

    Example: facecluster cluster ~/people
    """
    common.cluster(store, model, margin=margin, merge=merge)
    click.echo(f"grouped. 'facecluster report {store}' shows the people.")
