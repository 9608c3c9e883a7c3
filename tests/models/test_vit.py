"""Vision transformers with timm's names of tensors, against a float64 reference of the paper's equations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from people_store import call, refused
from safetensors.numpy import save_file
from scipy.special import erf

from facecluster.models.registry import load_embedder
from facecluster.models.vit import VisionTransformer

Weights = dict[str, NDArray[np.float32]]
TINY, SMALL = (192, 12, True), (384, 12, False)  # width, blocks, class token


def weights_of(width: int, depth: int, has_class: bool) -> Weights:
    """Random weights by the hub's names, about as large as trained ones."""
    rng, out = np.random.default_rng(width), {}

    def linear(name: str, outputs: int, *inputs: int) -> None:
        out[f"{name}.weight"] = (rng.normal(size=(outputs, *inputs)) * np.prod(inputs) ** -0.5).astype(np.float32)
        out[f"{name}.bias"] = (rng.normal(size=outputs) * 0.1).astype(np.float32)

    def norm(name: str) -> None:
        out[f"{name}.weight"] = rng.uniform(0.5, 1.5, width).astype(np.float32)
        out[f"{name}.bias"] = (rng.normal(size=width) * 0.1).astype(np.float32)

    if has_class:
        out["cls_token"] = rng.normal(size=(1, 1, width)).astype(np.float32)
    out["pos_embed"] = rng.normal(size=(1, 196 + has_class, width)).astype(np.float32)
    linear("patch_embed.proj", width, 3, 8, 8)
    for i in range(depth):
        norm(f"blocks.{i}.norm1")
        linear(f"blocks.{i}.attn.qkv", 3 * width, width)
        linear(f"blocks.{i}.attn.proj", width, width)
        norm(f"blocks.{i}.norm2")
        linear(f"blocks.{i}.mlp.fc1", 4 * width, width)
        linear(f"blocks.{i}.mlp.fc2", width, 4 * width)
    norm("norm" if has_class else "fc_norm")
    linear("head", 512, width)
    return out


def reference(weights: Weights, face: NDArray[np.uint8], has_class: bool) -> NDArray[np.float64]:
    """The vector of a face (112, 112, 3), not normalised: one head, one patch at a time, in float64."""
    w = {k: v.astype(np.float64) for k, v in weights.items()}

    def norm(name: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(name: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    pixels = (face / 255 - 0.5) / 0.5
    kernel = w["patch_embed.proj.weight"]
    patches = [pixels[8 * r : 8 * r + 8, 8 * c : 8 * c + 8].transpose(2, 0, 1) for r in range(14) for c in range(14)]
    x = np.stack([np.tensordot(kernel, p, 3) for p in patches]) + w["patch_embed.proj.bias"]
    if has_class:
        x = np.concatenate([w["cls_token"][0], x])
    x = x + w["pos_embed"][0]
    width = x.shape[1]
    for i in range(12):
        qkv = linear(f"blocks.{i}.attn.qkv", norm(f"blocks.{i}.norm1", x))
        heads = []
        for h in range(0, width, 64):
            q, k, v = (qkv[:, at + h : at + h + 64] for at in (0, width, 2 * width))
            e = np.exp(q @ k.T / 8 - (q @ k.T / 8).max(-1, keepdims=True))
            heads.append(e / e.sum(-1, keepdims=True) @ v)
        x = x + linear(f"blocks.{i}.attn.proj", np.concatenate(heads, -1))
        inner = linear(f"blocks.{i}.mlp.fc1", norm(f"blocks.{i}.norm2", x))
        x = x + linear(f"blocks.{i}.mlp.fc2", inner * (1 + erf(inner / np.sqrt(2))) / 2)
    return linear("head", norm("norm", x)[0] if has_class else norm("fc_norm", x.mean(0)))


@pytest.mark.parametrize("sizes, tensors, parameters", [(TINY, 152, 5_512_640), (SMALL, 151, 21_640_832)], ids=["Ti/8", "S/8"])
def test_the_forward_pass_is_the_papers(sizes: tuple[int, int, bool], tensors: int, parameters: int) -> None:
    weights = weights_of(*sizes)
    assert (len(weights), sum(v.size for v in weights.values())) == (tensors, parameters)
    network = VisionTransformer.from_weights({k: torch.from_numpy(v) for k, v in weights.items()}).eval()
    faces = np.random.default_rng(1).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    with torch.inference_mode():
        found = network(torch.from_numpy(faces).permute(0, 3, 1, 2).float()).numpy()
    expected = np.stack([reference(weights, face, sizes[2]) for face in faces])
    assert np.abs(expected).mean() > 0.3
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_it_is_added_by_its_names_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACECLUSTER_MODELS", str(tmp_path / "models"))
    weights = weights_of(192, 2, True)
    save_file(weights, tmp_path / "vit.safetensors")
    call("models", "add", str(tmp_path / "vit.safetensors"), "--licence", "mine")
    model = load_embedder("vit", "cpu")
    assert not model.card.is_fitted and model.card.dim == 512
    faces = np.random.default_rng(1).integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    np.testing.assert_allclose(np.linalg.norm(model.embed(faces), axis=1), 1, atol=1e-3)
    assert "read by a fit" in call("models", "info", "vit").output
    del weights["blocks.1.norm1.bias"]
    save_file(weights, tmp_path / "part.safetensors")
    assert "expected weights and ranges that fit the card" in refused("models", "add", str(tmp_path / "part.safetensors"))
    save_file({"x": faces.astype(np.float32)}, tmp_path / "other.safetensors")
    assert "expected the tensors of a vision transformer" in refused("models", "add", str(tmp_path / "other.safetensors"))
    (tmp_path / "no.safetensors").write_bytes(b"no")
    assert "expected a safetensors file" in refused("models", "add", str(tmp_path / "no.safetensors"))
    load_embedder.cache_clear()  # type: ignore[attr-defined]
