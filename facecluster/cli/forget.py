"""facecluster forget: people, photos and faces leave a store, and do not come back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option
from facecluster.cli.printing import print_decisions_to_come, printable
from facecluster.errors import shell

if TYPE_CHECKING:
    from facecluster.store import Store


@click.command("forget")
@click.argument("store")
@click.argument("who", nargs=-1)
@click.option("--yes", is_flag=True, help="Do it. Without this, what would go is printed, and nothing is changed.")
@click.option("--dry-run", is_flag=True, help="Print what would go, and change nothing: as without --yes.")
@click.option(
    "--new-photos", type=click.Choice(["keep", "ask", "drop"]), default="keep", show_default=True,
    help="What becomes of these people on new photos: they come in as new people; 'cluster' tells you of them; it forgets them again. "
         "But for 'keep', the store keeps up to 8 vectors of each to know them by.",
)  # fmt: skip
@click.option("--end-suppression", is_flag=True, help="Delete the vectors that --new-photos kept, of all people.")
@json_option
@handle_errors
def command(
    store: str, who: tuple[str, ...], yes: bool, dry_run: bool, new_photos: str, end_suppression: bool, as_json: bool
) -> None:  # fmt: skip
    """Forget people, photos and faces of STORE. This can't be undone.

    WHO is a person (a name, or an id p-...), a photo (its path or photo_id) or a face (a face_id). Crops, boxes, vectors, links, names,
    decisions, thumbnails, earlier runs, the index of match, reports and exports in the store: all that is of them goes. Your photos are
    never touched. Salted hashes stay, by which later runs leave the same photos and faces out. A new photo of a forgotten person
    comes in as a new person: to know the person again, the store would have to keep what you want forgotten. With --new-photos it does.

    Reports and exports outside the store are listed, not changed. docs/privacy.md says what forgetting can't reach.

    \b
    Example: facecluster forget ~/people 'Ada Lovelace'
    Example: facecluster forget ~/people 'Ada Lovelace' --yes
    """
    from facecluster.errors import InputError
    from facecluster.privacy import forget, is_stopped, preview
    from facecluster.privacy.keep_vectors import keep_vectors
    from facecluster.store import Store

    if yes and dry_run:
        raise InputError("expected --yes or --dry-run, found both: give one of them")
    place = Store(store)
    place.check()
    if end_suppression:
        _end_suppression(place, who, yes)
        return
    stopped = is_stopped(place)
    if not who and not stopped:
        raise InputError("expected a person, a photo or a face to forget, found none: give a name, an id, a path or a face_id")
    if not stopped:
        print_decisions_to_come(place)
    if not yes:
        if stopped:
            found = "a forgetting that was stopped"
            raise InputError(f"expected a whole store, found {found}: finish it with 'facecluster forget {store} --yes'")
        receipt, lines = preview(place, who)
        print_receipt(receipt, lines, as_json, done=False)
        if not as_json:
            click.echo("nothing is changed. Forgetting can't be undone; to do it, add --yes", err=True)
        return
    with place.lock(forgetting=True):
        if new_photos != "keep" and not stopped:
            kept = keep_vectors(place, who, new_photos)
            click.echo(f"{kept:,} vectors are kept, to know them again: '--end-suppression --yes' deletes them", err=True)
        receipts = forget(place, who)
    for receipt in receipts:
        print_receipt(receipt, [], as_json, done=True)
    if not as_json:
        shown = shell(store)
        click.echo(f"to group without them: 'facecluster cluster {shown}'; for a new report: 'facecluster report {shown}'", err=True)


def _end_suppression(place: Store, who: tuple[str, ...], yes: bool) -> None:
    from facecluster.errors import InputError
    from facecluster.people.suppressed import end_suppression, suppressed_models

    if who:
        raise InputError("expected --end-suppression alone, found a person, photo or face with it: it is of all people")
    if not yes:
        models = ", ".join(suppressed_models(place)) or "no model"
        click.echo(f"vectors of {models} would be deleted; nothing is changed: add --yes to do it", err=True)
        return
    with place.lock():
        click.echo(f"{end_suppression(place):,} vectors of forgotten people deleted: on new photos they come in as new people")


def print_receipt(receipt: dict[str, Any], lines: list[str], as_json: bool, *, done: bool) -> None:
    """Print what was forgotten, or would be."""
    from facecluster.language.english import plural

    if as_json:
        click.echo(json.dumps(receipt | {"dry_run": not done}, indent=1))
        return
    for line in lines:
        click.echo(printable(line))
    counts = receipt["forgotten"]
    people, faces = plural(counts["people"], "person", "people"), plural(counts["faces"], "face")
    what = ", ".join([people, faces, plural(counts["photos"], "photo")])
    click.echo(f"{what} {'forgotten' if done else 'would be forgotten'}, in these places:")
    for where, number in receipt["removed"].items():
        click.echo(f"  {where}: {number:,}")
    for path in receipt["left"]:
        click.echo(f"not facecluster's file, left as it is: {printable(path)} in the store", err=True)
    for copy in receipt["copies"]:
        click.echo(f"a copy outside the store, left as it is: {copy['kind']} of {copy['at'][:10]}, {printable(copy['where'])}", err=True)
    if found := receipt["temporary"]:
        more = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
        click.echo(f"may hold copies, if a command was killed: {printable(found[0])}{more}; delete them when none is at work", err=True)
    if done:
        click.echo(f"receipt {receipt['id']} of {receipt['at']} is in forgotten/ in the store")
