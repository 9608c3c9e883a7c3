"""facecluster undo: undo decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.printing import printable
from facecluster.language.english import plural

if TYPE_CHECKING:
    from facecluster.decisions import Decision

_LEAST = 4  # digits of an id that name a decision: "3" is a number, and hardly meant as the beginning of one


@click.command("undo")
@click.argument("store")
@click.argument("decision", required=False)
@click.option("--list", "show", is_flag=True, help="List the decisions that are in effect, newest last.")
@handle_errors
def command(store: str, decision: str | None, show: bool) -> None:
    """Undo DECISION of STORE: the id of a decision, or of a whole CSV file; without one, the newest decision in effect. To undo an undo,
    give its id.

    \b
    Example: facecluster undo ~/people
    """
    from facecluster.decisions import SHORT_ID, Decision, active, append, read
    from facecluster.errors import InputError, shell
    from facecluster.store import Store

    place = Store(store)
    place.check()
    journal = read(place)
    for note in journal.notes:
        click.echo(f"note: {printable(note)}", err=True)
    held = active(journal.decisions)
    if show:
        for d in held:
            click.echo(printable(_line(d)))
        return
    if decision is None and not held:
        raise InputError(f"expected a decision to undo in {store}, found none in effect")
    wanted = held[-1].id if decision is None else decision
    known = {name for d in journal.decisions for name in (d.id, d.batch) if name}
    begin = sorted(name for name in known if len(wanted) >= _LEAST and name.startswith(wanted))
    if wanted not in known and len(begin) > 1:
        raise InputError(f"expected the id of one decision, found {wanted!r}, with which {len(begin)} begin: give more of {begin[0]}")
    wanted = wanted if wanted in known else begin[0] if begin else wanted
    if wanted not in known:
        what = "the id of a decision" if len(wanted) >= _LEAST else f"{_LEAST} or more digits of a decision's id"
        raise InputError(f"expected {what}, found {wanted!r}: 'facecluster undo {shell(store)} --list' shows them")
    undo = Decision(act="undo", of=wanted)
    gone = [d for d in held if d.id == wanted or d.batch == wanted]
    back = [d for d in journal.decisions if d.id == wanted and d.act == "undo"]
    if not gone and not back:
        raise InputError(f"expected a decision in effect, found {wanted}, which is undone already: undo that undo to bring it back")
    made = append(place, [undo])
    for d in gone:
        click.echo(printable(f"undone: {_line(d)}"))
    for d in back:
        click.echo(f"undone: the undo of {(d.of or '')[:SHORT_ID]}")
    again = f"'facecluster undo {shell(store)} {made[0].id[:SHORT_ID]}'"
    click.echo(f"to group by it: 'facecluster cluster {shell(store)}'; to undo the undo: {again}")


def _line(d: Decision) -> str:
    name = f" {d.name!r}" if d.name is not None else f" {d.date or 'unknown'}" if d.date is not None else ""
    from facecluster.decisions import SHORT_ID

    batch = f", file {d.batch[:SHORT_ID]}" if d.batch else ""
    return f"{d.id[:SHORT_ID]}  {d.at}  {d.act}{name} {d.person or ''} ({plural(len(d.faces), 'face')}{batch})"
