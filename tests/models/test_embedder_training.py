"""The embedder's training recipes: its data set, pruning takes what says least, a checkpoint of the earlier script goes on."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from facecluster.models.embedder import AttentionEmbedder
from facecluster.training.faces import part
from facecluster.training.networks import build
from facecluster.training.read_faces import read_faces

WORKFLOWS = Path(__file__).parents[2] / "workflows"
SMALL = dict(width=64, depth=1, heads=1, mlp_ratio=2, parts=64)


@pytest.fixture(scope="module")
def recipes() -> Iterator[SimpleNamespace]:
    sys.path.insert(0, str(WORKFLOWS))
    import embedder_faces
    import older_checkpoint
    import prune_embedder

    yield SimpleNamespace(faces=embedder_faces, prune=prune_embedder, older=older_checkpoint)
    sys.path.remove(str(WORKFLOWS))


def pictures(n: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 255, (n, 3, 112, 112))).float()


def test_a_network_is_known_by_its_weights() -> None:
    network = AttentionEmbedder(**SMALL, inner=(0, 32, 16)).eval()
    again = AttentionEmbedder.from_weights(network.state_dict()).eval()
    assert again.settings == network.settings
    assert torch.equal(again(pictures(2)), network(pictures(2)))


def test_pruning_silent_channels_changes_nothing(recipes: SimpleNamespace) -> None:
    torch.manual_seed(0)
    network = AttentionEmbedder(**SMALL).eval()
    with torch.no_grad():
        for at, heard in ((3, 48), (4, 96)):  # all but `heard` of the inner channels say nothing, or are not read
            body = network.stem[at].body
            body[1][0].weight[:, heard:] = 0
        network.blocks[0].mlp[0].bias[64:] = -100
    pruned = recipes.prune.prune(network, pictures(4), [64, 48, 96], 1)
    smaller = AttentionEmbedder.from_weights(pruned).eval()
    assert smaller.settings["inner"] == [64, 48, 96] and smaller.settings["mlp_ratio"] == 1
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in network.parameters())
    other = pictures(6)[4:]
    assert torch.allclose(smaller(other), network(other), atol=1e-5)
    fewer = AttentionEmbedder.from_weights(recipes.prune.prune(network, pictures(4), [64, 8, 96], 1)).eval()
    assert not torch.allclose(fewer(other), network(other), atol=1e-5)


def test_a_pruned_network_is_one_to_start_from(recipes: SimpleNamespace, tmp_path: Path) -> None:
    network = AttentionEmbedder(width=64, depth=1, heads=1, mlp_ratio=2, parts=64).eval()
    state = recipes.prune.prune(network, pictures(2), [0, 32, 64], 1)
    smaller = recipes.prune.write(state, tmp_path / "runs" / "pruned.safetensors").eval()
    begun = build("hybrid", str(tmp_path / "runs" / "pruned.toml")).eval()
    with torch.no_grad():
        torch.testing.assert_close(begun(pictures(2)), smaller(pictures(2)), rtol=0.02, atol=0.02)  # stored in float16


def test_a_pair_can_be_left_out(recipes: SimpleNamespace) -> None:
    network = AttentionEmbedder(**SMALL).eval()
    with torch.no_grad():  # a pair that adds nothing: its last batch norm gives 0
        network.stem[1].body[1][1].weight.zero_()
        network.stem[1].body[1][1].bias.zero_()
    smaller = AttentionEmbedder.from_weights(recipes.prune.prune(network, pictures(2), [0, 128, 128], 2)).eval()
    assert torch.allclose(smaller(pictures(2)), network(pictures(2)), atol=1e-5)


def crop(seed: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)).resize((112, 112)).save(out, "WEBP")
    return out.getvalue()


def test_a_data_set_holds_people_and_strangers_out(recipes: SimpleNamespace, tmp_path: Path) -> None:
    names = [f"pin {i:02d}" for i in range(20)] * 2 + [None] * 61
    table = pa.table({"source": ["pins"] * 40 + ["other"] * 61, "subject": names, "crop": [crop(i) for i in range(101)]})
    pq.write_table(table, tmp_path / "faces.parquet")
    pq.write_table(pa.table({"source": ["x", "x"], "subject": ["pin 00", "Ann"], "crop": [crop(7), crop(8)]}), tmp_path / "more.parquet")
    picture = {"source": ["groups/a", "b"], "image": [crop(9)] * 2, "boxes": [[[0, 0, 60, 60], [0, 0, 9, 9]], [[0, 0, 60, 60]]]}
    eyes = recipes.faces.TEMPLATE.ravel().tolist()
    pq.write_table(pa.table(picture | {"landmarks": [[eyes, eyes], [eyes]]}), tmp_path / "photos.parquet")
    out = tmp_path / "set"
    recipes.faces.write_data_set(out, tmp_path / "faces.parquet", [tmp_path / "more.parquet"], tmp_path / "photos.parquet")
    found = read_faces(str(out))
    parts = part(found, 0.1, 0, min_faces=1, unnamed=True)
    assert {found.names[i] for i in found.label[parts.held_out]} == {"pin 00", "pin 18"} and len(parts.held_out) == 5  # one is in `more`
    assert len(parts.strangers) == 4 and len(parts.learn) == 101 - 4 - 4 + 1 + 1 == len(found) - 9
    crops, held = recipes.faces.load_faces(tmp_path / "faces.parquet")
    assert held.sum() == 8 and crops.shape == (101, 112, 112, 3)
    aligned = found.take(np.flatnonzero(found.label == -1))[-1:]  # the group photo's face, whose landmarks are those of the template
    files = sorted(p.name for p in out.iterdir())
    assert files == ["train-faces.parquet", "train-groups.parquet", "train-more-0.parquet", "val-faces.parquet"] and aligned.std() > 0
    before = {p: p.stat().st_mtime_ns for p in out.iterdir()}
    recipes.faces.write_data_set(out, tmp_path / "faces.parquet")
    assert {p: p.stat().st_mtime_ns for p in out.iterdir()} == before
