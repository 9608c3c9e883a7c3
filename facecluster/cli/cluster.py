"""facecluster cluster: group faces into people, run after run."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli import calibration, events, jobs
from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option, memory_option, model_option, renamed_option, scheduler_option, workers_option
from facecluster.cli.plan import say_time_to_group
from facecluster.cli.printing import print_changes, printable
from facecluster.errors import InputError, shell
from facecluster.language.english import plural

if TYPE_CHECKING:
    from facecluster.calibrate import StoreCalibration
    from facecluster.people import ReconciledRun


@click.command("cluster")
@click.argument("store")
@model_option
@click.option(
    "--margin",
    type=click.FloatRange(-5, 10),
    help="How strict the linking of faces is. Higher splits more people, lower merges more. Unit: standard deviations of the similarity "
    "between different people in your collection.",
    show_default="0.7",
)
@renamed_option(
    "--merge-margin",
    "merge",
    old="--merge",
    type=click.FloatRange(-5, 10),
    help="How strict the joining of groups of faces is. Higher leaves more people in several groups, lower puts more different people "
    "together. Unit: as for --margin.",
    show_default="1.2",
)
@click.option(
    "--min-quality", type=click.FloatRange(0, 1), show_default="0",
    help="Faces of lower quality (0 to 1) form no people of their own, but may join one.",
)
@click.option(
    "--min-recognisability", type=click.FloatRange(0, 1), show_default="0.5",
    help="Faces that are less probable than this to say who they are (blurred, tiny, no face at all) are in no group. 0 groups all.",
)
@click.option(
    "--min-purity", type=click.FloatRange(0, 1), show_default="0.5",
    help="Groups of which a smaller share is expected to be one person are nobody: blurred faces, profiles that look alike. 0 keeps all.",
)
@click.option(
    "--algorithm", type=click.Choice(["facecluster", "hdbscan"]), default="facecluster", show_default=True,
    help="'hdbscan' groups by the Python library hdbscan alone, for comparison.",
)
@click.option("--dry-run", is_flag=True, help="Print how long it takes and what would change; change nothing.")
@click.option(
    "--ask", is_flag=True,
    help="Say what changes, and ask whether it is to count; else the current run stays. With --json, progress, changes and result are JSON "
    "objects, one a line, and the answer is a line 'yes' on stdin.",
)
@renamed_option("--full", old="--anew", is_flag=True, help="Group all faces from the start, even if only a few are new.")
@click.option("--calibrate", is_flag=True, help="Before grouping, fit the stated probabilities to the names and decisions you gave.")
@renamed_option("--reset-calibration", old="--uncalibrate", is_flag=True, help="Return to the probabilities of the model card.")
@click.option("--list-runs", is_flag=True, help="List the runs that are kept.")
@click.option("--return-to", type=click.IntRange(1), metavar="RUN", help="Make an earlier run the current one again.")
@workers_option
@scheduler_option
@memory_option
@json_option
@handle_errors
def command(
    store: str, model: str, margin: float | None, merge: float | None, min_quality: float | None, min_recognisability: float | None,
    min_purity: float | None, algorithm: str, dry_run: bool, full: bool, calibrate: bool, reset_calibration: bool, list_runs: bool,
    return_to: int | None, workers: int | None, scheduler: str | None, memory: int, ask: bool, as_json: bool,
) -> None:  # fmt: skip
    """Group the faces of STORE into people, by the faces' similarity and your decisions.

    People keep their ids and names. What changes against the last run is printed before the new run becomes the current one. Earlier runs
    are kept. Names that you wrote into people.csv in the store are taken over.

    While few faces are new, edited or gone, the people who are there stay; new faces join them or form new people. When it is more than a
    tenth of the faces, or with --full, all faces are grouped from the start.

    With --calibrate, what you confirmed (names, merges, splits, same, not-same) also corrects the probabilities that this command, match,
    evaluate and dedup state, if the corrected ones are better for people who were left out of the fit. Who is with whom does not change.

    With --algorithm hdbscan, the library works on the same graph of similar faces, and your decisions hold. It joins no groups afterwards,
    so people are more often in several groups. All faces are grouped each time. Probabilities are the library's membership strengths. Two
    limits of the library: among equal distances the result depends on the order of the faces, and it is slow where thousands of faces join
    one group one by one. The next run without this option groups all faces in the usual way.

    \b
    Example: facecluster cluster ~/people --dry-run
    """
    if sum([calibrate, reset_calibration, list_runs, return_to is not None]) > 1:
        raise InputError(
            "expected one of --calibrate, --reset-calibration, --list-runs and --return-to, found several: do one after the other"
        )
    if calibrate and algorithm == "hdbscan":
        raise InputError("expected --calibrate without --algorithm hdbscan, whose probabilities are not fitted: leave one of the two out")
    if list_runs:
        _list(store, as_json)
    elif return_to is not None:
        _return(store, return_to, as_json)
    else:
        changes = {"margin": margin, "merge": merge, "min_quality": min_quality}
        changes |= {"min_recognisability": min_recognisability, "min_purity": min_purity}
        reading, said = None, None
        if calibrate:
            fitted = calibration.calibrate(store, model, dry_run, **changes)
            reading, said = fitted.calibration, fitted.to_dict()
            if not as_json:
                calibration.print_calibration(fitted, dry_run)
        elif reset_calibration:
            there, reading = calibration.reset(store, model, dry_run)
            if not as_json:
                click.echo("the model card's probabilities are in use again" if there else "there is no calibration: nothing to remove")
        if ask and dry_run:
            raise InputError("expected --ask or --dry-run, found both: a dry run has nothing to ask")
        where = {"workers": workers, "scheduler": scheduler, "memory": memory}
        if dry_run:
            say_time_to_group(store, model, workers, memory)
        try:
            _group(store, model, as_json, dry_run, full, reading, said, where, ask, algorithm=algorithm, **changes)
        except events.DeclinedError:
            if as_json:
                events.say("declined")
            else:
                click.echo("nothing was changed: the current run stays")


def _group(
    store: str, model: str, as_json: bool, dry_run: bool, full: bool, reading: StoreCalibration | None, said: dict[str, Any] | None,
    where: dict[str, Any], ask: bool, **changes: Any,
) -> None:  # fmt: skip
    def print_before(reconciled: ReconciledRun) -> None:
        if not as_json:
            print_changes(reconciled)
        if ask:
            events.ask(reconciled, as_json)

    if ask and as_json:
        where["bars"] = events.event_bar
    done = jobs.group(store, model, print_before, dry_run=dry_run, full=full, reading=reading, **where, **changes)
    reconciled = done.reconciled
    if as_json:
        found = {
            "run": reconciled.run.number, "table": done.table, "dry_run": dry_run, "changed": reconciled.changed,
            "model": reconciled.run.model, "counts": reconciled.run.counts, "churn": reconciled.churn.to_dict(),
            "notes": [*reconciled.notes, *done.notes],
            "calibration": said, "links": {"faces": done.linked.faces, "skipped": True} if done.linked.skipped else asdict(done.linked),
        }  # fmt: skip
        if ask:
            events.say("done", **found)
        else:
            click.echo(json.dumps(found, indent=1))
    elif dry_run:
        click.echo("nothing was changed: leave out --dry-run to do it")
    elif reconciled.changed:
        people = plural(reconciled.run.counts["people"], "person", "people")
        click.echo(f"run {reconciled.run.number}: {people}. 'facecluster report {shell(store)}' shows them")
    else:
        click.echo(f"run {reconciled.run.number} stays. 'facecluster report {shell(store)}' shows the people")


def _list(store: str, as_json: bool) -> None:
    from facecluster.people import all_runs, current_run
    from facecluster.store import Store

    place = Store(store)
    place.check()
    runs, now = all_runs(place), current_run(place)
    if as_json:
        click.echo(json.dumps({"current": now.number if now else None, "runs": [asdict(run) for run in runs]}, indent=1))
        return
    for run in runs:
        ones = {"faces": "face", "people": "person"}
        counts = ", ".join(plural(n, ones.get(what, what), what) for what, n in run.counts.items())
        mark = " (current)" if now is not None and run.number == now.number else ""
        click.echo(printable(f"{run.number:>5}  {run.at}  {run.model}  {counts}; {plural(run.decisions, 'decision')}{mark}"))
    if not runs:
        click.echo(f"no runs yet: 'facecluster cluster {shell(store)}' makes one")


def _return(store: str, number: int, as_json: bool) -> None:
    from facecluster.people import people_with_current_names, return_to
    from facecluster.people.people_csv import refresh
    from facecluster.store import Store

    place = Store(store)
    place.check()
    with place.lock():
        run = return_to(place, number)
        known = people_with_current_names(place)
        assert known is not None
        kept = refresh(place, *known)
    if not kept:
        click.echo("note: people.csv has changes that no run has taken over yet: the file stays as it is", err=True)
    if as_json:
        click.echo(json.dumps({"run": run.number, "table": run.identities}))
    else:
        click.echo(f"run {run.number} of {run.at} is the current run again. 'facecluster report {shell(store)}' shows its people")
