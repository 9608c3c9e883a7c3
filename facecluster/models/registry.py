"""Loading embedders by their cards."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facecluster.errors import ModelError
from facecluster.models import vit
from facecluster.models.batches import HalvedBatches, run_batches
from facecluster.models.card import Card, card_of, read_card
from facecluster.models.embedder import CROP, AttentionEmbedder
from facecluster.models.folder import WEIGHTS, card_path
from facecluster.models.int8 import Int8Embedder
from facecluster.models.int8_layers import multiplication
from facecluster.models.onnx_embedder import OnnxEmbedder

__all__ = ["WEIGHTS", "AttentionModel", "Card", "Embedder", "best_device", "card_of", "load_embedder", "read_card"]

T = TypeVar("T")
BATCH = 64  # crops a forward pass: batches of 128 and more do not fit the cache and are slower
BATCH_GPU = 1024  # faces a forward pass on a GPU


class Embedder(Protocol):
    """The interface of a model for the embed stage."""

    card: Card

    def embed(self, crops: NDArray[np.uint8], *, mirror: bool = True) -> NDArray[np.float32]:
        """Aligned faces (n, 112, 112, 3) RGB 0..255 -> (n, dim), rows of length 1; `mirror` adds the mirrored face's vector."""
        ...


def best_device(wanted: str = "auto") -> str:
    """ "auto" -> "cuda" if there is a GPU, else "cpu"; any other value is checked and returned."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(f"expected a CUDA device for --device {wanted}, found none: use --device cpu, or see 'facecluster doctor'")
    return wanted


def batch_of(device: str) -> int:
    """How many crops a device should get at once."""
    return BATCH if device == "cpu" else BATCH_GPU


def has_bf16(device: str) -> bool:
    """Whether the hardware has bfloat16 arithmetic, so that it is faster."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    mkldnn: Any = torch.backends.mkldnn  # has no type hints
    return bool(mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported() and _avx512_bf16())


def _avx512_bf16() -> bool:
    test = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(test and test())


def replaced_weights(path: Path, sha256: str) -> Path:
    """Where the weights of a card lie while new ones are at `path` and the new card is not in its place yet."""
    return path.with_name(f"{path.stem}-{sha256[:16]}{path.suffix}")


def load_weights(path: Path, sha256: str) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file as float32. Raises ModelError unless the file, or what it replaced, has this SHA-256."""
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256 and replaced_weights(path, sha256).is_file():
            path = replaced_weights(path, sha256)
            data = path.read_bytes()
    except OSError as e:
        raise ModelError(f"expected model weights at {path}, found: {e.strerror}. Install facecluster again") from e
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelError(f"expected weights with SHA-256 {sha256[:12]}..., found others in {path}: install facecluster again")
    try:
        return {k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()}
    except SafetensorError as e:
        raise ModelError(f"expected a safetensors file, found {path}: {e}. Install facecluster again") from e


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Fold every batch norm into the convolution before it, in place: the same function with fewer passes over memory."""
    for child in model.children():
        if isinstance(child, nn.Sequential):
            for i in range(len(child) - 1):
                convolution, norm = child[i], child[i + 1]
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    child[i] = fuse_conv_bn_eval(convolution, norm)
                    child[i + 1] = nn.Identity()
        fold_batch_norm(child)
    return model


