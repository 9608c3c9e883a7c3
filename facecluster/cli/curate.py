"""facecluster curate: a clean data set of faces out of a store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.printing import printable
from facecluster.cli.progress import progress_bar

if TYPE_CHECKING:
    from facecluster.curate import Plan
    from facecluster.curate.out import Out

FORMATS = ["imagefolder", "webdataset", "parquet", "csv"]


@click.command("curate")
@click.argument("store")
@click.option("-o", "--out", help="Folder for the data set; without one only the figures are shown.")
@click.option("--to", "formats", type=click.Choice(FORMATS), multiple=True, default=["parquet"], show_default=True, help="Form, or forms.")
@click.option("--labels", default="people", show_default=True, help="'people' of the store, 'folder' of the photo, or a CSV: path,person.")
@click.option("--groups", type=click.Path(dir_okay=False), help="CSV file person,group: figures by group in the datasheet.")
@click.option("--split", "shares", default="0.8,0.1,0.1", show_default=True, help="Shares of train, val and test, by person.")
@click.option("--cap", type=click.IntRange(1), help="Faces a person at most: the best and most varied ones.")
@click.option("--floor", type=click.IntRange(1), default=2, show_default=True, help="Faces a person at least.")
@click.option("--quality", type=click.FloatRange(0, 1), default=0.2, show_default=True, help="Quality of a face at least.")
@click.option("--low", type=click.FloatRange(-5, 10), help="How like its person a face must be, in sd above strangers [default: 1.0].")
@click.option("--keep-copies", is_flag=True, help="Keep near-duplicates (in one split).")
@click.option("--relabel", is_flag=True, help="Move faces of another person there, in place of leaving them out.")
@click.option("--images", type=click.Choice(["webp", "jpg", "png"]), default="webp", show_default=True, help="Kind of the pictures.")
@click.option("--shard", type=click.IntRange(1), default=1_000, show_default=True, help="Faces a shard of webdataset and parquet.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides the splits and the order.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--model", default="bundled", show_default=True, help="'bundled' or the path of a model card.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@handle_errors
def command(
    store: str, out: str | None, formats: tuple[str, ...], labels: str, groups: str | None, shares: str, cap: int | None, floor: int,
    quality: float, low: float | None, keep_copies: bool, relabel: bool, images: str, shard: int, seed: int, dry_run: bool, model: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Make a clean data set of the faces of STORE: wrong labels, strangers, near-duplicates and poor faces are left out, people are split
    into train, val and test, and a manifest says for every face why it is in or out.

    Labels are the people of the store, or, for a folder for each person, the names of the folders. The same command goes on where it was
    stopped.

    Example: facecluster curate ~/people --labels folder -o dataset --to imagefolder --cap 50
    """
    import tempfile

    from facecluster.curate import CleanConfig, CurateConfig, curate, read_source
    from facecluster.curate.datasheet import datasheet
    from facecluster.curate.source import read_pairs
    from facecluster.curate.split import shares_of
    from facecluster.models.registry import card_of
    from facecluster.store import Store

    place = Store(store)
    place.check()
    card = card_of(model)
    bounds = {} if low is None else {"low": low}
    config = CurateConfig(
        clean=CleanConfig(impostor_mean=card.impostor_mean, impostor_sd=card.impostor_sd, **bounds), least_quality=quality, cap=cap or 0,
        floor=floor, keep_copies=keep_copies, relabel=relabel, shares=tuple(shares_of(shares).items()), seed=seed,
    )  # fmt: skip
    by_group = None if groups is None else read_pairs(groups, "person", "group")
    with tempfile.TemporaryFile() as spool:
        plan = curate(read_source(place, card.name, spool, labels), config)
        sheet = datasheet(plan, by_group)
        target = None if out is None else _write(plan, sheet, out, formats, images, shard, dry_run)
    _say(sheet, target, as_json)


def _write(
    plan: Plan, sheet: dict[str, Any], folder: str, formats: tuple[str, ...], images: str, shard: int, dry_run: bool
) -> Out:  # fmt: skip
    import importlib

    from facecluster.curate.datasheet import markdown
    from facecluster.curate.manifest import csv_bytes, manifest, parquet_bytes
    from facecluster.curate.out import Out
    from facecluster.store import fingerprint

    table = manifest(plan)
    text = csv_bytes(table)
    out = Out(folder, fingerprint({"manifest": text.decode(), "sheet": sheet, "images": images, "shard": shard}), dry_run=dry_run)
    out.write("manifest.csv", lambda: text)
    out.write("manifest.parquet", lambda: parquet_bytes(table))
    out.write("datasheet.json", lambda: json.dumps(sheet, indent=1).encode() + b"\n")
    out.write("datasheet.md", lambda: markdown(sheet).encode())
    for form in dict.fromkeys(formats):
        with progress_bar(f"faces to {form}", len(plan.inside)) as tick:
            importlib.import_module(f"facecluster.curate.write_{form}").write(plan, out, images, shard, tick)
    return out


def _say(sheet: dict[str, Any], out: Out | None, as_json: bool) -> None:
    from facecluster.report.text import plural

    if as_json:
        done = None if out is None else {"folder": str(out.folder), "written": out.written, "there": out.there, "dry_run": out.dry_run}
        click.echo(json.dumps({**sheet, "out": done}, indent=1))
        return
    click.echo(f"{plural(sheet['faces']['included'], 'face')} of {plural(sheet['people']['people'], 'person', 'people')} are in")
    for split, counts in sheet["splits"].items():
        click.echo(f"  {split}: {plural(counts['faces'], 'face')} of {plural(counts['people'], 'person', 'people')}")
    for why, count in sheet["why"].items():
        if why != "in":
            click.echo(f"  left out, {why}: {count:,}")
    if sheet["labels"]["unmatched_rows"]:
        click.echo(f"note: {plural(sheet['labels']['unmatched_rows'], 'row')} of the labels fit no photo of the store", err=True)
    for row in sheet["proposals"]["one_person"]:
        click.echo(printable(f"to decide: {row['people'][0]} and {row['people'][1]} seem to be one person"))
    for row in sheet["proposals"]["several_people"]:
        click.echo(printable(f"to decide: {row['person']} seems to be {len(row['others']) + 1} people"))
    if out is not None:
        would = "would be written" if out.dry_run else "written"
        click.echo(f"{plural(out.written, 'file')} {would} to {printable(str(out.folder))}, {out.there} there already")
