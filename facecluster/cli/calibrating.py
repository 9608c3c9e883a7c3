"""The part of facecluster cluster that fits probabilities to the user's own answers, or takes that back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from facecluster.cli import common

if TYPE_CHECKING:
    from facecluster.calibrate import Calibrated, Part, Reading


def calibrate(store: str, model: str, dry_run: bool, **changes: float | None) -> Calibrated:
    """Fit the reading of a store's vectors, and keep it unless it is a dry run; `changes` are settings of the grouping."""
    from contextlib import nullcontext

    from facecluster.faces.embed import EmbedConfig
    from facecluster.grouping.identify import IdentifyConfig
    from facecluster.grouping.link import LinkConfig
    from facecluster.models.registry import card_of
    from facecluster.pipeline import calibrate_faces
    from facecluster.store import Store

    place = Store(store)
    place.check()
    card = card_of(model)
    wanted: dict[str, Any] = {k: v for k, v in changes.items() if v is not None}
    config = IdentifyConfig(impostor_mean=card.impostor_mean, impostor_sd=card.impostor_sd, **wanted)
    with nullcontext() if dry_run else place.lock():
        return calibrate_faces(place, EmbedConfig(model=model), LinkConfig(), config, bars=common.bars, dry_run=dry_run)


def uncalibrate(store: str, model: str, dry_run: bool) -> tuple[bool, Reading]:
    """Take a store's calibration for a model away, unless it is a dry run: whether there is one, and the reading without it."""
    from facecluster.calibrate import Reading, path_of, remove_reading
    from facecluster.models.registry import card_of
    from facecluster.store import Store

    place = Store(store)
    place.check()
    card = card_of(model)
    if dry_run:
        return place.exists(*path_of(card)), Reading()
    with place.lock():
        return remove_reading(place, card), Reading()


def show(found: Calibrated, dry_run: bool) -> None:
    """Say what a calibration rests on, and what came of it."""
    pairs, place = found.pairs, found.place
    left = f"; {found.nameless:,} faces of decisions come to no name" if found.nameless else ""
    click.echo(
        f"calibration rests on {pairs.people:,} people with names: {pairs.faces:,} faces, {pairs.yes:,} pairs of one person and "
        f"{pairs.no:,} of two{left}"
    )
    click.echo(f"two faces are one person: {_words(pairs)}")
    rests = f"{place.yes:,} right and {place.no:,} wrong faces in the groups of {place.people:,} people" if place.held else ""
    click.echo(f"a face belongs to its group: {_words(place)}" + (f" ({rests})" if rests else ""))
    if pairs.used or place.used:
        click.echo("people that the grouping did not find have no names, and harder faces: expect somewhat larger errors there")
    if not dry_run:
        click.echo("'cluster --uncalibrate' takes it back" if found.reading else "the model card's probabilities stay in use")


def _words(part: Part) -> str:
    if part.held is None:
        return f"as before: {part.why}"
    before, after = part.held.ece
    errors = f"expected calibration error {before:.3f} before, {after:.3f} fitted, each on people left out"
    return f"{errors}: {'fitted' if part.used else 'as before: ' + part.why}"
