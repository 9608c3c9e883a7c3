"""facecluster explain: where a model looks on faces."""

from __future__ import annotations

import json
from typing import Any

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import device_option, json_option, model_of_run_option
from facecluster.cli.printing import printable
from facecluster.cli.progress import progress_bar


@click.command("explain")
@click.argument("store")
@click.argument("who", nargs=-1)
@click.option("-o", "--out", metavar="DIR", help="Folder for a picture of each face, with the map of where the model looks on it. Pictures "
              "there that an earlier call made of other faces are deleted.")
@click.option("--max-faces", type=click.IntRange(1), default=100, show_default=True, help="Most faces; of more, some spread evenly.")
@click.option(
    "--method", type=click.Choice(["sensitivity", "rollout", "pooling", "occlusion"]), default="sensitivity", show_default=True,
    help="How maps are made (docs/models.md). occlusion covers parts of the face: slow, and the only one for ONNX files.",
)  # fmt: skip
@model_of_run_option
@device_option
@json_option
@handle_errors
def command(
    store: str, who: tuple[str, ...], out: str | None, max_faces: int, method: str, model: str | None, device: str, as_json: bool
) -> None:  # fmt: skip
    """Show where the embedder looks on faces of STORE: shares of eyes, nose, mouth and the rest, and pictures with -o.

    WHO is a face (a face_id), a photo (its path or photo_id) or a person (a name, or an id p-...). Without WHO: all faces of the store.
    docs/models.md says how far a map can be trusted.

    \b
    Example: facecluster explain ~/people 'Ada Lovelace' -o ada
    """
    from facecluster.errors import InputError
    from facecluster.explain import FaceMaps, choose_faces, explain_faces
    from facecluster.export.output_folder import OutputFolder
    from facecluster.models.registry import best_device
    from facecluster.people import current_run
    from facecluster.store import Store
    from facecluster.store.copies import refuse_inside, remember_copy

    place = Store(store)
    place.check()
    refuse_inside(place, out)
    run = current_run(place)
    model = model or (run.model if run is not None else "bundled")
    chosen = choose_faces(place, who, max_faces)
    if not len(chosen):
        raise InputError(f"expected faces of {store}, found none for {' '.join(who) or 'the store'}: add photos, or name another")
    maps = FaceMaps(model, method=method, device=best_device(device))
    folder = None if out is None else OutputFolder(out, " ".join(["explain", *who]))
    with progress_bar("faces", len(chosen)) as tick:
        found = explain_faces(chosen, maps, None if folder is None else folder.write, tick)
    if folder is not None:
        folder.finish()
        remember_copy(place, "explain", str(folder.folder))
    if maps.method != method:
        click.echo(f"note: {printable(model)} has no attention that can be read: the maps are made by covering parts of the face", err=True)
    result = {"model": model, "method": maps.method, "total": chosen.total, **found}
    click.echo(json.dumps(result | {"out": folder and str(folder.folder)}, indent=1)) if as_json else _print(result, out)


def _print(result: dict[str, Any], out: str | None) -> None:
    from facecluster.language.english import plural

    of = f" of {result['total']:,}" if result["total"] > len(result["faces"]) else ""
    click.echo(f"{plural(len(result['faces']), 'face')}{of}, model {printable(result['model'])}, by {result['method']}")
    click.echo("        looks  of the picture")
    for name, share in result["shares"].items():
        click.echo(f"{name:6} {share:6.1%} {result['areas'][name]:8.1%}")
    if out is not None:
        click.echo(f"{plural(len(result['faces']), 'picture')} in {printable(out)}", err=True)
