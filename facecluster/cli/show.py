"""facecluster show: the photos of people."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from facecluster.cli import results
from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option, min_probability_option, model_name, model_of_run_option, where_option
from facecluster.cli.printing import print_decisions_to_come, printable


@click.command("show")
@click.argument("store")
@click.argument("person")
@click.option("--and", "also", metavar="PERSON", multiple=True, help="Only photos that also show this person. Can be repeated.")
@click.option("--not", "without", metavar="PERSON", multiple=True, help="Only photos that do not show this person. Can be repeated.")
@min_probability_option
@where_option
@click.option("--copy-to", metavar="DIR", help="Folder to copy the photos to.")
@click.option("--link-to", metavar="DIR", help="Folder to make links to the photos in.")
@click.option("--dry-run", is_flag=True, help="Print what would be copied or linked, and do nothing.")
@model_of_run_option
@json_option
@handle_errors
def command(
    store: str, person: str, also: tuple[str, ...], without: tuple[str, ...], min_probability: float,
    where: tuple[str, ...], copy_to: str | None, link_to: str | None, dry_run: bool, model: str | None, as_json: bool,
) -> None:  # fmt: skip
    """List the photos in STORE that show PERSON (a name, a lasting id p-..., or the number in the report); copy them to a folder, or make
    links there.

    \b
    Example: facecluster show ~/people 'Ada Lovelace' --and p-0d4f21aa --not 12 --link-to both
    """
    from facecluster.errors import InputError, shell
    from facecluster.export.folders import copy_photos
    from facecluster.export.output_folder import OutputFolder
    from facecluster.export.photo_library import read_photo_library
    from facecluster.faces.attribute_filter import faces_where
    from facecluster.language.english import plural
    from facecluster.store import Store
    from facecluster.store.copies import refuse_inside, remember_copy

    if copy_to is not None and link_to is not None:
        raise InputError("expected --copy-to or --link-to, found both: give one of them")
    place = Store(store)
    place.check()
    refuse_inside(place, copy_to or link_to)
    print_decisions_to_come(place)
    name = model_name(model)
    results.note_on_names(place, name)
    library = read_photo_library(place, name, min_probability=min_probability, include_ignored=True)
    wanted = {library.recognition.find(text) for text in (person, *also)}
    barred = {library.recognition.find(text) for text in without}
    met = faces_where(place, where)
    found = library.photos_with(wanted, barred)
    if met is not None:
        found = library.photos_in_which(found, wanted, set(met.to_pylist()))
    photos, gone = [p for p in found if not p.gone], [p for p in found if p.gone]
    left_out = []
    of = library.recognition.people
    asked = ["show", *sorted(of[i].key for i in wanted), *sorted(f"not {of[i].key}" for i in barred), *where]
    out = OutputFolder(copy_to or link_to or "", " ".join(asked), dry_run=dry_run) if copy_to or link_to else None
    stale = 0
    if out is not None:
        copies = copy_photos(((p, "") for p in found), out, gone=library.gone_photos, link=link_to is not None)
        left_out = [row for row in copies if row.why]
        stale = out.finish()
        if not dry_run:
            remember_copy(place, "show", str(out.folder))
    failed = sum(row.failed for row in left_out)
    if as_json:
        people = library.recognition.people
        rows = [{"photo_id": p.photo_id, "uris": p.uris, "taken_at": p.taken_at or None,
                 "people": sorted(people[i].label for i in library.people_in(p))} for p in photos]  # fmt: skip
        query = {"with": sorted(people[i].label for i in wanted), "without": sorted(people[i].label for i in barred)}
        files = None if out is None else {"folder": str(out.folder), "files": sorted(out.claimed), "dry_run": dry_run}
        skipped = [{"photo": row.uri, "why": row.why} for row in left_out]
        missing = [p.uris[0] for p in gone]
        click.echo(json.dumps(query | {"photos": rows, "gone": missing, "out": files, "left_out": skipped}, indent=1))
        _need_all(failed)
        return
    _print_uris([p.uris[0] for p in photos], [(row.uri, row.why) for row in left_out if not row.gone])
    done = f"; {'would be ' if dry_run else ''}{'linked in' if link_to else 'copied to'} {out.folder}" if out else ""
    if stale:
        done += f", {plural(stale, 'file')} of an earlier 'show' of the same people {'would be ' if dry_run else ''}deleted"
    click.echo(f"{plural(len(photos), 'photo')}{done}", err=True)
    if gone:
        those = plural(len(gone), "photo more that is", "photos more that are")
        click.echo(f"left out: {those} gone, see 'facecluster prune {shell(store)} --dry-run'", err=True)
    _need_all(failed)


def _print_uris(shown: Sequence[str], left_out: Sequence[tuple[str, str]]) -> None:
    """The uris of photos, a line each, and of those left out, with the reason."""
    for uri in shown:
        click.echo(printable(uri))
    for uri, why in left_out:
        click.echo(f"left out {printable(uri)}: {printable(why)}", err=True)


def _need_all(failed: int) -> None:
    from facecluster.errors import WriteError

    if failed:
        raise WriteError(f"expected to write every photo, found that the system refused {failed:,}: correct that and do it again")
