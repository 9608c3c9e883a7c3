"""facecluster report: write pages and tables of the people."""

from __future__ import annotations

import click

from facecluster.cli import jobs, results
from facecluster.cli.errors import handle_errors
from facecluster.cli.options import lang_option, model_name, model_of_run_option


@click.command("report")
@click.argument("store")
@model_of_run_option
@click.option("--out", metavar="DIR", help="Folder for the report.", show_default="report/ in the store")
@click.option(
    "--faces", type=click.Choice(["show", "blur", "none"]), show_default="as in the report that is there, at first show",
    help="Show faces as they are, blurred beyond recognition, or not at all. But for 'show' the report shows no photos either.",
)  # fmt: skip
@click.option("--explain", is_flag=True, help="On the page of each person, show where the model looks on the surest six faces. A "
              "report that is written later without --explain has no such pictures.")
@lang_option
@handle_errors
def command(store: str, model: str | None, out: str | None, faces: str | None, explain: bool, lang: str) -> None:
    """Write the report of STORE: pages to look at, faces.csv, people.csv, summary.json, Parquet.

    Names, dates and paths stand in it, whatever --faces says: think before you pass it on.

    \b
    Example: facecluster report ~/people
    """
    from facecluster.people import current_run
    from facecluster.store import Store

    place = Store(store)
    place.check()
    run = current_run(place) if explain else None
    results.note_on_names(place, model_name(model))
    looking = (model or (run.model if run is not None else "bundled")) if explain else None
    jobs.report(store, results.identity_table(place, model), out, model or "bundled", faces=faces, explain=looking, lang=lang)
