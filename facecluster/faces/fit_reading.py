"""How the cosines of a model are read in a store: by its card or, for a card without a reading, fitted to the store's faces without labels.

Two random faces of a store are nearly always of two people, so the cosines of random pairs say how similar different people are. Their
median and the distance from it to their 16th percentile stand for mean and sd: pairs of one person lie above, and hardly move them. Slope
and intercept follow from these two (`Card.with_impostors`). The result is kept in reading/MODEL.json. It is fitted again for other weights,
and while it rests on fewer than MOST faces, when the store has twice as many.

Measured on the 1,900 evaluation faces and four smaller draws (48 to 900 faces), the bundled model's teacher as the new model: expected
calibration error .014 to .025, where the fit to the true names has .010; the bundled model .013 to .052, where it has .014. Pairs that
another model is sure about are no labels: they are the easy ones (.019 to .125).

Odd inputs: with fewer than LEAST faces, or where all vectors are equal, the card's guess stays.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.faces.embed import EmbedConfig
from facecluster.models.card import Card, card_of
from facecluster.store import Store

FOLDER = "reading"
LEAST, MOST = 50, 2_000  # faces whose pairs are looked at
_SHARDS = 16  # from which they are taken
_METHOD = 1  # version of the fit
_LOW, _LOW_SD = 0.16, 0.9945  # quantile, and how many sd a normal distribution has below its median there


def card_in(store: Store, config: EmbedConfig, made: Store | None = None, *, fit: bool = False) -> Card:
    """The card of a model, with what its cosines mean in a store.

    Args:
        store: holds the vectors.
        config: names the model.
        made: gets what is fitted; None: it is not kept.
        fit: fit it if it is not known.
    """
    card = card_of(config.model)
    if card.is_fitted:
        return card
    parts = (FOLDER, f"{card.name}.json")
    stamp = {"method": _METHOD, "weights": card.fingerprint, "mirror": config.mirror}
    kept = _read(store, parts)
    if kept is not None and stamp != {k: kept.get(k) for k in stamp}:
        kept = None
    if fit and (kept is None or kept["faces"] < MOST):
        vectors = _sample(store, config.table(), card)
        if len(vectors) >= (LEAST if kept is None else min(MOST, 2 * kept["faces"])) and (found := impostors(vectors)) is not None:
            kept = {**stamp, "faces": len(vectors), "impostor_mean": found[0], "impostor_sd": found[1]}
            if made is not None:
                made.write_bytes(json.dumps(kept).encode(), *parts)
    return card if kept is None else card.with_impostors(kept["impostor_mean"], kept["impostor_sd"])


def card_for(model: str, vectors: NDArray[np.floating]) -> Card:
    """The card of a model, with what its cosines mean among faces (n, dim) of it, rows of length 1, if it does not say so itself."""
    card = card_of(model)
    rows = np.unique(np.linspace(0, len(vectors) - 1, min(MOST, len(vectors))).round().astype(int))
    if card.is_fitted or len(rows) < LEAST or (found := impostors(np.asarray(vectors)[rows])) is None:
        return card
    return card.with_impostors(*found)


def impostors(vectors: NDArray[np.floating]) -> tuple[float, float] | None:
    """Mean and sd of the cosines of two different people among faces (n, dim), rows of length 1; None if all are equal."""
    x = np.asarray(vectors, np.float32)
    cosines = (x @ x.T)[np.triu_indices(len(x), 1)]
    low, middle = np.quantile(cosines, [_LOW, 0.5])
    sd = float(middle - low) / _LOW_SD
    return (round(float(middle), 4), round(sd, 4)) if sd > 1e-3 else None


def _sample(store: Store, table: str, card: Card) -> NDArray[np.float32]:
    """Vectors (n, dim) of at most MOST faces, evenly from some shards that lie evenly in the table, of vectors of this model."""
    names = store.shards(table)
    chosen = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, min(_SHARDS, len(names))).round().astype(int))] if names else []
    parts = [np.zeros((0, card.dim), np.float32)]
    for shard in chosen:
        if (store.stamp(table, shard) or {}).get("weights") == card.fingerprint:
            column = store.read(table, shard, ["embedding"])["embedding"].combine_chunks()
            parts.append(np.asarray(column.flatten(), np.float32).reshape(len(column), -1))
    most = -(-MOST // max(len(parts) - 1, 1))
    return np.concatenate([part[np.unique(np.linspace(0, len(part) - 1, min(most, len(part))).round().astype(int))] for part in parts])


def _read(store: Store, parts: tuple[str, str]) -> dict[str, Any] | None:
    try:
        found = json.loads(store.read_bytes(*parts))
        ok = isinstance(found["faces"], int) and float(found["impostor_sd"]) > 0 and abs(float(found["impostor_mean"])) <= 1
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return dict(found) if ok else None
