"""facecluster review: the people of a store on a page of this machine."""

from __future__ import annotations

import threading
import webbrowser

import click

from facecluster.cli.errors import handle_errors


@click.command("review")
@click.argument("store")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of 127.0.0.1 [default: a free one].")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@handle_errors
def command(store: str, port: int, no_browser: bool) -> None:
    """Name, merge and split the people of STORE in the browser, and answer what is not sure. Ctrl-C ends it; nothing is lost.

    The page is on 127.0.0.1: no other machine can reach it, and no other page, since its address has a token in it. All you say is in the
    store's journal at once; 'facecluster cluster' groups by it.

    Example: facecluster review ~/people
    """
    from facecluster.review import open_review
    from facecluster.store import Store

    place = Store(store)
    place.check()
    review = open_review(place, port)
    try:
        click.echo(f"open {review.url}")
        click.echo("Ctrl-C ends it", err=True)
        if not no_browser:
            # one that runs in the terminal would keep the page from being served
            threading.Thread(target=webbrowser.open, args=(review.url,), daemon=True).start()
        review.serve()
    except KeyboardInterrupt:
        click.echo(f"\nall is kept. To group by it: 'facecluster cluster {store}'", err=True)
    finally:
        review.close()
