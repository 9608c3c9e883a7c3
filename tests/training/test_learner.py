"""One step: two processes give the gradient of one on the same batch; names of nobody; a teacher; frozen norms."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_faces import faces, tiny_model

from facecluster.errors import EngineError
from facecluster.models.vit import VisionTransformer
from facecluster.training import networks
from facecluster.training.config import TrainConfig
from facecluster.training.faces import part
from facecluster.training.learner import Learner, likeness_loss
from facecluster.training.processes import World, joined, start

SIZES = [4, 3, 3, 2]


def learner(world: World, **given: Any) -> Learner:
    """A learner of a tiny vision transformer, which has no batch norms."""
    networks.TINY |= {"width": 64, "depth": 1, "mlp_ratio": 1, "patch": 28, "dim": 8}
    usual = {"network": "vit", "batch": 8, "augment": False, "steps": 1, "loss": "adaface", "partial": 0.5, "hold_out": 0}
    usual["bf16"] = False
    config = TrainConfig(**usual | given)
    some = faces(SIZES, unnamed=2)
    return Learner(config, some, part(some, 0.0, 0, unnamed=True), world, "cpu")


def gradients(found: Learner) -> dict[str, torch.Tensor]:
    _, rows, centres = found.backward(*found.batch())
    assert centres is not None
    network = {name: p.grad.clone() for name, p in found.network.named_parameters() if p.grad is not None}
    return network | {"rows": rows.double(), "centres": centres, "mean": found.margin.mean, "sd": found.margin.sd}


def work(out: str) -> None:
    with joined("cpu") as world:
        torch.save(gradients(learner(world)), f"{out}/{world.rank}.pt")


def fail(out: str) -> None:
    raise ValueError("no such thing")


def test_two_processes_give_the_gradient_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "TINY", dict(networks.TINY))
    start(work, (str(tmp_path),), 2)
    alone = gradients(learner(World()))
    for rank in range(2):
        both = torch.load(tmp_path / f"{rank}.pt")
        assert both.keys() == alone.keys() and len(alone) > 15
        assert [k for k in alone if not torch.allclose(both[k], alone[k], rtol=1e-3, atol=1e-5)] == []
    assert any(float(v.abs().max()) > 1e-3 for v in alone.values()) and "RANK" not in os.environ


def test_a_process_that_fails_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="1 processes learn together, found: ValueError: no such thing"):
        start(fail, (str(tmp_path),), 1)


def test_what_is_kept_for_replay_is_shared_by_the_processes(tmp_path: Path) -> None:
    config = TrainConfig(init=tiny_model(tmp_path), teacher=tiny_model(tmp_path), steps=1, reuse=2, replay=9, hold_out=0)
    some, world = faces(SIZES), World()
    sizes = {}
    for world.size in (1, 2, 20):
        world.wrap = lambda network: network  # type: ignore[method-assign]
        found = Learner(config, some, part(some, 0.0, 0), world, "cpu").replay
        assert found is not None
        sizes[world.size] = found.size
    assert sizes == {1: 9, 2: 4, 20: 1}


def test_faces_of_nobody_have_no_loss_with_a_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "TINY", dict(networks.TINY))
    found = learner(World(), loss="cosface", partial=1.0)
    images, _, _ = found.batch()
    labels = torch.tensor([0, 1, 2, 3, -1, -1, -1, -1])
    with_nobody = found.backward(images, labels, None)[0]["margin"]
    named = found.backward(images[:4], labels[:4], None)[0]["margin"]
    assert with_nobody == pytest.approx(named / 2, rel=1e-4)


def test_a_teacher_is_followed(tmp_path: Path) -> None:
    teacher = tiny_model(tmp_path)
    some = faces(SIZES)
    config = TrainConfig(init=teacher, teacher=teacher, loss="none", batch=8, steps=1, augment=False, freeze_norms=True, hold_out=0)
    found = Learner(config, some, part(some, 0.0, 0), World(), "cpu")
    before = {k: v.clone() for k, v in found.network.state_dict().items() if "running" in k}
    assert found.learn(1.0)["teacher"] < 1e-4  # it is its own teacher; the weights are float16, the arithmetic may be another
    assert all(torch.equal(v, found.network.state_dict()[k]) for k, v in before.items()) and before
    a, b = torch.eye(2, 3), torch.eye(2, 3).flip(0)
    assert float(likeness_loss(a, a)) == 0 and float(likeness_loss(a, b)) == 1
    assert float(likeness_loss(a, torch.ones(2, 5))) == pytest.approx(2 * 0.5)  # of another length: the cosines between the faces alone


def test_first_centres_are_the_peoples_means_by_weights_that_know_something(tmp_path: Path) -> None:
    some = faces(SIZES)
    config = TrainConfig(init=tiny_model(tmp_path), batch=8, steps=1, hold_out=0, bf16=False)
    found = Learner(config, some, part(some, 0.0, 0), World(), "cpu")
    network = found.network.eval()
    with torch.inference_mode():
        vectors = torch.nn.functional.normalize(network(networks.images_of(torch.from_numpy(some.take(np.arange(len(some)))))))
    for person in range(len(SIZES)):
        mean = vectors[torch.from_numpy(some.label == person)].sum(dim=0)
        assert torch.allclose(found.centres.weight[person], mean / mean.norm(), atol=0.02)  # bfloat16, where the hardware has it


def test_a_vision_transformer_is_that_of_the_hub() -> None:
    network = networks.build("vit")
    assert isinstance(network, VisionTransformer) and networks.dim_of(network) == 512
    assert sum(p.numel() for p in network.parameters()) == 5_512_640
    weights = networks.named_weights(network)
    assert len(weights) == 152 and "blocks.11.attn.proj.bias" in weights
    again = networks.from_weights(weights)
    assert networks.settings_of(again) == {"kind": "vit"}
    x = torch.rand(1, 3, 112, 112) * 255
    assert torch.allclose(again(x), network(x), atol=0.02)
