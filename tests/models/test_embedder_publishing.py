"""Publishing an embedder: the card that is written is the one that is read, with its recognisability, however often that is put in."""

from __future__ import annotations

import argparse
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.recognisability import Recognisability
from facecluster.models.registry import Card, read_card

WORKFLOWS = Path(__file__).parents[2] / "workflows"


def test_the_card_that_is_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in ("onnx", "onnxruntime", "cv2"):
        pytest.importorskip(needed, reason="needs the dependency group 'train'")
    monkeypatch.syspath_prepend(str(WORKFLOWS))
    import embedder_recognisability
    import publish_embedder

    faces, path = tmp_path / "faces.parquet", tmp_path / "card.toml"
    pq.write_table(pa.table({"source": ["pins", "pins", "masked"]}), faces)
    network = AttentionEmbedder(width=64, depth=1, heads=1, mlp_ratio=2, parts=64)
    card = Card(
        name="mine", dim=128, sha256="00", licence="Apache-2.0", slope=20.5, intercept=-3.25, impostor_mean=0.0125, impostor_sd=0.11,
        settings={k: v for k, v in network.settings.items() if k != "dim"}, ranges={"stem.0": [0.0, 1.5]},
    )  # fmt: skip
    args = argparse.Namespace(faces=faces, more=[faces], recipe="a few steps")
    path.write_text(publish_embedder.text(card, network, 0.912345, args), encoding="utf-8")
    assert read_card(path) == card
    clear = Recognisability(tuple(np.round(np.random.default_rng(0).normal(size=128), 3).tolist()), 2.5)
    for first in (replace(clear, intercept=1.5), clear):  # a second one takes the place of the first
        embedder_recognisability.write_section(path, embedder_recognisability.section(first, {"clean below .5": 0.01}))
    conditions = {
        "clean": {"tar": 0.7, "cosine_to_teacher": 0.9}, "40 px": {"tar": 0.6, "cosine_to_teacher": 0.8},
        "children": {"pairs_accepted": 0.3}, "two of pins": {"pairs_accepted": 0.1},
    }  # fmt: skip
    with path.open("a", encoding="utf-8") as file:
        file.write(publish_embedder.accuracy_section(conditions, {name: {"tar": 0.81, "pairs_accepted": 0.39} for name in conditions}))
    assert read_card(path) == replace(card, recognisability=clear)
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    assert raw["accuracy"] == {
        "clean": {"tar": 0.7, "teacher": 0.81, "cosine_to_teacher": 0.9}, "40 px": {"tar": 0.6, "teacher": 0.81, "cosine_to_teacher": 0.8},
        "children": {"pairs_accepted": 0.3, "teacher": 0.39},
    }  # fmt: skip
    assert "pins 4, masked 2" in raw["training"]["data"] and raw["training"]["held_out_cosine"] == 0.9123
    assert "commercial users" in raw["training"]["lineage"].lower()
