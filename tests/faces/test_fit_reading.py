"""What a model's cosines mean in a store: fitted without labels to random pairs, kept, and used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import people_store as syn
import pytest
from numpy.typing import NDArray
from people_store import call

from facecluster.faces.embed import EmbedConfig
from facecluster.faces.fit_reading import card_for, card_in, impostors
from facecluster.models.card import card_of
from facecluster.models.toml_text import to_toml
from facecluster.store import Store, embeddings_schema, table_of


@pytest.fixture
def unread(tmp_path: Path) -> str:
    """The card of an ONNX model that does not say what its cosines mean."""
    model = {"name": "unread", "task": "embedder", "format": "onnx", "dim": 128, "sha256": "0" * 64, "licence": "none"}
    path = tmp_path / "unread.toml"
    path.write_text(to_toml({"model": model, "input": {"colour": "RGB", "mean": 127.5, "std": 127.5}}))
    return str(path)


def store_of(folder: Path, card: str, vectors: NDArray[np.floating], shards: int = 3, weights: str | None = None) -> Store:
    store, config = Store(str(folder)), EmbedConfig(model=card)
    store.create()
    for i, rows in enumerate(np.array_split(np.arange(len(vectors)), shards)):
        ids = syn.add(store, f"{i:05d}", vectors[rows], int(rows[0]), model="unread")
        syn.add_boxes(store, f"{i:05d}", ids, np.ones((len(ids), 4)))
        columns = {"face_id": ids, "embedding": vectors[rows].astype(np.float16)}
        stamp = {**config.stamp(), "weights": weights or config.stamp()["weights"]}
        store.write(config.table(), f"{i:05d}", table_of(embeddings_schema(vectors.shape[1]), columns), stamp)
    return store


def true_impostors(vectors: NDArray[np.floating], truth: NDArray[np.integer]) -> tuple[float, float]:
    cosines = (vectors @ vectors.T)[truth[:, None] != truth]
    return float(cosines.mean()), float(cosines.std())


@pytest.mark.parametrize("sizes", [[1] * 400, [12] * 8 + [1] * 100, [60] * 10], ids=["nobody twice", "an album", "ten people"])
def test_pairs_of_one_person_hardly_move_it(sizes: list[int]) -> None:
    vectors, truth = syn.people(sizes)
    found, (mean, sd) = impostors(vectors), true_impostors(vectors, truth)
    assert found is not None
    assert abs(found[0] - mean) < 0.15 * sd and abs(found[1] / sd - 1) < 0.12
    everything = (vectors @ vectors.T)[np.triu_indices(len(truth), 1)]
    assert abs(found[1] / sd - 1) <= abs(everything.std() / sd - 1) + 0.02


def test_what_no_fit_can_be_made_of() -> None:
    assert impostors(np.tile([[1.0, 0.0]], (60, 1))) is None


def test_a_store_is_read_by_its_own_faces(tmp_path: Path, unread: str) -> None:
    vectors, truth = syn.people([6] * 20 + [1] * 60)
    config, store = EmbedConfig(model=unread), store_of(tmp_path / "s", unread, vectors)
    guess = card_of(unread)
    assert not guess.is_fitted and card_in(store, config) == guess  # nothing is fitted unless it is asked for
    call("cluster", store.url, "--model", unread, "--dry-run")
    assert not store.exists("reading")
    call("cluster", store.url, "--model", unread)
    kept = json.loads(Path(store.path("reading", "unread.json")).read_text())
    card = card_in(store, config)
    assert kept["faces"] == 180 and (card.impostor_mean, card.impostor_sd) == (kept["impostor_mean"], kept["impostor_sd"])
    assert abs(card.impostor_sd / true_impostors(vectors, truth)[1] - 1) < 0.1
    assert card.even_cosine == pytest.approx(card.impostor_mean + 1.46 * card.impostor_sd)
    assert card_for(unread, vectors).impostor_sd == pytest.approx(card.impostor_sd, rel=0.02)
    Path(store.path("reading", "unread.json")).write_text("half a fi")
    assert card_in(store, config) == guess and card_in(store, config, store, fit=True) == card


def test_few_faces_and_those_of_other_weights_do_not_count(tmp_path: Path, unread: str) -> None:
    vectors, _ = syn.people([1] * 49)
    few = store_of(tmp_path / "few", unread, vectors, 1)
    assert card_in(few, EmbedConfig(model=unread), few, fit=True) == card_of(unread) and not few.exists("reading")
    many, _ = syn.people([1] * 200)
    other = store_of(tmp_path / "other", unread, many, weights="1" * 64)
    assert card_in(other, EmbedConfig(model=unread), other, fit=True) == card_of(unread)


def test_it_is_fitted_again_with_twice_the_faces(tmp_path: Path, unread: str) -> None:
    vectors, _ = syn.people([1] * 260)
    store, config = store_of(tmp_path / "s", unread, vectors[:100]), EmbedConfig(model=unread)
    first = card_in(store, config, store, fit=True)
    store_of(tmp_path / "s", unread, vectors[:150])
    assert card_in(store, config, store, fit=True) == first
    store_of(tmp_path / "s", unread, vectors)
    assert card_in(store, config, store, fit=True) != first
    assert json.loads(Path(store.path("reading", "unread.json")).read_text())["faces"] == 260


def test_a_card_with_a_reading_stays_as_it_is(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "s"))
    store.create()
    assert card_in(store, EmbedConfig(), store, fit=True) == card_of("bundled") == card_for("bundled", np.zeros((60, 128)))
    assert not store.exists("reading")
