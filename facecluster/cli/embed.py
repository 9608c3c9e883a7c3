"""facecluster embed: find the faces of photos, and compute their vectors."""

from __future__ import annotations

from typing import Any

import click

from facecluster.cli import jobs
from facecluster.cli.errors import handle_errors
from facecluster.cli.options import photo_options


@click.command("embed")
@photo_options
@handle_errors
def command(**options: Any) -> None:
    """Find the faces in PHOTOS (folders, globs, files, archives), and compute a vector for each: what 'facecluster cluster' compares.

    \b
    Example: facecluster embed ~/Pictures '/mnt/**/*.jpg' -o ~/people
    """
    jobs.embed(**options)
    jobs.say_gone(options["store"])
