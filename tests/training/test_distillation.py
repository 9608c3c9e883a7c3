"""Learning from a teacher: its maps inside, replay, a network that is made deeper, recipes, and going on from earlier checkpoints."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from people_store import call, refused
from training_faces import DIM, TINY, coded, faces, picture, tiny_model

from facecluster.errors import InputError, ModelError
from facecluster.models.card import read_toml
from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.onnx_session import sha256_of
from facecluster.models.toml_text import to_toml
from facecluster.training import learner, networks, optimisers
from facecluster.training.config import TrainConfig
from facecluster.training.faces import LearningFaces, part
from facecluster.training.learner import Learner
from facecluster.training.log import read_log
from facecluster.training.loop import CHECKPOINT, learn, read_checkpoint
from facecluster.training.optimisers import Muon
from facecluster.training.processes import World
from facecluster.training.recipe import read_recipe
from facecluster.training.replay import Replay
from facecluster.training.student import compiled, map_losses
from facecluster.training.train import parts_of

ROOT = Path(__file__).parents[2]
MAPS = {"map7": "/seven", "map14": "/fourteen"}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The card of a teacher in an ONNX file with values inside."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    sys.path.insert(0, str(ROOT / "tests" / "models"))
    import onnx_files

    sys.path.pop(0)
    path = tmp_path_factory.mktemp("teacher") / "wise.onnx"
    onnx_files.teacher(path, parts=int(TINY["parts"]), channels=6, dim=DIM)
    about = {"name": "wise", "dim": DIM, "sha256": sha256_of(path), "licence": "test", "format": "onnx"}
    text = to_toml({"model": about, "input": {"colour": "RGB", "mean": 127.5, "std": 127.5}})
    path.with_suffix(".toml").write_text(text, encoding="utf-8")
    return str(path.with_suffix(".toml"))


@pytest.fixture
def config(tmp_path: Path, teacher: str) -> TrainConfig:
    return TrainConfig(
        init=tiny_model(tmp_path / "init"), teacher=teacher, loss="none", batch=8, steps=8, minutes=None, rate=2e-3, bf16=False, hold_out=0,
        min_faces=1, **MAPS,
    )  # fmt: skip


def test_losses_are_those_of_the_formulas(config: TrainConfig) -> None:
    """Against float64: 1 - cosine + 2 * error of the cosines, and both maps' errors over their variance, weighted."""
    some = faces([3, 3], unnamed=2)
    found = Learner(replace(config, map7_weight=3.0), some, parts_of(some, config), World(), "cpu")
    images, labels, told = found.batch()
    said, _, centres = found.backward(images, labels, told)
    network = found.network
    assert isinstance(network, AttentionEmbedder) and centres is None and found.student.adapt is not None
    with torch.no_grad():  # batch norms by the batch, as in training
        stem, parts = network.features(images)
        mine, adapted = network.pool(parts).double().numpy(), found.student.adapt(stem).double().numpy()
    theirs, map7, map14 = (value.double().numpy() for value in told)
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (mine, theirs))
    assert said["teacher"] == pytest.approx(1 - (a * b).sum(axis=1).mean() + 2 * ((a @ a.T - b @ b.T) ** 2).mean(), rel=1e-4)
    flat = map7.reshape(*map7.shape[:2], 49).transpose(0, 2, 1)
    assert said["map7"] == pytest.approx(3 * ((parts.double().numpy() - flat) ** 2).mean() / map7.var(ddof=1), rel=1e-4)
    assert said["map14"] == pytest.approx(0.1 * ((adapted - map14) ** 2).mean() / map14.var(ddof=1), rel=1e-4)
    assert said["loss"] == pytest.approx(said["teacher"] + said["map7"] + said["map14"], rel=1e-5)
    grown = [p.grad for p in found.student.adapt.parameters()]
    assert all(g is not None and bool(g.any()) for g in grown)
    moved = found.student.adapt.weight.detach().clone()
    found.learn(1.0)
    assert not torch.equal(found.student.adapt.weight, moved)
    assert map_losses([torch.zeros(1, 49, 2)], [torch.tensor([1.0, -1.0]).repeat(49).view(1, 2, 7, 7)])[0] == pytest.approx(1.0, rel=0.02)


