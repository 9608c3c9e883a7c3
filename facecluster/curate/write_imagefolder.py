"""ImageFolder: SPLIT/PERSON/FACE.webp, as torchvision and Hugging Face's imagefolder read it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from facecluster.curate.output_folder import OutputFolder
from facecluster.curate.plan import Plan
from facecluster.curate.samples import encode_crop, folder_names, samples


def write(plan: Plan, out: OutputFolder, image_format: str, shard_size: int, tick: Callable[[int], None]) -> None:
    """Write an image in `image_format` for each face into `imagefolder/`; `shard_size` is not used."""
    folders = folder_names(plan.classes)
    for split, share in plan.config.shares:
        for sample in samples(plan, split) if share else ():
            name = f"imagefolder/{split}/{folders[sample.label]}/{sample.key}.{image_format}"
            out.write(name, partial(encode_crop, plan, sample, image_format))
            tick(1)
