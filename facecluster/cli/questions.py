"""facecluster questions: the least certain people, and what to answer first."""

from __future__ import annotations

import json

import click

from facecluster.cli import results
from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option, model_option


@click.command("questions")
@click.argument("store")
@model_option
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="How many questions and people to show.")
@json_option
@handle_errors
def command(store: str, model: str, top: int, as_json: bool) -> None:
    """Show the least certain people of STORE, and the questions whose answers help most.

    Answer with 'facecluster same', 'facecluster not-same' or 'facecluster split'.

    \b
    Example: facecluster questions ~/people --top 10
    """
    from facecluster.grouping.uncertainty import KINDS
    from facecluster.report.run_report import assess_people
    from facecluster.store import Store

    place = Store(store)
    place.check()
    ids, labels, uncertainty = assess_people(place, results.identity_table(place, model), model)
    order = uncertainty.confidence.argsort(kind="stable")[:top]
    people = [
        {"identity": int(i), "faces": int((labels == i).sum()), "purity": round(float(uncertainty.purity[i]), 3),
         "completeness": round(float(uncertainty.completeness[i]), 3), "confidence": round(float(uncertainty.confidence[i]), 3)}
        for i in order
    ]  # fmt: skip
    questions = [
        {"kind": KINDS[uncertainty.kind[q]], "face_a": ids[uncertainty.face_a[q]], "face_b": ids[uncertainty.face_b[q]],
         "probability": round(float(uncertainty.probability[q]), 3), "faces_at_stake": int(uncertainty.stake[q]),
         "settled_after": round(float(uncertainty.resolved[q]), 4)}
        for q in range(min(top, len(uncertainty.kind)))
    ]  # fmt: skip
    if as_json:
        click.echo(json.dumps({"people": people, "questions": questions, "open": len(uncertainty.kind)}, indent=1))
        return
    click.echo(f"{len(uncertainty.kind):,} open questions. The least certain people (purity x completeness):")
    for p in people:
        click.echo(f"  identity {p['identity']}: {p['faces']:,} faces, {p['purity']:.2f} x {p['completeness']:.2f}")
    texts = {
        "same": "are these two people one person?",
        "split": "do these two faces, the least similar of this person, show the same person?",
        "photo": "are these two faces, which are in one photo, of one person?",
    }
    for n, q in enumerate(questions, 1):
        chance = f"{q['probability']:.0%} yes, {q['faces_at_stake']} faces depend on it"
        click.echo(f"{n}. {texts[str(q['kind'])]} {q['face_a']} {q['face_b']} ({chance})")
    if questions:
        click.echo(f"with these {len(questions)} answers, {questions[-1]['settled_after']:.1%} of the faces are decided")
