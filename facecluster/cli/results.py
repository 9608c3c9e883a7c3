"""Which tables and probabilities of a store a command reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facecluster.cli.printing import printable
from facecluster.errors import shell

if TYPE_CHECKING:
    from facecluster.calibrate import StoreCalibration
    from facecluster.models.card import Card
    from facecluster.store import Store


def calibration_of(store: Store, card: Card) -> StoreCalibration:
    """The probabilities of a store for a model's vectors. A calibration of other weights is not used; a note on stderr says so."""
    from facecluster.calibrate import calibration_path, read_calibration

    found = read_calibration(store, card)
    if found.other_weights:
        click.echo(
            f"note: {'/'.join(calibration_path(card))} was made with other weights of the model {printable(card.name)} and is not used: "
            f"'facecluster cluster {shell(store.url)} --calibrate' makes a new one",
            err=True,
        )
    return found


def model_of(store: Store, model: str | None) -> str:
    """The model that a command uses: the one that is given, else that of the current run, else the bundled one.

    Raises:
        ModelError: none is given, and this machine has none of the name of the run's.
    """
    from facecluster.errors import ModelError
    from facecluster.models.card import card_of
    from facecluster.people import current_run

    run = current_run(store) if model is None else None
    if run is None:
        return model or "bundled"
    try:
        card_of(run.model)
    except ModelError as e:
        found = f"expected the model {printable(run.model)}, of which the current run is, found none of that name"
        raise ModelError(f"{found}: give its card with --model CARD, or another model of the store's with --model NAME") from e
    return run.model


def identity_table(store: Store, model: str | None) -> str:
    """The table of identities to read: that of the current run if no model is given or the run is of that model, else the model's last."""
    from facecluster.models.card import card_of
    from facecluster.people import current_run

    run = current_run(store)
    name = None if model is None else card_of(model).name
    if run is not None and name in (None, run.model):
        return run.identities
    return f"identities/{name or card_of('bundled').name}"


def note_on_names(store: Store, model: str | None) -> None:
    """Say on stderr that people of another model (its name) than the current run's have no names."""
    from facecluster.people import current_run

    run = current_run(store)
    if run is not None and model not in (None, run.model):
        has = f"names and lasting ids are those of the current run, which is of the model {printable(run.model)}"
        click.echo(f"note: {has}: the people of {printable(str(model))} have numbers only", err=True)
