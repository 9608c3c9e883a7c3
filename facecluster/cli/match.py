"""facecluster match: recognise the people on new photos."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli import results
from facecluster.cli.errors import handle_errors
from facecluster.cli.options import device_option, json_option, model_of_run_option
from facecluster.cli.printing import print_decisions_to_come, printable

if TYPE_CHECKING:
    from facecluster.matching.match import Match
    from facecluster.matching.probe import Probe


@click.command("match")
@click.argument("photos", nargs=-1, required=True)
@click.option("--store", metavar="DIR", required=True, help="Store of the people to compare with.")
@click.option("--top", type=click.IntRange(1, 1000), default=5, show_default=True,
              help="How many people and most similar faces to list for each face.")  # fmt: skip
@click.option("--prior", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.5, show_default=True,
              help="Probability that a new face is of someone in the store, before it is compared.")  # fmt: skip
@model_of_run_option
@device_option
@json_option
@handle_errors
def command(photos: tuple[str, ...], store: str, top: int, prior: float, model: str | None, device: str, as_json: bool) -> None:
    """Recognise the people of a store on new PHOTOS (files, folders, globs), or say that a face is of nobody known.

    A face that is too unclear to tell is compared with nobody. Of a photo that is in the store already it is said where; its faces are not
    compared with themselves. Names count as they are now; what was merged, split or drawn counts after the next 'facecluster cluster'.

    Of the store only the search index changes: it is made when it is first needed.

    \b
    Example: facecluster match party.jpg --store ~/people
    """
    from facecluster.errors import PhotoError
    from facecluster.faces.embed import EmbedConfig, check_vectors
    from facecluster.faces.fit_reading import card_in
    from facecluster.faces.fit_recognisability import unclear_faces
    from facecluster.matching.gallery import build_gallery
    from facecluster.matching.index import open_index
    from facecluster.matching.match import match
    from facecluster.matching.probe import detect_config, probe_photo
    from facecluster.matching.recognition import read_recognition
    from facecluster.matching.stored_photos import StoredPhotos
    from facecluster.photos.listing import find_files
    from facecluster.store import Store

    place = Store(store)
    place.check()
    print_decisions_to_come(place)
    embed = EmbedConfig(model=results.model_of(place, model))
    card = card_in(place, embed)
    check_vectors(place, embed, place.shards(embed.table())[:1])
    card = results.calibration_of(place, card).apply_to(card)
    results.note_on_names(place, card.name)
    files = [f for f in find_files(photos) if not f.is_folder]
    who, index, detect = read_recognition(place, card.name), open_index(place, card.name), detect_config(place)
    gallery, stored = build_gallery(index, who), StoredPhotos(place)
    rows: list[dict[str, Any]] = []
    for file in files:
        try:
            if file.error and file.size >= 0:  # a damaged archive, which is no photo itself
                raise PhotoError(file.error)
            probe = probe_photo(file.uri, detect, embed, device=device)
        except PhotoError as e:
            rows.append({"photo": file.uri, "stored_at": [], "error": str(e), "faces": []})
        else:
            known = stored.find(probe.photo_id)
            probe = probe if known is None else replace(probe, photo_id=known.photo_id)
            unclear = unclear_faces(embed, probe.vectors, least=who.least, store=place)
            found = match(probe, gallery, card, unclear=unclear, prior=prior, top=top)
            rows.append(_row(probe, found, known.uris if known else []))
        if not as_json:
            _show(rows[-1])
    if as_json:
        about = {"store": store, "model": card.name, "people": len(who.people), "stored_faces": len(index.face_ids), "prior": prior}
        click.echo(json.dumps(about | {"photos": rows}, indent=1, allow_nan=False))
    if all(row["error"] for row in rows):
        sys.exit(1)


def _row(probe: Probe, matches: list[Match], stored_at: list[str]) -> dict[str, Any]:
    faces = []
    for i, found in enumerate(matches):
        people = [
            {"person": c.person.key, "name": c.person.name, "number": c.person.number, "ignored": c.person.ignored,
             "probability": c.probability, "faces": c.person.faces, "cosine_to_mean": c.cosine_to_mean,
             "cosine_to_nearest": c.cosine_to_nearest}
            for c in found.candidates
        ]  # fmt: skip
        nearest = [
            {"face_id": n.face_id, "photo": n.uri, "cosine": n.cosine, "probability": n.probability,
             "person": n.person.key if n.person else None, "name": n.person.name if n.person else None}
            for n in found.nearest
        ]  # fmt: skip
        box = [round(float(v), 1) for v in probe.boxes[i]]
        faces.append(
            {"box": box, "score": float(probe.scores[i]), "quality": float(probe.quality[i]), "unclear": found.unclear,
             "nobody_known": found.unknown, "people": people, "nearest": nearest}
        )  # fmt: skip
    return {"photo": probe.uri, "photo_id": probe.photo_id, "stored_at": stored_at, "error": None, "faces": faces}


def _show(row: dict[str, Any]) -> None:
    from facecluster.language.english import plural
    from facecluster.report.text import percent, short_name

    name = printable(row["photo"])
    click.echo(f"{name}: {row['error'] or plural(len(row['faces']), 'face')}")
    if row["stored_at"]:
        more = f" and {plural(len(row['stored_at']) - 1, 'other place')}" if len(row["stored_at"]) > 1 else ""
        click.echo(f"  in the store already: {printable(row['stored_at'][0])}{more}")
    for i, face in enumerate(row["faces"], start=1):
        x, y, w, h = (round(v) for v in face["box"])
        likely = [p for p in face["people"] if p["probability"] >= 0.005]
        who = ", ".join(f"{printable(p['name'] or p['person'])} {percent(p['probability'])}" for p in likely)
        if face["unclear"]:
            verdict = "too unclear to tell who it is"
        elif face["nobody_known"] >= max([p["probability"] for p in likely], default=0):
            verdict = f"nobody known {percent(face['nobody_known'])}" + (f"; else {who}" if who else "")
        else:
            verdict = who + (f"; nobody known {percent(face['nobody_known'])}" if face["nobody_known"] >= 0.005 else "")
        click.echo(f"  face {i} ({w} x {h} px at {x}, {y}): {verdict}")
        if face["nearest"]:
            near = face["nearest"][0]
            of = printable(near["name"] or near["person"] or "nobody known")
            click.echo(f"    nearest: {short_name(near['photo'])} ({of}), cosine {near['cosine']:.2f}")
