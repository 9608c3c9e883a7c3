"""facecluster models: which models there are, and using others than the bundled ones."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import device_option, json_option
from facecluster.cli.printing import printable

if TYPE_CHECKING:
    from facecluster.models.card import About
    from facecluster.models.library import Model
    from facecluster.models.pull import Offer


@click.group("models")
def command() -> None:
    """Use other models than the bundled ones: to find faces (--detector NAME), to tell people apart (--model NAME), for attributes.

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
    from facecluster.models.pull import PACKS, offers

    found = models()
    there = {model.about.name for model in found}
    rest = [offer.about for offer in offers() if offer.about.name not in there]
    if as_json:
        rows = [_facts(model) | {"problem": model.problem or None} for model in found]
        more = [{"name": about.name, "task": about.task, "licence": about.licence} for about in rest]
        click.echo(json.dumps({"folder": str(models_folder()), "models": rows, "to_pull": more}, indent=1))
        return
    width = max(len(about.name) for about in [*(model.about for model in found), *rest])
    for model in found:
        _line(model.about, f"can't be used: {model.problem}" if model.problem else f"licence: {model.about.licence}", width)
    if rest:
        click.echo("\nto pull:")
    for about in rest:
        _line(about, f"licence: {about.licence}", width)
    packs = ", ".join(f"{name} ({' and '.join(parts)})" for name, parts in PACKS.items())
    click.echo(f"\npairs to pull together: {packs}")
    click.echo(f"folder: {models_folder()}", err=True)


def _line(about: About, state: str, width: int) -> None:
    click.echo(f"{printable(about.name):<{width}}  {about.task:<9}  {printable(state)}")


@command.command("info")
@click.argument("name")
@json_option
@handle_errors
def info(name: str, as_json: bool) -> None:
    """Print what the card of a model says: NAME is 'bundled', a name of 'models list', also one to pull, or the path of a card.

    \b
    Example: facecluster models info bundled
    """
    from facecluster.models.folder import BUNDLED, installed
    from facecluster.models.library import Model, find_model
    from facecluster.models.pull import CATALOGUE, offers

    if name not in installed() and (path := CATALOGUE / f"{name}.toml").is_file():
        found = [Model(offer.about, path, offer.card) for offer in offers(name)]
        click.echo(f"not there yet: facecluster models pull {name}", err=True)
    else:
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
    """Add a model of yours: an ONNX FILE that finds faces (YuNet, SCRFD) or makes vectors of aligned faces (needs the extra 'onnx'), or a
    vision transformer with timm's names in safetensors.

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
    if added.about.task == "attribute":
        return click.echo(f"added the model of attributes {added.about.name}: facecluster attributes STORE --model {added.about.name}")
    option = "--detector" if added.about.task == "detector" else "--model"
    click.echo(f"added the {added.about.task} {added.about.name}: facecluster run PHOTOS -o STORE {option} {added.about.name}")


@command.command("pull")
@click.argument("name")
@click.option("--accept-licence", is_flag=True, help="Accept the terms of a model that asks for it, as of one for research alone.")
@click.option("--mirror", metavar="URL", help="Server with the paths of huggingface.co.", show_default="HF_ENDPOINT, else the hub itself")
@click.option("--replace", is_flag=True, help="Replace a model of that name.")
@handle_errors
def pull(name: str, accept_licence: bool, mirror: str | None, replace: bool) -> None:
    """Fetch a model that others publish: NAME is one of 'models list', or opencv, buffalo_l, buffalo_s, antelopev2 for a detector and an
    embedder together. Needs the extra 'onnx'.

    A download that was stopped goes on where it ended. The file is used only if its SHA-256 is right.

    \b
    Example: facecluster models pull opencv
    """
    from facecluster.cli.progress import open_progress_bar
    from facecluster.models.pull import offers
    from facecluster.models.pull import pull as pull_model

    wanted = offers(name)
    for offer in wanted:
        _accept(offer, accept_licence)
    for offer in wanted:
        with open_progress_bar(f"{offer.about.name}, bytes") as progress:
            told: dict[str, Any] = {"tick": lambda n, total: progress(n, total or n), "say": lambda text: click.echo(text, err=True)}
            pull_model(offer, mirror=mirror, replace=replace, **told)
    words = " ".join(f"--{'detector' if o.about.task == 'detector' else 'model'} {o.about.name}" for o in wanted)
    click.echo(f"ready: facecluster run PHOTOS -o STORE {words}")


def _accept(offer: Offer, accepted: bool) -> None:
    """Ask whether the terms of a model are accepted, where somebody can answer. Raises InputError if they are not."""
    from facecluster.errors import InputError

    if not offer.asks or accepted:
        return
    click.echo(f"{offer.about.name}: licence {offer.about.licence}. {offer.about.limits} Source: {offer.about.source}", err=True)
    if not sys.stdin.isatty() or not click.confirm("Do you accept these terms?", err=True):
        raise InputError(f"expected that you accept the licence of {offer.about.name}, found no yes: give --accept-licence to accept it")


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
