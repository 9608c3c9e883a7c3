"""STAGE: faces -> embeddings. Computes vectors of length 1 from aligned crops, a shard at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.errors import StampError
from facecluster.models.card import card_of
from facecluster.models.on_demand import batch_of, best_device, load_embedder
from facecluster.photos.images import decode_crop
from facecluster.store import ShardResult, Stamp, Store, embeddings_schema, table_of

RENEWABLE = ("weights",)  # keys of a stamp that may change: new weights of the same model, for which shards are made again


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedConfig:
    """Settings that decide the vectors."""

    model: str = "bundled"  # "bundled", the name of a model in the user's folder, or the path of a model card
    mirror: bool = True  # add the vector of the mirrored face: more accurate, but twice the time

    def stamp(self) -> Stamp:
        card = card_of(self.model)
        return {"table": "embeddings", "model": card.name, "weights": card.fingerprint, "mirror": self.mirror}

    def table(self) -> str:
        """Name of the table in the store: one folder a model."""
        return f"embeddings/{card_of(self.model).name}"


def check_vectors(store: Store, config: EmbedConfig, shards: Iterable[str] | None = None) -> None:
    """Raise StampError if vectors in `shards` (None: in all shards) were made with other weights than this model's."""
    wanted = config.stamp()
    for shard in store.shards(config.table()) if shards is None else shards:
        found = store.stamp(config.table(), shard) or {}
        if any(found.get(key, wanted[key]) != wanted[key] for key in ("model", *RENEWABLE)):
            raise StampError(
                f"expected vectors of the model {str(wanted['weights'])[:12]}, found those of {str(found.get('weights'))[:12]} in "
                f"{config.table()} of {store.url}: run 'facecluster embed' with its photos again (the faces are kept), "
                "or give the store's model with --model"
            )


def embed_faces(crops: NDArray[np.uint8], config: EmbedConfig | None = None, *, device: str = "auto") -> NDArray[np.float32]:
    """Embed aligned faces: (n, 112, 112, 3) RGB 0..255 -> (n, dim), each row of length 1."""
    config = config or EmbedConfig()
    return load_embedder(config.model, best_device(device)).embed(crops, mirror=config.mirror)


def embed_shard(
    shard: str, tick: Callable[[int], None] | None = None, *, store: Store, config: EmbedConfig, device: str = "auto"
) -> ShardResult:
    """Embed the faces of one shard of `faces`; a shard that is already done with this config is skipped.

    A shard that was made with other weights of this model is made again, from the crops.
    """
    table, stamp = config.table(), config.stamp()
    if store.is_done(table, shard, stamp, RENEWABLE):
        return ShardResult(stage="embed", shard=shard, skipped=True)
    faces = store.read("faces", shard, ["face_id", "crop"])
    device = best_device(device)
    model, batch = load_embedder(config.model, device), batch_of(device)
    vectors = np.zeros((len(faces), model.card.dim), dtype=np.float16)
    encoded = faces["crop"]
    for i in range(0, len(faces), batch):
        crops = np.stack([decode_crop(c.as_py()) for c in encoded[i : i + batch]])
        vectors[i : i + batch] = model.embed(crops, mirror=config.mirror)
        if tick:
            tick(len(crops))
    data = table_of(embeddings_schema(model.card.dim), {"face_id": faces["face_id"].combine_chunks(), "embedding": vectors})
    store.write(table, shard, data, stamp)
    return ShardResult(stage="embed", shard=shard, faces=len(faces))
