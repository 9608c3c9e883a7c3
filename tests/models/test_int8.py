"""8-bit arithmetic against integers in numpy, and the quantised network against the same network in floating point."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from torch import nn

from facecluster.demo.face_space import FaceSpace
from facecluster.models import registry
from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.int8 import Int8Embedder, measure_ranges
from facecluster.models.int8_layers import QuantisedLayer, Scale, highest_levels, multiplication
from facecluster.models.registry import AttentionModel, Card, card_of, fold_batch_norm, load_embedder, load_weights

pytestmark = pytest.mark.skipif(not multiplication(), reason="needs a processor with VNNI or AVX2")


def by_hand(layer: QuantisedLayer, q: np.ndarray, weight: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """A linear layer on bytes: a sum of integers, then one multiplication for each output."""
    whole = np.rint(weight / layer.scales.numpy()[:, None]).astype(np.int64)
    total = (q.astype(np.int64) - layer.input.zero) @ whole.T
    return np.asarray(total * layer.scales.numpy() * layer.input.step + layer.bias.numpy())


@pytest.mark.parametrize("activation", ["", "relu", 6.0])
def test_a_linear_layer_is_integer_arithmetic(activation: str) -> None:
    rng = np.random.default_rng(0)
    layer = nn.Linear(96, 40)
    scale = Scale.over(-1.3, 2.1)
    low = QuantisedLayer(layer, scale, None, activation, torch.float32)
    q = rng.integers(0, 256, (33, 96), dtype=np.uint8)
    expected = by_hand(low, q, layer.weight.detach().numpy())
    expected = np.clip(expected, 0 if activation else None, 6 if activation == 6 else None)
    assert np.allclose(low(torch.from_numpy(q)), expected, atol=1e-4)
    out = Scale.over(-4, 4)
    rounded = np.clip(np.rint(by_hand(low, q, layer.weight.detach().numpy()) / out.step) + out.zero, 0, 255)
    found = QuantisedLayer(layer, scale, out, "", torch.float32)(torch.from_numpy(q)).numpy()
    assert found.dtype == np.uint8 and np.abs(found - rounded).max() <= 1  # a half may round either way


def largest(shape: tuple[int, ...], *, every: int) -> torch.Tensor:
    """Weights of both signs near the ends of their range, and small ones between them: all but each `every`-th input of each output."""
    generator = torch.Generator().manual_seed(1)
    weight = torch.sign(torch.rand(shape, generator=generator) - 0.5) * (0.7 + 0.3 * torch.rand(shape, generator=generator))
    weight[:, torch.arange(shape[1]) % every > 0] *= 0.02
    return weight


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel", "stride"), [(256, 96, 0, 1), (64, 48, 3, 1), (80, 40, 1, 1), (16, 32, 3, 2), (3, 64, 6, 4)]
)
def test_no_sum_is_cut_off(inputs: int, outputs: int, kernel: int, stride: int, every: int) -> None:
    """Bytes and weights near their ends: without VNNI two such products together are more than 16 bits hold."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2) if kernel else nn.Linear(inputs, outputs)
    layer.weight.data = largest(tuple(layer.weight.shape), every=every)
    assert layer.bias is not None
    layer.bias.data.zero_()
    low = QuantisedLayer(layer, Scale(1.0), None, "")
    q = torch.randint(200, 256, (2, inputs, 24, 24) if kernel else (50, inputs), dtype=torch.uint8)
    found = low(q.contiguous(memory_format=torch.channels_last) if kernel else q) / low.scales.view(-1, *[1, 1] * (kernel > 0))
    whole = low.q.double()
    expected = nn.functional.conv2d(q.double(), whole, stride=stride, padding=kernel // 2) if kernel else q.double() @ whole.T
    assert (found - expected).abs().max() < 0.5


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.floats(-5, 5, width=32)))
def test_weights_of_neighbouring_inputs_together_stay_in_seven_bits(weight: np.ndarray) -> None:  # type: ignore[type-arg]
    highest = highest_levels(torch.from_numpy(weight), pairs=True)
    plain = highest_levels(torch.from_numpy(weight), pairs=False)
    assert (plain <= highest).all() and (highest <= 2 * plain).all()
    q = np.rint(weight / (highest.numpy() / 127)[:, None]).astype(int)
    for sign in (1, -1):
        parts = np.maximum(sign * q, 0)
        sums = parts[:, ::2].copy()
        sums[:, : parts.shape[1] // 2] += parts[:, 1::2]
        assert sums.max() * 255 <= np.iinfo(np.int16).max


def test_a_convolution_pads_with_zero_not_with_the_byte_zero() -> None:
    convolution = nn.Conv2d(3, 8, 3, padding=1)
    x = torch.rand(2, 3, 12, 12) - 0.5
    scale = Scale.over(-0.5, 0.5)
    q = (x / scale.step + scale.zero).round().clamp(0, 255).to(torch.uint8).to(memory_format=torch.channels_last)
    seen = QuantisedLayer(convolution, scale, None, "", torch.float32)(q)
    assert (seen - convolution((q.float() - scale.zero) * scale.step)).abs().max() < 0.01
    assert (seen - convolution(x)).abs().max() < 0.02


def faces(n: int) -> np.ndarray:  # type: ignore[type-arg]
    """Synthetic aligned faces (n, 112, 112, 3)."""
    rng = np.random.default_rng(3)
    space = FaceSpace.load()
    found = []
    for _ in range(n):
        even, odd = space.draw_appearance(rng, 0.5)
        face = space.render(space.draw_person(rng) + even, odd).clip(0, 255).astype(np.uint8)
        found.append(np.asarray(Image.fromarray(face).resize((112, 112))))
    return np.stack(found)


def test_quantised_vectors_are_close_to_those_in_floating_point() -> None:
    card = card_of("bundled")
    assert card.ranges, "the bundled card has no ranges"
    crops = faces(40)
    network = AttentionEmbedder.from_weights(load_weights(registry.WEIGHTS / "embedder.safetensors", card.sha256))
    floats = fold_batch_norm(copy.deepcopy(network).eval())
    with torch.inference_mode():
        x = torch.from_numpy(crops).permute(0, 3, 1, 2)
        expected = floats(x.float()) + floats(x.flip(3).float())
    found = torch.from_numpy(load_embedder("bundled", "cpu").embed(crops))
    cosine = torch.cosine_similarity(found, expected)
    assert cosine.mean() > 0.995 and cosine.min() > 0.98
    assert "int8" in load_embedder("bundled", "cpu").arithmetic  # type: ignore[attr-defined]


def test_a_face_gives_the_same_bits_alone_and_among_others() -> None:
    """So that vectors do not depend on how photos are divided into shards."""
    card = card_of("bundled")
    assert card.ranges
    network = fold_batch_norm(AttentionEmbedder.from_weights(load_weights(registry.WEIGHTS / "embedder.safetensors", card.sha256)).eval())
    run = Int8Embedder(network, card.ranges, torch.float32)  # type: ignore[arg-type]
    x = torch.from_numpy(faces(48)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        together = run(x)
        for number in (1, 2, 5, 13, 47):
            assert torch.equal(torch.cat([run(some) for some in x.split(number)]), together), number


@pytest.mark.parametrize("inner", [(64, 128, 128), (0, 64, 32)])
def test_measured_ranges_work_for_any_network(inner: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = fold_batch_norm(AttentionEmbedder(width=64, depth=2, heads=1, mlp_ratio=2, parts=64, inner=inner).eval())
    x = torch.from_numpy(faces(16)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = network(x.float())
        found = Int8Embedder(copy.deepcopy(network), measure_ranges(network, x.float()), torch.float32)(x)
    assert torch.cosine_similarity(found, expected).mean() > 0.99


def test_without_ranges_or_fast_integers_it_is_floating_point(monkeypatch: pytest.MonkeyPatch) -> None:
    blank = Card(name="x", dim=128, sha256="", licence="", slope=1, intercept=0, impostor_mean=0, impostor_sd=0.1)
    small = dict(width=64, depth=1, heads=1, mlp_ratio=2, parts=64)
    assert "int8" not in AttentionModel(AttentionEmbedder(**small), blank).arithmetic
    crops = faces(4)
    bytes_ = load_embedder("bundled", "cpu").embed(crops)
    monkeypatch.setattr(registry, "multiplication", lambda: "")
    registry.load_embedder.cache_clear()
    model = load_embedder("bundled", "cpu")
    registry.load_embedder.cache_clear()
    assert "int8" not in model.arithmetic  # type: ignore[attr-defined]
    assert (model.embed(crops) * bytes_).sum(axis=1).min() > 0.98


def test_a_card_without_a_range_is_refused() -> None:
    network = fold_batch_norm(AttentionEmbedder(width=64, depth=1, heads=1, mlp_ratio=2, parts=64).eval())
    with pytest.raises(KeyError):
        Int8Embedder(network, {"stem.0": [0.0, 1.0]}, torch.float32)
