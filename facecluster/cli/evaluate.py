"""facecluster evaluate: measure the people found against known answers."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from facecluster.cli import results
from facecluster.cli.errors import handle_errors
from facecluster.cli.evaluate_printing import print_evaluation
from facecluster.cli.options import json_option, model_of_run_option, renamed_option
from facecluster.cli.printing import printable

if TYPE_CHECKING:
    from facecluster.evaluation import Roc
    from facecluster.evaluation.store import StoreEvaluation


@click.command("evaluate")
@click.argument("store")
@click.option(
    "--truth", metavar="FILE",
    help="CSV file that says who is who: path,person or face_id,person. Columns x,y,w,h say which face is meant; others are groups.",
)
@click.option(
    "--pairs", metavar="FILE",
    help="File of pairs of one person or of two: LFW's pairs.txt, or a CSV with path1,path2,same[,fold]; other columns are groups.",
)
@click.option(
    "--images", metavar="DIR", show_default="the folder of the file", help="Folder from which relative paths and LFW's names start."
)
@renamed_option(
    "--which-face", "which_face", old="--several", type=click.Choice(["centre", "largest"]),
    help="Which face a path means if the photo has several.", show_default="none of them; centre for LFW",
)  # fmt: skip
@click.option(
    "--group", "groups", metavar="COLUMN", multiple=True,
    help="Column of the truth (or of the pairs) to break figures down by. Can be repeated.", show_default="all others",
)  # fmt: skip
@model_of_run_option
@json_option
@click.option("-o", "--out", metavar="DIR", help="Folder for evaluation.json, roc.svg and reliability.svg.")
@handle_errors
def command(
    store: str, truth: str | None, pairs: str | None, images: str | None, which_face: str | None,
    groups: tuple[str, ...], model: str | None, as_json: bool, out: str | None,
) -> None:  # fmt: skip
    """Measure how right the people of STORE are, and how well the model tells people apart, by known answers: those of a file, or the
    names that you gave.

    \b
    Example: facecluster evaluate ~/people --truth labels.csv -o evaluation
    """
    from facecluster.evaluation.ground_truth import read_answers
    from facecluster.evaluation.pair_list import find_pairs, read_pairs
    from facecluster.evaluation.photo_lookup import Library
    from facecluster.evaluation.store import evaluate_store
    from facecluster.faces.embed import EmbedConfig
    from facecluster.faces.fit_reading import card_in
    from facecluster.people import read_confirmed_labels
    from facecluster.store import Store
    from facecluster.store.copies import refuse_inside

    place = Store(store)
    place.check()
    refuse_inside(place, out)
    model = results.model_of(place, model)
    card = card_in(place, EmbedConfig(model=model))
    reading = results.calibration_of(place, card)
    if reading:
        click.echo("note: probabilities are those of this store's own calibration ('cluster --reset-calibration' removes it)", err=True)
    library = Library(place)
    base = None if images is None else images if "://" in images else os.path.abspath(os.path.expanduser(images))
    answers = None if truth is None else read_answers(truth, library, images=base, several=which_face, groups=groups)
    if truth is None and pairs is None:
        answers = read_confirmed_labels(place)
        click.echo("note: your own names are the answers; the grouping follows them, so these figures are too good", err=True)
    of_pairs = groups if truth is None else ()  # the columns named are those of the truth, if there is one
    listed = None if pairs is None else find_pairs(read_pairs(pairs, of_pairs), library, images=base, several=which_face)
    card = reading.apply_to(card)
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
        print_evaluation(found)
    if out is not None:
        _write(found, out)
        click.echo(f"written: {os.path.join(out, 'evaluation.json')}", err=True)


def _write(found: StoreEvaluation, out: str) -> None:
    """Write the report's files; those of an older one are replaced."""
    from facecluster.errors import InputError
    from facecluster.evaluation.plot import reliability_svg, roc_svg
    from facecluster.store import Store
    from facecluster.store.temporary_files import remove_left_over

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
        remove_left_over(out)
        for name, text in files.items():
            Store(out).write_raw(text.encode("utf-8", "backslashreplace"), name)
    except OSError as e:
        raise InputError(f"expected a folder to write {name} to, found: {e}. Choose another with -o") from e
