"""facecluster demo: find and group the faces of synthetic people."""

from __future__ import annotations

from pathlib import Path

import click

from facecluster.cli import jobs
from facecluster.cli.errors import handle_errors
from facecluster.cli.options import lang_option
from facecluster.language.english import plural


@click.command("demo")
@click.option("-o", "--out", metavar="DIR", default="facecluster-demo", show_default=True, help="New folder for the photos and the store.")
@click.option("--people", default=12, show_default=True, type=click.IntRange(6, 60), help="How many synthetic people.")
@click.option("--photos", default=8, show_default=True, type=click.IntRange(2, 50), help="How many photos of each person.")
@click.option("--seed", default=0, show_default=True, help="Random seed: another number gives other people.")
@lang_option
@handle_errors
def command(out: str, people: int, photos: int, seed: int, lang: str) -> None:
    """Make photos of synthetic people, find and group their faces, and compare the result with the truth. Needs no photos and no network.
    If it is stopped, the same command goes on.

    \b
    Example: facecluster demo
    """
    import numpy as np

    from facecluster.demo import make_collection, score
    from facecluster.demo.unfinished import begin, finish
    from facecluster.store import FACES, IDENTITIES, Store

    folder = Path(out)
    begin(folder, {"people": people, "photos": photos, "seed": seed})
    truth = make_collection(str(folder), people=people, photos=photos, seed=seed, go_on=True)
    found = f"{plural(truth.files, 'file')} with {plural(len(truth.faces), 'face')}"
    click.echo(f"made {found} of {truth.people} synthetic people in {truth.photos}", err=True)
    store = str(folder / "store")
    jobs.embed((str(truth.photos),), store)
    table = jobs.cluster(store, "bundled")
    index = jobs.report(store, table, lang=lang)
    faces = {f["face_id"]: f for f in Store(store).read_all("faces", FACES, ["face_id", "photo_id", "box"]).to_pylist()}
    labels = {r["face_id"]: r["identity"] for r in Store(store).read_all(table, IDENTITIES).to_pylist()}
    boxes = np.array([f["box"] for f in faces.values()], np.float32).reshape(-1, 4)
    groups = np.array([labels.get(i, -1) for i in faces], np.int64)
    finish(folder)
    result = score(truth, [f["photo_id"] for f in faces.values()], boxes, groups)
    others = plural(result.others, "thing that is no face", "things that are no faces")
    click.echo(f"found {result.found} of {plural(result.faces, 'face')}, and {others}")
    scores = f"BCubed F {result.bcubed.f:.3f}, pairwise F {result.pairwise.f:.3f}"
    click.echo(f"{plural(result.people, 'person is', 'people are')} in {plural(result.groups, 'group')}: {scores}")
    click.echo(f"report: {Path(index).resolve()}")
