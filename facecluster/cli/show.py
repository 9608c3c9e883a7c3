"""facecluster show: the photos of people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli import results
from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option, min_probability_option, model_name, model_of_run_option, where_option
from facecluster.cli.printing import print_decisions_to_come, printable

if TYPE_CHECKING:
    from facecluster.export.folders import CopyResult
    from facecluster.export.output_folder import OutputFolder
    from facecluster.export.photo_library import Photo, PhotoLibrary
    from facecluster.store import Store


@click.command("show")
@click.argument("store")
@click.argument("person")
@click.option("--and", "also", metavar="PERSON", multiple=True, help="Only photos that also show this person. Can be repeated.")
@click.option("--not", "without", metavar="PERSON", multiple=True, help="Only photos that do not show this person. Can be repeated.")
@min_probability_option
@where_option
@click.option("--copy-to", metavar="DIR", help="Folder to copy the photos to.")
@click.option("--link-to", metavar="DIR", help="Folder to make links to the photos in.")
@click.option("--dry-run", is_flag=True, help="Print what would be copied or linked, and do nothing.")
@model_of_run_option
@json_option
@handle_errors
def command(
    store: str, person: str, also: tuple[str, ...], without: tuple[str, ...], min_probability: float,
    where: tuple[str, ...], copy_to: str | None, link_to: str | None, dry_run: bool, model: str | None, as_json: bool,
) -> None:  # fmt: skip
    """List the photos in STORE that show PERSON (a name, a lasting id p-..., or the number in the report); copy them to a folder, or make
    links there.

    \b
    Example: facecluster show ~/people 'Ada Lovelace' --and p-0d4f21aa --not 12 --link-to both
    """
    from facecluster.errors import InputError
    from facecluster.export.photo_library import read_photo_library
    from facecluster.store import Store
    from facecluster.store.copies import refuse_inside

    if copy_to is not None and link_to is not None:
        raise InputError("expected --copy-to or --link-to, found both: give one of them")
    place = Store(store)
    place.check()
    refuse_inside(place, copy_to or link_to)
    print_decisions_to_come(place)
    name = model_name(model)
    results.note_on_names(place, name)
    library = read_photo_library(place, name, min_probability=min_probability, include_ignored=True)
    answer = _find(place, library, (person, *also), without, where)
    written = None
    if copy_to or link_to:
        written = _write(place, answer, copy_to or link_to or "", where, link=bool(link_to), dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(_as_json(answer, written), indent=1))
    else:
        _print(answer, written, store, "linked in" if link_to else "copied to")
    _need_all(sum(row.failed for row in written.left_out) if written else 0)


@dataclass(frozen=True)
class _Answer:
    """The photos that show all of `wanted` and none of `barred` (indices into the library's people), those that are gone among them."""

    library: PhotoLibrary
    wanted: set[int]
    barred: set[int]
    found: list[Photo]

    @property
    def there(self) -> list[Photo]:
        return [p for p in self.found if not p.gone]

    @property
    def gone(self) -> list[Photo]:
        return [p for p in self.found if p.gone]


@dataclass(frozen=True)
class _Written:
    """A folder of copies or links; the photos that it does not have; how many files of an earlier `show` went (on a dry run: would go)."""

    out: OutputFolder
    left_out: list[CopyResult]
    stale: int


def _find(place: Store, library: PhotoLibrary, people: Sequence[str], without: Sequence[str], where: Sequence[str]) -> _Answer:
    from facecluster.faces.attribute_filter import faces_where

    wanted = {library.recognition.find(text) for text in people}
    barred = {library.recognition.find(text) for text in without}
    met = faces_where(place, where)
    found = library.photos_with(wanted, barred)
    if met is not None:
        found = library.photos_in_which(found, wanted, set(met.to_pylist()))
    return _Answer(library, wanted, barred, found)


def _write(place: Store, answer: _Answer, folder: str, where: Sequence[str], *, link: bool, dry_run: bool) -> _Written:
    """Copy or link the photos into a folder."""
    from facecluster.export.folders import copy_photos
    from facecluster.export.output_folder import OutputFolder
    from facecluster.store.copies import remember_copy

    of = answer.library.recognition.people
    asked = ["show", *sorted(of[i].key for i in answer.wanted), *sorted(f"not {of[i].key}" for i in answer.barred), *where]
    out = OutputFolder(folder, " ".join(asked), dry_run=dry_run)
    copies = copy_photos(((p, "") for p in answer.found), out, gone=answer.library.gone_photos, link=link)
    left_out = [row for row in copies if row.why]
    stale = out.finish()
    if not dry_run:
        remember_copy(place, "show", str(out.folder))
    return _Written(out, left_out, stale)


def _as_json(answer: _Answer, written: _Written | None) -> dict[str, Any]:
    people = answer.library.recognition.people
    photos = [
        {
            "photo_id": p.photo_id,
            "uris": p.uris,
            "taken_at": p.taken_at or None,
            "people": sorted(people[i].label for i in answer.library.people_in(p)),
        }
        for p in answer.there
    ]
    out = written.out if written else None
    return {
        "with": sorted(people[i].label for i in answer.wanted),
        "without": sorted(people[i].label for i in answer.barred),
        "photos": photos,
        "gone": [p.uris[0] for p in answer.gone],
        "out": None if out is None else {"folder": str(out.folder), "files": sorted(out.claimed), "dry_run": out.dry_run},
        "left_out": [{"photo": row.uri, "why": row.why} for row in written.left_out] if written else [],
    }


def _print(answer: _Answer, written: _Written | None, store: str, verb: str) -> None:
    from facecluster.errors import shell
    from facecluster.language.english import plural

    left_out = written.left_out if written else []
    _print_uris([p.uris[0] for p in answer.there], [(row.uri, row.why) for row in left_out if not row.gone])
    done = ""
    if written:
        would = "would be " if written.out.dry_run else ""
        done = f"; {would}{verb} {written.out.folder}"
        if written.stale:
            done += f", {plural(written.stale, 'file')} of an earlier 'show' of the same people {would}deleted"
    click.echo(f"{plural(len(answer.there), 'photo')}{done}", err=True)
    if gone := len(answer.gone):
        those = plural(gone, "photo more that is", "photos more that are")
        click.echo(f"left out: {those} gone, see 'facecluster prune {shell(store)} --dry-run'", err=True)


def _print_uris(shown: Sequence[str], left_out: Sequence[tuple[str, str]]) -> None:
    """The uris of photos, a line each, and of those left out, with the reason."""
    for uri in shown:
        click.echo(printable(uri))
    for uri, why in left_out:
        click.echo(f"left out {printable(uri)}: {printable(why)}", err=True)


def _need_all(failed: int) -> None:
    from facecluster.errors import WriteError

    if failed:
        raise WriteError(f"expected to write every photo, found that the system refused {failed:,}: correct that and do it again")
