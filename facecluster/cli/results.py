"""Which tables and probabilities of a store a command reads, and which people are to be checked first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facecluster.cli.printing import printable
from facecluster.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from facecluster.calibrate import StoreCalibration
    from facecluster.grouping.uncertainty import Uncertainty
    from facecluster.models.registry import Card
    from facecluster.report import Suspect
    from facecluster.store import Store

_RIGHT = 0.9  # people who are right with a lower probability are listed to be checked first


def calibration_of(store: Store, card: Card) -> StoreCalibration:
    """The probabilities of a store for a model's vectors. A calibration of other weights is not used; a note on stderr says so."""
    from facecluster.calibrate import calibration_path, read_calibration

    found = read_calibration(store, card)
    if found.other_weights:
        click.echo(
            f"note: {'/'.join(calibration_path(card))} was made with other weights of the model {printable(card.name)} and is not used: "
            f"'facecluster cluster {store.url} --calibrate' makes a new one",
            err=True,
        )
    return found


def identity_table(store: Store, model: str | None) -> str:
    """The table of identities to read: that of the current run if no model is given or the run is of that model, else the model's last."""
    from facecluster.models.registry import card_of
    from facecluster.people import current_run

    run = current_run(store)
    name = None if model is None else card_of(model).name
    if run is not None and name in (None, run.model):
        return run.identities
    return f"identities/{name or card_of('bundled').name}"


def assess(store: Store, table: str, model: str) -> tuple[list[str], NDArray[np.int64], Uncertainty]:
    """Face ids, their identities in a table of `model`, and how certain they are. Raises InputError if the table is of other faces."""
    from facecluster.faces.embed import EmbedConfig
    from facecluster.grouping.identify import IdentifyConfig
    from facecluster.grouping.uncertainty import assess_store
    from facecluster.models.registry import card_of

    card = card_of(model)
    config = IdentifyConfig(impostor_mean=card.impostor_mean, impostor_sd=card.impostor_sd)
    return assess_store(store, EmbedConfig(model=model).table(), f"links/{card.name}", table, config)


def check_first(store: Store, table: str, model: str, top: int = 12) -> list[Suspect]:
    """The people of a table that are least likely to be right, worst first. Empty if the table is of other faces or another model."""
    from facecluster.models.registry import card_of
    from facecluster.people import current_run
    from facecluster.report import Suspect

    name, run = card_of(model).name, current_run(store)
    of = run.model if run is not None and run.identities == table else table.partition("/")[2]
    if of != name or not store.shards(f"links/{name}"):
        return []
    try:
        uncertainty = assess(store, table, model)[2]
    except InputError:  # photos were added or removed since
        return []
    order = uncertainty.confidence.argsort(kind="stable")[:top].tolist()
    rows = [Suspect(i, float(uncertainty.purity[i]), float(uncertainty.completeness[i])) for i in order]
    return [s for s in rows if s.purity * s.completeness < _RIGHT]
