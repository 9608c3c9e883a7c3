"""facecluster import-names: take over the names that other programs gave to faces."""

from __future__ import annotations

import json

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option, model_name, model_of_run_option
from facecluster.cli.printing import printable
from facecluster.errors import shell


@click.command("import-names")
@click.argument("store")
@click.argument("sidecars", nargs=-1, required=True)
@click.option("--dry-run", is_flag=True, help="List the names, and change nothing.")
@model_of_run_option
@json_option
@handle_errors
def command(store: str, sidecars: tuple[str, ...], dry_run: bool, model: str | None, as_json: bool) -> None:
    """Take over the names that other programs gave to faces: digiKam, Lightroom, Windows, Picasa and others.

    SIDECARS are XMP sidecars, photos with XMP, Picasa's .picasa.ini and contacts.xml, Google Takeout's .json files, or folders of them. A
    name without a place in the photo (Google Takeout's, IPTC's persons shown) is taken over if the photo has one such name and one face,
    and the face no other name; the other such names are listed with --json. A person who has a name is renamed only if the files
    give another one to most of the person's faces; else it is listed as not taken over.

    Each name becomes a decision, in effect at once and in every later 'facecluster cluster'. 'facecluster undo' takes the names back.

    \b
    Example: facecluster import-names ~/people ~/Pictures --dry-run
    """
    from facecluster.decisions import SHORT_ID, append, read
    from facecluster.export.import_names import OTHER_NAME, name_decisions, read_names
    from facecluster.export.photo_library import read_photo_library
    from facecluster.report.text import plural
    from facecluster.store import Store

    place = Store(store)
    place.check()
    found = read_names(sidecars, read_photo_library(place, model_name(model), include_ignored=True).stills())
    made = name_decisions(found.names, read(place).decisions)
    if not dry_run:
        made = append(place, made)
    if as_json:
        rows = [
            {"source": n.source, "photo": n.photo.uris[0], "name": n.name, "box": [round(v, 1) for v in n.box] if n.box else None,
             "overlap": round(n.overlap, 3), "face_id": n.face.face_id if n.face else None,
             "person": n.face.person.key if n.face and n.face.person else None}
            for n in found.names
        ]  # fmt: skip
        hints = [{"source": n.source, "photo": n.photo.uris[0], "name": n.name, "why": why} for n, why in found.hints]
        skipped = [{"file": file, "why": why} for file, why in found.skipped]
        batch = {"decisions": len(made), "batch": made[0].batch if made else None, "dry_run": dry_run}
        more = {"hints": hints, "passed_over": dict(found.passed_over), "skipped": skipped}
        click.echo(json.dumps({"files": found.files, **batch, "names": rows, **more}, indent=1))
        return
    for row in found.names:
        person = row.face.person.label if row.face and row.face.person else "nobody"
        where = f"face {row.face.face_id}, {printable(person)}" if row.face else "no face found there"
        click.echo(f"{printable(row.name)}: {printable(row.photo.uris[0])}, {where}")
    for row, _ in [(row, why) for row, why in found.hints if why == OTHER_NAME]:
        if row.face and row.face.person:
            who = f"face {row.face.face_id} is of {row.face.person.label} ({row.face.person.key})"
            click.echo(printable(f"not taken over: {row.name}: {row.photo.uris[0]}, {who}"))
    for file, why in found.skipped:
        click.echo(f"skipped {printable(file)}: {printable(why)}", err=True)
    if not (found.files or found.skipped or found.passed_over):
        click.echo("nothing to read there: expected sidecars, photos of the store, or files of Picasa or Google Takeout", err=True)
    faces = sum(n.face is not None for n in found.names)
    click.echo(f"{plural(len(found.names), 'name')} in {plural(found.files, 'file')}: {faces} on faces of the store", err=True)
    if found.passed_over:
        what = "; ".join(f"{why}: {count:,}" for why, count in found.passed_over.most_common())
        click.echo(f"passed over: {printable(what)}", err=True)
    news = sum(len(d.faces) for d in made)
    if made and not dry_run:
        undo = f"'facecluster undo {shell(store)} {str(made[0].batch)[:SHORT_ID]}'"
        click.echo(f"{plural(news, 'name')} taken over; {undo} takes them back", err=True)
    elif not made:
        click.echo("nothing new", err=True)
