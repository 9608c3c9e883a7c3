"""Options that several commands share, and options that were renamed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from facecluster.language import AUTO, LANGUAGES

if TYPE_CHECKING:
    from click.parser import _OptionParser

F = TypeVar("F", bound=Callable[..., Any])


class RenamedOption(click.Option):
    """An option whose old spellings still work, but are not in the help. Given under both names, the last one counts, as for any option
    that is given twice.
    """

    def __init__(self, *args: Any, old: Sequence[str] = (), **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.old = list(old)

    def add_to_parser(self, parser: _OptionParser, ctx: click.Context) -> None:
        """Have the parser take the old spellings as well. The option's own list of names, which the help shows, stays as it is."""
        names = self.opts
        self.opts = [*names, *self.old]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = names


def renamed_option(*names: str, old: str, **attributes: Any) -> Callable[[F], F]:
    """`click.option` for an option that was called `old`."""
    return click.option(*names, cls=RenamedOption, old=(old,), **attributes)


_WHICH = "'bundled', a name of 'facecluster models list', or the path of a model card."
model_option = click.option("--model", metavar="MODEL", default="bundled", show_default=True, help=f"Embedder: {_WHICH}")
model_of_run_option = click.option("--model", metavar="MODEL", show_default="that of the current run", help=f"Embedder: {_WHICH}")
detector_option = click.option("--detector", metavar="MODEL", default="bundled", show_default=True, help=f"Face detector: {_WHICH}")
device_option = click.option(
    "--device", metavar="DEVICE", default="auto", show_default=True, help="Where to compute: auto, cpu, cuda, cuda:1, ..."
)
threshold_option = click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Detection score from which a face counts. Higher gives fewer false faces and misses more.", show_default="the model card's",
)
lang_option = click.option(
    "--lang", type=click.Choice([AUTO, *LANGUAGES]), default=AUTO, show_default=True,
    help="Language of the pages; 'auto': that of LC_ALL, LC_MESSAGES or LANG if there is one, else English.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
where_option = click.option(
    "--where", metavar="CONDITION", multiple=True,
    help="Only faces with this attribute, as 'mask<0.5' or 'yaw>=-20' ('facecluster attributes' measures them). Can be repeated.",
)  # fmt: skip
min_probability_option = renamed_option(
    "--min-probability", old="--sure", type=click.FloatRange(0, 1), default=0.0, show_default=True,
    help="A face that belongs to its person with a lower probability counts as unknown.",
)  # fmt: skip


def _bytes(value: int | str) -> int:
    """An amount of memory: 4GB, 900MiB, a number of bytes."""
    if isinstance(value, int):
        return value
    from dask.utils import parse_bytes

    try:
        return int(parse_bytes(value))
    except ValueError:
        raise click.BadParameter(f"expected a size such as 4GB, found {value!r}") from None


workers_option = click.option("--workers", type=click.IntRange(1), help="Use this many processes (Dask).")
scheduler_option = click.option("--scheduler", metavar="ADDRESS", help="Use a running Dask cluster: tcp://host:8786.")
memory_option = click.option(
    "--memory", metavar="SIZE", type=_bytes, default=4_000_000_000, show_default="4GB",
    help="What each process may take of the memory while more than 200,000 faces are linked. The result does not depend on it.",
)  # fmt: skip
_PHOTO_OPTIONS = [
    click.argument("photos", nargs=-1),
    click.option("--list", "lists", metavar="FILE", multiple=True,
                 help="File with a path or an address (http, s3, ...) of photos or archives on each line. Can be repeated."),
    click.option("-o", "--store", metavar="DIR", required=True, help="Folder for the results (or an address such as s3://...)."),
    threshold_option,
    detector_option,
    model_option,
    device_option,
    workers_option,
    scheduler_option,
    click.option("--encrypt", is_flag=True, help="Make an encrypted store, with the key that FACECLUSTER_KEY_FILE names. See 'encrypt'."),
    click.option("--retry-failed", is_flag=True, help="Try photos again that could not be used; those that could not be read are anyway."),
]  # fmt: skip


def photo_options(function: F) -> F:
    """Add the arguments and options of the commands that read photos; `jobs.embed` takes their values."""
    for option in reversed(_PHOTO_OPTIONS):
        function = option(function)
    return function


def model_name(model: str | None) -> str | None:
    """The name of a model as the store's tables have it; None stands for the model of the current run."""
    if model is None:
        return None
    from facecluster.models.card import card_of

    return card_of(model).name