def test_a_network_learns_what_its_teacher_says_and_goes_on(tmp_path: Path, config: TrainConfig) -> None:
    some = faces([6, 6, 6], unnamed=6)
    config = replace(config, reuse=3, replay=40, hold_out=0.4, steps=40, rate=1e-2, fall=0.0)
    parts = parts_of(some, config)
    learn(replace(config, steps=25), some, parts, tmp_path)
    before = read_checkpoint(tmp_path / CHECKPOINT)
    learn(replace(config, replay=20), some, parts, tmp_path)  # with less memory: that goes on
    rows = read_log(tmp_path / "log.csv")
    assert int(rows[-1]["step"]) == 40 and {row["rate"] for row in rows[1:]} == {"1"}
    for name in ("teacher", "map7", "map14"):
        assert 0 < float(rows[-1][name]) < 0.9 * float(rows[0][name])
    held = [float(row["held_out_cosine"]) for row in rows if row["held_out_cosine"]]
    assert -1 <= held[0] < held[-1] <= 1
    after = read_checkpoint(tmp_path / CHECKPOINT)
    assert before["step"] == 25 and after["step"] == 40 and not torch.equal(before["adapt"]["weight"], after["adapt"]["weight"])


def test_what_maps_cannot_be(config: TrainConfig, tmp_path: Path) -> None:
    some = faces([3, 3])
    def make(**given: Any) -> Learner:
        changed = replace(config, **given)
        return Learner(changed, some, parts_of(some, changed), World(), "cpu")

    with pytest.raises(InputError, match=r"expected values \(32, 7, 7\) of the teacher for map7, found \(6, 14, 14\)"):
        make(map7="/fourteen")
    with pytest.raises(InputError, match=r"expected values \(channels, 14, 14\) of the teacher for map14, found \(32, 7, 7\)"):
        make(map14="/seven")
    with pytest.raises(ModelError, match="expected a value '/nine' in the graph"):
        make(map7="/nine")
    with pytest.raises(ModelError, match="expected a teacher in an ONNX file for its inner maps"):
        make(teacher=tiny_model(tmp_path))
    with pytest.raises(InputError, match="expected the hybrid network for map7"):
        make(init=None, network="vit")
    with pytest.raises(InputError, match="expected a teacher for map7"):
        TrainConfig(map7="/seven")


