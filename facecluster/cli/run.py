"""facecluster run: embed photos, group the faces, write the report."""

from __future__ import annotations

from typing import Any

import click

from facecluster.cli import jobs
from facecluster.cli.errors import handle_errors
from facecluster.cli.options import lang_option, memory_option, photo_options


@click.command("run")
@photo_options
@memory_option
@lang_option
@handle_errors
def command(memory: int, lang: str, **options: Any) -> None:
    """Find the faces in PHOTOS (folders, globs, files, archives), group them into people, and write the report.

    Run it again to go on after a stop, or to add photos: what is done is not done again.

    \b
    Example: facecluster run ~/Pictures -o ~/people
    """
    jobs.embed(**options)
    where = {"workers": options["workers"], "scheduler": options["scheduler"], "memory": memory}
    table = jobs.cluster(options["store"], options["model"], **where)
    gone = jobs.say_gone(options["store"])  # after grouping, which follows edited photos from their old places to the new ones
    jobs.report(options["store"], table, model=options["model"], gone=gone, written_with_run=True, lang=lang)
