"""The part of facecluster cluster that fits probabilities to the user's own answers, or removes that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from facecluster.cli.progress import progress_bar
from facecluster.language.english import plural

if TYPE_CHECKING:
    from facecluster.calibrate import CalibrationResult, LineFit, StoreCalibration


def calibrate(store: str, model: str, dry_run: bool, **changes: float | None) -> CalibrationResult:
    """Fit the probabilities of a store, and keep them unless it is a dry run; `changes` are settings of the grouping."""
    from contextlib import nullcontext

    from facecluster.faces.embed import EmbedConfig
    from facecluster.faces.fit_reading import card_in
    from facecluster.grouping.identify import IdentifyConfig
    from facecluster.grouping.link import LinkConfig
    from facecluster.pipeline import calibrate_faces
    from facecluster.store import Store

    place = Store(store)
    place.check()
    card = card_in(place, EmbedConfig(model=model), fit=True)
    wanted: dict[str, Any] = {k: v for k, v in changes.items() if v is not None}
    config = IdentifyConfig(**card.grouping_settings(), **wanted)
    with nullcontext() if dry_run else place.lock():
        return calibrate_faces(place, EmbedConfig(model=model), LinkConfig(), config, bars=progress_bar, dry_run=dry_run)


def reset(store: str, model: str, dry_run: bool) -> tuple[bool, StoreCalibration]:
    """Remove a store's calibration for a model, unless it is a dry run: whether there is one, and the probabilities without it."""
    from facecluster.calibrate import StoreCalibration, calibration_path, remove_calibration
    from facecluster.models.card import card_of
    from facecluster.store import Store

    place = Store(store)
    place.check()
    card = card_of(model)
    if dry_run:
        return place.exists(*calibration_path(card)), StoreCalibration()
    with place.lock():
        return remove_calibration(place, card), StoreCalibration()


def print_calibration(found: CalibrationResult, dry_run: bool) -> None:
    """Print what a calibration is based on, and its result."""
    pairs, place = found.pairs, found.membership
    belong = "belongs" if found.unnamed == 1 else "belong"
    left = f"; {plural(found.unnamed, 'face')} of your decisions {belong} to no name" if found.unnamed else ""
    named = f"{plural(pairs.people, 'person', 'people')} with names: {plural(pairs.faces, 'face')}"
    click.echo(f"calibration is based on {named}, {plural(pairs.yes, 'pair')} of one person and {pairs.no:,} of two people{left}")
    click.echo(f"two faces are one person: {_words(pairs)}")
    rests = f"{place.yes:,} right and {plural(place.no, 'wrong face')} in the groups of {plural(place.people, 'person', 'people')}"
    click.echo(f"a face belongs to its group: {_words(place)}" + (f" ({rests})" if place.held_out else ""))
    if pairs.used or place.used:
        click.echo("people whom the grouping did not find have no names and harder faces: expect somewhat larger errors for them")
    if not dry_run:
        click.echo("'cluster --reset-calibration' removes it" if found.calibration else "the model card's probabilities stay in use")


def _words(part: LineFit) -> str:
    if part.held_out is None:
        return f"unchanged: {part.why}"
    before, after = part.held_out.ece
    errors = f"expected calibration error {before:.3f} before, {after:.3f} fitted, each for people left out of the fit"
    return f"{errors}: {'fitted' if part.used else 'unchanged: ' + part.why}"
