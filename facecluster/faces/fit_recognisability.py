"""The recognisability of a store's faces: by the model's card or, for a model whose card has none, fitted to the store's own faces.

The best faces of the store by quality stand for clear ones. They are made worse, and pictures of no face are made of them
(models/unclear_crops.py); the model looks at all of them, and the regression is fitted to its vectors. The result is kept in
recognisability/MODEL.json of the store. It is fitted again for other weights, and while it rests on fewer than MOST faces, when the
store has twice as many.

Odd inputs: with fewer than LEAST faces, without the model's weights, or with a model that does not tell clear faces from such pictures,
there is none, and every face counts as recognisable.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facecluster.errors import ModelError
from facecluster.faces.embed import EmbedConfig
from facecluster.models.card import card_of
from facecluster.models.on_demand import load_embedder
from facecluster.models.recognisability import Recognisability, fit, from_card, told_apart
from facecluster.models.unclear_crops import Crops, degraded, no_face
from facecluster.photos.images import decode_crop
from facecluster.store import Store

if TYPE_CHECKING:
    from facecluster.models.registry import Embedder

LEAST, MOST = 50, 400  # faces that stand for clear ones
MIN_KEPT = 0.9  # share of them that must be recognisable after the fit: else the model does not tell
FOLDER = "recognisability"
_METHOD = 1  # version of the fit


_BLOCK = 1 << 16  # faces at a time


class Rows(Protocol):
    """Vectors (n, dim), some rows at a time: an array, or one that lies in files."""

    def __getitem__(self, rows: Any, /) -> NDArray[np.floating]: ...


def recognisability_of(
    store: Store, made: Store, config: EmbedConfig, ids: Sequence[str], vectors: Rows, each: Callable[..., Sequence[Any]] | None = None
) -> NDArray[np.float32] | None:
    """Probability (n,), 0 to 1, that each face can be recognised; None if it is not known.

    Args:
        store: holds the faces.
        made: gets what was fitted; the store itself, or a copy for a dry run.
        config: names the model.
        ids: (n,) face_ids.
        vectors: (n, dim) of the faces, rows of length 1.
        each: has a task done for each of some calls, here or elsewhere, as `Crew.map` does; None: here.
    """
    found = card_of(config.model).recognisability or _of_store(store, made, config, ids, vectors)
    if found is None:
        return None
    calls = [(found, vectors, start) for start in range(0, len(ids), _BLOCK)]
    parts = [_told(*call) for call in calls] if each is None else each(_told, calls)
    return np.concatenate([np.zeros(0, np.float32), *parts])


def unclear_faces(
    config: EmbedConfig, vectors: NDArray[np.floating], *, least: float = 0.5, store: Store | None = None
) -> NDArray[np.bool_]:  # fmt: skip
    """Which faces (n,) of no store are too unclear to tell; none, if neither the model's card nor the store knows how to say it.

    Args:
        config: names the model.
        vectors: (n, dim) of the faces, rows of length 1.
        least: recognisability from which a face is clear, 0 to 1.
        store: may hold what was fitted to its faces for this model.
    """
    found = card_of(config.model).recognisability
    if found is None and store is not None:
        found = _kept(store, config)[1]
    return np.zeros(len(vectors), bool) if found is None or not len(vectors) else found.of(vectors) < least


def _told(reading: Recognisability, vectors: Rows, start: int) -> NDArray[np.float32]:
    return reading.of(np.asarray(vectors[start : start + _BLOCK]))


def fit_to_faces(model: Embedder, crops: Crops, clean: NDArray[np.floating], *, mirror: bool = True) -> Recognisability | None:
    """Fit to clear faces (n, 112, 112, 3) with vectors `clean` (n, dim). None if the model does not tell them from unclear pictures."""
    rng = np.random.default_rng(0)
    worse, none = (model.embed(np.stack([change(c, rng) for c in crops]), mirror=mirror) for change in (degraded, no_face))
    told = told_apart(worse, clean, -model.card.intercept / model.card.slope)
    n = len(crops)
    found = fit(np.concatenate([clean, worse, none]), np.r_[np.ones(n, bool), told, np.zeros(n, bool)])
    return found if (found.of(clean) >= 0.5).mean() >= MIN_KEPT else None


def _of_store(
    store: Store, made: Store, config: EmbedConfig, ids: Sequence[str], vectors: Rows
) -> Recognisability | None:  # fmt: skip
    faces, kept = _kept(store, config)
    if faces and min(MOST, _clear_faces(len(ids))) < 2 * faces:
        return kept
    rows, crops = _clear_crops(store, ids)
    if len(rows) < LEAST:
        return None
    try:
        model = load_embedder(config.model)
    except ModelError:  # grouping needs the card alone
        return None
    found = fit_to_faces(model, crops, np.asarray(vectors[rows]), mirror=config.mirror)
    section = None if found is None else {"intercept": found.intercept, "weights": found.weights}
    made.write_bytes(json.dumps({**_stamp(config), "faces": len(rows), "recognisability": section}).encode(), *_place(config))
    return found


def _place(config: EmbedConfig) -> tuple[str, str]:
    return FOLDER, f"{card_of(config.model).name}.json"


def _stamp(config: EmbedConfig) -> dict[str, Any]:
    return {"method": _METHOD, "weights": card_of(config.model).fingerprint, "mirror": config.mirror}


def _kept(store: Store, config: EmbedConfig) -> tuple[int, Recognisability | None]:
    """On how many faces of the store a fit of this model rests, 0: there is none; and the fit, None: the model does not tell."""
    kept, stamp = _read(store, _place(config)), _stamp(config)
    if kept is None or stamp != {k: kept.get(k) for k in stamp}:
        return 0, None
    return int(kept["faces"]), from_card(kept["recognisability"], card_of(config.model).dim)


def _read(store: Store, parts: Sequence[str]) -> dict[str, Any] | None:
    try:
        found = json.loads(store.read_bytes(*parts))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _clear_faces(n: int) -> int:
    """How many of n faces stand for clear ones: the better half."""
    return min(MOST, max(LEAST, n // 2)) if n >= LEAST else 0


def _clear_crops(store: Store, ids: Sequence[str]) -> tuple[NDArray[np.intp], Crops]:
    """Rows of `ids` of the faces of the highest quality, and their crops: the same whatever the order of the shards."""
    row = {face: i for i, face in enumerate(ids)}
    found: dict[str, tuple[float, str, str]] = {}  # of a face_id that occurs twice the first row counts
    for shard in store.shards("faces"):
        table = store.read("faces", shard, ["face_id", "quality"])
        for face, quality in zip(table["face_id"].to_pylist(), np.nan_to_num(np.asarray(table["quality"], np.float64)), strict=True):
            if face in row:
                found.setdefault(face, (-float(quality), face, shard))
    best = sorted(found.values())[: _clear_faces(len(found))]
    data: dict[str, bytes] = {}
    for shard in {shard for _, _, shard in best}:
        wanted = {face for _, face, where in best if where == shard}
        table = store.read("faces", shard, ["face_id", "crop"])
        for face, crop in zip(table["face_id"], table["crop"], strict=True):
            if face.as_py() in wanted and crop.as_py():
                data.setdefault(face.as_py(), crop.as_py())
    faces = [face for _, face, _ in best if face in data]
    crops = np.stack([decode_crop(data[f]) for f in faces]) if faces else np.zeros((0, 112, 112, 3), np.uint8)
    return np.array([row[f] for f in faces], dtype=np.intp), crops
