"""The embedder's training recipes: pruning takes what says least, a run learns, stops and goes on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from facecluster.models.embedder import AttentionEmbedder

WORKFLOWS = Path(__file__).parents[2] / "workflows"
SMALL = dict(width=64, depth=1, heads=1, mlp_ratio=2, parts=64)


@pytest.fixture(scope="module")
def recipes() -> Iterator[SimpleNamespace]:
    sys.path.insert(0, str(WORKFLOWS))
    import embedder_faces
    import prune_embedder

    yield SimpleNamespace(faces=embedder_faces, prune=prune_embedder)
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


def test_a_pair_can_be_left_out(recipes: SimpleNamespace) -> None:
    network = AttentionEmbedder(**SMALL).eval()
    with torch.no_grad():  # a pair that adds nothing: its last batch norm gives 0
        network.stem[1].body[1][1].weight.zero_()
        network.stem[1].body[1][1].bias.zero_()
    smaller = AttentionEmbedder.from_weights(recipes.prune.prune(network, pictures(2), [0, 128, 128], 2)).eval()
    assert torch.allclose(smaller(pictures(2)), network(pictures(2)), atol=1e-5)


@pytest.fixture
def train(recipes: SimpleNamespace) -> SimpleNamespace:
    pytest.importorskip("onnxruntime", reason="needs the 'train' dependency group (onnx, onnxruntime)")
    import train_embedder

    return SimpleNamespace(**vars(train_embedder))


def test_a_deeper_network_starts_as_the_same_function(train: SimpleNamespace) -> None:
    torch.manual_seed(0)
    network = AttentionEmbedder(**SMALL | {"depth": 2}).eval()
    grown = train.grow(network, 5).eval()
    assert grown.settings["depth"] == 5 and torch.allclose(grown(pictures(2)), network(pictures(2)), atol=1e-5)
    grown(pictures(2)).sum().backward()
    added = [b for b in grown.blocks if not b.mlp[2].weight.any()]
    assert len(added) == 3 and all(b.mlp[2].weight.grad.any() for b in added)  # and they can learn


def test_steps_are_those_of_torchs_muon(train: SimpleNamespace) -> None:
    g = torch.Generator().manual_seed(0)
    mine = [torch.nn.Parameter(torch.randn(*shape, generator=g)) for shape in ((24, 48), (48, 24))]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in mine]
    one = train.Muon(mine, lr=1e-2, weight_decay=0.05)
    other = torch.optim.Muon(theirs, lr=1e-2, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        for a, b in zip(mine, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=g)
            b.grad = a.grad.clone()
        one.step()
        other.step()
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(mine, theirs, strict=True))  # torch's iterates in bfloat16


def test_a_training_learns_stops_and_goes_on(recipes: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason="needs the 'train' dependency group (onnx, onnxruntime)")
    import train_embedder

    monkeypatch.setattr(torch, "compile", lambda model: model)
    monkeypatch.setattr(train_embedder, "AttentionEmbedder", lambda: AttentionEmbedder(**SMALL | {"parts": 512}))
    g = torch.Generator().manual_seed(0)
    told = (torch.randn(8, 128, generator=g), torch.rand(8, 49, 512, generator=g) * 6, torch.randn(8, 128, 14, 14, generator=g))
    args = argparse.Namespace(init=None, out=tmp_path, minutes=10, fall=0.5, muon=3e-3, adamw=2e-3, depth=None, average=0.9)
    run = train_embedder.Run(args)
    losses = [run.learn(pictures(8), told, 0.4) for _ in range(12)]
    assert losses[-1]["cosine"] < 0.7 * losses[0]["cosine"] and losses[-1]["map7"] < losses[0]["map7"]
    run.save()
    again = train_embedder.Run(args)
    assert again.step == 12 and again.spent >= run.spent_before
    before, after = run.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert all(torch.equal(v, again.mean.state_dict()[k]) for k, v in run.mean.state_dict().items())
    assert AttentionEmbedder.from_weights(load_file(tmp_path / "embedder.safetensors")).settings["parts"] == 512
