"""facecluster dedup: find duplicate photos, and set them aside in a way that can be undone."""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli import results
from facecluster.cli.dedup_printing import print_found
from facecluster.cli.errors import handle_errors
from facecluster.cli.options import json_option, lang_option, renamed_option
from facecluster.cli.printing import printable
from facecluster.cli.progress import progress_bar

if TYPE_CHECKING:
    from facecluster.dedup import Applied, Plan, Row
    from facecluster.store import Store


@click.command("dedup")
@click.argument("store")
@click.option(
    "--prefer", multiple=True, metavar="DIR", help="Keep photos of this folder rather than others. Can be repeated, the best folder first."
)
@click.option("--protect", multiple=True, metavar="DIR", help="Never move photos of this folder. Can be repeated.")
@click.option("--move-to", metavar="DIR", help="Move duplicates to this folder. Without this and --link, nothing is moved.")
@click.option(
    "--link", type=click.Choice(["hard", "symbolic"]),
    help="Put a link to the kept file in the place of a duplicate; without --move-to for exact copies only.",
)  # fmt: skip
@click.option("--apply", "plan_file", metavar="PLAN", help="Apply this plan (CSV) of an earlier call, with --move-to or --link.")
@click.option("--undo", "undo_file", metavar="FILE", help="Undo what was done: the undo file that it was written to.")
@renamed_option(
    "--burst-seconds", "burst_seconds", old="--burst", default=3.0, show_default=True, type=click.FloatRange(0, 3600),
    help="Most seconds between two photos of a burst; 0 looks for no bursts.",
)  # fmt: skip
@renamed_option("--move-bursts", old="--bursts", is_flag=True, help="Move the other photos of bursts too; otherwise they are only shown.")
@click.option(
    "--model", metavar="MODEL", default="bundled", show_default=True,
    help="Model that tells whether photos of a burst show the same people: 'bundled', its name, or the path of its card.",
)  # fmt: skip
@click.option("--out", metavar="DIR", help="Folder for the plan, the page and undo files.", show_default="dedup/ in the store")
@click.option("--dry-run", is_flag=True, help="With --move-to, --link or --undo: check, print what would be done, and touch no photo.")
@lang_option
@json_option
@handle_errors
def command(
    store: str, prefer: tuple[str, ...], protect: tuple[str, ...], move_to: str | None, link: str | None, plan_file: str | None,
    undo_file: str | None, burst_seconds: float, move_bursts: bool, model: str, out: str | None, dry_run: bool, lang: str, as_json: bool,
) -> None:  # fmt: skip
    """Find the duplicates among the photos of STORE: exact copies, the same pixels, near-duplicates, bursts.

    Alone, it writes a plan (CSV) and a page that shows every pair side by side, and touches no photo. With --move-to or --link it also
    applies the plan. Nothing is ever deleted, and --undo takes back what was done.

    \b
    Example: facecluster dedup ~/people
    Example: facecluster dedup ~/people --apply ~/people/dedup/plan.csv --move-to ~/duplicates
    Example: facecluster dedup ~/people --undo ~/people/dedup/undo-20260506-070809.jsonl
    """
    from facecluster.dedup import ApplyOptions, DedupConfig
    from facecluster.errors import InputError, WriteError
    from facecluster.store import Store
    from facecluster.store.copies import refuse_inside, remember_copy

    place = Store(store)
    place.check()
    if undo_file is not None and (plan_file or move_to or link):
        raise InputError("expected --undo alone, found --apply, --move-to or --link with it: do one after the other")
    if plan_file is not None and not (move_to or link):
        raise InputError("expected a way to apply the plan, found none: give --move-to DIR, --link, or both")
    if out is None and place.is_local and place.cipher is not None and undo_file is None:
        raise InputError("expected --out DIR for an encrypted store, found none: plans, pages and undo files are not encrypted")
    refuse_inside(place, out)
    folder = os.path.abspath(out or (place.path("dedup") if place.is_local else "facecluster-dedup"))
    with place.lock():
        if undo_file is not None:
            found = _undo(place, undo_file, dry_run)
        else:
            how = ApplyOptions(move_to=move_to, link=link, protect=protect) if move_to or link else None
            if plan_file is not None:
                assert how is not None
                found = _apply(place, _read(plan_file), how, folder, dry_run)
            else:
                people = _people(place, model) if burst_seconds else {}
                config = DedupConfig(prefer=prefer, protect=protect, burst_seconds=burst_seconds, **people)
                found, rows = _find(place, config, folder, move_bursts, lang)
                remember_copy(place, "dedup", folder)
                if how is not None:
                    found |= _apply(place, rows, how, folder, dry_run)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        print_found(found, store, dry_run)
    if found.get("failed"):
        raise WriteError(f"expected to move every file, found that the system refused {found['failed']:,}: correct that and run this again")


