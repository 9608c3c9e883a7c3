"""facecluster questions: the least certain people, and what to answer first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option, model_name, model_of_run_option
from facecluster.cli.printing import printable
from facecluster.errors import InputError, shell

if TYPE_CHECKING:
    from facecluster.review.people_view import PeopleView
    from facecluster.review.questions import Questions


@click.command("questions")
@click.argument("store")
@model_of_run_option
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="How many questions and people to show.")
@json_option
@handle_errors
def command(store: str, model: str | None, top: int, as_json: bool) -> None:
    """Show the least certain people of STORE, and the questions whose answers help most.

    Answer with 'facecluster same' and 'facecluster not-same', or in the browser ('facecluster review'). What decisions have answered, and
    people whom you ignore, are not asked about.

    \b
    Example: facecluster questions ~/people --top 10
    """
    from facecluster.report.text import plural
    from facecluster.review.questions import QUESTION_TEXTS, coverage, find_questions, open_questions
    from facecluster.review.session import Session
    from facecluster.store import Store

    place = Store(store)
    place.check()
    session = Session(place)
    try:
        view = session.view()
        run, wanted = view.run_data.run, model_name(model)
        if wanted not in (None, run.model):
            raise InputError(
                f"expected a grouping by the model {wanted}, found one by {run.model}: run 'facecluster cluster {shell(store)} "
                f"--model {shell(str(model))}' first"
            )
        asked = find_questions(place, view.run_data)
        left = open_questions(asked, view)
        people = _least_certain(asked, view, top)
        decided = coverage(asked, left, view)
        first = enumerate(left[:top].tolist(), 1)
        questions = [_question(asked, view, i) | {"settled_after": round(float(decided[n]), 4)} for n, i in first]
    finally:
        session.close()
    if as_json:
        click.echo(json.dumps({"people": people, "questions": questions, "open": len(left)}, indent=1))
        return
    if asked.note:
        click.echo(f"note: {printable(asked.note)}", err=True)
    click.echo(f"{plural(len(left), 'open question')}. The least certain people (share that is theirs x share of them that is here):")
    for p in people:
        click.echo(printable(f"  {p['label']}: {plural(p['faces'], 'face')}, {p['purity']:.2f} x {p['completeness']:.2f}"))
    for n, q in enumerate(questions, 1):
        faces = "one face depends" if q["faces_at_stake"] == 1 else f"{q['faces_at_stake']:,} faces depend"
        click.echo(f"{n}. {QUESTION_TEXTS[q['kind']]} {_word(q['probability'])}; {faces} on it.")
        for side in "ab":
            click.echo(printable(f"     {q[f'face_{side}']}  {q[f'person_{side}'] or 'nobody'}  {q[f'photo_{side}']}"))
    if questions:
        pair = f"{shell(store)} {questions[0]['face_a']} {questions[0]['face_b']}"
        click.echo(f"Answer the first with 'facecluster same {pair}' or 'facecluster not-same {pair}'.")
        click.echo(f"With {plural(len(questions), 'answer')}, {questions[-1]['settled_after']:.1%} of the faces are decided.")


def _least_certain(asked: Questions, view: PeopleView, top: int) -> list[dict[str, Any]]:
    """The people of the run who are least certain, and not ignored, with the names that they have now."""
    from facecluster.people import people_with_current_names

    known, found = people_with_current_names(view.run_data.details.store), asked.uncertainty
    if known is None or found is None:
        return []
    people = known[0]
    order = [i for i in found.confidence.argsort(kind="stable").tolist() if not people.ignored[i]]
    return [
        {"identity": i, "person_id": people.person_ids[i], "name": people.names[i], "label": people.label(i), "faces": people.faces[i],
         "purity": round(float(found.purity[i]), 3), "completeness": round(float(found.completeness[i]), 3),
         "confidence": round(float(found.confidence[i]), 3)}
        for i in order[:top]
    ]  # fmt: skip


def _question(asked: Questions, view: PeopleView, number: int) -> dict[str, Any]:
    """A question with the two faces: their ids, whom they belong to now ('' = nobody), and their photos."""
    row: dict[str, Any] = {
        "kind": asked.kind[number], "probability": round(float(asked.probability[number]), 3),
        "faces_at_stake": int(asked.stake[number]),
    }  # fmt: skip
    for side, face in (("a", int(asked.a[number])), ("b", int(asked.b[number]))):
        person = int(view.current.faces.identity[face])
        row |= {
            f"face_{side}": view.current.faces.ids[face], f"photo_{side}": view.run_data.details.photo_of(face)[1],
            f"person_{side}": view.current.people.label(person) if person >= 0 else "",
        }  # fmt: skip
    return row


def _word(probability: float) -> str:
    """A probability of "yes" as a person says it."""
    return "Probably yes" if probability >= 0.6 else "Probably no" if probability <= 0.4 else "It may be either"
