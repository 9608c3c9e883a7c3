"""What the commands that read people share: the model's option and name."""

from __future__ import annotations

import click

option = click.option("--model", help="'bundled' or the path of a model card [default: that of the run that counts].")


def name_of(model: str | None) -> str | None:
    """The name of a model as the store's tables have it; None stands for the model of the run that counts. Loads torch if one is named."""
    if model is None:
        return None
    from facecluster.models.registry import card_of

    return card_of(model).name
