"""Options: old spellings work and are hidden, stated defaults are the real ones, and the version is printed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from facecluster import __version__
from facecluster.cli import main
from facecluster.cli.options import RenamedOption, renamed_option
from facecluster.curate import CleanConfig
from facecluster.grouping.identify import IdentifyConfig

RENAMED = {
    "cluster": {"--anew": "--full", "--uncalibrate": "--reset-calibration", "--merge": "--merge-margin"},
    "curate": {
        "--low": "--min-margin", "--floor": "--min-faces", "--cap": "--max-faces", "--quality": "--min-quality", "--shard": "--shard-size",
        "--to": "--format", "--images": "--image-format", "--keep-copies": "--keep-duplicates",
    },
    "dedup": {"--burst": "--burst-seconds", "--bursts": "--move-bursts"},
    "evaluate": {"--several": "--which-face"},
    "export": {"--to": "--format", "--sure": "--min-probability"},
    "show": {"--sure": "--min-probability"},
}  # fmt: skip
VALUES = {
    "--merge-margin": "2.5", "--min-margin": "0.5", "--min-faces": "3", "--max-faces": "7", "--min-quality": "0.4", "--shard-size": "12",
    "--format": "csv", "--image-format": "png", "--burst-seconds": "9", "--which-face": "largest", "--min-probability": "0.7",
}  # fmt: skip
NEEDED = {"show": ["p-0d4f21aa"], "export": ["--format", "xmp"]}
CASES = [(command, old, new) for command, names in RENAMED.items() for old, new in names.items()]


def command_of(name: str) -> click.Command:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return command


def parsed(name: str, *arguments: str) -> dict[str, object]:
    """What a command line gives the command's function."""
    words = ["store", *NEEDED.get(name, []), *arguments]
    return command_of(name).make_context(name, words).params


def renamed() -> Iterator[tuple[str, str, str]]:
    """Every renamed option of every command: command, old spelling, new one."""
    for name in main.list_commands(click.Context(main)):
        for option in command_of(name).params:
            if isinstance(option, RenamedOption):
                yield from ((name, old, option.opts[0]) for old in option.old)


def test_every_renamed_option_is_tested() -> None:
    assert sorted(renamed()) == sorted(CASES)


@pytest.mark.parametrize(("name", "old", "new"), CASES)
def test_an_old_spelling_does_what_the_new_one_does(name: str, old: str, new: str) -> None:
    value = [VALUES[new]] if new in VALUES else []
    assert parsed(name, old, *value) == parsed(name, new, *value) != parsed(name)


@pytest.mark.parametrize(("name", "old", "new"), CASES)
def test_an_old_spelling_is_not_in_the_help(name: str, old: str, new: str) -> None:
    words = CliRunner().invoke(main, [name, "--help"], terminal_width=1000).output.split()
    assert new in words and old not in words


def test_of_both_spellings_the_last_counts() -> None:
    assert parsed("cluster", "--merge", "1.5", "--merge-margin", "2.5")["merge"] == 2.5
    assert parsed("cluster", "--merge-margin", "2.5", "--merge", "1.5")["merge"] == 1.5
    assert parsed("curate", "--to", "csv", "--format", "parquet")["formats"] == ("csv", "parquet")  # one that can be repeated


def test_an_error_names_the_new_spelling() -> None:
    done = CliRunner().invoke(main, ["curate", "store", "--cap", "none"])
    assert done.exit_code == 2 and "'--max-faces'" in done.output and "'none'" in done.output
    assert CliRunner().invoke(main, ["curate", "store", "--capped", "1"]).exit_code == 2


def test_a_command_can_be_called_again() -> None:
    """The parser's names are not those of the help, which stay as they are."""

    @click.command()
    @renamed_option("--new", old="--old", type=int)
    def command(new: int) -> None:
        click.echo(new)

    for arguments in (["--old", "3"], ["--new", "3"]):
        assert CliRunner().invoke(command, arguments).output == "3\n"
    assert command.params[0].opts == ["--new"] and "--old" not in CliRunner().invoke(command, ["--help"]).output


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("cluster", "margin", IdentifyConfig().margin), ("cluster", "merge", IdentifyConfig().merge),
        ("cluster", "min_quality", IdentifyConfig().min_quality), ("curate", "min_margin", CleanConfig().min_margin),
    ],
)  # fmt: skip
def test_a_default_that_the_help_states_is_the_real_one(name: str, option: str, value: float) -> None:
    stated = next(p.show_default for p in command_of(name).params if isinstance(p, click.Option) and p.name == option)
    assert isinstance(stated, str) and float(stated) == value


def test_version() -> None:
    done = CliRunner().invoke(main, ["--version"], prog_name="facecluster")
    assert done.exit_code == 0 and done.output == f"facecluster, version {__version__}\n"


def test_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "facecluster", "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout == f"facecluster, version {__version__}\n"
