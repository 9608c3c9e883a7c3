"""facecluster cluster: vectors to people, run after run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli import calibrating, common
from facecluster.errors import InputError

if TYPE_CHECKING:
    from facecluster.calibrate import Reading
    from facecluster.people import Settled


@click.command("cluster")
@click.argument("store")
@click.option("--model", default="bundled", show_default=True, help="'bundled' or the path of a model card.")
@click.option("--margin", type=click.FloatRange(-5, 10), help="How far above the best stranger a link must lie, in sd [default: 0.7].")
@click.option("--merge", type=click.FloatRange(-5, 10), help="How far above strangers two groups must lie to be one, in sd [default: 1.2].")
@click.option("--min-quality", type=click.FloatRange(0, 1), help="Faces under it found no people, but may join them [default: 0].")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--anew", is_flag=True, help="Group all faces from the start, even if only a few are new.")
@click.option("--calibrate", is_flag=True, help="Fit the stated probabilities to the names and decisions you gave, before grouping.")
@click.option("--uncalibrate", is_flag=True, help="Go back to the probabilities of the model's card.")
@click.option("--list-runs", is_flag=True, help="List the runs that were kept.")
@click.option("--return-to", type=click.IntRange(1), metavar="RUN", help="Let an earlier run count again.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@common.tidy
def command(
    store: str, model: str, margin: float | None, merge: float | None, min_quality: float | None, dry_run: bool, anew: bool,
    calibrate: bool, uncalibrate: bool, list_runs: bool, return_to: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Group the faces of STORE into people, by what the vectors and your decisions say.

    People keep their ids and names; what changes against the last run is said before the new one counts. Earlier runs are kept. Names
    that you wrote into people.csv in the store are taken over.

    While few faces are new, the people who are there stay and the new faces join them or found others; when a tenth is new, or with --anew,
    all faces are grouped from the start.

    With --calibrate, what you confirmed (names, merges, splits, same, not-same) also says how sure the tool is, here and in match, evaluate
    and dedup, if that proves better on people left out; who is with whom does not change by it.

    Example: facecluster cluster ~/people --dry-run
    """
    if sum([calibrate, uncalibrate, list_runs, return_to is not None]) > 1:
        raise InputError("expected one of --calibrate, --uncalibrate, --list-runs and --return-to, found several: do one after the other")
    if list_runs:
        _list(store, as_json)
    elif return_to is not None:
        _return(store, return_to, as_json)
    else:
        changes = {"margin": margin, "merge": merge, "min_quality": min_quality}
        reading, said = None, None
        if calibrate:
            fitted = calibrating.calibrate(store, model, dry_run, **changes)
            reading, said = fitted.reading, fitted.to_dict()
            if not as_json:
                calibrating.show(fitted, dry_run)
        elif uncalibrate:
            there, reading = calibrating.uncalibrate(store, model, dry_run)
            if not as_json:
                click.echo("the model card's probabilities are in use again" if there else "there is no calibration: nothing to take away")
        _group(store, model, as_json, dry_run, anew, reading, said, **changes)


def _group(
    store: str, model: str, as_json: bool, dry_run: bool, anew: bool, reading: Reading | None, said: dict[str, Any] | None,
    **changes: float | None,
) -> None:  # fmt: skip
    def tell(settled: Settled) -> None:
        if not as_json:
            common.show_churn(settled)

    done = common.group(store, model, tell, dry_run=dry_run, anew=anew, reading=reading, **changes)
    settled = done.settled
    if as_json:
        found = {
            "run": settled.run.number, "table": done.table, "dry_run": dry_run, "changed": settled.changed, "model": settled.run.model,
            "counts": settled.run.counts, "churn": settled.churn.to_dict(), "notes": settled.notes,
            "calibration": said,
        }  # fmt: skip
        click.echo(json.dumps(found, indent=1))
    elif dry_run:
        click.echo("nothing was changed: leave out --dry-run to do it")
    elif settled.changed:
        click.echo(f"run {settled.run.number}: {settled.run.counts['people']:,} people. 'facecluster report {store}' shows them")
    else:
        click.echo(f"run {settled.run.number} stays. 'facecluster report {store}' shows the people")


def _list(store: str, as_json: bool) -> None:
    from dataclasses import asdict

    from facecluster.people import all_runs, current
    from facecluster.store import Store

    place = Store(store)
    place.check()
    runs, now = all_runs(place), current(place)
    if as_json:
        click.echo(json.dumps({"current": now.number if now else None, "runs": [asdict(run) for run in runs]}, indent=1))
        return
    for run in runs:
        counts = ", ".join(f"{n:,} {what}" for what, n in run.counts.items())
        mark = " (counts now)" if now is not None and run.number == now.number else ""
        click.echo(common.shown(f"{run.number:>5}  {run.at}  {run.model}  {counts}; {run.decisions:,} decisions{mark}"))
    if not runs:
        click.echo(f"no runs yet: 'facecluster cluster {store}' makes one")


def _return(store: str, number: int, as_json: bool) -> None:
    from facecluster.people import known_now, return_to
    from facecluster.people.book import refresh
    from facecluster.store import Store

    place = Store(store)
    place.check()
    with place.lock():
        run = return_to(place, number)
        known = known_now(place)
        assert known is not None
        kept = refresh(place, known[0])
    if not kept:
        click.echo("note: people.csv has changes that no run has taken over yet: it stays as it is", err=True)
    if as_json:
        click.echo(json.dumps({"run": run.number, "table": run.identities}))
    else:
        click.echo(f"run {run.number} of {run.at} counts again. 'facecluster report {store}' shows its people")
