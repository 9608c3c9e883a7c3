"""Recognisability: the fit against a plain optimum, the card, and the bundled model on faces that nobody can tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import facecluster
from facecluster.demo import make_collection
from facecluster.errors import ModelError, PhotoError
from facecluster.models.recognisability import Recognisability, fit
from facecluster.models.registry import WEIGHTS, card_of, load_embedder, read_card
from facecluster.photos.images import open_photo


def test_the_fit_finds_the_regression_that_made_the_data() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 6))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    truth = np.array([4.0, -3.0, 0.0, 2.0, 0.0, 1.0])
    right = rng.random(len(x)) < 1 / (1 + np.exp(-(x @ truth + 0.5)))
    found = fit(x, right, penalty=0)
    assert np.allclose(found.weights, truth, atol=0.3) and found.intercept == pytest.approx(0.5, abs=0.1)
    p = found.of(x)
    assert abs(p.mean() - right.mean()) < 1e-3 and p.dtype == np.float32
    assert np.array_equal(found.of(x[::-1]), p[::-1])  # whatever faces are beside a face
    with pytest.raises(ValueError, match="both kinds"):
        fit(x, np.ones(len(x), bool))
    with pytest.raises(ValueError, match=r"expected vectors \(n, 6\)"):
        found.of(x[:, :3])


def test_a_card_without_it_is_read_and_a_bad_one_is_told(tmp_path: Path) -> None:
    text = (WEIGHTS / "embedder.toml").read_text(encoding="utf-8")
    before, _, rest = text.partition("[recognisability]")
    plain = tmp_path / "plain.toml"
    plain.write_text(before + "[ranges]" + rest.partition("[ranges]")[2], encoding="utf-8")
    assert read_card(plain).recognisability is None
    bad = tmp_path / "bad.toml"
    bad.write_text(text.replace("weights = [", "weights = [1.0,", 1), encoding="utf-8")
    with pytest.raises(ModelError, match="recognisability"):
        read_card(bad)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.uint8]:
    """Aligned faces of synthetic people, which no part of the fit has seen."""
    made, found = make_collection(str(tmp_path_factory.mktemp("demo")), people=6, photos=3), []
    for path in sorted(Path(made.photos).rglob("*.jpg"))[:24]:
        try:
            image = open_photo(path.read_bytes()).pixels
        except PhotoError:  # the collection's damaged one
            continue
        _, landmarks, scores = facecluster.detect_faces(image)
        found += [facecluster.align_faces(image, landmarks[scores > 0.85])]
    return np.concatenate(found)


def thing(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A patch without a face: coloured stripes, discs and grain."""
    y, x = np.mgrid[:112, :112] / 112
    base = rng.uniform(0, 255, 3) + rng.uniform(-120, 120, 3) * np.sin(x * rng.uniform(1, 30) + y * rng.uniform(1, 30))[..., None]
    disc = np.hypot(x - rng.random(), y - rng.random()) < rng.uniform(0.1, 0.5)
    base[disc] = rng.uniform(0, 255, 3)
    return (base + rng.normal(0, 8, base.shape)).clip(0, 255).astype(np.uint8)


def test_the_bundled_model_tells_faces_from_smears_and_things(crops: NDArray[np.uint8]) -> None:
    card = card_of("bundled")
    assert isinstance(card.recognisability, Recognisability) and len(card.recognisability.weights) == card.dim
    model, rng = load_embedder("bundled", device="cpu"), np.random.default_rng(1)
    smears = np.stack([np.asarray(Image.fromarray(c).resize((5, 5)).resize((112, 112), Image.Resampling.BICUBIC)) for c in crops])
    things = np.stack([thing(rng) for _ in range(40)])
    assert len(crops) >= 20
    clear, smeared, none = (card.recognisability.of(model.embed(some)) for some in (crops, smears, things))
    assert (clear >= 0.5).mean() >= 0.9 and (smeared < 0.5).mean() >= 0.95 and (none < 0.5).mean() >= 0.95
