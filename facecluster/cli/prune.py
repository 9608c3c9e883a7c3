"""facecluster prune: photos that are gone no longer count."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option
from facecluster.cli.printing import gone_line, nowhere_else, printable
from facecluster.errors import InputError, shell

if TYPE_CHECKING:
    from facecluster.photos.gone import GoneFolder
    from facecluster.store import Store

SHOWN = 20  # places of a folder that are printed


@click.command("prune")
@click.argument("store")
@click.option("--dry-run", is_flag=True, help="List what is gone, and change nothing.")
@click.option("--under", metavar="FOLDER", help="Only places in this folder, or in folders below it.")
@click.option("--undo", is_flag=True, help="Let the places count again that the last prune dropped.")
@click.option("--yes", is_flag=True, help="Also drop places of which a whole root is missing, as when a disk is not mounted.")
@json_option
@handle_errors
def command(store: str, dry_run: bool, under: str | None, undo: bool, yes: bool, as_json: bool) -> None:
    """Let photos of STORE that are gone no longer count: deleted ones, and those that were moved out of the folders that are searched.

    No photo is touched, and nothing of the store is deleted: --undo takes it back, and a photo that a later run finds again counts again,
    with all that was said about it.

    \b
    Example: facecluster prune ~/people --dry-run
    Example: facecluster prune ~/people --under /mnt/old-disk --yes
    """
    from facecluster.store import Store

    if undo and yes:
        raise InputError("expected --undo or --yes, found both: give one of them")
    place = Store(store)
    place.check()
    with nullcontext() if dry_run else place.lock():
        found = _undo(place, under, dry_run) if undo else _prune(place, under, yes, dry_run)
    if as_json:
        click.echo(json.dumps(found | {"dry_run": dry_run}, indent=1))


def _prune(place: Store, under: str | None, yes: bool, dry_run: bool) -> dict[str, Any]:
    from facecluster.language.english import plural
    from facecluster.photos.gone import gone_folders
    from facecluster.photos.places import drop_places

    found = gone_folders(place, under)
    dropped = [folder for folder in found if yes or not folder.whole_root]
    kept = [folder for folder in found if folder not in dropped]
    places = [uri for folder in dropped for uri in folder.places]
    if not dry_run:
        drop_places(place, places, by_user=True)
    if not _as_json():
        for folder in dropped:
            _print_folder(folder)
        would = "would no longer count" if dry_run else "no longer count" if len(places) != 1 else "no longer counts"
        photos = set[str]().union(*(folder.photos for folder in dropped))
        click.echo(f"{plural(len(places), 'place')} {would}; {nowhere_else(len(photos))}" if places else "nothing is dropped")
        if places and not dry_run:
            store = printable(place.url)
            click.echo(f"to group without them: 'facecluster cluster {shell(store)}'", err=True)
            click.echo(f"to take it back: 'facecluster prune {shell(store)} --undo'", err=True)
    for folder in kept:
        line = gone_line(folder)
        click.echo(f"left as it is: {line}. Mount it, or drop its photos with --yes", err=True)
    return {"dropped": [_json(folder) for folder in dropped], "kept": [_json(folder) for folder in kept]}


def _json(folder: GoneFolder) -> dict[str, Any]:
    return {"folder": folder.folder, "whole_root": folder.whole_root, "places": folder.places, "photos": len(folder.photos)}


def _undo(place: Store, under: str | None, dry_run: bool) -> dict[str, Any]:
    from facecluster.language.english import plural
    from facecluster.photos.gone import is_under
    from facecluster.photos.places import pruned_places, restore_places

    places = [uri for uri in pruned_places(place) if under is None or is_under(uri, under)]
    if not places:
        raise InputError(f"expected places that were pruned from {place.url}, found none: there is nothing to take back")
    if not dry_run:
        restore_places(place, places)
    if not _as_json():
        for uri in places[:SHOWN]:
            click.echo(f"  {printable(uri)}")
        if len(places) > SHOWN:
            click.echo(f"  and {len(places) - SHOWN:,} more")
        click.echo(f"{plural(len(places), 'place')} {'would count' if dry_run else 'count' if len(places) != 1 else 'counts'} again")
        if not dry_run:
            click.echo(f"to group with them: 'facecluster cluster {shell(place.url)}'", err=True)
    return {"restored": places}


def _print_folder(folder: GoneFolder) -> None:
    click.echo(f"{gone_line(folder)}:")
    for uri in folder.places[:SHOWN]:
        click.echo(f"  {printable(uri)}")
    if len(folder.places) > SHOWN:
        click.echo(f"  and {len(folder.places) - SHOWN:,} more")


def _as_json() -> bool:
    return bool(click.get_current_context().params["as_json"])
