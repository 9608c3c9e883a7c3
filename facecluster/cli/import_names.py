"""facecluster import-names: names that other programs gave."""

from __future__ import annotations

import json

import click

from facecluster.cli import common


@click.command("import-names")
@click.argument("store")
@click.argument("sidecars", nargs=-1, required=True)
@click.option("--model", default="bundled", show_default=True, help="'bundled' or the path of a model card.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@common.tidy
def command(store: str, sidecars: tuple[str, ...], model: str, as_json: bool) -> None:
    """List the names that digiKam, Lightroom and others gave to faces, from SIDECARS (.xmp, photos, or folders of them).

    Example: facecluster import-names ~/people ~/Pictures
    """
    from facecluster.export.library import read_library
    from facecluster.export.names import read_names
    from facecluster.models.registry import card_of
    from facecluster.report.text import plural, shown
    from facecluster.tables import Store

    place = Store(store)
    place.check()
    found = read_names(sidecars, read_library(place, card_of(model).name))
    if as_json:
        rows = [
            {"source": n.source, "photo": n.photo.uris[0], "name": n.name, "box": [round(v, 1) for v in n.box],
             "overlap": round(n.overlap, 3), "face_id": n.face.face_id if n.face else None,
             "person": n.face.person.key if n.face and n.face.person else None}
            for n in found.named
        ]  # fmt: skip
        skipped = [{"file": file, "why": why} for file, why in found.skipped]
        click.echo(json.dumps({"files": found.files, "names": rows, "skipped": skipped}, indent=1))
        return
    for row in found.named:
        person = row.face.person.label if row.face and row.face.person else "nobody"
        where = f"face {row.face.face_id}, {shown(person)}" if row.face else "no face found there"
        click.echo(f"{shown(row.name)}: {shown(row.photo.uris[0])}, {where}")
    for file, why in found.skipped:
        click.echo(f"skipped {shown(file)}: {shown(why)}", err=True)
    faces = sum(n.face is not None for n in found.named)
    click.echo(f"{plural(len(found.named), 'name')} in {plural(found.files, 'file')} with XMP: {faces} on faces of the store", err=True)
