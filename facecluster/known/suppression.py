"""After a grouping: groups that are forgotten people again, on new photos. They are dropped, or the user is told, as chosen then.

A group without a name is such a person with the probability that pictures of a known person would give it. From SURE on it is dropped; what
is less sure, and more probable than not, is said, whatever was chosen.
"""

from __future__ import annotations

from facecluster.errors import StoreError, shell
from facecluster.known import SURE
from facecluster.language.english import plural
from facecluster.people import current_run
from facecluster.people.suppressed import DROP, people_not_suppressed, read_suppressed
from facecluster.privacy import forget
from facecluster.review.session import Session
from facecluster.store import Store

_SAID = 0.5


def _not_known(store: Store, model: str) -> list[str]:
    people, models = people_not_suppressed(store, model)
    who = f"{plural(people, 'forgotten person', 'forgotten people')} can't be known again in this grouping with {model}"
    end = f"'facecluster forget {shell(store.url)} --end-suppression' deletes all kept vectors"
    return [f"{who}: their vectors are of {_of(models, model)}; {end}"] if people else []


def _of(models: list[str], model: str) -> str:
    return " and ".join(f"other weights of {name}" if name == model else name for name in models)


def keep_out(store: Store) -> list[str]:
    """Drop, or name in lines for the user, the groups of the current run that are forgotten people. The store must be locked."""
    run = current_run(store)
    if run is None:
        return []
    found, lines = read_suppressed(store, run.model), _not_known(store, run.model)
    if found is None:
        return lines
    session = Session(store)
    try:
        view = session.view()
        people = view.current.people
        proposals = session.proposals_of(view, found.known)
    except StoreError:  # the vectors are gone
        return lines
    finally:
        session.close()
    dropped = []
    for proposal in [p for p in proposals if p.probability >= _SAID]:
        person, faces = people.person_ids[proposal.group], people.faces[proposal.group]
        if found.choices.get(proposal.name) == DROP and proposal.probability >= SURE:
            dropped.append((person, faces))
        else:
            what = f"{person} ({plural(faces, 'face')}) is with a probability of {proposal.probability:.2f} someone whom you had forgotten"
            lines.append(f"{what}: 'facecluster forget {shell(store.url)} {person} --yes' forgets them again; a name ends the question")
    if dropped:
        forget(store, [person for person, _ in dropped])
        total = sum(faces for _, faces in dropped)
        who = plural(len(dropped), "forgotten person", "forgotten people")
        lines.append(f"{plural(total, 'face')} on new photos of {who}: forgotten again, as you chose")
    return lines
