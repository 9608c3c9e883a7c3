"""The cheaper forms of attention of the benchmark, against plain attention and dense references in float64."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

BENCHMARKS = Path(__file__).parents[2] / "workflows" / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import attention_forms as forms  # noqa: E402
import attention_networks as networks  # noqa: E402

sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def training() -> Iterator[SimpleNamespace]:
    pytest.importorskip("onnx")
    sys.path.insert(0, str(BENCHMARKS))
    import attention_training

    yield attention_training
    sys.path.remove(str(BENCHMARKS))


def parts(seed: int, tokens: int, d: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(2, 3, tokens, d, generator=draw) for _ in range(3))
    return 2 * q, k, v


def dense(weights: np.ndarray, v: Tensor) -> np.ndarray:
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True)) @ v.double().numpy()


def exponentials(q: Tensor, k: Tensor) -> np.ndarray:
    return np.exp(q.double().numpy() @ k.double().numpy().swapaxes(-1, -2) / q.shape[-1] ** 0.5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1, 4, 9, 49, 196]))
def test_plain_and_fused_are_the_formula(seed: int, tokens: int) -> None:
    q, k, v = parts(seed, tokens)
    expected = dense(exponentials(q, k), v)
    assert np.abs(forms.plain(q, k, v).numpy() - expected).max() < 1e-5
    assert np.abs(forms.fused(q, k, v).numpy() - expected).max() < 1e-5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1, 4, 49, 196]))
def test_linear_attention_is_that_of_its_kernel(seed: int, tokens: int) -> None:
    q, k, v = parts(seed, tokens)
    fq, fk = (np.where(x > 0, x + 1, np.exp(np.minimum(x, 0))) for x in (q.double().numpy(), k.double().numpy()))
    expected = dense(fq @ fk.swapaxes(-1, -2), v)
    assert np.abs(forms.linear(q, k, v).numpy() - expected).max() < 1e-5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 7))
def test_one_window_is_plain_attention(seed: int, side: int) -> None:
    q, k, v = parts(seed, side * side)
    assert torch.allclose(forms.windowed(side)(q, k, v), forms.plain(q, k, v), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 4), st.integers(2, 4), st.data())
def test_windows_are_plain_attention_to_the_tokens_of_the_window(seed: int, window: int, count: int, data: st.DataObject) -> None:
    shift, side = data.draw(st.integers(0, window - 1)), window * count
    q, k, v = parts(seed, side * side)
    lines = np.r_[np.full(shift, -1), np.arange(side - shift) // window]  # whole windows begin at `shift`
    row, column = np.divmod(np.arange(side * side), side)
    near = (lines[row][:, None] == lines[row]) & (lines[column][:, None] == lines[column])
    expected = dense(exponentials(q, k) * near, v)
    assert np.abs(forms.windowed(window, shift)(q, k, v).numpy() - expected).max() < 1e-5


def test_windows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected windows that divide a grid of 14 tokens, found windows of 5"):
        forms.windowed(5)(*parts(0, 196))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12))
def test_pruning_keeps_the_tokens_that_get_most_attention(seed: int, keep: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    x, weights = torch.randn(3, 12, 5, generator=draw), torch.randn(3, 2, 12, 12, generator=draw).softmax(dim=-1)
    kept, at = forms.prune(x, weights, keep)
    for face in range(3):
        got = weights[face].double().mean(dim=(0, 1)).numpy()
        chosen = at[face].numpy()
        assert list(chosen) == sorted(set(chosen)) and len(chosen) == keep
        assert got[chosen].min() >= np.delete(got, chosen).max(initial=0) - 1e-6
        assert torch.equal(kept[face], x[face][at[face]])


def test_a_network_that_keeps_every_token_is_the_plain_one() -> None:
    images = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 255
    plain = networks.Member(networks.VARIANTS["plain"]).eval()
    pruned = networks.Member(networks.Variant(says="", keep=196)).eval()
    some = networks.Member(networks.VARIANTS["pruned"]).eval()
    with torch.inference_mode():
        expected, kept, fewer = plain(images), pruned(images), some(images)
    assert torch.allclose(kept, expected, atol=1e-5) and not torch.allclose(fewer, expected, atol=1e-3)


def test_members_begin_alike_and_differ_in_what_they_say() -> None:
    plain = networks.Member(networks.VARIANTS["plain"]).state_dict()
    for name in ("fused", "linear", "windowed", "pruned", "no attention"):
        other = networks.Member(networks.VARIANTS[name]).state_dict()
        assert other.keys() == plain.keys() and all(torch.equal(other[key], plain[key]) for key in plain)
    fewer = networks.Member(networks.VARIANTS["49 tokens"])
    assert fewer.position.shape[1] == 49 and torch.equal(fewer.blocks[0].attention.qkv.weight, plain["blocks.0.attention.qkv.weight"])


def test_every_face_is_seen_before_any_is_seen_again(training: SimpleNamespace) -> None:
    rows = training.batches(50, 25, 4, seed=3)
    assert rows.shape == (25, 4) and all(len(set(rows.ravel()[i : i + 50])) == 50 for i in (0, 50))
    assert (rows == training.batches(50, 25, 4, seed=3)).all() and (rows != training.batches(50, 25, 4, seed=4)).any()


def test_a_short_training_learns_and_gives_the_same_again(training: SimpleNamespace) -> None:
    draw = np.random.default_rng(0)
    crops = draw.integers(0, 256, (8, 112, 112, 3), np.uint8)
    told = draw.normal(size=(8, 128)).astype(np.float32)
    told /= np.linalg.norm(told, axis=1, keepdims=True)
    cosines: list[str] = []
    first, seconds = training.train(networks.VARIANTS["49 tokens"], crops, told, 12, 8, cosines.append)
    again, _ = training.train(networks.VARIANTS["49 tokens"], crops, told, 12, 8, lambda line: None)
    assert seconds > 0 and float(cosines[-1].split("cosine ")[1].split(",")[0]) > 0.3
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
