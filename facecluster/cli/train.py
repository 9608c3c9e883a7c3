"""facecluster train: learn an embedder from faces with names, or fine-tune one on the people of a store."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from facecluster.cli.errors import handle_errors
from facecluster.cli.options import device_option, json_option
from facecluster.cli.printing import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from facecluster.training.accuracy import Accuracy
    from facecluster.training.config import TrainConfig
    from facecluster.training.faces import LearningFaces, Parts
    from facecluster.training.loop import Report, Status
    from facecluster.training.publish import Published
    from facecluster.training.train import Comparison, Learn

_KEPT = 2**31 - 1  # bytes of free memory that glibc keeps for the next step, the most that it can be told
_OPTIONS = [
    click.argument("data", required=False),
    click.option("-o", "--out", metavar="MODEL", required=True, help="Folder for the model, its log and its checkpoint."),
    click.option("--store", metavar="STORE", help="Learn from the people of a store, as DATA."),
    click.option("--recipe", metavar="FILE", help="Settings from a TOML file or a model's card, or 'bundled'; options given here win."),
    click.option("--finetune", metavar="MODEL", help="Go on from this embedder (bundled, ...), and keep the result if it is no worse."),
    click.option("--network", type=click.Choice(["hybrid", "vit"]), default="hybrid", show_default=True,
                 help="hybrid: the bundled architecture; vit: ViT-Ti/8."),
    click.option("--init", metavar="MODEL", help="Embedder whose weights to start from; it decides the network."),
    click.option("--loss", type=click.Choice(["cosface", "arcface", "adaface", "none"]), default="cosface", show_default=True,
                 help="none: learn from --teacher alone."),
    click.option("--margin", type=click.FloatRange(0, 1), help="Of the loss.", show_default="that of its paper"),
    click.option("--partial", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
                 help="Share of the people that a step looks at, for very many people."),
    click.option("--balance", type=click.FloatRange(0, 1), default=0.0, show_default=True,
                 help="How evenly people are drawn: 0 by their faces, 1 every person as often."),
    click.option("--reweight", metavar="BETA", type=click.FloatRange(0, 1), default=0.0, show_default=True,
                 help="Weigh people by the inverse of the effective number of their faces, as .999; 0: all faces alike."),
    click.option("--teacher", metavar="MODEL", help="Embedder to learn from besides the names; of faces without a name too."),
    click.option("--teacher-weight", type=click.FloatRange(0), help="Of the teacher's part of the loss.",
                 show_default="1; 10 with --finetune"),
    click.option("--rate", type=click.FloatRange(0, min_open=True), help="Learning rate.", show_default="0.002; 0.0002 from other weights"),
    click.option("--batch", type=click.IntRange(2), default=128, show_default=True, help="Faces a step."),
    click.option("--augment/--no-augment", default=True, show_default=True, help="Change the faces afresh each time."),
    click.option("--bf16/--no-bf16", default=None, show_default="where the hardware has it", help="Compute in bfloat16."),
    click.option("--compile/--no-compile", default=False, show_default=True,
                 help="Compute by torch.compile; on a CPU it needs g++ and Python's headers."),
    click.option("--minutes", type=click.FloatRange(0, min_open=True), help="How long to learn.", show_default="20, without --steps"),
    click.option("--steps", type=click.IntRange(1), help="How many steps to learn."),
    click.option("--hold-out", metavar="SHARE", type=click.FloatRange(0, 0.9),
                 help="Share of the faces whose people are held out.", show_default="0.1; 0.3 with --finetune"),
    click.option("--min-faces", type=click.IntRange(1), default=2, show_default=True, help="People with fewer faces are left out."),
    click.option("--layers", type=click.Choice(["all", "last"]), default="all", show_default=True,
                 help="last: with --finetune, learn the last layer alone, in seconds."),
    click.option("--share", type=click.FloatRange(0, 1), show_default="0.5; 1 with --layers last",
                 help="With --finetune: of the new weights in their mean with the old ones; less is tried if the result is worse."),
    click.option("--name", metavar="NAME", help="Name of the model.", show_default="that of the folder"),
    click.option("--licence", metavar="TEXT", default="not stated", show_default=True, help="Licence of the model, for its card."),
    click.option("--about", metavar="TEXT", default="", help="A line about the data, for the card."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of all that is drawn."),
    click.option("--threads", type=click.IntRange(1), help="Threads of each process.", show_default="as torch decides"),
    click.option("--processes", type=click.IntRange(1), default=1, show_default=True,
                 help="Processes on this machine that learn together. On several machines: torchrun --no-python facecluster train ..."),
    device_option,
    json_option,
]  # fmt: skip


def _options(function: Any) -> Any:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.command("train")
@_options
@handle_errors
def command(
    data: str | None, out: str, store: str | None, recipe: str | None, finetune: str | None, layers: str, share: float | None,
    name: str | None, licence: str, about: str, as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Train an embedder on DATA: folders by person (photos, or aligned faces of 112x112 px), a data set of 'facecluster curate', Parquet
    with columns crop and person, or a store whose people have names. Some people are held out; the card says how well it tells them apart.

    It can be stopped: the same command goes on. With --finetune the result is kept only if it is no worse on people held out.

    \b
    Example: facecluster train faces/ -o my-model --minutes 60
    Example: facecluster train --finetune bundled --layers last --store ~/people -o my-model
    """
    from pathlib import Path

    from facecluster.errors import InputError
    from facecluster.training import train
    from facecluster.training.folder import at_work
    from facecluster.training.publish import Said, name_of

    if (data is None) == (store is None):
        raise InputError(f"expected DATA or --store, found {'both' if data else 'neither'}: say what to learn from")
    if layers == "last" and not finetune:
        raise InputError("expected --finetune MODEL with --layers last, found none: say whose last layer to learn")
    folder = Path(out).expanduser()
    said = Said(name_of(folder, name), licence, about)
    config = _config(recipe, finetune, given)
    if layers == "last" and (config.processes > 1 or _rank()):
        raise InputError("expected one process for --layers last, found more: leave --processes and torchrun out")
    source = store or data or ""
    if _rank():
        _work(config, source, str(folder), _read(source))
        return
    train.check_folder(folder)
    faces = _read(source)
    found: Published | None
    compared: Comparison | None = None
    with at_work(folder):
        _remember(source, folder)
        learn = None if layers == "last" else _learner(source, folder)
        if finetune:
            usual = 0.5 if learn else 1.0
            found, compared = train.finetune(config, faces, folder, said, learn, usual if share is None else share)
        else:
            found = train.train(config, faces, folder, said, _learner(source, folder))
    _print(found, compared, as_json)


