"""Pictures of synthetic people, and tiny networks with cards, for the tests of training."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.onnx_session import sha256_of
from facecluster.models.toml_text import to_toml
from facecluster.training.faces import LearningFaces
from facecluster.training.networks import named_weights, save
from facecluster.training.recipe import read_recipe

TINY = {"width": 64, "depth": 1, "heads": 1, "mlp_ratio": 1, "parts": 32, "inner": [0, 0, 0]}
DIM = 16


def picture(person: int, face: int) -> np.ndarray:
    """A face (112, 112, 3): a smooth picture of its person, in another light each time."""
    small = np.random.default_rng(person).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    rng = np.random.default_rng((person, face))
    pixels = np.asarray(Image.fromarray(small).resize((112, 112), Image.Resampling.BICUBIC), np.float64)
    return (pixels * rng.uniform(0.7, 1.1) + rng.normal(0, 12, (112, 112, 1))).clip(0, 255).astype(np.uint8)


def coded(pixels: np.ndarray, form: str = "WEBP") -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


def faces(sizes: Sequence[int], unnamed: int = 0) -> LearningFaces:
    """Faces of people p00, p01, ..., and some of nobody."""
    crops = [coded(picture(p, i)) for p, n in enumerate(sizes) for i in range(n)] + [coded(picture(900 + i, 0)) for i in range(unnamed)]
    names: list[str | None] = [f"p{p:02d}" for p, n in enumerate(sizes) for _ in range(n)]
    return LearningFaces(crops, names + [None] * unnamed, "synthetic pictures")


def tiny_model(folder: Path, name: str = "tiny") -> str:
    """The card of a tiny network of the bundled architecture with random weights."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    card = folder / f"{name}.toml"
    save(named_weights(AttentionEmbedder(dim=DIM, **TINY)), card.with_suffix(".safetensors"))
    sections = {
        "model": {"name": name, "dim": DIM, "sha256": sha256_of(card.with_suffix(".safetensors")), "licence": "test"},
        "network": TINY, "reading": {"slope": 10.0, "intercept": -5.0, "impostor_mean": 0.1, "impostor_sd": 0.2},
    }  # fmt: skip
    card.write_text(to_toml(sections), encoding="utf-8")
    return str(card)


def distillation(folder: Path) -> list[str]:
    """Faces, of which one is damaged, a small teacher and tiny weights: options of workflows/train_embedder_gpu.py."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
    import onnx_files

    sys.path.pop(0)
    recipe = read_recipe("bundled")
    names = (recipe["map7"], recipe["map14"])
    onnx_files.convolutions(folder / "teacher.onnx", parts=int(TINY["parts"]), channels=6, dim=DIM, names=names)
    torch.manual_seed(0)
    save(named_weights(AttentionEmbedder(dim=DIM, **TINY)), folder / "init.safetensors")
    shown = [(p, i) for p in range(30) for i in range(2)]
    people = [f"p{p:02d}" if p < 20 else None for p, _ in shown]
    crops = [coded(picture(p, i)) for p, i in shown[:-1]] + [b"no picture"]
    sources = ["pins" if person else "other" for person in people]
    pq.write_table(pa.table({"source": sources, "subject": people, "crop": crops}), folder / "faces.parquet")
    words = ["--faces", "faces.parquet", "--teacher", "teacher.onnx", "--init", "init.safetensors"]
    return [str(folder / word) if "." in word else word for word in words] + ["--batch", "8"]
