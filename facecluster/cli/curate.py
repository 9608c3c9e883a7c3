"""facecluster curate: make a clean data set of the faces of a store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli import results
from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option, lang_option, model_of_run_option, renamed_option, where_option
from facecluster.cli.printing import print_decisions_to_come, printable
from facecluster.cli.progress import progress_bar

if TYPE_CHECKING:
    from facecluster.curate import LabelledFaces, Plan
    from facecluster.curate.output_folder import OutputFolder

FORMATS = ["imagefolder", "webdataset", "parquet", "csv"]


@click.command("curate")
@click.argument("store")
@click.option("-o", "--out", metavar="DIR", help="Folder for the data set; without one only the figures are printed.")
@renamed_option(
    "--format", "formats", old="--to", type=click.Choice(FORMATS), multiple=True, default=["parquet"], show_default=True,
    help="Format of the data set. Can be repeated.",
)  # fmt: skip
@click.option(
    "--labels", metavar="people|folder|FILE", default="people", show_default=True,
    help="Where labels come from: 'people' of the store, 'folder' of the photo, or a CSV file with columns path,person.",
)  # fmt: skip
@click.option(
    "--groups", metavar="FILE", type=click.Path(dir_okay=False),
    help="CSV file with columns person,group: the datasheet then has figures by group.",
)  # fmt: skip
@click.option(
    "--split", "shares", metavar="SHARES", default="0.8,0.1,0.1", show_default=True,
    help="Shares of train, val and test. All faces of a person are in the same one.",
)  # fmt: skip
@renamed_option("--max-faces", old="--cap", type=click.IntRange(1), help="Most faces of a person; the best and most varied are taken.")
@renamed_option(
    "--min-faces", old="--floor", type=click.IntRange(1), default=2, show_default=True,
    help="Fewest faces of a person; people with fewer are left out.",
)  # fmt: skip
@renamed_option(
    "--min-quality", old="--quality", type=click.FloatRange(0, 1), default=0.2, show_default=True, help="Lowest quality of a face.",
)  # fmt: skip
@renamed_option(
    "--min-margin", old="--low", type=click.FloatRange(-5, 10),
    help="How similar a face must be to its person. Higher leaves out more faces, lower keeps more that are labelled wrongly. Unit: "
    "standard deviations of the similarity between different people, above its mean.", show_default="1.0",
)  # fmt: skip
@renamed_option("--keep-duplicates", old="--keep-copies", is_flag=True, help="Keep near-duplicates (all in the same split).")
@click.option("--relabel", is_flag=True, help="Move a face of another person to that person, instead of leaving it out.")
@renamed_option(
    "--image-format", old="--images", type=click.Choice(["jpg", "webp", "png"]), default="jpg", show_default=True,
    help="Format of the face images. Faces that the store has in it are not coded again.",
)  # fmt: skip
@renamed_option(
    "--shard-size", old="--shard", type=click.IntRange(1), default=1_000, show_default=True,
    help="Faces in each file of webdataset and parquet.",
)  # fmt: skip
@where_option
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the splits and the order.")
@click.option("--dry-run", is_flag=True, help="Print what would be written, and write nothing.")
@model_of_run_option
@lang_option
@json_option
@handle_errors
def command(
    store: str, out: str | None, formats: tuple[str, ...], labels: str, groups: str | None, shares: str, max_faces: int | None,
    min_faces: int, min_quality: float, min_margin: float | None, keep_duplicates: bool, relabel: bool, image_format: str, shard_size: int,
    where: tuple[str, ...], seed: int, dry_run: bool, model: str | None, lang: str, as_json: bool,
) -> None:  # fmt: skip
    """Make a clean data set of the faces of STORE. Faces with wrong labels, unknown people, near-duplicates and poor faces are left out;
    people are split into train, val and test; a manifest says for every face why it is in or out.

    Labels are the people of the store, or the folder names of photos that are sorted into a folder for each person. After a stop, the same
    command goes on where it was.

    \b
    Example: facecluster curate ~/people --labels folder -o dataset --format imagefolder --max-faces 50
    """
    import pyarrow as pa

    from facecluster.curate import CleanConfig, CurateConfig, curate, read_labelled_faces
    from facecluster.curate.datasheet import datasheet
    from facecluster.curate.labelled_faces import read_two_columns
    from facecluster.curate.split import parse_shares
    from facecluster.errors import shell
    from facecluster.faces.attribute_filter import faces_where
    from facecluster.faces.embed import EmbedConfig
    from facecluster.faces.fit_reading import card_in
    from facecluster.store import FaceIds, Store
    from facecluster.store.copies import DATA_SET, refuse_inside, remember_copy
    from facecluster.store.scratch import scratch_file

    place = Store(store)
    place.check()
    refuse_inside(place, out)
    print_decisions_to_come(place)
    card = card_in(place, EmbedConfig(model=results.model_of(place, model)))
    if labels == "people":
        results.note_on_names(place, card.name)
    bounds = {} if min_margin is None else {"min_margin": min_margin}
    config = CurateConfig(
        clean=CleanConfig(impostor_mean=card.impostor_mean, impostor_sd=card.impostor_sd, **bounds),
        min_quality=min_quality, max_faces=max_faces or 0, min_faces=min_faces, keep_duplicates=keep_duplicates, relabel=relabel,
        shares=tuple(parse_shares(shares).items()), seed=seed, where=where,
    )  # fmt: skip
    met = faces_where(place, where)
    by_group = None if groups is None else read_two_columns(groups, "person", "group")
    with scratch_file(place) as spool:
        source = read_labelled_faces(place, card.name, spool, labels)
        plan = curate(source, config, None if met is None else FaceIds.among(met).has(pa.array(source.face_ids, pa.string())))
        sheet = datasheet(plan, by_group)
        target = None if out is None else _write(plan, sheet, out, formats, image_format, shard_size, dry_run, lang)
        if target is not None and not dry_run:
            remember_copy(place, DATA_SET, str(target.folder))
    _print_notes(source, labels, printable(shell(place.url)))
    _print(sheet, target, as_json)


def _write(
    plan: Plan, sheet: dict[str, Any], folder: str, formats: tuple[str, ...], images: str, shard: int, dry_run: bool,
    lang: str,
) -> OutputFolder:  # fmt: skip
    import codecs
    import importlib

    from facecluster.curate.datasheet import markdown
    from facecluster.curate.manifest import csv_bytes, manifest, parquet_bytes
    from facecluster.curate.output_folder import OutputFolder
    from facecluster.language import language_of
    from facecluster.store import settings_hash

    table = manifest(plan)
    text = csv_bytes(table)
    tag = language_of(lang).tag
    settings = {"manifest": text.decode(), "sheet": sheet, "images": images, "shard": shard, **({"language": tag} if tag != "en" else {})}
    out = OutputFolder(folder, settings_hash(settings), dry_run=dry_run)
    out.write("manifest.csv", lambda: codecs.BOM_UTF8 + text)  # without a mark Excel reads another encoding
    out.write("manifest.parquet", lambda: parquet_bytes(table))
    out.write("datasheet.json", lambda: json.dumps(sheet, indent=1).encode() + b"\n")
    out.write("datasheet.md", lambda: markdown(sheet, language_of(lang)).encode())
    for form in dict.fromkeys(formats):
        with progress_bar(f"faces to {form}", len(plan.included)) as tick:
            importlib.import_module(f"facecluster.curate.write_{form}").write(plan, out, images, shard, tick)
    return out


def _print_notes(source: LabelledFaces, labels: str, store: str) -> None:
    from facecluster.language.english import plural

    if source.unmatched_rows:
        click.echo(f"note: {plural(source.unmatched_rows, 'row')} of the labels match no photo of the store", err=True)
    if source.several_labels:
        have = plural(source.several_labels, "photo has", "photos have")
        click.echo(f"note: {have} copies with other labels; that of the first place in alphabetical order counts", err=True)
    if source.gone and labels == "folder":
        are = plural(source.gone, "photo is", "photos are")
        click.echo(
            f"note: {are} no longer where the last search found them: the old folder is the label; 'facecluster embed PHOTOS -o {store}' "
            "looks where they are now", err=True,
        )  # fmt: skip


def _print(sheet: dict[str, Any], out: OutputFolder | None, as_json: bool) -> None:
    from facecluster.language.english import plural

    if as_json:
        done = None if out is None else {"folder": str(out.folder), "written": out.written, "there": out.existing, "dry_run": out.dry_run}
        click.echo(json.dumps({**sheet, "out": done}, indent=1))
        return
    faces, people = sheet["faces"]["included"], sheet["people"]["people"]
    click.echo(f"{plural(faces, 'face')} of {plural(people, 'person', 'people')} in the data set")
    for split, counts in sheet["splits"].items():
        click.echo(f"  {split}: {plural(counts['faces'], 'face')} of {plural(counts['people'], 'person', 'people')}")
    for why, count in sheet["why"].items():
        if why != "in":
            click.echo(f"  left out, {why}: {count:,}")
    for row in sheet["proposals"]["one_person"]:
        click.echo(printable(f"to decide: {row['people'][0]} and {row['people'][1]} seem to be one person"))
    for row in sheet["proposals"]["several_people"]:
        click.echo(printable(f"to decide: {row['person']} seems to be {len(row['others']) + 1} people"))
    if out is not None:
        would = "would be written" if out.dry_run else "written"
        click.echo(f"{plural(out.written, 'file')} {would} to {printable(str(out.folder))}, {out.existing} there already")