def _config(recipe: str | None, finetune: str | None, given: dict[str, Any]) -> TrainConfig:
    """The settings: those that the user gave, else the recipe's, else the defaults. Fine-tuning has its own teacher and rate."""
    from click.core import ParameterSource

    from facecluster.errors import InputError
    from facecluster.training import train
    from facecluster.training.config import TrainConfig
    from facecluster.training.recipe import read_recipe

    context = click.get_current_context()
    said = {} if recipe is None else read_recipe(recipe)
    found = said | {k: v for k, v in given.items() if k not in said or context.get_parameter_source(k) != ParameterSource.DEFAULT}
    usual = {"minutes": 20.0 if found["steps"] is None else None}
    if finetune:
        if given["loss"] == "none":
            raise InputError("expected a loss with a margin to fine-tune, found --loss none, with which nothing is learnt: leave it out")
        # its anchor is the old model, so what a recipe says of a teacher does not count, nor its rate
        found |= {"init": finetune, "teacher": finetune} | {k: given[k] for k in ("hold_out", "teacher_weight", "rate")}
        found = {k: v for k, v in found.items() if k not in ("map7", "map14") and (k, v) != ("loss", "none")}
    usual |= {"hold_out": 0.3, "teacher_weight": train.ANCHOR} if finetune else {"hold_out": 0.1, "teacher_weight": 1.0}
    config = TrainConfig(**found | {k: v for k, v in usual.items() if found.get(k) is None})
    return train.finetune_config(config, finetune) if finetune else config


def _rank() -> int:
    """The number of this process among those that torchrun started; 0 for one alone."""
    import os

    return int(os.environ.get("RANK", "0"))


def _read(source: str) -> LearningFaces:
    from facecluster.cli.progress import open_progress_bar
    from facecluster.training.read_faces import read_faces

    seen = 0
    with open_progress_bar("pictures") as progress:

        def tick(n: int) -> None:
            nonlocal seen
            seen += n
            progress(seen, seen)

        faces = read_faces(source, tick)
    if not _rank():
        for line in faces.passed.lines():
            click.echo(printable(line), err=True)
    return faces


