"""Recognisability of a model whose card has none: fitted to the store's own faces, kept, and used by cluster."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import people_store as syn
import pytest
import torch
from numpy.typing import NDArray
from people_store import call
from PIL import Image
from safetensors.torch import load_file, save_file

import facecluster
from facecluster.demo import make_collection
from facecluster.errors import PhotoError
from facecluster.faces import fit_recognisability
from facecluster.faces.embed import EmbedConfig
from facecluster.faces.fit_recognisability import recognisability_of
from facecluster.models.recognisability import told_apart
from facecluster.models.registry import WEIGHTS, card_of, load_embedder
from facecluster.models.unclear_crops import degraded, no_face
from facecluster.photos.images import encode_crop, open_photo
from facecluster.store import FACES, IDENTITIES, Store, embeddings_schema, table_of

Crops = NDArray[np.uint8]


def test_worse_pictures_are_told_apart_as_by_a_thousand_others() -> None:
    rng = np.random.default_rng(0)

    def unit(x: np.ndarray) -> np.ndarray:
        return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))

    clean, crowd = unit(rng.normal(size=(60, 64))), unit(rng.normal(size=(1_000, 64)))
    share = np.linspace(0, 0.8, 60)[:, None]
    worse = unit(share * clean + (1 - share) * unit(rng.normal(size=(60, 64))))
    told = told_apart(worse, clean, 0.9)
    best = (worse @ crowd.T).max(axis=1)
    clearly = np.abs((worse * clean).sum(axis=1) - best) > 0.2  # whoever the thousand are
    assert 20 < clearly.sum() < 60 and 8 < told[clearly].sum() < clearly.sum() - 8
    assert np.array_equal(told[clearly], ((worse * clean).sum(axis=1) > best)[clearly])
    twice = np.concatenate([clean, clean])  # another photo of the same person is no "other"
    assert np.array_equal(told_apart(np.concatenate([worse, worse]), twice, 0.9)[:60], told)


def test_unclear_crops_are_crops_and_depend_on_the_generator_alone() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (112, 112, 3)).astype(np.uint8)
    for change in (degraded, no_face):
        made = [change(crop, np.random.default_rng(i)) for i in range(30)]
        assert all(m.shape == crop.shape and m.dtype == np.uint8 and not np.array_equal(m, crop) for m in made)
        assert all(np.array_equal(m, change(crop, np.random.default_rng(i))) for i, m in enumerate(made))


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Crops:
    """Aligned faces of synthetic people."""
    made, found = make_collection(str(tmp_path_factory.mktemp("demo")), people=9, photos=6), []
    for path in sorted(Path(made.photos).rglob("*.jpg")):
        try:
            image = open_photo(path.read_bytes()).pixels
        except PhotoError:  # the collection's damaged one
            continue
        _, landmarks, scores = facecluster.detect_faces(image)
        found += [facecluster.align_faces(image, landmarks[scores > 0.75])]
        if sum(map(len, found)) >= 60:
            break
    return np.concatenate(found)[:60]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The card of a second model, without recognisability: the bundled network with another basis of its vectors."""
    folder = tmp_path_factory.mktemp("model")
    weights = load_file(WEIGHTS / "embedder.safetensors")
    turn = torch.linalg.qr(torch.randn(128, 128, generator=torch.Generator().manual_seed(0)))[0]
    for name in ("head.weight", "head.bias"):
        weights[name] = (turn @ weights[name].float()).half().contiguous()
    save_file(weights, folder / "other.safetensors")
    card = Path(syn.other_card(folder))
    sha = hashlib.sha256((folder / "other.safetensors").read_bytes()).hexdigest()
    card.write_text(card.read_text(encoding="utf-8").replace(card_of("bundled").sha256, sha), encoding="utf-8")
    return str(card)


def unclear_of(crops: Crops) -> Crops:
    """Smears of 5 px, and flat pictures with a disc: not of the kinds that the fit draws."""
    y, x = np.mgrid[:112, :112]
    made = []
    for i, crop in enumerate(crops):
        if i % 2:
            made.append(np.asarray(Image.fromarray(crop).resize((5, 5)).resize((112, 112), Image.Resampling.BICUBIC)))
        else:
            disc = np.hypot(x - 20 - i, y - 90 + i) < 12 + i % 30
            made.append(np.where(disc[..., None], crop[50, 50], crop[5, 5]).astype(np.uint8))
    return np.stack(made)


