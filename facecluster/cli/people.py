"""facecluster people: who is in a store."""

from __future__ import annotations

import json

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option
from facecluster.cli.printing import printable

ORDERS = ("size", "name", "unsure", "number")
WHICH = ("all", "named", "unnamed", "ignored")


@click.command("people")
@click.argument("store")
@click.option("--only", type=click.Choice(WHICH), default="all", show_default=True, help="Which people; ignored ones are in all as well.")
@click.option("--order", type=click.Choice(ORDERS), default="size", show_default=True, help="What the list is sorted by.")
@click.option("--top", type=click.IntRange(1), help="How many people to show at most.")
@json_option
@handle_errors
def command(store: str, only: str, order: str, top: int | None, as_json: bool) -> None:
    """List the people of STORE: the number in this run (from 1), the lasting id, how many faces and photos, how sure, the name.

    Each of number, id and name is a way to call a person in the other commands. A number counts until the next 'facecluster cluster', an id
    for ever.

    \b
    Example: facecluster people ~/people --only unnamed --top 20
    """
    from facecluster.api.collection import open as open_store
    from facecluster.language.english import plural
    from facecluster.people.find_person import number_of
    from facecluster.report.text import confidence_word

    rows = [{"number": number_of(r["identity"]), **r} for r in open_store(store).people.to_pylist()]
    tests = {"all": lambda r: True, "named": lambda r: r["name"], "unnamed": lambda r: not r["name"], "ignored": lambda r: r["ignored"]}
    keys = {
        "size": lambda r: -r["faces"], "name": lambda r: (not r["name"], (r["name"] or "").casefold()),
        "unsure": lambda r: r["probability"] or 0.0, "number": lambda r: r["number"],
    }  # fmt: skip
    found = sorted(filter(tests[only], rows), key=keys[order])
    shown = found[:top]
    if as_json:
        click.echo(json.dumps({"people": shown, "all": len(found)}, indent=1))
        return
    if shown:
        click.echo(f"{'number':>6}  {'id':<10}  {'faces':>7}  {'photos':>7}  {'sure':<9}  name")
    for r in shown:
        name = f"{r['name'] or '-'}{'  (ignored)' if r['ignored'] else ''}"
        sure = "-" if r["probability"] is None else confidence_word(r["probability"])  # none of the faces is there now
        click.echo(printable(f"{r['number']:>6}  {r['person_id']:<10}  {r['faces']:>7,}  {r['photos']:>7,}  {sure:<9}  {name}"))
    more = f"; {len(found) - len(shown):,} more" if len(found) > len(shown) else ""
    click.echo(f"{plural(len(shown), 'person', 'people')}{more}", err=True)
