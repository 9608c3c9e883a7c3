"""Maps, shares and pictures of chosen faces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from facecluster.explain.face_maps import FaceMaps
from facecluster.explain.faces import ChosenFaces
from facecluster.explain.overlay import overlay
from facecluster.explain.regions import REGIONS, region_areas, shares

_BATCH = 16


def explain_faces(
    chosen: ChosenFaces, maps: FaceMaps, write: Callable[[str, bytes], None] | None = None, tick: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """The share of each region in the maps of at least one face, as values that become JSON.

    Args:
        chosen: the faces.
        maps: of the model.
        write: gets a name and the PNG of each face.
        tick: gets the number of faces that are done.

    Returns:
        faces: of each face its face_id, shares, and the name of its picture, or None; shares: their mean; areas: of the regions in a crop.
    """
    faces, every = [], []
    for ids, crops in chosen.read(_BATCH):
        found = maps(crops)
        for face, crop, one, parts in zip(ids, crops, found, shares(found), strict=True):
            name = None if write is None else f"{face}.png"
            if write is not None:
                write(f"{face}.png", overlay(crop, one))
            every.append(parts)
            faces.append({"face_id": face, "shares": _named(parts.tolist()), "picture": name})
        if tick:
            tick(len(ids))
    return {"faces": faces, "shares": _named(np.mean(every, axis=0).tolist()), "areas": _named(list(region_areas().values()))}


def _named(values: list[float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in zip(REGIONS, values, strict=True)}
