"""The report of a store as the commands and the Python API write it: with current names, and with the people to check first on top."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.errors import InputError
from facecluster.faces.embed import EmbedConfig
from facecluster.faces.fit_reading import card_in
from facecluster.grouping.identify import IdentifyConfig
from facecluster.grouping.uncertainty import Uncertainty, assess_store
from facecluster.language import ENGLISH, Language
from facecluster.models.card import card_of
from facecluster.people import People, current_run, read_current_people
from facecluster.people.unchanged import state_of
from facecluster.photos.gone import GoneFolder
from facecluster.report.face_notes import Look
from facecluster.report.hide_faces import Faces
from facecluster.report.report_data import PersonInfo, PersonToCheck
from facecluster.report.report_folder import shown_faces
from facecluster.report.write import Summary, current_summary, write_report
from facecluster.store import FaceIds, Store
from facecluster.store.copies import refuse_inside

_RIGHT = 0.9  # people who are right with a lower probability are listed to be checked first
REMOTE_STORE_FOLDER = "facecluster-report"  # local folder of the report of a store that is not on this machine


def write_run_report(
    store: Store, identities: str, out: str | None = None, *, model: str = "bundled",
    progress: Callable[[int, int], None] | None = None, gone: Iterable[GoneFolder] | None = None,
    faces: Faces | None = None, language: Language = ENGLISH, look: Look | None = None,
) -> Summary:  # fmt: skip
    """Write the report of a table of identities.

    Args:
        store: where the tables are.
        identities: the table with the grouping.
        out: a local folder; None for report/ in the store, or ./facecluster-report if the store is not on this machine.
        model: whose vectors were grouped: "bundled", or the path of a model card.
        progress: called with (pages written, all pages) after each page.
        faces: how faces are shown: as they are, blurred, or not at all; None: as in the report that is replaced, at first as they are.
        language: of the pages.
        look: makes pictures of where the model looks, for the surest faces of each person; None: there are none.
        gone: what is gone of the store now (`gone_folders`): a report that is up to date then stays as it is. None: it is written anew.

    Raises:
        InputError: `out` contains other files or can't be written, or faces are hidden and `look` is given.
        StoreError: a table is missing or damaged.
    """
    store.check()
    if out is None and store.is_local and store.cipher is not None:
        raise InputError("expected a folder for the report, found none: the store is encrypted, and a report is not. Give --out DIR")
    if out is not None:
        refuse_inside(store, out)
    target = out or (store.path("report") if store.is_local else REMOTE_STORE_FOLDER)
    faces = _as_before(target) if faces is None else faces
    if look is not None and faces is not Faces.SHOW:
        raise InputError(
            f"expected a report that shows faces, for pictures of where the model looks, found one in which they are hidden "
            f"(--faces {faces.value}): leave out --explain, or give --faces show"
        )
    places = [] if gone is None else [folder.places for folder in gone]
    shown = [identities, card_of(model), places, faces.value, look is not None, language.tag]
    made_from = "" if gone is None else state_of(store, shown)
    if made_from and (summary := current_summary(target, made_from)) is not None:
        return summary
    run = current_run(store)
    known = read_current_people(store)[0] if run is not None and identities == run.identities else None
    to_check = people_to_check(store, identities, model)
    people = _person_infos(known.people, known.births) if known else None
    how: dict[str, Any] = {"progress": progress, "made_from": made_from, "faces": faces, "look": look, "language": language}
    return write_report(store, identities, target, people=people, to_check=to_check, **how)


def _as_before(target: str) -> Faces:
    """How the report in a folder shows faces: one that hides them must not show them after the next run."""
    found = shown_faces(Path(os.path.realpath(target)))
    return Faces(found) if found in {kind.value for kind in Faces} else Faces.SHOW


def assess_people(store: Store, identities: str, model: str) -> tuple[FaceIds, NDArray[np.int64], Uncertainty]:
    """Face ids, their identities in a table of `model`, and how certain they are. Raises InputError if the table is of other faces."""
    card = card_in(store, EmbedConfig(model=model))
    config = IdentifyConfig(**card.grouping_settings())
    return assess_store(store, EmbedConfig(model=model).table(), f"links/{card.name}", identities, config)


def people_to_check(store: Store, identities: str, model: str, top: int = 12) -> list[PersonToCheck]:
    """The people of a table that are least likely to be right, worst first. Empty if the table is of other faces or another model."""
    name, run = card_of(model).name, current_run(store)
    of = run.model if run is not None and run.identities == identities else identities.partition("/")[2]
    if of != name or not store.shards(f"links/{name}"):
        return []
    try:
        uncertainty = assess_people(store, identities, model)[2]
    except InputError:  # photos were added or removed since
        return []
    order = uncertainty.confidence.argsort(kind="stable")[:top].tolist()
    rows = [PersonToCheck(i, float(uncertainty.purity[i]), float(uncertainty.completeness[i])) for i in order]
    return [s for s in rows if s.purity * s.completeness < _RIGHT]


def _person_infos(people: People, births: Mapping[int, str] = {}) -> dict[int, PersonInfo]:  # noqa: B006  only read
    rows = zip(people.names, people.person_ids, people.ignored, strict=True)
    return {i: PersonInfo(name or "", person, ignored, births.get(i, "")) for i, (name, person, ignored) in enumerate(rows)}
