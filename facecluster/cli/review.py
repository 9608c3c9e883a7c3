"""facecluster review: a page in the browser to name, merge and split the people of a store."""

from __future__ import annotations

import contextlib
import threading
import webbrowser

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import lang_option
from facecluster.errors import shell


@click.command("review")
@click.argument("store")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1.", show_default="a free one")
@click.option("--no-browser", is_flag=True, help="Do not open the browser, only print the address.")
@lang_option
@handle_errors
def command(store: str, port: int, no_browser: bool, lang: str) -> None:
    """Name, merge and split the people of STORE in the browser, and answer the open questions. Faces that were missed are drawn on
    their photos, and the faces are grouped again when you want it. Ctrl-C ends it; nothing is lost.

    The page is on 127.0.0.1. No other machine can reach it, and no other page can, because its address contains a token. Each decision is
    saved in the store at once; a new grouping, there or with 'facecluster cluster', uses it, and writes people.csv anew.

    \b
    Example: facecluster review ~/people
    """
    from facecluster.language import language_of
    from facecluster.review import open_review
    from facecluster.store import Store

    place = Store(store)
    place.check()
    review = open_review(place, port, language_of(lang))
    try:
        click.echo(f"open {review.url}")
        click.echo("Ctrl-C ends it", err=True)
        if not no_browser:
            # a browser that runs in the terminal would block the server
            with contextlib.suppress(OSError):  # a store that can't be written: the address is printed
                threading.Thread(target=webbrowser.open, args=(review.write_opener().as_uri(),), daemon=True).start()
        review.serve()
    except KeyboardInterrupt:
        click.echo(f"\nall decisions are saved. To group by them: 'facecluster cluster {shell(store)}'", err=True)
    finally:
        review.close()
