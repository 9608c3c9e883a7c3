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
    from facecluster.review.question_list import NameProposal, QuestionList
    from facecluster.review.questions import Questions

CERTAIN = 0.995  # purity x completeness from which both would be shown as 1.00


@click.command("questions")
@click.argument("store")
@model_of_run_option
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="How many questions and people to show.")
@json_option
@handle_errors
def command(store: str, model: str | None, top: int, as_json: bool) -> None:
    """Show the least certain people of STORE, and the questions whose answers help most.

    They are those of 'facecluster review', in the same order: whether two faces show one person, and whether people are whom pictures were
    given of ('facecluster known'). Answer with 'facecluster same', 'not-same' and 'name', or in the browser. What decisions have answered,
    and people whom you ignore, are not asked about.

    \b
    Example: facecluster questions ~/people --top 10
    """
    from facecluster.language.english import plural
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
        found = session.questions_now()
        people = _least_certain(found.pairs, view, top)
        questions = _questions(found, view, top)
    finally:
        session.close()
    if as_json:
        click.echo(json.dumps({"people": people, "questions": questions, "open": len(found.asked)}, indent=1))
        return
    if found.pairs.note:
        click.echo(f"note: {printable(found.pairs.note)}", err=True)
    count = plural(len(found.asked), "open question")
    click.echo(f"{count}. The least certain people (share that is theirs x share of them that is here):" if people else f"{count}.")
    for p in people:
        sure = f"{plural(p['faces'], 'face')}, {p['purity']:.2f} x {p['completeness']:.2f}"
        if p["faces"] == 1:  # which the user named: whose it is was said, and is no estimate
            sure = f"1 face, which you named; share of them that is here {p['completeness']:.2f}"
        click.echo(printable(f"  person {p['number']}, {p['label']}: {sure}"))
    for n, q in enumerate(questions, 1):
        faces = "one face depends" if q["faces_at_stake"] == 1 else f"{q['faces_at_stake']:,} faces depend"
        click.echo(printable(f"{n}. {q['text']} {_word(q['probability'])}; {faces} on it."))
        for side in ("a", "b") if q["kind"] != "known" else ("a",):
            click.echo(printable(f"     {q[f'face_{side}']}  {q[f'person_{side}'] or 'nobody'}  {q[f'photo_{side}']}"))
    if questions:
        click.echo(printable(_how_to_answer(store, questions[0])))
        click.echo(f"With {plural(len(questions), 'answer')}, {questions[-1]['settled_after']:.1%} of the faces are decided.")


def _how_to_answer(store: str, q: dict[str, Any]) -> str:
    """The commands that answer a question."""
    if q["kind"] == "known":
        yes = f"facecluster name {shell(store)} {q['person_id']} {shell(q['name'])}"
        return f"If the first is so, say '{yes}'; a no is said in 'facecluster review'."
    pair = f"{shell(store)} {q['face_a']} {q['face_b']}"
    return f"Answer the first with 'facecluster same {pair}' or 'facecluster not-same {pair}'."


def _questions(found: QuestionList, view: PeopleView, top: int) -> list[dict[str, Any]]:
    """The first questions, each with the share of the faces that is decided when it and all before it are answered."""
    import numpy as np

    from facecluster.review.questions import coverage

    pairs = np.array([a.pair for a in found.asked if a.pair >= 0], np.int64)
    decided, answered, made = coverage(found.pairs, pairs, view), 0, []
    for asked in found.asked[:top]:
        answered += asked.pair >= 0
        row = _question(found.pairs, view, asked.pair) if asked.proposal is None else _name_question(asked.proposal, view)
        made.append(row | {"settled_after": round(float(decided[answered]), 4)})
    return made


def _least_certain(asked: Questions, view: PeopleView, top: int) -> list[dict[str, Any]]:
    """The people of the run who are least certain, and not ignored, with the names that they have now; none who is as good as certain."""
    from facecluster.people import people_with_current_names
    from facecluster.people.find_person import number_of

    known, found = people_with_current_names(view.run_data.details.store), asked.uncertainty
    if known is None or found is None:
        return []
    people = known[0]
    uncertain = found.confidence < CERTAIN
    order = [i for i in found.confidence.argsort(kind="stable").tolist() if uncertain[i] and not people.ignored[i]]
    return [
        {"identity": i, "number": number_of(i), "person_id": people.person_ids[i], "name": people.names[i], "label": people.label(i),
         "faces": people.faces[i],
         "purity": round(float(found.purity[i]), 3), "completeness": round(float(found.completeness[i]), 3),
         "confidence": round(float(found.confidence[i]), 3)}
        for i in order[:top]
    ]  # fmt: skip


def _question(asked: Questions, view: PeopleView, number: int) -> dict[str, Any]:
    """A question with the two faces: their ids, whom they belong to now ('' = nobody), and their photos."""
    from facecluster.review.questions import QUESTION_TEXTS

    row: dict[str, Any] = {
        "kind": asked.kind[number], "text": QUESTION_TEXTS[asked.kind[number]], "probability": round(float(asked.probability[number]), 3),
        "faces_at_stake": int(asked.stake[number]),
    }  # fmt: skip
    return row | _side(view, "a", int(asked.a[number])) | _side(view, "b", int(asked.b[number]))


def _name_question(proposal: NameProposal, view: PeopleView) -> dict[str, Any]:
    """A question whether a person has the name of a known one, with the person's best face."""
    person = view.current.people.index(proposal.person_id)
    assert person is not None
    return {
        "kind": "known", "text": f"Is this {proposal.name}?", "name": proposal.name, "person_id": proposal.person_id,
        "probability": round(proposal.probability, 3), "faces_at_stake": view.current.people.faces[person],
        **_side(view, "a", int(view.best_face[person])),
    }  # fmt: skip


def _side(view: PeopleView, side: str, face: int) -> dict[str, Any]:
    person = int(view.current.faces.identity[face])
    return {
        f"face_{side}": view.current.faces.ids[face], f"photo_{side}": view.run_data.details.photo_of(face)[1],
        f"person_{side}": view.current.people.label(person) if person >= 0 else "",
    }  # fmt: skip


def _word(probability: float) -> str:
    """A probability of "yes" as a person says it."""
    return "Probably yes" if probability >= 0.6 else "Probably no" if probability <= 0.4 else "It may be either"
