"""facecluster verify: whether two photos have a person in common."""

from __future__ import annotations

import json
import sys
from functools import partial

import click

from facecluster.cli import results
from facecluster.cli.errors import handle_errors
from facecluster.cli.options import detector_option, device_option, json_option, model_option, threshold_option


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
    """Say whether photos A and B have a person in common, by their most similar pair of faces.

    Exit code, for scripts: 0 if they probably have (probability .5 and more), 1 if probably not, 2 if there is no face to compare or
    something went wrong.

    \b
    Example: facecluster verify passport.jpg party.jpg
    """
    from facecluster.errors import InputError, PhotoError
    from facecluster.faces.detect import DetectConfig
    from facecluster.faces.embed import EmbedConfig
    from facecluster.faces.fit_reading import card_in
    from facecluster.matching.match import verify
    from facecluster.matching.probe import probe_photo
    from facecluster.models.card import card_of
    from facecluster.store import Store

    card = card_of(model)
    if store is not None:
        place = Store(store)
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
    found = verify(probes[0], probes[1], card)
    boxes = [[round(float(v), 1) for v in one.boxes[i]] for one, i in zip(probes, found.pair, strict=True)] if found.pair else None
    line = _line(found.faces, found.probability, found.cosine)
    if as_json:
        row = {"photos": [a, b], "faces": list(found.faces), "boxes": boxes, "cosine": found.cosine, "probability": found.probability}
        click.echo(json.dumps(row | {"model": card.name, "words": line}, indent=1, allow_nan=False))
    else:
        click.echo(line)
    sys.exit(2 if found.cosine is None else int(found.probability < 0.5))


def _line(faces: tuple[int, int], probability: float, cosine: float | None) -> str:
    from facecluster.report.text import percent

    if cosine is None:
        which = "either photo" if not any(faces) else "the first photo" if not faces[0] else "the second photo"
        return f"no face found in {which}: nothing to compare"
    words = "can't tell"
    for bound, text in ((0.95, "very likely the same person"), (0.8, "likely the same person")):
        if probability >= bound:
            words = text
            break
        if probability <= 1 - bound:
            words = text.replace("the same person", "different people")
            break
    pairs = faces[0] * faces[1]
    of = "" if pairs == 1 else f", the best of {pairs} pairs of faces"
    return f"{words}: probability of one person {percent(probability)} (cosine {cosine:.2f}{of})"
