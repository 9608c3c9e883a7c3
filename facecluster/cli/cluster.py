"""facecluster cluster: vectors to people."""

from __future__ import annotations

import click

from facecluster.cli import common


@click.command("cluster")
@click.argument("store")
@click.option("--model", default="bundled", show_default=True, help="'bundled' or the path of a model card.")
@click.option("--cut", type=click.FloatRange(-1, 1), help="Cosine under which two faces are not linked [default: the model card's].")
@click.option("--merge", type=click.FloatRange(-1, 1), help="Cosine from which two groups are one [default: the model card's].")
@common.tidy
def command(store: str, model: str, cut: float | None, merge: float | None) -> None:
    """Group the faces of STORE into people.

    Example: facecluster cluster ~/people
    """
    common.cluster(store, model, cut, merge)
    click.echo(f"grouped. 'facecluster report {store}' shows the people.")
