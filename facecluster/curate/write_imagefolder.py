"""ImageFolder: SPLIT/PERSON/FACE.webp, as torchvision and Hugging Face's imagefolder read it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from facecluster.curate.images import folder_names, picture, samples
from facecluster.curate.out import Out
from facecluster.curate.plan import Plan


def write(plan: Plan, out: Out, kind: str, size: int, tick: Callable[[int], None]) -> None:
    """Write a file for each face into `imagefolder/`. `kind` is that of the pictures; `size` has no meaning here."""
    folders = folder_names(plan.classes)
    for split, share in plan.config.shares:
        for sample in samples(plan, split) if share else ():
            name = f"imagefolder/{split}/{folders[sample.label]}/{sample.key}.{kind}"
            out.write(name, partial(picture, plan, sample, kind))
            tick(1)
