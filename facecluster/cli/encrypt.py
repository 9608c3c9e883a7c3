"""facecluster encrypt: encrypt a store that is there, and make keys."""

from __future__ import annotations

import os

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.printing import printable
from facecluster.errors import shell


@click.command("encrypt")
@click.argument("store", required=False)
@click.option("--new-key", metavar="FILE", help="First make a key and write it to FILE, or 'keyring' for the system's keyring.")
@handle_errors
def command(store: str | None, new_key: str | None) -> None:
    """Encrypt STORE in place, or without STORE only make a key.

    Every table, the journal of decisions, people.csv and all else that says something of people or paths is encrypted with AES-256. The key
    is read from the variable FACECLUSTER_KEY, from the file that FACECLUSTER_KEY_FILE names, or from the system's keyring. Without the key
    nothing can be read, by nobody: keep a copy of it, apart from the store.

    Pages and files for other programs can't be encrypted: the report in the store is deleted, and what else lies there must be moved out
    first. If it is stopped, the same command goes on. docs/security.md says what encryption protects against, and what not.

    \b
    Example: facecluster encrypt ~/people --new-key ~/people.key
    """
    from facecluster.cli.progress import open_progress_bar
    from facecluster.errors import InputError
    from facecluster.language.english import plural
    from facecluster.store import Store
    from facecluster.store.keys import KEYRING, first_key, key_id
    from facecluster.store.store_file import encryption_of

    if store is None and new_key is None:
        raise InputError("expected a store, or --new-key FILE, found neither: name one")
    place = None if store is None else Store(store)
    before = None
    if place is not None:
        before = encryption_of(place, afresh=True)
        if before is None or not before.state:
            place.check()
    if new_key is not None and before is not None:
        raise InputError(f"expected no --new-key for a store that has the key {before.key_id}, found one: leave it out")
    if new_key not in (None, KEYRING) and place is not None and place.is_local and _is_in(str(new_key), place.root):
        raise InputError(f"expected a file outside the store for the key, found {new_key}: whoever has the store would have the key")
    if place is None:
        _make(str(new_key))
        return
    from facecluster.privacy.convert import encrypt_store

    with place.lock(), open_progress_bar("files") as bar:
        key, done = encrypt_store(place, lambda: key_id(first_key()) if new_key is None else _make(new_key), bar)
    click.echo(f"encrypted with the key {key}: {plural(done, 'file')} written")
    click.echo("what the files were before may still lie in free blocks of the disk, in snapshots and in backups", err=True)


def _make(where: str) -> str:
    """Make a key, and have this process use it; gives its id."""
    from facecluster.store.keys import FILE_VARIABLE, KEYRING, VARIABLE, make_key

    made = make_key(where)
    os.environ.pop(VARIABLE, None)
    if where == KEYRING:
        os.environ.pop(FILE_VARIABLE, None)
        use = "every command looks there"
    else:
        os.environ[FILE_VARIABLE] = os.path.abspath(os.path.expanduser(where))
        use = f"export {FILE_VARIABLE}={shell(os.environ[FILE_VARIABLE])}"
    click.echo(f"key {made} written to {printable(where)}. Without it nothing can be read: keep a copy. To use it: {use}", err=True)
    return made


def _is_in(path: str, root: str) -> bool:
    place, top = (os.path.realpath(os.path.expanduser(p)) for p in (path, root))
    return os.path.commonpath([place, top]) == top