class AttentionModel:
    """An embedder of torch, ready to run: with folded batch norms, in 8-bit integers or bfloat16 if card and hardware have them."""

    def __init__(self, network: AttentionEmbedder | vit.VisionTransformer, card: Card, device: str = "cpu") -> None:
        """Changes `network` in place."""
        self.card = card
        self.device = best_device(device)
        self.dtype = torch.bfloat16 if has_bf16(self.device) else torch.float32
        folded = fold_batch_norm(network.eval())
        self.arithmetic = str(self.dtype).removeprefix("torch.")
        self.run: Callable[[torch.Tensor], torch.Tensor]  # faces (n, 3, 112, 112) uint8 -> vectors
        if isinstance(network, AttentionEmbedder) and self.device == "cpu" and card.ranges and multiplication():
            self.arithmetic = f"int8 and {self.arithmetic}"
            self.run = Int8Embedder(network, card.ranges, self.dtype)
        else:
            floats = folded.to(self.device, self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.run = lambda images: floats(images.to(self.dtype))
        self.batch = batch_of(self.device)

    @torch.inference_mode()
    def embed(self, crops: NDArray[np.uint8], *, mirror: bool = True) -> NDArray[np.float32]:
        if crops.ndim != 4 or crops.shape[1:] != (CROP, CROP, 3) or crops.dtype != np.uint8:
            raise ValueError(f"expected crops (n, {CROP}, {CROP}, 3) uint8, found {crops.shape} {crops.dtype}")
        out = np.zeros((len(crops), self.card.dim), dtype=np.float32)
        if self.device != "cpu" and len(crops):
            halved = HalvedBatches(partial(self.vectors, mirror=mirror))
            found = run_batches(halved, crops, self.batch, self.device)
            self.batch = min(self.batch, halved.rows(crops[0].size))
            return found
        for i in range(0, len(crops), BATCH):
            x = torch.from_numpy(np.ascontiguousarray(crops[i : i + BATCH])).to(self.device).permute(0, 3, 1, 2)
            y = self.run(x).float()
            if mirror:
                y = y + self.run(x.flip(3)).float()
            out[i : i + BATCH] = torch.nn.functional.normalize(y).cpu().numpy()
        return out

    def vectors(self, crops: torch.Tensor, *, mirror: bool = True) -> torch.Tensor:
        """As `embed`, in one forward pass: crops (n, 112, 112, 3) uint8 on the device -> float32 vectors (n, dim) there."""
        x = crops.permute(0, 3, 1, 2)
        y = self.run(torch.cat((x, x.flip(3))) if mirror else x).float()
        return torch.nn.functional.normalize(y[: len(x)] + y[len(x) :] if mirror else y)


@lru_cache(maxsize=4)
def load_embedder(model: str = "bundled", device: str = "auto") -> Embedder:
    """Load an embedder; cached for the process. Raises ModelError if it can't be loaded."""
    path = card_path(model)
    card = read_card(path)
    if card.input is not None:
        return OnnxEmbedder(path, card, best_device(device))
    return _fitting(path, lambda: AttentionModel(_network(path, card), card, device))


def load_network(model: str = "bundled") -> AttentionEmbedder | vit.VisionTransformer | None:
    """The network of an embedder in float32, ready to be looked into; None: an ONNX file. Raises ModelError if it can't be loaded."""
    path = card_path(model)
    card = read_card(path)
    return None if card.input is not None else _fitting(path, lambda: _network(path, card).eval())


def network_of(path: Path, card: Card) -> AttentionEmbedder | vit.VisionTransformer:
    """The network of a card at `path` in float32, its batch norms as they are. Raises ModelError if it can't be loaded."""
    if card.input is not None:
        raise ModelError(f"expected a model of torch, found an ONNX file beside {path}: choose one in safetensors")
    return _fitting(path, lambda: _network(path, card))


def _network(path: Path, card: Card) -> AttentionEmbedder | vit.VisionTransformer:
    weights = load_weights(path.with_suffix(".safetensors"), card.sha256)
    if card.settings.get("kind") == vit.KIND:
        if weights["head.weight"].shape[0] != card.dim:
            raise ValueError(f"vectors of {weights['head.weight'].shape[0]} numbers, not {card.dim}")
        return vit.VisionTransformer.from_weights(weights)
    network = AttentionEmbedder(dim=card.dim, **card.settings)
    network.load_state_dict(weights)
    return network


def _fitting(path: Path, make: Callable[[], T]) -> T:
    """What `make` gives. Raises ModelError if weights and card do not fit each other."""
    try:
        return make()
    except (RuntimeError, TypeError, KeyError, ValueError) as e:
        raise ModelError(f"expected weights and ranges that fit the card {path}, found: {str(e).splitlines()[0]}") from e
