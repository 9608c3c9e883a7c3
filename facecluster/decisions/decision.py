"""A decision of the user, as a line of the journal says it. Pure.

Odd inputs: a name may have any characters; it becomes one line in one Unicode form. A line of any content is a decision, or raises one of
UNREADABLE.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from facecluster.decisions.birth import is_birth
from facecluster.errors import InputError
from facecluster.language.said import say
from facecluster.store.line_digest import with_sum

SHORT_ID = 8  # digits of an id that are shown
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError)  # what a line of any content raises
ASIDE = ("not-a-face", "too-unclear", "ignore-face")  # acts about single faces, which are nobody's from then on
DRAW = "draw"  # the act by which the user draws the box of a face that the detector missed
BORN = "born"  # the act that says when a person was born
ACTS = ("name", "merge", "split", "same", "not-same", "ignore", "not-named", BORN, *ASIDE, DRAW, "undo")
_NAMED = ("name", "not-named")  # acts with a name

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision of the user, as one line of the journal; `append` gives it id and time."""

    act: str  # one of ACTS
    faces: tuple[str, ...] = ()  # face_ids; for a person the faces of highest probability first
    others: tuple[str, ...] = ()  # merge: faces of the other person; split: faces of the person who keeps the id
    name: str | None = None  # act "name": the name; '' removes it. "not-named": the name that is not theirs
    date: str | None = None  # act "born": the date of birth, ISO 8601; '': it is not known any more
    origin: str | None = None  # what made the decision, if not the user: "known" = pictures of known people
    person: str | None = None  # lasting id of the person that `faces` belong to; split: that `others` belong to
    replaces: tuple[str, ...] = ()  # ids of earlier decisions that this one replaces, with all that those replaced
    keeps: bool = False  # the faces of the replaced names stay with this person
    # name, same: whether it was said of each of the faces by itself; None: `same` was, and a name if it has one face
    each: bool | None = None
    of: str | None = None  # act "undo": id of a decision, or of a batch
    batch: str | None = None  # shared by all decisions of one CSV file
    batch_size: int = 0  # decisions of the batch; 0 = unknown
    boxes: Mapping[str, Box] = field(default_factory=dict)  # x, y, w, h by face_id: finds a face again if a detector numbers it differently
    id: str = ""
    at: str = ""  # UTC, ISO 8601

    def to_line(self) -> str:
        """The decision as JSON on one line with its digest, empty fields left out."""
        named = {k: getattr(self, k) for k in ("id", "at", "act", "name", "date", "person", "of", "batch", "origin")}
        lists = {"faces": list(self.faces), "others": list(self.others), "replaces": list(self.replaces)}
        boxes = {face: [round(v, 1) for v in box] for face, box in self.boxes.items()}
        more = (*lists.items(), ("keeps", self.keeps), ("batch_size", self.batch_size), ("boxes", boxes))
        found = {k: v for k, v in named.items() if v is not None} | {k: v for k, v in more if v}
        found |= {} if self.each is None else {"each": self.each}
        text = json.dumps(found, ensure_ascii=False, separators=(", ", ": "))
        return with_sum(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


def new_id() -> str:
    """An id for a decision or a batch: 128 random bits in hex. `SHORT_ID` digits of it will do to name it, while no other begins so."""
    return uuid.uuid4().hex


def parse(row: Any) -> Decision:
    """The decision in a line's JSON. Raises one of UNREADABLE."""
    if row["act"] not in ACTS:
        raise ValueError(f"unknown act {row['act']!r}")
    texts = {k: row.get(k) for k in ("name", "date", "person", "of", "batch", "origin")}
    lists = {k: row.get(k, []) for k in ("faces", "others", "replaces")}
    wrong = [k for k, v in texts.items() if not isinstance(v, str | None)]
    wrong += [k for k, v in lists.items() if not isinstance(v, list) or not all(isinstance(i, str) for i in v)]
    wrong += [k for k in ("id", "at") if not isinstance(row[k], str)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is not text")
    boxes: dict[str, Box] = {}
    for face, box in row.get("boxes", {}).items():
        x, y, w, h = (float(v) for v in box)
        if not all(map(math.isfinite, (x, y, w, h))):
            raise ValueError(f"{box!r} is no box")
        boxes[face] = (x, y, w, h)
    need = texts["of"] is not None if row["act"] == "undo" else row["act"] not in _NAMED or texts["name"] is not None
    need = need and (row["act"] != BORN or (texts["date"] is not None and is_birth(texts["date"])))
    if not need or (row["act"] != "undo" and not lists["faces"]):
        raise ValueError(f"{row['act']!r} without its faces, name, date or target")
    found: dict[str, Any] = {k: tuple(v) for k, v in lists.items()} | texts
    size = row.get("batch_size", 0)
    found |= {"keeps": row.get("keeps") is True, "each": row.get("each") if isinstance(row.get("each"), bool) else None}
    found |= {"batch_size": size if isinstance(size, int) else 0, "boxes": boxes}
    decision = Decision(act=row["act"], id=row["id"], at=row["at"], **found)
    decision.to_line().encode()  # text that can't be written, as half of a pair of surrogates, can't be shown either
    return decision


def clean_name(text: str) -> str:
    """A name on one line, in Unicode form NFC; '' if nothing is left.

    Raises:
        InputError: the name has the form of a person's or a face's id, so a person could not be found by it.
    """
    half = re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", text)  # of a pair, as JSON may state one alone
    valid = half.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # a console may pass bytes that are not UTF-8
    shown = "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in unicodedata.normalize("NFC", valid))
    name = " ".join(shown.split())
    if is_person_id(name) or is_face_id(name):
        raise InputError(say("expected a name, found '%(name)s', which is the form of an id: choose another name", name=name))
    return name


def is_person_id(text: str) -> bool:
    """Whether the text has the form of a person's lasting id: p- and 8 hex digits."""
    return len(text) == 10 and text[:2] == "p-" and _hex(text[2:])


def is_face_id(text: str) -> bool:
    """Whether the text has the form of a face_id: 24 hex digits, -, at least 4 hex digits."""
    return len(text) >= 29 and text[24] == "-" and _hex(text[:24]) and _hex(text[25:])


def _hex(text: str) -> bool:
    return set(text) <= set("0123456789abcdef")


def active(decisions: Iterable[Decision]) -> list[Decision]:
    """The decisions in force, without the undos. An undone decision is not in force; an undone undo has no effect."""
    return _in_force(decisions)[0]


def undone(decisions: Iterable[Decision]) -> set[str]:
    """The ids of decisions and of batches that undos in force take back."""
    return _in_force(decisions)[1]


def _in_force(decisions: Iterable[Decision]) -> tuple[list[Decision], set[str]]:
    undone: set[str] = set()
    kept = []
    for decision in reversed(list(decisions)):
        if decision.id in undone or decision.batch in undone:
            continue
        if decision.act == "undo":
            undone.add(str(decision.of))
        else:
            kept.append(decision)
    return kept[::-1], undone
