"""facecluster attributes: what a model says of each face."""

from __future__ import annotations

import json
from typing import Any

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import device_option, json_option
from facecluster.cli.printing import printable
from facecluster.cli.progress import progress_bar


@click.command("attributes")
@click.argument("store")
@click.option("--model", metavar="MODEL", required=True, help="mask, pose, a name of 'facecluster models list', or the path of a card.")
@device_option
@json_option
@handle_errors
def command(store: str, model: str, device: str, as_json: bool) -> None:
    """Measure an attribute of the faces of STORE, from their crops: mask is the probability of a mask over mouth and nose, pose is yaw,
    pitch and roll in degrees; models of yours say what their cards say (docs/models.md).

    Values are kept in the store. Faces that were measured are skipped. 'show' and 'curate' filter by them: --where 'mask<0.5'.

    \b
    Example: facecluster attributes ~/people --model mask
    """
    from facecluster.faces.attributes import measure_shard
    from facecluster.models.attribute import load_attribute
    from facecluster.store import Store

    place = Store(store)
    place.check()
    found = load_attribute(model, device)
    with place.lock():
        shards = place.shards("faces")
        with progress_bar(f"shards, {printable(found.name)}", len(shards)) as tick:
            for shard in shards:
                measure_shard(shard, found, place)
                tick(1)
    summary = _summary(place, found.name)
    click.echo(json.dumps({"model": found.name, "attributes": summary}, indent=1)) if as_json else _print(summary)


def _summary(store: Any, model: str) -> dict[str, dict[str, Any]]:
    """Of each attribute how many faces have it, and its quartiles or the counts of its words."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from facecluster.faces.attributes import attributes_table

    table = attributes_table(model)
    shards = [store.read(table, shard).replace_schema_metadata() for shard in store.shards(table)]
    found: dict[str, dict[str, Any]] = {}
    for name in shards[0].column_names[1:] if shards else ():
        values = pa.chunked_array([chunk for shard in shards for chunk in shard[name].chunks], shards[0][name].type)
        found[name] = {"faces": len(values) - values.null_count}
        if pa.types.is_floating(values.type):
            found[name]["quartiles"] = [None if q is None else round(q, 4) for q in pc.quantile(values, [0.25, 0.5, 0.75]).to_pylist()]
        else:
            found[name]["counts"] = {row["values"]: row["counts"] for row in pc.value_counts(values.drop_null()).to_pylist()}
    return found


def _print(summary: dict[str, dict[str, Any]]) -> None:
    from facecluster.language.english import plural

    for name, about in summary.items():
        if "counts" in about:
            words = ", ".join(f"{printable(str(k))} {n:,}" for k, n in sorted(about["counts"].items(), key=lambda kn: -kn[1]))
        else:
            low, middle, high = ("?" if q is None else f"{q:.2f}" for q in about["quartiles"])
            words = f"a quarter below {low}, half below {middle}, a quarter above {high}"
        click.echo(f"{printable(name)}: {plural(about['faces'], 'face')}; {words}")
