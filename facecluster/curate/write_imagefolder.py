"""ImageFolder: SPLIT/PERSON/FACE.jpg, as torchvision and Hugging Face's imagefolder read it, and a README.md that names the splits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from facecluster.curate.output_folder import OutputFolder
from facecluster.curate.plan import Plan
from facecluster.curate.samples import encode_crop, samples
from facecluster.export.folder_names import README, class_folders, readme

_NAMES = {"val": "validation"}  # as Hugging Face calls it
_TEXT = "Aligned faces, 112 x 112 px, in a folder for each split and person. The manifest and the datasheet are one folder up."


def write(plan: Plan, out: OutputFolder, image_format: str, shard_size: int, tick: Callable[[int], None]) -> None:
    """Write an image in `image_format` for each face into `imagefolder/`; `shard_size` is not used."""
    folders = dict(zip(plan.classes, class_folders(plan.classes), strict=True))
    splits = {}
    for split, share in plan.config.shares:
        for sample in samples(plan, split) if share else ():
            splits[_NAMES.get(split, split)] = f"{split}/**"
            name = f"imagefolder/{split}/{folders[sample.person]}/{sample.key}.{image_format}"
            out.write(name, partial(encode_crop, plan, sample, image_format))
            tick(1)
    out.write(f"imagefolder/{README}", lambda: readme("Faces by person", _TEXT, splits))
