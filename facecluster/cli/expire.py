"""facecluster expire: forget what is older than an age."""

from __future__ import annotations

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.forget import print_receipt
from facecluster.cli.options import json_option
from facecluster.errors import shell


@click.command("expire")
@click.argument("store")
@click.option("--older-than", "age", metavar="AGE", required=True, help="2y, 18m, 6w, 90d, or a day: 2024-12-31.")
@click.option(
    "--what", type=click.Choice(["faces", "photos"]), default="faces", show_default=True,
    help="Forget the faces of these photos, or the photos with all that the store knows of them.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do it. Without this, what would go is printed, and nothing is changed.")
@json_option
@handle_errors
def command(store: str, age: str, what: str, yes: bool, as_json: bool) -> None:
    """Forget the faces of photos of STORE that were taken longer ago than AGE. This can't be undone.

    The date is the camera's; of a photo without one it is that of the file's last change; a photo without either stays. All goes that
    'facecluster forget' takes out: crops, vectors, boxes, links, earlier runs, what was said of these faces, and of people who have no
    other faces their names. Your photos are never touched, and later runs leave the same faces out. A receipt is kept in the store.

    An age is counted from this machine's day. If the clock went on by more than a year since the last photo, grouping or decision, nothing
    is forgotten by an age: give the day itself.

    \b
    Example: facecluster expire ~/people --older-than 2y
    Example: facecluster expire ~/people --older-than 2024-12-31 --what photos --yes
    """
    from facecluster.errors import InputError
    from facecluster.privacy import is_stopped
    from facecluster.privacy.expire import day_before, doubted, expire, is_age, preview_expiry, today
    from facecluster.store import Store

    place = Store(store)
    place.check()
    now = today()
    before = day_before(age, now)
    if is_stopped(place):
        raise InputError(f"expected a whole store, found one half forgotten: finish it with 'facecluster forget {shell(store)} --yes'")
    doubt, ahead = doubted(place, before, now) if is_age(age) else ("", False)
    if yes and ahead:
        raise InputError(doubt)
    if doubt:
        click.echo(f"note: {doubt}", err=True)
    if not yes:
        receipt, lines = preview_expiry(place, before, "photos" if what == "photos" else "faces")
        print_receipt(receipt, lines, as_json, done=False)
        if not as_json:
            click.echo("nothing is changed. Forgetting can't be undone; to do it, add --yes", err=True)
        return
    with place.lock():
        print_receipt(expire(place, before, "photos" if what == "photos" else "faces"), [], as_json, done=True)
    if not as_json:
        click.echo(f"to group without them: 'facecluster cluster {shell(store)}'", err=True)