def test_faces_that_the_teacher_saw_come_again() -> None:
    kept, g = Replay(6), torch.Generator().manual_seed(0)
    for i in range(4):  # the last six of eight
        images = torch.full((2, 3, 112, 112), 10.0 * i) + torch.arange(2).view(2, 1, 1, 1)
        kept.add(images, torch.tensor([2 * i, 2 * i + 1]), [torch.full((2, 4), float(i)), torch.full((2, 1, 7, 7), i / 3)])
    images, labels, (vectors, maps) = kept.draw(200, g)
    assert set(labels.tolist()) == {2, 3, 4, 5, 6, 7} and images.dtype == vectors.dtype == maps.dtype == torch.float32
    assert torch.equal(images[:, 0, 0, 0], 10.0 * (labels // 2) + labels % 2) and torch.equal(vectors[:, 0], (labels // 2).float())
    assert torch.allclose(maps[:, 0, 0, 0], (labels // 2) / 3, atol=1e-3)


def test_the_teacher_is_asked_as_often_as_the_recipe_says(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    some = faces([5, 5])
    config = replace(config, batch=2, reuse=3, replay=100)
    found = Learner(config, some, parts_of(some, config), World(), "cpu")
    assert found.teacher is not None
    asked: list[int] = []
    look = found.teacher.look
    monkeypatch.setattr(found.teacher, "look", lambda crops: (asked.append(found.step), look(crops))[1])
    for _ in range(16):
        found.learn(1.0)
    assert asked == [0, 1, 2, 3, 4, 5, 6, 7, 9, 12, 15]  # eight batches first, then every third step


def test_nobody_needs_a_name_to_learn_from_a_teacher_alone(config: TrainConfig) -> None:
    pixels = [coded(picture(i, 0)) for i in range(6)]
    some = LearningFaces(pixels, [None] * 6, "nameless", strangers=[True, *[False] * 5])
    parts = parts_of(some, config)
    assert parts.learn.tolist() == [1, 2, 3, 4, 5] and parts.strangers.tolist() == [0] and parts.people == []
    assert Learner(config, some, parts, World(), "cpu").learn(1.0)["teacher"] > 0
    few = replace(config, partial=0.5)
    assert Learner(few, some, parts, World(), "cpu").learn(1.0)["teacher"] > 0
    with pytest.raises(InputError, match="two people or more"):
        parts_of(some, replace(config, loss="cosface"))
    with pytest.raises(InputError, match="that are not held out"):
        part(LearningFaces(pixels, [None] * 6, "nameless", strangers=[True] * 6), 0.1, 0, unnamed=True, least=0)


def test_a_deeper_network_starts_as_the_same_function(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pictures = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (2, 3, 112, 112))).float()
    network = AttentionEmbedder(width=64, depth=2, heads=1, mlp_ratio=2, parts=64).eval()
    grown = networks.grow(network, 5).eval()
    assert grown.settings["depth"] == 5 and torch.allclose(grown(pictures), network(pictures), atol=1e-5)
    grown(pictures).sum().backward()
    added = [b for b in grown.blocks if not b.mlp[2].weight.any()]
    assert len(added) == 3 and all(b.mlp[2].weight.grad.any() for b in added)  # and they can learn
    with pytest.raises(InputError, match="expected a depth of 2 or more"):
        networks.grow(network, 1)
    built = networks.build("hybrid", tiny_model(tmp_path), 3)
    assert isinstance(built, AttentionEmbedder) and built.settings["depth"] == 3
    with pytest.raises(InputError, match="expected the hybrid network"):
        networks.build("vit", None, 3)


def test_steps_are_those_of_torchs_muon() -> None:
    g = torch.Generator().manual_seed(0)
    mine = [torch.nn.Parameter(torch.randn(*shape, generator=g)) for shape in ((24, 48), (48, 24))]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in mine]
    one = Muon(mine, lr=1e-2, weight_decay=0.05)
    other = torch.optim.Muon(theirs, lr=1e-2, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        for a, b in zip(mine, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=g)
            b.grad = a.grad.clone()
        one.step()
        other.step()
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(mine, theirs, strict=True))  # torch's iterates in bfloat16


def test_steps_are_those_of_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, matrix by matrix; and matrices of one shape together, as on a GPU."""
    monkeypatch.setattr(optimisers, "has_bf16", lambda device: False)
    g = torch.Generator().manual_seed(0)
    shapes = ((24, 48), (48, 24), (24, 48), (32, 32), (48, 24))
    mine = [torch.nn.Parameter(torch.randn(*shape, generator=g)) for shape in shapes]
    wanted, means = [p.detach().double() for p in mine], [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
    muon = Muon(mine, lr=1e-2, weight_decay=0.05)
    for _ in range(3):
        for i, p in enumerate(mine):
            p.grad = torch.randn(p.shape, generator=g)
            means[i] += 0.05 * (p.grad.double() - means[i])
            x = 0.05 * p.grad.double() + 0.95 * means[i]
            x = x / x.norm()
            for _ in range(5):
                gram = x @ x.T
                x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
            wanted[i] = wanted[i] * (1 - 1e-2 * 0.05) - 0.2 * 1e-2 * max(p.shape) ** 0.5 * x
        muon.step()
    assert max(float((p.detach() - w).abs().max()) for p, w in zip(mine, wanted, strict=True)) < 2e-6
    drawn = [torch.randn(shape, generator=g) for shape in shapes]
    apart, together = (optimisers.all_orthogonal(drawn, together=how) for how in (False, True))
    assert [m.shape for m in together] == list(map(torch.Size, shapes))
    assert all(torch.allclose(a, b, atol=2e-6) for a, b in zip(apart, together, strict=True))


def test_the_mean_of_the_weights_moves_by_a_share() -> None:
    mean, network = torch.nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3)
    network(torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)))
    network.weight.data += 2
    before = {k: v.clone() for k, v in mean.state_dict().items()}
    optimisers.move_mean(mean, network, 0.75)
    for k, now in mean.state_dict().items():
        theirs = network.state_dict()[k]
        assert torch.equal(now, before[k].lerp(theirs, 0.25) if now.is_floating_point() else theirs)
    assert mean.num_batches_tracked == 1 and mean.weight[0] == 1.5


def test_a_checkpoint_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    """It lacks the settings that there were not, which have their defaults."""
    config = TrainConfig(init=tiny_model(tmp_path / "init"), batch=8, steps=1, minutes=None, hold_out=0.3)
    some = faces([4] * 5)
    parts = parts_of(some, config)
    learn(config, some, parts, tmp_path / "out")
    state = read_checkpoint(tmp_path / "out" / CHECKPOINT)
    for name in ("depth", "fall", "hide", "map7", "map7_weight", "map14", "map14_weight", "reuse"):
        del state["fixed"][name]
    del state["adapt"]
    torch.save(state, tmp_path / "out" / CHECKPOINT)
    learn(replace(config, steps=2), some, parts, tmp_path / "out")
    assert read_checkpoint(tmp_path / "out" / CHECKPOINT)["step"] == 2
    with pytest.raises(InputError, match="expected hide 0.2 .* found hide 0.1"):
        learn(replace(config, hide=0.2, steps=3), some, parts, tmp_path / "out")


def test_a_checkpoint_of_the_earlier_script_goes_on(tmp_path: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "workflows"))
    from older_checkpoint import taken_over

    some = faces([4] * 3)
    parts = parts_of(some, config)
    learn(replace(config, steps=3), some, parts, tmp_path / "script")
    learn(replace(config, steps=1), some, parts, tmp_path / "begun")
    learnt, begun = (read_checkpoint(tmp_path / name / CHECKPOINT) for name in ("script", "begun"))
    model = {f"student.{k}": v for k, v in learnt["network"].items()} | {f"adapt.{k}": v for k, v in learnt["adapt"].items()}
    older = {"model": model, "mean": learnt["mean"], "optimisers": [{"state": o["state"]} for o in learnt["optimisers"]]}
    older |= {"step": 3, "spent": 60.0}
    torch.save(taken_over(older, begun), tmp_path / "begun" / CHECKPOINT)
    for name in ("script", "begun"):
        learn(config, some, parts, tmp_path / name)
    one, other = (read_checkpoint(tmp_path / name / CHECKPOINT) for name in ("script", "begun"))
    assert one["step"] == other["step"] == config.steps and other["spent"] > 60
    assert all(torch.equal(one[part][k], other[part][k]) for part in ("network", "mean", "adapt") for k in one[part])
    with pytest.raises(SystemExit, match="begin one of the same depth"):
        taken_over(older | {"mean": {}}, begun)


def test_a_recipe_is_read_and_options_win(tmp_path: Path, teacher: str) -> None:
    for p in range(4):
        (tmp_path / "faces" / f"p{p}").mkdir(parents=True)
        for i in range(3):
            (tmp_path / "faces" / f"p{p}" / f"{i}.webp").write_bytes(coded(picture(p, i)))
    recipe = tmp_path / "mine.toml"
    recipe.write_text('loss = "none"\nmap7 = "/seven"\nfall = 0\nhide = 0.2\nreuse = 2\nbatch = 6\nsteps = 50\nhold_out = 0.3\n')
    words = ("train", str(tmp_path / "faces"), "--init", tiny_model(tmp_path), "--teacher", teacher, "--threads", "1")
    call(*words, "-o", str(tmp_path / "out"), "--recipe", str(recipe), "--batch", "4", "--steps", "3")
    card = tmp_path / "out" / "card.toml"
    said = read_toml(card)
    found = said["recipe"]
    assert found["map7"] == "/seven" and found["fall"] == 0 and found["hide"] == 0.2 and found["reuse"] == 2 and found["batch"] == 4
    assert said["training"]["steps"] == 3 and said["training"]["lineage"] == "tiny (test); wise (test)" and "replay" in found
    assert read_recipe(str(card)) == found  # a card is a recipe
    bundled = read_recipe("bundled")
    assert TrainConfig(**bundled | {"teacher": "x", "minutes": 1.0}).maps.keys() == {"map7", "map14"} and bundled["reuse"] == 3
    for text, expected in (
        ("speed = 3", "found 'speed'"), ("fall = 'slow'", "expected a number for fall"), ("map7 = 7", "expected text for map7"),
        ("batch = 2.5", "expected a whole number for batch"), ("compile = 1", "expected true or false"), ("fall", "expected a recipe"),
        ("fall = 2", "expected fall from 0 to 1, found 2"), ("loss = 'best'", "expected loss to be one of cosface"),
        ("depth = 0", "expected depth from 1 to 64"), ("recipe = 3", "expected settings among"),
        ("minutes = 0", "expected minutes above 0, found 0"), ("device = 'gpu'", "found 'gpu'"),
    ):  # fmt: skip
        recipe.write_text(text)
        assert expected in refused(*words, "-o", str(tmp_path / "no"), "--recipe", str(recipe))
    assert "expected a recipe (bundled, or a TOML file)" in refused(*words, "-o", str(tmp_path / "no"), "--recipe", "budled")


def test_what_a_compiler_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(InputError, match="expected the C\\+\\+ compiler no-such-compiler for --compile, found none"):
        compiled(torch.nn.Linear(2, 2), "cpu")


def test_a_compiler_that_does_not_work_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: object, inputs: object) -> Any:
        raise ValueError("Python.h: no such file\nand more")

    monkeypatch.setattr(learner, "compiled", lambda module, device: torch.compile(module, backend=broken))
    some, config = faces([4] * 3), TrainConfig(init=tiny_model(tmp_path), batch=8, steps=1, hold_out=0, compile=True)
    found = Learner(config, some, parts_of(some, config), World(), "cpu")
    with pytest.raises(InputError, match=r"for --compile, found: .*install g\+\+ and Python's headers, or give --no-compile$") as said:
        found.learn(1.0)
    assert "\n" not in str(said.value)