def store_of(folder: Path, card: str, crops: Crops, quality: NDArray[np.floating], order: NDArray[np.intp], shards: int) -> Store:
    """A store of these faces with the model's vectors of them; the rows stand in `order` in so many shards."""
    store, config = Store(str(folder)), EmbedConfig(model=card)
    store.create()
    vectors, ids = load_embedder(card).embed(crops), np.array(syn.face_ids(0, len(crops)))
    for shard, rows in enumerate(np.array_split(order, shards)):
        n, name = len(rows), f"{shard:05d}"
        syn.syn.write_photos(store, name, [(syn.photo_id(int(r)), f"/photos/{r}.jpg", None, None) for r in rows])
        flat = np.zeros(n, np.float32)
        columns = {
            "face_id": ids[rows].tolist(), "photo_id": [syn.photo_id(int(r)) for r in rows],
            "box": np.tile(np.float32([1, 2, 30, 30]), (n, 1)), "landmarks": np.zeros((n, 10), np.float32),
            "score": flat, "sharpness": flat, "yaw": flat,
            "quality": quality[rows].astype(np.float32), "crop": [encode_crop(c) for c in crops[rows]],
        }  # fmt: skip
        store.write("faces", name, table_of(FACES, columns), {"stage": "detect"})
        made = table_of(embeddings_schema(128), {"face_id": ids[rows].tolist(), "embedding": vectors[rows].astype(np.float16)})
        store.write(config.table(), name, made, config.stamp())
    return store


def kept_file(store: Store) -> bytes:
    return Path(store.path("recognisability", "other.json")).read_bytes()


def test_cluster_fits_it_once_and_uses_it(tmp_path: Path, clear: Crops, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(clear) == 60
    crops = np.concatenate([clear, unclear_of(clear[:40])])
    quality = np.r_[np.linspace(0.9, 0.6, 60), np.linspace(0.5, 0.1, 40)]
    store = store_of(tmp_path / "a", other, crops, quality, np.arange(100), 1)
    call("cluster", store.url, "--model", other, "--dry-run")
    assert not store.exists("recognisability")
    call("cluster", store.url, "--model", other)
    rows = {r["face_id"]: r for r in store.read_all("identities/other", IDENTITIES).to_pylist()}
    found = np.array([rows[i]["recognisability"] for i in syn.face_ids(0, 100)])
    assert (found[:60] >= 0.5).mean() >= 0.9 and (found[60:] < 0.5).mean() >= 0.9
    assert {rows[i]["identity"] for i, p in zip(syn.face_ids(0, 100), found, strict=True) if p < 0.5} == {-1}
    first = kept_file(store)
    monkeypatch.setattr(fit_recognisability, "load_embedder", None)  # nothing is looked at again
    call("cluster", store.url, "--model", other, "--full")
    assert kept_file(store) == first
    monkeypatch.undo()
    again = store_of(tmp_path / "b", other, crops, quality, np.random.default_rng(0).permutation(100), 3)
    call("cluster", again.url, "--model", other)
    assert kept_file(again) == first  # whatever the order of the faces and the shards


def test_too_few_faces_or_no_weights_leave_all_recognisable(tmp_path: Path, clear: Crops, other: str) -> None:
    few = store_of(tmp_path / "few", other, clear[:49], np.ones(49), np.arange(49), 1)
    call("cluster", few.url, "--model", other)
    assert not few.exists("recognisability")
    assert few.read_all("identities/other", IDENTITIES)["recognisability"].null_count == 49
    alone = tmp_path / "alone.toml"  # a card without its weights
    alone.write_text(Path(other).read_text(encoding="utf-8"), encoding="utf-8")
    enough = store_of(tmp_path / "enough", other, clear, np.ones(60), np.arange(60), 1)
    vectors = load_embedder(other).embed(clear)
    assert recognisability_of(enough, enough, EmbedConfig(model=str(alone)), syn.face_ids(0, 60), vectors) is None
    assert recognisability_of(enough, enough, EmbedConfig(model=other), syn.face_ids(0, 60), vectors) is not None


def test_other_weights_or_many_more_faces_are_fitted_again(tmp_path: Path, clear: Crops, other: str) -> None:
    store = store_of(tmp_path / "s", other, clear, np.ones(60), np.arange(60), 1)
    config, ids, vectors = EmbedConfig(model=other), syn.face_ids(0, 60), load_embedder(other).embed(clear)
    recognisability_of(store, store, config, ids, vectors)
    first = kept_file(store)
    for old, new in ((card_of(other).sha256, "0" * 64), ('"faces": 50', '"faces": 25')):
        assert old.encode() in first
        store.write_bytes(first.replace(old.encode(), new.encode()), "recognisability", "other.json")
        recognisability_of(store, store, config, ids, vectors)
        assert kept_file(store) == first
    store.write_bytes(b"half a fi", "recognisability", "other.json")
    recognisability_of(store, store, config, ids, vectors)
    assert kept_file(store) == first


def test_a_model_that_does_not_tell_has_none(clear: Crops) -> None:
    class Blind:
        card = card_of("bundled")

        def embed(self, crops: Crops, *, mirror: bool = True) -> NDArray[np.float32]:
            x = np.random.default_rng(len(crops)).normal(size=(len(crops), 128))
            return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)

    many = np.tile(clear[:1], (300, 1, 1, 1))  # more than numbers of a vector: chance tells nothing
    found = fit_recognisability.fit_to_faces(Blind(), many, np.random.default_rng(1).normal(size=(300, 128)) / 128**0.5)
    assert found is None
