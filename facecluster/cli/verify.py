"""facecluster verify: whether two photos have a person in common."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from facecluster.cli import results
from facecluster.cli.errors import handle_errors
from facecluster.cli.options import detector_option, device_option, json_option, model_option, threshold_option
from facecluster.language.english import plural

if TYPE_CHECKING:
    from facecluster.matching.match import PhotoComparison


@click.command("verify")
@click.argument("a")
@click.argument("b")
@click.option(
    "--store", metavar="DIR", show_default="those of the model card", help="Use the probabilities that this store was calibrated to."
)
@threshold_option
@detector_option
@model_option
@device_option
@json_option
@partial(handle_errors, code=2)
def command(a: str, b: str, store: str | None, threshold: float | None, detector: str, model: str, device: str, as_json: bool) -> None:
    """Say whether photos A and B have a person in common, by their most similar pair of faces. Faces that are too unclear to tell are
    left out: they are like each other whoever they show.

    Exit code, for scripts: 0 if they probably have (probability .5 and more), 1 if probably not, 2 if there is no face to compare or
    something went wrong.

    \b
    Example: facecluster verify passport.jpg party.jpg
    """
    from facecluster.errors import InputError, PhotoError
    from facecluster.faces.detect import DetectConfig
    from facecluster.faces.embed import EmbedConfig
    from facecluster.faces.fit_reading import card_in
    from facecluster.faces.fit_recognisability import unclear_faces
    from facecluster.matching.match import verify
    from facecluster.matching.probe import probe_photo
    from facecluster.models.card import card_of
    from facecluster.store import Store

    card = card_of(model)
    place = None if store is None else Store(store)
    if place is not None:
        place.check()
        card = card_in(place, EmbedConfig(model=model))
        card = results.calibration_of(place, card).apply_to(card)
    elif not card.is_fitted:
        note = "note: the model's card does not say what its cosines mean, so the probability is a guess: name a store with --store"
        click.echo(note, err=True)
    probes, detect = [], DetectConfig(detector=detector, threshold=threshold)
    for uri in (a, b):
        try:
            probes.append(probe_photo(uri, detect, EmbedConfig(model=model), device=device))
        except PhotoError as e:
            raise InputError(f"{uri}: {e}") from e
    unclear = [unclear_faces(EmbedConfig(model=model), one.vectors, store=place) for one in probes]
    found = verify(probes[0], probes[1], card, unclear=(unclear[0], unclear[1]))
    boxes = [[round(float(v), 1) for v in one.boxes[i]] for one, i in zip(probes, found.pair, strict=True)] if found.pair else None
    line = _line(found)
    if as_json:
        counts = {"faces": list(found.faces), "unclear": list(found.unclear)}
        row = {"photos": [a, b], **counts, "boxes": boxes, "cosine": found.cosine, "probability": found.probability}
        click.echo(json.dumps(row | {"model": card.name, "words": line}, indent=1, allow_nan=False))
    else:
        click.echo(line)
    sys.exit(2 if found.cosine is None else int(found.probability < 0.5))


def _line(found: PhotoComparison) -> str:
    from facecluster.report.text import percent

    if found.cosine is None:
        return f"{_nothing(found)}: nothing to compare"
    words = "can't tell"
    for bound, text in ((0.95, "very likely the same person"), (0.8, "likely the same person")):
        if found.probability >= bound:
            words = text
            break
        if found.probability <= 1 - bound:
            words = text.replace("the same person", "different people")
            break
    clear = [n - unclear for n, unclear in zip(found.faces, found.unclear, strict=True)]
    of = "" if clear == [1, 1] else f", the best of {clear[0] * clear[1]} pairs of faces"
    left_out = f"; {plural(sum(found.unclear), 'face')} too unclear to tell left out" if any(found.unclear) else ""
    return f"{words}: probability of one person {percent(found.probability)} (cosine {found.cosine:.2f}{of}){left_out}"


def _nothing(found: PhotoComparison) -> str:
    """Which photo has no face, or else none that is clear."""
    what, empty = "no face found in", [not n for n in found.faces]
    if not any(empty):
        what, empty = "no clear face in", [n == unclear for n, unclear in zip(found.faces, found.unclear, strict=True)]
    return f"{what} {'either photo' if all(empty) else 'the first photo' if empty[0] else 'the second photo'}"
