"""facecluster evaluate: how good the people found are, against known answers."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING

import click

from facecluster.cli import results
from facecluster.cli.errors import handle_errors
from facecluster.cli.printing import printable

if TYPE_CHECKING:
    from facecluster.evaluation import Calibration, Estimate, Evaluation, GroupPairs, GroupScore, Roc, Verification
    from facecluster.evaluation.store import Coverage, StoreEvaluation


@click.command("evaluate")
@click.argument("store")
@click.option("--truth", help="CSV of who is who: path,person or face_id,person; x,y,w,h say which face, other columns are groups.")
@click.option("--pairs", help="Pairs to verify: LFW's pairs.txt, or a CSV with path1,path2,same[,fold]; other columns are groups.")
@click.option("--images", help="Folder that relative paths and LFW's names start from [default: that of the file].")
@click.option(
    "--several",
    type=click.Choice(["centre", "largest"]),
    help="Which face a path means in a photo of several [default: none; centre for LFW].",
)
@click.option(
    "--group", "groups", multiple=True,
    help="Column of the truth (or of the pairs) to break figures down by [default: all others]. Can be repeated.",
)
@click.option("--model", default="bundled", show_default=True, help="'bundled' or the path of a model card.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("-o", "--out", help="Folder for evaluation.json, roc.svg and reliability.svg.")
@handle_errors
def command(
    store: str, truth: str | None, pairs: str | None, images: str | None, several: str | None,
    groups: tuple[str, ...], model: str, as_json: bool, out: str | None,
) -> None:  # fmt: skip
    """Measure the people found in STORE, and the model's vectors, against known answers: a file's, or the names that you gave.

    Example: facecluster evaluate ~/people --truth labels.csv -o evaluation
    """
    from facecluster.evaluation.answers import read_answers
    from facecluster.evaluation.library import Library
    from facecluster.evaluation.pairlist import find_pairs, read_pairs
    from facecluster.evaluation.store import evaluate_store
    from facecluster.models.registry import card_of
    from facecluster.people import read_confirmed_labels
    from facecluster.store import Store

    place = Store(store)
    place.check()
    card = card_of(model)
    reading = results.calibration_of(place, card)
    if reading:
        click.echo("note: probabilities are those of this store's own calibration ('cluster --reset-calibration' takes it away)", err=True)
    library = Library(place)
    base = None if images is None else images if "://" in images else os.path.abspath(os.path.expanduser(images))
    answers = None if truth is None else read_answers(truth, library, images=base, several=several, groups=groups)
    if truth is None and pairs is None:
        answers = read_confirmed_labels(place)
        click.echo("note: your own names are the answers; the grouping keeps to them, so these figures flatter it", err=True)
    of_pairs = groups if truth is None else ()  # the columns named are those of the truth, if there is one
    listed = None if pairs is None else find_pairs(read_pairs(pairs, of_pairs), library, images=base, several=several)
    card = reading.card(card)
    found = evaluate_store(
        place, results.identity_table(place, model), f"embeddings/{card.name}", answers=answers, pairs=listed, stated=card.probability
    )
    passed_over = [name for given in (answers, listed) if given is not None for name in given.passed_over]
    if passed_over:
        names = printable(", ".join(passed_over))
        click.echo(f"not broken down by {names}: too many different values (name a column with --group to do it)", err=True)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=1, ensure_ascii=True, allow_nan=False))
    else:
        _show(found)
    if out is not None:
        _write(found, out)
        click.echo(f"written: {os.path.join(out, 'evaluation.json')}", err=True)


def _show(found: StoreEvaluation) -> None:
    if found.answers is not None:
        _show_coverage(found.answers, "answers", "match a face")
        _show_grouping(found.evaluation, found.faces)
    if found.evaluation.verification is not None:
        _show_verification(found.evaluation.verification, "pairs of these faces")
        _show_pair_groups(found.evaluation.verification.by_group)
    if found.pairs is not None and found.pair_coverage is not None:
        _show_coverage(found.pair_coverage, "pairs", "could be judged")
        _show_verification(found.pairs, "pairs of the list")
        _show_pair_groups(found.pairs.by_group, "of these pairs")
        if found.pairs.folds is not None:
            folds = found.pairs.folds
            line = f"accuracy over {len(folds.accuracy)} folds: {folds.mean:.4f}, standard error {folds.error:.4f}"
            left_out = found.pair_coverage.given > found.pair_coverage.used
            click.echo(line + (f"; {found.least_accuracy:.4f} if those left out count as wrong" if left_out else ""))
    listed = [w for g in (found.pairs.by_group if found.pairs else []) for w in g.warnings]
    for warning in [*found.evaluation.warnings, *listed]:
        click.echo(f"warning: {printable(warning)}")


def _show_coverage(coverage: Coverage, what: str, done: str) -> None:
    click.echo(f"{coverage.used:,} of {coverage.given:,} {what} of {printable(os.path.basename(coverage.source))} {done}")
    for out in coverage.left_out:
        click.echo(f"  left out: {out.rows:,} {out.reason}, for instance {printable(out.example)}")


def _show_grouping(evaluation: Evaluation, every: int) -> None:
    from facecluster.report.text import plural

    grouping = evaluation.grouping
    if grouping is None:
        return
    click.echo(
        f"{grouping.faces:,} of the store's {every:,} faces have an answer: {grouping.people:,} people came out as "
        f"{grouping.groups:,} groups, {grouping.nobody:,} faces as nobody's"
    )
    click.echo(f"{'':<10}{'precision':>10}{'recall':>10}{'F':>10}")
    for name, scores in (("pairwise", grouping.pairwise), ("BCubed", grouping.bcubed)):
        click.echo(f"{name:<10}{scores.precision:>10.3f}{scores.recall:>10.3f}{scores.f:>10.3f}")
    click.echo(f"NMI {grouping.nmi:.3f}, ARI {grouping.ari:.3f}")
    _show_calibration(grouping.calibration, "a face's probability to belong to its group")
    columns: dict[str, list[GroupScore]] = {}
    for group in grouping.by_group:
        columns.setdefault(group.column, []).append(group)
    for name, rows in columns.items():
        click.echo(f"by {printable(name)}:")
        width = max(len(printable(row.value)) for row in rows)
        for row in rows:
            click.echo(
                f"  {printable(row.value):<{width}}  BCubed F {row.bcubed.f:.3f} ({row.low:.3f} to {row.high:.3f}), "
                f"pairwise F {row.pairwise.f:.3f}; {plural(row.faces, 'face')} of {plural(row.people, 'person', 'people')}"
            )


def _show_verification(found: Verification, what: str) -> None:
    click.echo(f"verification of {found.same:,} same and {found.different:,} different {what}:")
    for a in found.accepts:
        rate = _rate(a.far)
        if a.tar is None:
            click.echo(f"  FAR {rate} and less: too few different pairs ({1 / a.far:,.0f} needed)")
            break
        click.echo(f"  FAR {rate}: TAR {a.tar:.4f}" + ("" if a.threshold is None else f" (cosine {a.threshold:.3f})"))
    _show_calibration(found.calibration, "the model's probability that a pair is one person")


def _show_pair_groups(groups: list[GroupPairs], which: str = "of pairs whose faces both have the value") -> None:
    """The pairs within each value of each column, at their own thresholds and at the one for all."""
    from facecluster.report.text import plural

    for at, group in enumerate(groups):
        if not at or groups[at - 1].column != group.column:
            click.echo(f"verification by {printable(group.column)}, {which}:")
        people = plural(group.people, "person", "people")
        click.echo(f"  {printable(group.value)}: {group.same:,} same and {group.different:,} different pairs of {people}")
        told = [f"{_interval(a.tar)} at FAR {_rate(a.far)}" for a in group.accepts if a.tar is not None]
        click.echo(f"    TAR {', '.join(told)}" if told else "    TAR: too few different pairs (100 needed)")
        for shared in group.shared:
            cosine = "" if shared.threshold is None else f" (cosine {shared.threshold:.3f})"
            click.echo(
                f"    threshold of FAR {_rate(shared.overall_far)} overall{cosine}: FAR {_interval(shared.far)}, "
                f"false non-match {_interval(shared.fnmr)}"
            )


def _rate(far: float) -> str:
    return f"1e{round(math.log10(far))}"


def _interval(found: Estimate) -> str:
    return f"{found.value:.2g} ({found.low:.2g} to {found.high:.2g})"


def _show_calibration(found: Calibration | None, what: str) -> None:
    if found is not None:
        click.echo(f"{what}: expected calibration error {found.ece:.3f} (equal mass), {found.ece_width:.3f} (equal width)")


def _write(found: StoreEvaluation, out: str) -> None:
    """Write the report's files; those of an older one are replaced."""
    from facecluster.errors import InputError
    from facecluster.evaluation.plot import reliability_svg, roc_svg
    from facecluster.store import Store

    kinds = {"pairs of the truth": found.evaluation.verification, "listed pairs": found.pairs}
    by_column: dict[str, dict[str, Roc]] = {}
    for group in found.evaluation.verification.by_group if found.evaluation.verification else []:
        by_column.setdefault(group.column, {})[group.value] = group.roc
    grouping = found.evaluation.grouping
    stated = {"faces in groups": grouping.calibration if grouping else None}
    stated |= {name: kind.calibration if kind else None for name, kind in kinds.items()}
    files = {
        "evaluation.json": json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n",
        "roc.svg": roc_svg({name: kind.roc for name, kind in kinds.items() if kind is not None}, by_column),
        "reliability.svg": reliability_svg({name: sure for name, sure in stated.items() if sure is not None}),
    }
    try:
        for name, text in files.items():
            Store(out).write_bytes(text.encode("utf-8", "backslashreplace"), name)
    except OSError as e:
        raise InputError(f"expected a folder to write {name} to, found: {e}. Choose another with -o") from e
