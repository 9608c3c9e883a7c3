"""What `facecluster evaluate` prints. Programs get the same as JSON."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

import click

from facecluster.cli.printing import printable

if TYPE_CHECKING:
    from facecluster.evaluation import Calibration, Estimate, Evaluation, GroupPairs, GroupScore, Verification
    from facecluster.evaluation.store import Coverage, StoreEvaluation


def print_evaluation(found: StoreEvaluation) -> None:
    """Print the figures of the grouping, of the pairs, and what was left out."""
    if found.answers is not None:
        _print_coverage(found.answers, "answers", "match a face")
        _print_grouping(found.evaluation, found.faces)
    if found.evaluation.verification is not None:
        _print_verification(found.evaluation.verification, "pairs of these faces")
        _print_pair_groups(found.evaluation.verification.by_group)
    if found.pairs is not None and found.pair_coverage is not None:
        _print_coverage(found.pair_coverage, "pairs", "could be judged")
        _print_verification(found.pairs, "pairs of the list")
        _print_pair_groups(found.pairs.by_group, "of these pairs")
        if found.pairs.folds is not None:
            folds = found.pairs.folds
            line = f"accuracy over {len(folds.accuracy)} folds: {folds.mean:.4f}, standard error {folds.error:.4f}"
            left_out = found.pair_coverage.given > found.pair_coverage.used
            click.echo(line + (f"; {found.least_accuracy:.4f} if those left out count as wrong" if left_out else ""))
    listed = [w for g in (found.pairs.by_group if found.pairs else []) for w in g.warnings]
    for warning in [*found.evaluation.warnings, *listed]:
        click.echo(f"warning: {printable(warning)}")


def _print_coverage(coverage: Coverage, what: str, done: str) -> None:
    click.echo(f"{coverage.used:,} of {coverage.given:,} {what} of {printable(os.path.basename(coverage.source))} {done}")
    for out in coverage.left_out:
        click.echo(f"  left out: {out.rows:,} {out.reason}, for instance {printable(out.example)}")


def _print_grouping(evaluation: Evaluation, every: int) -> None:
    from facecluster.language.english import plural

    grouping = evaluation.grouping
    if grouping is None:
        return
    click.echo(
        f"{grouping.faces:,} of the store's {plural(every, 'face')} {'has' if grouping.faces == 1 else 'have'} an answer: "
        f"{plural(grouping.people, 'person is', 'people are')} in {plural(grouping.groups, 'group')}, "
        f"{plural(grouping.nobody, 'face is', 'faces are')} in none"
    )
    click.echo(f"{'':<10}{'precision':>10}{'recall':>10}{'F':>10}")
    for name, scores in (("pairwise", grouping.pairwise), ("BCubed", grouping.bcubed)):
        click.echo(f"{name:<10}{scores.precision:>10.3f}{scores.recall:>10.3f}{scores.f:>10.3f}")
    click.echo(f"NMI {grouping.nmi:.3f}, ARI {grouping.ari:.3f}")
    _print_calibration(grouping.calibration, "a face's probability to belong to its group")
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


def _print_verification(found: Verification, what: str) -> None:
    click.echo(f"verification of {found.same:,} same and {found.different:,} different {what}:")
    for a in found.accepts:
        rate = _rate(a.far)
        if a.tar is None:
            click.echo(f"  FAR {rate} and less: too few different pairs ({1 / a.far:,.0f} needed)")
            break
        click.echo(f"  FAR {rate}: TAR {a.tar:.4f}" + ("" if a.threshold is None else f" (cosine {a.threshold:.3f})"))
    _print_calibration(found.calibration, "the model's probability that a pair is one person")


def _print_pair_groups(groups: list[GroupPairs], which: str = "of pairs whose faces both have the value") -> None:
    """The pairs within each value of each column, at their own thresholds and at the one for all."""
    from facecluster.language.english import plural

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


def _print_calibration(found: Calibration | None, what: str) -> None:
    if found is not None:
        click.echo(f"{what}: expected calibration error {found.ece:.3f} (equal mass), {found.ece_width:.3f} (equal width)")
