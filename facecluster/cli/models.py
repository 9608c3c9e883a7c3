"""facecluster models: which models there are, and using others than the bundled ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import device_option, json_option
from facecluster.cli.printing import printable

if TYPE_CHECKING:
    from facecluster.models.library import Model


@click.group("models")
def command() -> None:
    """Use other models than the bundled ones: to find faces (--detector NAME) and to tell people apart (--model NAME).

    They are kept in a folder of yours, which FACECLUSTER_MODELS names.
    """


@command.command("list")
@json_option
@handle_errors
def list_models(as_json: bool) -> None:
    """List the models that can be used, and those that can be pulled.

    \b
    Example: facecluster models list
    """
    from facecluster.models.folder import models_folder
    from facecluster.models.library import models

    found = models()
    if as_json:
        rows = [_facts(model) | {"problem": model.problem or None} for model in found]
        click.echo(json.dumps({"folder": str(models_folder()), "models": rows}, indent=1))
        return
    width = max(len(model.about.name) for model in found)
    for model in found:
        about = model.about
        state = f"can't be used: {model.problem}" if model.problem else f"licence: {about.licence}"
        click.echo(f"{printable(about.name):<{width}}  {about.task:<8}  {printable(state)}")
    click.echo(f"folder: {models_folder()}", err=True)


@command.command("info")
@click.argument("name")
@json_option
@handle_errors
def info(name: str, as_json: bool) -> None:
    """Print what the card of a model says: NAME is 'bundled', a name of 'models list', or the path of a card.

    \b
    Example: facecluster models info bundled
    """
    from facecluster.models.folder import BUNDLED
    from facecluster.models.library import find_model

    found = [find_model(name, task) for task in (("embedder", "detector") if name == BUNDLED else (None,))]
    if as_json:
        click.echo(json.dumps([_facts(model) for model in found], indent=1))
        return
    click.echo("\n\n".join("\n".join(f"{key:<12} {printable(str(value))}" for key, value in _facts(model).items()) for model in found))


def _facts(model: Model) -> dict[str, Any]:
    """What a card says, by the words that a reader knows."""
    about, raw = model.about, model.raw
    facts: dict[str, Any] = {"name": about.name, "task": about.task, "licence": about.licence}
    facts |= {key: value for key, value in (("limits", about.limits), ("source", about.source)) if value}
    if "dim" in raw.get("model", {}):
        facts["vectors"] = f"{raw['model']['dim']} numbers"
    if "decoder" in raw:
        facts["family"] = raw["decoder"].get("family")
    if "input" in raw:
        facts["input"] = ", ".join(f"{key} {value}" for key, value in raw["input"].items())
    if about.task == "embedder":
        facts["cosines"] = "read by the card" if "reading" in raw else "read by a fit to each store's faces, without labels"
        clear = "by the card" if "recognisability" in raw else "fitted to each store's faces"
        facts["clear faces"] = clear
    elif "reading" in raw:
        facts["threshold"] = raw["reading"].get("threshold")
    facts |= {f"accuracy, {key}": value for key, value in about.accuracy.items()}
    return facts | {"sha256": about.sha256, "card": str(model.path)}


@command.command("add")
@click.argument("file")
@click.option("--card", metavar="CARD", help="Card (TOML) of the model (docs/models.md). Without one, the options below make it.")
@click.option("--name", metavar="NAME", help="Name of the model.", show_default="that of the card, or of the file")
@click.option("--colour", type=click.Choice(["RGB", "BGR"]), help="Order of the colours that the network wants.")
@click.option("--mean", type=float, nargs=3, help="Of the colours, in that order, 0 to 255: the network gets (pixel - mean) / std.")
@click.option("--std", type=float, nargs=3, help="See --mean.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Of a detector: score from which a face counts.")
@click.option("--licence", metavar="TEXT", help="The licence, in plain words.")
@click.option("--source", metavar="TEXT", help="Where the file comes from.")
@click.option("--replace", is_flag=True, help="Replace a model of that name.")
@handle_errors
def add(file: str, card: str | None, name: str | None, replace: bool, **said: Any) -> None:
    """Add a model of yours: an ONNX FILE that finds faces (YuNet, SCRFD) or makes vectors of aligned faces. Needs the extra 'onnx'.

    \b
    Example: facecluster models add arcface.onnx --colour RGB --mean 127.5 127.5 127.5 --std 127.5 127.5 127.5
    """
    from pathlib import Path

    from facecluster.models.card import read_toml
    from facecluster.models.library import add as add_model
    from facecluster.models.library import describe
    from facecluster.models.onnx_session import sha256_of

    path = Path(file).expanduser()
    if card is None:
        sections = describe(path, said | {"name": name})
    else:
        sections = read_toml(Path(card).expanduser())
        given = {"sha256": sha256_of(path)} | sections.get("model", {}) | ({"name": name} if name else {})
        sections = {**sections, "model": given}
    added = add_model(path, sections, replace=replace)
    option = "--detector" if added.about.task == "detector" else "--model"
    click.echo(f"added the {added.about.task} {added.about.name}: facecluster run PHOTOS -o STORE {option} {added.about.name}")


@command.command("remove")
@click.argument("name")
@handle_errors
def remove(name: str) -> None:
    """Delete a model of yours. What stores hold of it stays.

    \b
    Example: facecluster models remove arcface
    """
    from facecluster.models.library import remove as remove_model

    click.echo(f"deleted: {', '.join(remove_model(name))}")


@command.command("bench")
@click.argument("name")
@device_option
@handle_errors
def bench(name: str, device: str) -> None:
    """Measure how fast a model is on this machine, beside the bundled one.

    \b
    Example: facecluster models bench bundled
    """
    from facecluster.models.library import bench as measure

    found = measure(name, device=device)
    click.echo(f"{name}: {found.pictures_per_second:.1f} a second; bundled: {found.bundled:.1f} (the best of three rounds)")
