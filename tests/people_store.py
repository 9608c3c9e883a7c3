"""Stores of synthetic people for the tests of decisions and people: vectors around random centres, no photos."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result
from report import report_store as syn

from facecluster.cli import main
from facecluster.models.registry import card_of
from facecluster.store import FACES, Store, embeddings_schema, table_of

DIM = 128
CARD = Path(__file__).parents[1] / "facecluster" / "models" / "weights" / "embedder.toml"


def people(sizes: Sequence[int], noise: float = 0.8, seed: int = 0, dim: int = DIM) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (n, dim) of length 1 around a random centre for each person, and the person of each. Two faces of one person have a cosine
    of about 1 / (1 + noise^2)."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(size=(len(sizes), dim))[truth] + noise * rng.normal(size=(len(truth), dim))
    return x / np.linalg.norm(x, axis=1, keepdims=True), truth


def photo_id(i: int) -> str:
    """As long as a SHA-256, and known from the face_ids of its faces."""
    return hashlib.sha256(str(i).encode()).hexdigest()[:24] + 40 * "0"


def face_ids(start: int, n: int) -> list[str]:
    """face_ids of n faces, each in a photo of its own."""
    return [f"{photo_id(i)[:24]}-0000" for i in range(start, start + n)]


def add(store: Store, shard: str, vectors: np.ndarray, start: int = 0, model: str = "bundled", *, photos: bool = True) -> list[str]:
    """Add faces with these vectors, numbered from `start`, each in a photo of its own; gives their face_ids."""
    ids = face_ids(start, len(vectors))
    if photos:
        syn.write_photos(store, shard, [(photo_id(start + i), f"/photos/{start + i}.jpg", None, None) for i in range(len(ids))])
    columns = {"face_id": ids, "embedding": vectors.astype(np.float16)}
    store.write(f"embeddings/{model}", shard, table_of(embeddings_schema(vectors.shape[1]), columns), {"table": "embeddings"})
    return ids


def add_boxes(store: Store, shard: str, ids: Sequence[str], boxes: np.ndarray) -> None:
    """Rows of faces with these boxes (n, 4)."""
    n = len(ids)
    flat = np.zeros(n, np.float32)
    columns = {
        "face_id": list(ids), "photo_id": [i[:24] + 40 * "0" for i in ids], "box": boxes.astype(np.float32),
        "landmarks": np.zeros((n, 10), np.float32), "score": flat, "sharpness": flat, "yaw": flat, "quality": flat + 0.5,
        "crop": [b""] * n,
    }  # fmt: skip
    store.write("faces", shard, table_of(FACES, columns), {"stage": "detect"})


def ungrouped_store(folder: Path, sizes: Sequence[int], noise: float = 0.8, seed: int = 0) -> tuple[Store, list[str], np.ndarray]:
    """A store with people of these sizes, not yet grouped; its face_ids, and the person of each."""
    store = Store(str(folder / "store"))
    store.create()
    vectors, truth = people(sizes, noise, seed)
    return store, add(store, "00000", vectors), truth


def other_card(folder: Path, name: str = "other") -> str:
    """The path of a model card like the bundled one under another name."""
    path = folder / f"{name}.toml"
    text = CARD.read_text(encoding="utf-8").replace('name = "bundled"', f'name = "{name}"')
    before, _, after = text.partition("[recognisability]")  # whose weights are of the bundled model's vectors
    path.write_text(before + "[ranges]" + after.partition("[ranges]")[2], encoding="utf-8")
    assert card_of(str(path)).name == name
    return str(path)


def call(*arguments: str) -> Result:
    """Run facecluster; fail unless it exits with 0."""
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments: str) -> str:
    """Run facecluster, which must fail with exit code 1 and one line on stderr; gives that line."""
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == 1 and result.stderr.count("\n") == 1, result.output
    return result.stderr