def _people(place: Store, model: str) -> dict[str, Any]:
    """The vectors that tell whether a burst shows the same people, if the store has them."""
    from facecluster.faces.embed import EmbedConfig
    from facecluster.faces.fit_reading import card_in

    card = card_in(place, EmbedConfig(model=model))
    card = results.calibration_of(place, card).apply_to(card)
    table = f"embeddings/{card.name}"
    return {"embeddings": table, "same_person_cosine": card.even_cosine} if place.shards(table) else {}


def _find(place: Store, config: Any, folder: str, bursts: bool, lang: str) -> tuple[dict[str, Any], list[Row]]:
    """Find, and write plan and page."""
    from facecluster.dedup import find_duplicates, make_plan, to_csv, write_page
    from facecluster.language import language_of

    with find_duplicates(place, config, bars=progress_bar) as found:
        plan = make_plan(found, bursts=bursts)
        path, older = _write_plan(to_csv(plan.rows), folder)
        page = write_page(found, plan, os.path.join(folder, "pages"), plan_path=path, language=language_of(lang))
        not_opened, changed, photos = dict(found.not_opened), dict(found.locations.changed), found.photos
    after = {"files": plan.files - len(plan.moved), "bytes": plan.bytes - plan.saved}
    said = {
        "before": {"files": plan.files, "bytes": plan.bytes}, "after": after, "groups": len({r.group for r in plan.rows}),
        "counts": plan.counts(), "to_move": len(plan.moved), "smaller": _smaller(plan), "plan": path, "older_plan": older, "page": page,
        "could_not_be_opened": not_opened, "changed": changed, "gone": photos.missing,
        "in_archives": photos.not_files, "videos": photos.videos, "rows": [asdict(row) for row in plan.rows],
    }  # fmt: skip
    return said, plan.rows


def _smaller(plan: Plan) -> int:
    """Files to move that are larger (px) than the one that is kept instead: a preferred folder can cause this."""
    pixels = {row.uri: row.width * row.height for row in plan.rows}
    return sum(pixels[row.uri] > 1.1 * pixels[row.keeper] and "prefer" in row.reason for row in plan.moved)


def _write_plan(text: str, folder: str) -> tuple[str, str | None]:
    """Write the plan. A plan that is already there, perhaps changed by hand, is kept under another name."""
    from facecluster.errors import InputError

    path, older = Path(folder, "plan.csv"), None
    data = ("\ufeff" + text).encode("utf-8", "surrogateescape")  # without a mark Excel reads another encoding
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_bytes() != data:
            number = next(n for n in itertools.count(1) if not path.with_name(f"plan-{n}.csv").exists())
            older = path.rename(path.with_name(f"plan-{number}.csv"))
        beside = path.with_name(".plan.csv.tmp")
        beside.write_bytes(data)
        beside.replace(path)
    except OSError as e:
        raise InputError(f"expected a place to write the plan, found: {e}. Choose another with --out") from e
    return str(path), None if older is None else str(older)


def _read(plan_file: str) -> list[Row]:
    from facecluster.dedup import from_csv
    from facecluster.errors import InputError

    try:
        with open(plan_file, encoding="utf-8-sig", newline="") as f:
            return from_csv(f.read(), plan_file)
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(f"expected a plan (CSV in UTF-8) at {plan_file!r}, found: {e}. 'facecluster dedup STORE' makes one") from e


def _apply(place: Store, rows: list[Row], how: Any, folder: str, dry_run: bool) -> dict[str, Any]:
    from facecluster.dedup import UndoFile, apply_plan
    from facecluster.dedup.apply import common_folder
    from facecluster.dedup.undo_file import store_key
    from facecluster.photos.places import current_photos

    key = None if dry_run else store_key(place)
    undo_file = UndoFile(os.path.join(folder, f"undo-{datetime.now():%Y%m%d-%H%M%S}.jsonl"), key)
    known = {*current_photos(place, ["uri"])["uri"].to_pylist()}
    todo = sum(row.action == "move" for row in rows)
    try:
        with progress_bar("files", todo) as tick:
            applied = apply_plan(rows, how, undo_file, dry_run=dry_run, tick=tick, known=known)
    finally:
        undo_file.close()
        if undo_file.entries:
            click.echo(f"to undo it: --undo {printable(undo_file.path)}", err=True)
    base = common_folder([row.uri for row in rows])
    within = how.move_to is not None and os.path.commonpath([base, how.aside]) == base
    return _said(applied, dry_run) | {"undo": undo_file.path if undo_file.entries else None, "found_again": within}


def _undo(place: Store, path: str, dry_run: bool) -> dict[str, Any]:
    from facecluster.dedup import read_undo_file, undo
    from facecluster.dedup.undo_file import store_key

    entries = read_undo_file(path, store_key(place, make=not dry_run))
    with progress_bar("files", len(entries)) as tick:
        applied = undo(entries, dry_run=dry_run, tick=tick)
    return _said(applied, dry_run)


def _said(applied: Applied, dry_run: bool) -> dict[str, Any]:
    found = {"dry_run": dry_run, "done": applied.done, "done_bytes": applied.bytes}
    return found | {"passed_over": applied.passed_over, "failed": applied.failed}
