"""What `facecluster dedup` says to people. Programs get the same as JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from facecluster.cli.printing import printable

SHOWN = 20  # files of one kind that are printed
NAMES = {
    "copy": ("exact copy", "exact copies"), "pixels": ("photo with the same pixels", "photos with the same pixels"),
    "near": ("near-duplicate", "near-duplicates"), "burst": ("other photo of a burst", "other photos of bursts"),
}  # fmt: skip


def print_found(found: dict[str, Any], store: str, dry_run: bool) -> None:
    """Print what was found, was done, or would be done."""
    from facecluster.dedup.folders import format_bytes
    from facecluster.language.english import plural

    if "plan" in found:
        _print_plan(found)
    if "done" not in found:
        again = f"facecluster dedup {printable(store)} --apply {printable(found['plan'])} --move-to DIR"
        click.echo(f"no photo was touched. To move the duplicates: {again}" if found["to_move"] else "no photo was touched")
        return
    _print_skipped(found["passed_over"])
    if dry_run:
        for uri, what in found["done"]:
            click.echo(f"would be done: {printable(uri)}: {printable(what)}")
    if found.get("found_again"):
        click.echo("note: the moved files are still in the folder of your photos: its next 'facecluster embed' finds them again", err=True)
    size = f" ({format_bytes(found['done_bytes'])})" if found["done_bytes"] else ""
    verb = "would be done" if dry_run else "done"
    click.echo(f"{plural(len(found['done']), 'file')} {verb}{size}, {len(found['passed_over']):,} skipped")


def _print_skipped(files: list[tuple[str, str]]) -> None:
    """A line for each file. There may be thousands for one reason: then the first few, and how many more."""
    seen: Counter[str] = Counter()
    for uri, why in files:
        seen[why] += 1
        if seen[why] <= SHOWN:
            click.echo(f"skipped: {printable(uri)}: {printable(why)}")
    for why, n in seen.items():
        if n > SHOWN:
            click.echo(f"skipped: {n - SHOWN:,} more (--json lists all): {printable(why)}")


def _print_choices(rows: list[dict[str, Any]]) -> None:
    """A line for each of the first files to move: what stays for it, and why."""
    moved = [row for row in rows if row["action"] == "move"]
    for row in moved[:SHOWN]:
        click.echo(f"{printable(row['keeper'])} stays, {printable(row['uri'])} goes: {printable(row['reason'] or row['why'])}")
    if len(moved) > SHOWN:
        click.echo(f"... and {len(moved) - SHOWN:,} more, see the plan and the page")


def _print_plan(found: dict[str, Any]) -> None:
    from facecluster.dedup.folders import format_bytes
    from facecluster.language.english import plural

    counts = ", ".join(plural(n, *NAMES[kind]) for kind, n in found["counts"].items())
    click.echo(f"{plural(found['groups'], 'group')}: {counts or 'no duplicates'}")
    before, after = found["before"], found["after"]
    for name, files, size in (
        ("before", before["files"], before["bytes"]),
        ("to move", found["to_move"], before["bytes"] - after["bytes"]),
        ("after", after["files"], after["bytes"]),
    ):
        click.echo(f"{name + ':':<8}{files:>9,} files, {format_bytes(size)}")
    _print_choices(found["rows"])
    left_out = [*found["could_not_be_opened"].items(), *found["changed"].items()]
    for uri, why in left_out[:SHOWN]:
        click.echo(f"left out: {printable(uri)}: {printable(why)}", err=True)
    if len(left_out) > SHOWN:
        click.echo(f"left out: {len(left_out) - SHOWN:,} more, see the page", err=True)
    if found["in_archives"]:
        click.echo(f"{plural(found['in_archives'], 'photo')} in archives or on the web: passed over, they are never moved", err=True)
    if videos := found["videos"]:
        some = ", ".join(printable(uri) for uri in videos[:3]) + (", ..." if len(videos) > 3 else "")
        click.echo(f"{plural(len(videos), 'video')} not compared: only photos are ({some})", err=True)
    if found["gone"]:
        click.echo(f"{found['gone']:,} files of the store no longer exist", err=True)
    if found["smaller"]:
        click.echo(f"warning: for {found['smaller']:,} files a smaller one is kept because you prefer its folder", err=True)
    if found["older_plan"]:
        click.echo(f"the earlier plan is now {printable(found['older_plan'])}", err=True)
    click.echo(f"plan: {printable(found['plan'])}")
    click.echo(f"open {printable(found['page'])}")
