"""facecluster run: the main job."""

from __future__ import annotations

from typing import Any

import click

from facecluster.cli import common


@click.command("run")
@common.photo_options
@common.tidy
def command(**options: Any) -> None:
    """Photos in, people out: find faces in PHOTOS (folders, globs, files), group them, write the report.

    Run it again to go on after a stop, or to add photos: what is done is not done twice.

    Example: facecluster run ~/Pictures -o ~/people
    """
    common.embed(**options)
    common.report(options["store"], common.cluster(options["store"], options["model"]), model=options["model"])
