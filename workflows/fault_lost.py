"""What of the user's is lost after a fault, and models that are broken by it. For `faults.py`."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fault_ground import NOTE
from fault_review import answered, runs_shown
from fault_state import users_own

if TYPE_CHECKING:
    from fault_cases import Case
    from fault_kinds import Fault

EDITED = "Zoë"  # a name that only people.csv has
WORDS_OF_USER = b"the words of the user"


def lost(own: dict[str, Any], root: Path, case: Case, fault: Fault) -> list[str]:
    """What is no longer there of the user's."""
    now, models = users_own(root), tuple(f"{name}/" for name in case.models)
    shown = [number for number in runs_shown(root) if not (root / f"store/runs/{number:05d}/run.json").exists()]
    wrong = [f"lost: run {number}, which the page showed" for number in shown]
    if not case.forgets and now["journal"][: len(own["journal"])] != own["journal"]:
        wrong.append("lost: lines of the journal")
    for content, paths in own["contents"].items():
        there = now["contents"].get(content, [])
        if content in now["contents"] if case.moves_photos else set(paths) <= set(there):
            continue
        missing = [path for path in paths if path not in there and path not in fault.touched and not path.startswith(models)]
        kept = [path for path in missing if not any(fnmatch(path, pattern) for pattern in case.changes) or not _has_words(root / path)]
        wrong += [f"lost: {path}" for path in kept]
    wrong += [f"lost: the decision {saved}, which the page said is saved" for saved in answered(root) if not _is_in(saved, now["journal"])]
    edits = [row for row in own["people"] if row[1] == EDITED]
    said = _is_in(EDITED, now["journal"])
    for person, name, _ in edits:
        rows = {row[0]: row for row in now["people"]}
        if rows.get(person, ("", "", ""))[1] != name and not said:
            wrong.append(f"lost: the name {name} of people.csv")
        if rows.get(person, ("", "", ""))[2] != NOTE:
            wrong.append("lost: the user's column of people.csv")
    return wrong


def broken_models(root: Path, folders: Sequence[str]) -> list[str]:
    """What is wrong with the models in folders, a line each."""
    from facecluster.errors import FaceclusterError
    from facecluster.models.registry import load_embedder

    found = []
    for folder in folders:
        try:
            load_embedder(str(root / folder / "card.toml"), "cpu")
        except (FaceclusterError, OSError) as e:
            found.append(f"a broken model: {e}")
    return found


def _is_in(text: str, lines: Sequence[bytes]) -> bool:
    return any(text.encode() in line for line in lines)


def _has_words(path: Path) -> bool:
    """Whether a sidecar of the user's has their words, or a photo is still one."""
    data = path.read_bytes() if path.exists() else b""
    return WORDS_OF_USER in data or path.suffix == ".jpg" and data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9"
