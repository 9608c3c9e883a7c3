"""facecluster import-names: take over the names that other programs gave to faces."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import device_option, json_option, model_name, model_of_run_option
from facecluster.cli.printing import printable
from facecluster.cli.progress import progress_bar
from facecluster.errors import shell

if TYPE_CHECKING:
    from facecluster.decisions import Decision
    from facecluster.export.draw_regions import DrawnRegions
    from facecluster.export.import_names import ImportedNames, RegionName
    from facecluster.store import Store


@click.command("import-names")
@click.argument("store")
@click.argument("sidecars", nargs=-1, required=True)
@click.option("--draw/--no-draw", default=True, show_default=True,
              help="Draw the face of a named region in which none was found.")
@click.option("--dry-run", is_flag=True, help="List the names, and change nothing.")
@model_of_run_option
@device_option
@json_option
@handle_errors
def command(
    store: str, sidecars: tuple[str, ...], draw: bool, dry_run: bool, model: str | None, device: str, as_json: bool
) -> None:  # fmt: skip
    """Take over the names that other programs gave to faces: digiKam, Lightroom, Windows, Picasa and others, or another store.

    SIDECARS are XMP sidecars, photos with XMP, Picasa's .picasa.ini and contacts.xml, Google Takeout's .json files, or folders of them. A
    name without a place in the photo (Google Takeout's, IPTC's persons shown) is taken over if the photo has one such name and one face,
    and the face no other name; the other such names are listed with --json. A person who has a name is renamed only if the files
    give another one to most of the person's faces; else it is listed as not taken over.

    Where somebody marked and named a face that the detector missed, it is drawn, as in 'facecluster review': the photo is opened, and the
    next 'facecluster cluster' puts the face with the person of that name.

    Each name becomes a decision, in effect at once and in every later 'facecluster cluster'. 'facecluster undo' takes the names back, and
    the faces that were drawn with them.

    \b
    Example: facecluster import-names ~/people ~/Pictures --dry-run
    """
    from facecluster.decisions import append, new_id, read
    from facecluster.export.draw_regions import DrawnRegions, regions_to_draw, undone_faces
    from facecluster.export.import_names import name_decisions, read_names
    from facecluster.export.photo_library import read_photo_library
    from facecluster.photos.followed import read_followed
    from facecluster.store import Store
    from facecluster.store.copies import read_copies

    place = Store(store)
    place.check()
    name, undone, batch = model_name(model), undone_faces(place), new_id()
    library = read_photo_library(place, name, include_ignored=True).stills()
    exported = any(row["kind"] == "xmp" for row in read_copies(place))
    found = read_names(sidecars, library, undone, exported=exported)
    regions = regions_to_draw(found.names, library, place, undone) if draw else DrawnRegions()
    made = name_decisions(found.names, read(place).decisions, batch=batch, followed=read_followed(place))
    if not dry_run:
        made = append(place, made)
        regions = _draw(place, regions, name, model, batch, device)
    names = _with_drawn(found.names, regions.drawn)
    if as_json:
        more = {"decisions": len(made), "batch": batch if made or regions.drawn else None, "dry_run": dry_run}
        click.echo(json.dumps({"files": found.files, **more, "drawn": len(regions.drawn), **_rows(found, names, regions)}, indent=1))
        return
    _tell(found, names, regions, dry_run=dry_run)
    _tell_result(store, found, regions, made, batch, dry_run=dry_run)


def _draw(place: Store, regions: DrawnRegions, name: str | None, model: str | None, batch: str, device: str) -> DrawnRegions:
    """Draw the faces of regions; the models are loaded only if there are any."""
    if not regions.drawn:
        return regions
    from dataclasses import replace

    from facecluster.export.draw_regions import draw_regions
    from facecluster.people import current_run
    from facecluster.people.make_drawn import embedding_of

    run = current_run(place)
    embed = embedding_of(place, name or (run.model if run else "bundled"))
    with progress_bar("faces drawn", len(regions.drawn)) as tick:
        return draw_regions(place, regions, embed if model is None else replace(embed, model=model), batch=batch, device=device, tick=tick)


def _with_drawn(names: Iterable[RegionName], drawn: Iterable[RegionName]) -> list[RegionName]:
    """The names, of which some have faces now."""
    made = {_key(row): row for row in drawn}
    return [row if row.face else made.get(_key(row), row) for row in names]


def _key(row: RegionName) -> tuple[object, ...]:
    return row.source, row.photo.photo_id, row.name, row.box


def _rows(found: ImportedNames, names: list[RegionName], regions: DrawnRegions) -> dict[str, Any]:
    """What --json lists."""
    drawn, refused = {_key(row) for row in regions.drawn}, {_key(row): why for row, why in regions.refused}
    rows = [
        {"source": n.source, "photo": n.photo.uris[0], "name": n.name, "box": [round(v, 1) for v in n.box] if n.box else None,
         "overlap": round(n.overlap, 3), "face_id": n.face.face_id if n.face else None,
         "person": n.face.person.key if n.face and n.face.person else None,
         "drawn": _key(n) in drawn, "not_drawn": refused.get(_key(n))}
        for n in names
    ]  # fmt: skip
    hints = [{"source": n.source, "photo": n.photo.uris[0], "name": n.name, "why": why} for n, why in found.hints]
    skipped = [{"file": file, "why": why} for file, why in found.skipped]
    return {"names": rows, "hints": hints, "passed_over": dict(found.passed_over), "skipped": skipped}


def _tell(found: ImportedNames, names: list[RegionName], regions: DrawnRegions, *, dry_run: bool) -> None:
    """Print the names, and what was not taken over."""
    from facecluster.export.import_names import OTHER_NAME

    drawn, refused = {_key(row) for row in regions.drawn}, {_key(row): why for row, why in regions.refused}
    for row in names:
        person = row.face.person.label if row.face and row.face.person else "nobody"
        if _key(row) in drawn:
            where = "no face found there, it would be drawn" if row.face is None else f"face {row.face.face_id}, drawn"
        elif row.face is None:
            where = f"no face found there, not drawn: {refused[_key(row)]}" if _key(row) in refused else "no face found there"
        else:
            where = f"face {row.face.face_id}, {person}"
        click.echo(printable(f"{row.name}: {row.photo.uris[0]}, {where}"))
    for row, why in found.hints:
        if why == OTHER_NAME and row.face and row.face.person:
            who = f"face {row.face.face_id} is of {row.face.person.label} ({row.face.person.key})"
            click.echo(printable(f"not taken over: {row.name}: {row.photo.uris[0]}, {who}"))
    for file, why in found.skipped:
        click.echo(f"skipped {printable(file)}: {printable(why)}", err=True)
    if not (found.files or found.skipped or found.passed_over):
        click.echo("nothing to read there: expected sidecars, photos of the store, or files of Picasa or Google Takeout", err=True)


def _tell_result(
    store: str, found: ImportedNames, regions: DrawnRegions, made: list[Decision], batch: str, *, dry_run: bool
) -> None:  # fmt: skip
    """Print how many names there are, what became of them, and how to take them back."""
    from facecluster.decisions import SHORT_ID
    from facecluster.language.english import plural

    faces = sum(n.face is not None for n in found.names)
    click.echo(f"{plural(len(found.names), 'name')} in {plural(found.files, 'file')}: {faces} on faces of the store", err=True)
    if regions.drawn:
        later = " by the next 'facecluster run', as another program is at work in the store" if regions.later else ""
        click.echo(f"{plural(len(regions.drawn), 'face')} {'would be ' if dry_run else ''}drawn where none was found{later}", err=True)
    for what, counts in (("not drawn", Counter(why for _, why in regions.refused)), ("passed over", found.passed_over)):
        if counts:
            click.echo(printable(f"{what}: " + "; ".join(f"{why}: {count:,}" for why, count in counts.most_common())), err=True)
    news = sum(len(d.faces) for d in made) + (0 if dry_run else len(regions.drawn))
    if news and not dry_run:
        undo = f"'facecluster undo {shell(store)} {batch[:SHORT_ID]}'"
        click.echo(f"{plural(news, 'name')} taken over; {undo} takes them back", err=True)
        named = {face for d in made for face in d.faces}
        if alone := len({n.face.face_id for n in found.names if n.face and not n.face.person and n.face.face_id in named}):
            whose = plural(alone, "face that is nobody's", "faces that are nobody's")
            click.echo(f"'facecluster cluster {shell(store)}' makes people of {whose}", err=True)
        if regions.drawn:
            click.echo(f"'facecluster cluster {shell(store)}' puts the drawn faces with their people", err=True)
    elif not news and not regions.drawn:
        click.echo("nothing new", err=True)
