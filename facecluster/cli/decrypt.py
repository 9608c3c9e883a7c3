"""facecluster decrypt: write an encrypted store as one that is not."""

from __future__ import annotations

import click

from facecluster.cli.errors import handle_errors


@click.command("decrypt")
@click.argument("store")
@handle_errors
def command(store: str) -> None:
    """Decrypt STORE in place: afterwards it needs no key, and whoever can read its files can read all of it.

    The key is found as by 'facecluster encrypt'. If it is stopped, the same command goes on.

    \b
    Example: facecluster decrypt ~/people
    """
    from facecluster.cli.progress import open_progress_bar
    from facecluster.language.english import plural
    from facecluster.privacy.convert import decrypt_store
    from facecluster.store import Store
    from facecluster.store.store_file import encryption_of

    place = Store(store)
    before = encryption_of(place, afresh=True)
    if before is None or not before.state:
        place.check()
    with place.lock(), open_progress_bar("files") as bar:
        done = decrypt_store(place, bar)
    click.echo(f"decrypted: {plural(done, 'file')} written")
