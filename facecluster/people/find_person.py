"""The person that a text means: the one place that says so, for every command, the page and the API. Pure."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from facecluster.decisions import clean_name
from facecluster.decisions.decision import is_face_id, is_person_id
from facecluster.errors import InputError

WHERE = "'facecluster people STORE' lists all of them"
_SHOWN = 3  # face_ids that a message lists


@dataclass(frozen=True, slots=True)
class Homeless:
    """A name that the user gave and that no person has in this run."""

    faces: tuple[str, ...]  # face_ids that it was given to
    why: str  # "": it waits for the next grouping, as its faces are in no person yet


def number_of(identity: int) -> int:
    """The number of a person in a run as pages and commands say and take it, from 1: tables count identities from 0."""
    return identity + 1


def find_person(
    text: str, ids: Sequence[str], names: Sequence[str | None], former: Mapping[str, str], group_of_face: Callable[[str], int | None], *,
    guess: bool = False, identities: Sequence[int] = (), homeless: Mapping[str, Homeless] | None = None,
) -> int:  # fmt: skip
    """Index of the person that `text` means: a lasting id, present or former; a name (upper and lower case are one, and so are letters
    with and without accents, if nobody has the name as written); a number in this run, from 1; or a face_id.

    Args:
        text: what the user wrote.
        ids: the lasting id of each person.
        names: the name of each person.
        former: lasting ids that were retired -> the lasting id of the person who took over.
        group_of_face: the person of a face; -1 = nobody, None = there is no such face.
        guess: a beginning that only one name has will do too: right for looking, too loose for a decision.
        identities: of each person in this run, if a number may name one: it is `number_of` that.
        homeless: the names that nobody has in this run: the error says why.

    Raises:
        InputError: no person or several people match.
    """
    key = " ".join(text.split())
    if (person := key.casefold()) in ids or is_person_id(person):
        return _by_id(person, ids, former)
    if is_face_id(key):
        return _by_face(key, group_of_face, homeless or {})
    name = clean_name(text)
    folded = [_fold(n or "") for n in names]
    found = [i for i, n in enumerate(folded) if n and n == _fold(name)]
    lost = {} if found or not name else {n: lost for n, lost in (homeless or {}).items() if _plain(n) == _plain(name)}
    if not found and all(_fold(n) != _fold(name) for n in lost):
        found = [i for i, n in enumerate(folded) if n and name and _plain(n) == _plain(name)]
    if not found and (number := re.fullmatch(r"(person\s*|identity\s*)?0*(\d{1,9})", person)):
        first = 0 if (number[1] or "").startswith("identity") else 1  # tables say "identity", people are called by number
        found = [i for i, n in enumerate(identities) if n + first == int(number[2])]
    if not found and group_of_face(key) is not None:
        return _by_face(key, group_of_face, homeless or {})
    if not found and guess and name and not lost:
        begin = [i for i, n in enumerate(folded) if _plain(n).startswith(_plain(name))]
        found = begin if len(begin) == 1 else []
        lost = {n: lost for n, lost in (homeless or {}).items() if not begin and _plain(n).startswith(_plain(name))}
    if len(found) > 1:
        some = ", ".join(label(ids[i], names[i]) for i in found[:5])
        raise InputError(f"expected one person, found {len(found)} called {text!r}: give the id of one ({some})")
    if not found and lost:
        meant = min(lost, key=lambda n: (_fold(n) != _fold(name), _plain(n) != _plain(name), n))
        raise InputError(f"expected a person of this run, found {meant!r}, {_why(lost[meant])}")
    if not found:
        labels = {n: label(ids[i], names[i]) for i, n in enumerate(folded) if n}
        part = [n for n in labels if _plain(name) and any(word.startswith(_plain(name)) for word in (_plain(n), *_plain(n).split()))]
        near = [labels[n] for n in list(dict.fromkeys([*part, *difflib.get_close_matches(_fold(name), list(labels), 3, 0.6)]))[:3]]
        raise InputError(
            f"expected a person (a name, an id p-..., a number of this run, or a face_id), found {text!r}, which is nobody's "
            f"name{_or(near)}{'; numbers begin with 1' if re.fullmatch('(person ?)?0+', person) else ''}: {WHERE}"
        )
    return found[0]


def _fold(name: str) -> str:
    return " ".join(name.split()).casefold()


def _plain(name: str) -> str:
    """A name without accents, to compare."""
    return "".join(c for c in unicodedata.normalize("NFKD", _fold(name)) if not unicodedata.combining(c))


def label(person: str, name: str | None) -> str:
    """Name and id of a person, for messages."""
    return person if name is None else f"{name} ({person})"


def _why(name: Homeless) -> str:
    """Why a name has no person, and what to do."""
    if name.why:
        return f"a name that belongs to no person now ({name.why}): 'facecluster name' gives it to somebody"
    if len(name.faces) == 1:
        return f"a name given to face {name.faces[0]}, which is in no person yet: the next 'facecluster cluster' makes a person of it"
    faces = ", ".join(name.faces[:_SHOWN]) + (", ..." if len(name.faces) > _SHOWN else "")
    return (
        f"a name given to {len(name.faces):,} faces ({faces}), which are in no person yet: the next 'facecluster cluster' makes a person "
        "of them"
    )


def _by_id(person: str, ids: Sequence[str], former: Mapping[str, str]) -> int:
    present = person if person in ids else former.get(person)
    if present is None:
        near = difflib.get_close_matches(person, ids, 3, 0.7)
        raise InputError(f"expected a person of the store, found {person}, which is nobody's id{_or(near)}: {WHERE}")
    return ids.index(present)


def _by_face(face: str, group_of_face: Callable[[str], int | None], homeless: Mapping[str, Homeless]) -> int:
    group = group_of_face(face)
    if group is None:
        raise InputError(
            f"expected a person, found {face!r}, which is no face_id of the store: the report's faces.csv lists them; new photos need "
            "'facecluster cluster'"
        )
    name = next((name for name, lost in homeless.items() if not lost.why and face in lost.faces), None)
    if group < 0 and name is not None:
        raise InputError(
            f"expected a person of this run, found face {face}, which is in no person yet: the next 'facecluster cluster' makes {name!r} "
            "of it"
        )
    if group < 0:
        raise InputError(
            f"expected a person, found face {face}, which belongs to nobody: 'facecluster name' makes it a person, 'facecluster same' "
            "links it to one"
        )
    return group


def _or(near: Sequence[str]) -> str:
    return f" (similar: {', '.join(near)})" if near else ""