def _remember(source: str, folder: Path) -> None:
    """Keep in a store that a model of its people lies somewhere, so that `forget` can say so."""
    from facecluster.store.copies import remember_copy
    from facecluster.training.read_faces import store_at

    if (store := store_at(source)) is not None:
        remember_copy(store, "trained model", str(folder.absolute()))


def _learner(source: str, folder: Path) -> Learn:
    """Learns here, or in the processes that the settings want."""

    def learn(config: TrainConfig, faces: LearningFaces, parts: Parts) -> None:
        import numpy as np

        from facecluster.language.english import plural

        held_out = len(np.unique(faces.label[parts.held_out]))
        rest = f"{plural(len(parts.held_out), 'face')} of {plural(held_out, 'person', 'people')}"
        named = plural(len(parts.people), "person with a name", "people with names")
        click.echo(f"learning from {plural(len(parts.learn), 'face')}, {named}; held out: {rest}", err=True)
        if config.processes > 1:
            from facecluster.training.processes import start

            start(_work, (config, source, str(folder)), config.processes)
        else:
            _work(config, source, str(folder), faces)

    return learn


def _work(config: TrainConfig, source: str, folder: str, faces: LearningFaces | None = None) -> None:
    """What each process does."""
    from pathlib import Path

    from facecluster.engine import keep_memory
    from facecluster.training.loop import learn
    from facecluster.training.read_faces import read_faces
    from facecluster.training.train import parts_of

    keep_memory(_KEPT)
    faces = read_faces(source) if faces is None else faces
    with _shown() as report:
        learn(config, faces, parts_of(faces, config), Path(folder), report)


@contextmanager
def _shown() -> Iterator[Report | None]:
    """A bar of the share of the budget that is spent, with rate and time left, in the first process."""
    if _rank():
        yield None
        return
    from tqdm import tqdm

    form = "{desc}: {percentage:3.0f}% |{bar}| {elapsed}{postfix}"
    with tqdm(total=1.0, desc="learning", bar_format=form, mininterval=0) as bar:

        def report(status: Status) -> None:
            held = "" if status.held_out_tar is None else f", held out {status.held_out_tar:.3f}"
            left = tqdm.format_interval(status.seconds_left)
            words = f"{left} left, step {status.step:,}, {status.faces_per_second:.0f} faces/s, loss {status.loss:.2f}{held}"
            bar.set_postfix_str(words, refresh=False)
            bar.update(status.share - bar.n)

        yield report


def _print(found: Published | None, compared: Comparison | None, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        held = None if found is None or found.accuracy is None else found.accuracy.to_dict()
        both = None if compared is None else asdict(compared) | {"kept": compared.is_kept}
        card = None if found is None else str(found.card)
        click.echo(json.dumps({"card": card, "held_out": held, "comparison": both}, indent=1))
        return
    if compared is not None:
        click.echo(f"on {compared.faces:,} faces of {compared.people:,} people held out, with {compared.share:.3g} of the new weights:")
        for line in compared.lines():
            click.echo(f"  {line}")
    if found is None:
        click.echo("the new model is worse on people whom it did not learn: it is not kept, and the old one stays as it is")
        return
    _print_accuracy(found.accuracy)
    click.echo(f"what its cosines mean: {printable(found.reading)}")
    click.echo(f"ready: facecluster run PHOTOS -o STORE --model {printable(str(found.card))}")


def _print_accuracy(accuracy: Accuracy | None) -> None:
    from facecluster.training.accuracy import RATES

    if accuracy is None:
        click.echo("accuracy: not measured, since too few people were held out")
        return
    click.echo(f"true accept rate on {accuracy.faces:,} faces of {accuracy.people:,} people who were held out:")
    for i, rate in enumerate(RATES):
        parts = ", ".join(f"{name} {tar[i]:.4f}" for name, tar in accuracy.parts.items())
        interval = f"95 % {accuracy.low[i]:.4f} to {accuracy.high[i]:.4f}"
        click.echo(f"  at a false accept rate of {rate:g}: {accuracy.tar[i]:.4f} ({interval}); by their numbers of faces: {parts}")
