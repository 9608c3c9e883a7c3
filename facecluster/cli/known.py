"""facecluster known: give groups the names of people whom the user has pictures of."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import device_option, json_option
from facecluster.cli.printing import printable
from facecluster.known import SURE

LISTED = 20  # groups that may be a known person, of which there are many where many people are known; the likeliest come first


@click.command("known")
@click.argument("pictures")
@click.argument("store")
@click.option("--name-from", "sure", type=click.FloatRange(0, 1), default=SURE, show_default=True,
              help="Probability from which a group gets a name without a question; a further group of that name may have a fifth "
              "of that doubt, and must be like the first.")  # fmt: skip
@device_option
@json_option
@handle_errors
def command(pictures: str, store: str, sure: float, device: str, as_json: bool) -> None:
    """Give the groups of STORE the names of people whom you have PICTURES of.

    PICTURES is a folder with a folder for each person, or with files named after them (Anna.jpg, Anna_2.jpg); a contacts file (.vcf, with
    photos); or another store. The pictures stay where they are and are no photos of the store, which keeps only a vector of each face,
    its name and where it is from; 'facecluster forget' takes them out. PICTURES that are given again replace what was taken of them
    earlier. Groups that are not sure are asked about in 'facecluster review', under Suggestions.

    \b
    Example: facecluster known ~/contacts.vcf ~/people
    """
    from facecluster.cli.progress import progress_bar
    from facecluster.decisions import SHORT_ID
    from facecluster.errors import InputError, StoreError, shell
    from facecluster.faces.embed import EmbedConfig, check_vectors
    from facecluster.known.sources import find_pictures
    from facecluster.known.take_in import take_in
    from facecluster.language.english import plural
    from facecluster.people import current_run
    from facecluster.report.text import percent
    from facecluster.store import Store

    place = Store(store)
    place.check()
    run = current_run(place)
    if run is None:
        raise StoreError(f"expected people in {store}, found none: run 'facecluster cluster {shell(store)}' first")
    if place.is_local and os.path.isdir(pictures) and os.path.samefile(pictures, place.root):
        raise InputError(f"expected pictures of people, or another store, found {pictures}, the store itself: name another place")
    embed = EmbedConfig(model=run.model)
    first = place.shards(embed.table())[:1]
    check_vectors(place, embed, first)
    found_pictures = list(find_pictures(pictures, run.model, place.stamp(embed.table(), first[0]) if first else None))
    with place.lock(), progress_bar("pictures", len(found_pictures)) as tick:
        found = take_in(place, found_pictures, embed, device=device, sure=sure, tick=tick, place=pictures)
    rows: list[dict[str, Any]] = [
        {"person": person, "faces": faces, "name": p.name, "probability": round(p.probability, 4), "named": named}
        for named, some in ((True, found.named), (False, found.asked)) for p, person, faces in some
    ]  # fmt: skip
    if as_json:
        counts = {"pictures": found.pictures, "people": found.people, "not_used": found.notes, "no_longer_known": found.no_longer}
        click.echo(json.dumps(counts | {"groups": rows, "undo": found.batch if found.named else None}, indent=1))
        return
    for note in found.notes:
        click.echo(f"note: {printable(note)}", err=True)
    if found.no_longer:
        some = ", ".join(found.no_longer[:5]) + (", ..." if len(found.no_longer) > 5 else "")
        click.echo(f"note: {printable(some)}: not known by pictures any more, as there are none now; names of groups stay", err=True)
    click.echo(f"{plural(found.pictures, 'picture')} of {plural(found.people, 'person', 'people')} known")
    for row in rows[: len(found.named) + LISTED]:
        text = "is now called" if row["named"] else "may be"
        click.echo(printable(f"{row['person']} ({plural(row['faces'], 'face')}) {text} {row['name']} ({percent(row['probability'])})"))
    if (more := len(found.asked) - LISTED) > 0:
        click.echo(f"and {plural(more, 'group')} more that may be one of them (--json lists all)")
    if found.named:
        click.echo(f"'facecluster undo {shell(store)} {found.batch[:SHORT_ID]}' takes these names back", err=True)
    if found.asked:
        click.echo(f"'facecluster review {shell(store)}' asks about the others, under Suggestions", err=True)
