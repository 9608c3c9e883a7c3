"""facecluster check: whether a store is as it was written."""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import nullcontext

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option
from facecluster.cli.printing import printable
from facecluster.errors import shell


@click.command("check")
@click.argument("store")
@click.option("--repair", is_flag=True, help="Set damaged files aside, so that the other commands make them anew.")
@json_option
@handle_errors
def command(store: str, repair: bool, as_json: bool) -> None:
    """Read the tables, runs and decisions of STORE, and say what is not as it was written.

    Each shard of a table has a digest (SHA-256), so that one changed bit in it is found; so have the files of match's index. The journal
    of decisions and people.csv have none: they are read, but another name in them is not seen. In an encrypted store all files are
    authenticated, the journal line by line. For each damaged file this says what is lost, or which command makes it anew.

    With --repair, damaged files go into the folder 'damaged' of the store, the newest whole run becomes the current one, and what
    stopped commands left is deleted. Names of the current run that the journal has lost are written into it again; else it is not
    changed. A file that can't be read now, or is of a newer version, stays.

    Exit code: 0 if nothing is damaged, or all was repaired; else 1.

    Example: facecluster check ~/people
    """
    from facecluster.check import check, is_store
    from facecluster.cli.progress import open_progress_bar
    from facecluster.language.english import plural
    from facecluster.store import Store

    place = Store(store)
    if not is_store(place):
        place.check()  # says that it is none
    with place.lock() if repair else nullcontext(), open_progress_bar("shards") as bar:
        found = check(place, mend=repair, tick=bar)
    if as_json:
        rows = [
            {"path": f.path, "problem": f.problem, "next": f.next, "serious": f.serious, "repaired": f.path in found.repaired}
            for f in found.findings
        ]
        click.echo(json.dumps({"shards": found.shards, "findings": rows}, indent=1))
    else:
        small = Counter((f.problem, f.next, f.path in found.repaired) for f in found.findings if not f.serious)
        for f in found.findings:
            if f.serious:
                click.echo(printable(f.line() + (" (repaired)" if f.path in found.repaired else "")))
        for (problem, what, done), number in small.items():
            click.echo(printable(f"{plural(number, 'file')}: {problem}. {what}" + (" (done)" if done else "")))
        bad = len([f for f in found.findings if f.serious])
        click.echo(f"{plural(found.shards, 'shard')} read: {'as they were written' if not bad else plural(bad, 'problem')}")
        if not repair and any(f.repair != "nothing" for f in found.damage):
            click.echo(f"next: facecluster check {shell(store)} --repair")
    sys.exit(1 if found.damage else 0)
