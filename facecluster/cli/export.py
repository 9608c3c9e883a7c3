"""facecluster export: write the people of a store for other programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli import results
from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option, min_probability_option, model_name, model_of_run_option, renamed_option
from facecluster.cli.printing import print_decisions_to_come, printable
from facecluster.cli.progress import progress_bar

if TYPE_CHECKING:
    from facecluster.export.output_folder import OutputFolder
    from facecluster.export.photo_library import PhotoLibrary

_PHOTOS_ONLY = ("xmp", "coco", "fiftyone", "labelstudio")  # a face of a video is in one of its frames
_OWN_FILES = ("coco", "fiftyone", "labelstudio")
KINDS = ["xmp", "coco", "fiftyone", "labelstudio", "folders", "csv", "sqlite"]


@click.command("export")
@click.argument("store")
@renamed_option("--format", "kind", old="--to", type=click.Choice(KINDS), required=True, help="Format to write.")
@click.option("-o", "--out", metavar="DIR", help="Folder to write to.")
@click.option("--beside", is_flag=True, help="xmp: write the sidecars beside the photos.")
@click.option(
    "--embed", is_flag=True,
    help="xmp: write into the photos, by exiftool, which keeps each photo as it was as photo.jpg_original.",
)  # fmt: skip
@click.option("--ids", is_flag=True, help="xmp: write the lasting id (p-0d4f21aa) where a person has no name.")
@click.option("--link", is_flag=True, help="folders: make symbolic links instead of copies.")
@min_probability_option
@click.option("--dry-run", is_flag=True, help="Print what would be written, and write nothing.")
@model_of_run_option
@json_option
@handle_errors
def command(
    store: str, kind: str, out: str | None, beside: bool, embed: bool, ids: bool, link: bool, min_probability: float, dry_run: bool,
    model: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Write the people of STORE for other programs: XMP sidecars with face regions (merged into existing ones, which keep all they
    hold), COCO, FiftyOne or Label Studio files, a folder for each person, CSV or SQLite.

    \b
    Example: facecluster export ~/people --format xmp -o sidecars --dry-run
    """
    from facecluster.errors import InputError, WriteError
    from facecluster.export.output_folder import OutputFolder
    from facecluster.export.photo_library import read_photo_library
    from facecluster.export.relative_paths import relative_paths
    from facecluster.store import Store
    from facecluster.store.copies import refuse_inside, remember_copy

    if (beside or embed) and kind != "xmp":
        raise InputError(f"expected --{'beside' if beside else 'embed'} with --format xmp only, found --format {kind}: give -o DIR")
    if (out is not None) + beside + embed != 1:
        several = "several of them" if beside and embed else "both or neither"
        raise InputError(f"expected either -o DIR or (for xmp) --beside or --embed, found {several}: give one of them")
    place = Store(store)
    place.check()
    refuse_inside(place, out)
    print_decisions_to_come(place)
    name = model_name(model)
    results.note_on_names(place, name)
    library = read_photo_library(place, name, min_probability=min_probability)
    videos = 0
    if kind in _PHOTOS_ONLY:
        stills = library.stills()
        videos, library = len(library.photos) - len(stills.photos), stills
    archived = 0
    if kind in _OWN_FILES:
        own = library.with_own_files()
        archived, library = len(library.photos) - len(own.photos), own
    gone = library.gone
    if kind in _PHOTOS_ONLY:
        library = library.with_files()
    root, names = relative_paths(library.photos.uris)
    target = None if out is None else OutputFolder(out, kind, dry_run=dry_run)
    if kind == "xmp":
        row = _xmp(library, target, names, ids, embed, dry_run, as_json)
    else:
        assert target is not None
        row = _files(library, target, kind, root, names, link)
    if not dry_run:
        remember_copy(place, kind, str(target.folder) if target is not None else "in the photos" if embed else "beside the photos")
    row = {"to": kind, "out": None if target is None else str(target.folder), "dry_run": dry_run} | row
    row |= _left_out(kind, store, videos, archived, gone)
    if as_json:
        click.echo(json.dumps(row, indent=1))
    if row["failed"]:
        raise WriteError(f"expected to write every file, found that the system refused {row['failed']:,}: correct that and export again")


def _left_out(kind: str, store: str, videos: int, archived: int, gone: int) -> dict[str, int]:
    """Print on stderr how many photos and videos were left out, and why; gives the numbers that are not 0 for the JSON."""
    from facecluster.errors import shell
    from facecluster.language.english import plural

    if videos:
        click.echo(f"left out {plural(videos, 'video')}: {kind} has boxes in photos only", err=True)
    if archived:
        click.echo(f"left out {plural(archived, 'photo')} in archives: {kind} needs a file of its own for each", err=True)
    if gone:
        what, those = "marked" if kind in ("csv", "sqlite") else "left out", plural(gone, "photo that is", "photos that are")
        click.echo(f"{what}: {those} gone, see 'facecluster prune {shell(store)} --dry-run'", err=True)
    found = {"videos_left_out": videos, "in_archives_left_out": archived, "gone": gone}
    return {name: n for name, n in found.items() if n}


def _xmp(
    library: PhotoLibrary, out: OutputFolder | None, names: Mapping[str, str], ids: bool, embed: bool, dry_run: bool, as_json: bool
) -> dict[str, Any]:
    from facecluster.export import embedded, xmp
    from facecluster.language.english import plural

    rows, counts, failed = [], dict.fromkeys(("new", "merged", "unchanged", "skipped"), 0), 0
    results = embedded.export(library, ids=ids, dry_run=dry_run) if embed else xmp.export(library, out, names, ids=ids, dry_run=dry_run)
    for done in results:
        counts[done.state] += 1
        failed += done.failed
        if as_json and done.state != "unchanged":
            rows.append({"photo": done.photo, "sidecar": done.sidecar, "state": done.state, "faces": done.faces, "why": done.why or None})
        if done.state == "skipped":
            click.echo(f"skipped {printable(done.photo)}: {printable(done.why)}", err=True)
        elif dry_run and done.state != "unchanged" and not as_json:
            click.echo(f"{done.state}: {printable(done.sidecar)}")
    if not as_json:
        would = "would be written" if dry_run else "written"
        what = plural(counts["new"] + counts["merged"], "photo" if embed else "sidecar")
        click.echo(f"{what} {would}: {counts['new']} new, {counts['merged']} merged; {counts['unchanged']} unchanged, {counts['skipped']} "
                   "skipped")  # fmt: skip
        if embed and not dry_run and counts["new"] + counts["merged"]:
            click.echo("each photo as it was is beside it as ..._original; 'facecluster run' takes note of the changed files", err=True)
    return {"counts": counts, "sidecars": rows, "failed": failed}


def _files(library: PhotoLibrary, out: OutputFolder, kind: str, root: str, names: Mapping[str, str], link: bool) -> dict[str, Any]:
    from facecluster.export import coco, fiftyone, folders, labelstudio, tables
    from facecluster.language.english import plural

    skipped: list[folders.CopyResult] = []
    if kind == "folders":
        done = 0
        with progress_bar("photos", library.people_count) as tick:
            for row in folders.export(library, out, link=link, tick=tick):
                done += not row.why and not row.of
                skipped += [row] if row.why else []
        for row in skipped:
            if not row.gone:
                click.echo(f"left out {printable(row.uri)}: {printable(row.why)}", err=True)
        what = plural(done, "photo") + " in folders"
    else:
        makers = {
            "coco": lambda: coco.export(library, out, root, names), "fiftyone": lambda: fiftyone.export(library, out),
            "labelstudio": lambda: labelstudio.export(library, out, root, names), "csv": lambda: tables.export_csv(library, out),
            "sqlite": lambda: tables.export_sqlite(library, out),
        }  # fmt: skip
        what = plural(makers[kind](), "face")
    deleted = out.finish()
    if not click.get_current_context().params["as_json"]:
        would = "would be written" if out.dry_run else "written"
        stale = f", {plural(deleted, 'stale file')} of an earlier export deleted" if deleted else ""
        click.echo(f"{what}: {plural(out.written, 'file')} {would} to {out.folder}, {len(out.claimed) - out.written} there already{stale}")
        if out.dry_run:
            for name in sorted(out.claimed):
                click.echo(f"  {printable(name)}")
    left_out = [{"photo": row.uri, "why": row.why} for row in skipped]
    failed = sum(row.failed for row in skipped)
    return {"files": sorted(out.claimed), "written": out.written, "stale": deleted, "left_out": left_out, "failed": failed}
