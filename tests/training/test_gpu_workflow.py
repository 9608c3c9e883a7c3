"""Training with everything on one device: the teacher in torch says what it says in ONNX Runtime; a stop changes nothing. On a CPU."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import needs
from safetensors.torch import load_file
from training_faces import DIM, TINY, coded, distillation, picture

from facecluster.errors import ModelError
from facecluster.models.embedder import AttentionEmbedder
from facecluster.training.loop import CHECKPOINT, read_checkpoint
from facecluster.training.networks import named_weights, save
from facecluster.training.recipe import read_recipe

ROOT = Path(__file__).parents[2]
MOBILEFACENET = ROOT.parent / "shared" / "teachers" / "mobilefacenet.onnx"
RECIPE = read_recipe("bundled")
INNER = (RECIPE["map7"], RECIPE["map14"])


def module(name: str, monkeypatch: pytest.MonkeyPatch, folder: str = "workflows") -> Any:
    monkeypatch.syspath_prepend(str(ROOT / folder))
    return importlib.import_module(name)


@pytest.fixture
def made(tmp_path: Path) -> list[str]:
    needs("onnx")
    return distillation(tmp_path)


@pytest.fixture
def train(made: list[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The command with these options, and others after them."""
    workflow = module("train_embedder_gpu", monkeypatch)
    monkeypatch.setattr(workflow, "CHUNK", 2)
    monkeypatch.setattr(workflow, "TELL_SECONDS", 0.0)

    def run(out: Path, *words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["train_embedder_gpu.py", *made, "--device", "cpu", "--out", str(out), *words])
        workflow.main()

    return run


def test_it_learns_and_a_stop_changes_nothing(
    tmp_path: Path, train: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path / "whole", "--steps", "30")
    said = capsys.readouterr().out.splitlines()
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in said if line.startswith("step ")]
    cosines = [float(line.rsplit(" ", 1)[1]) for line in said if "held-out cosine" in line]
    assert np.mean(losses[-3:]) < 0.6 * np.mean(losses[:3]) and cosines[-1] > cosines[0] + 0.4
    assert "passed over, since they can't be decoded: 1 of 55 pictures" in said

    training = module("gpu_training", monkeypatch).Training
    ordinary = training.learn

    def pressed(self: Any, *given: Any) -> Any:
        if self.step == 9:
            os.kill(os.getpid(), signal.SIGINT)
        return ordinary(self, *given)

    with monkeypatch.context() as m:
        m.setattr(training, "learn", pressed)
        with pytest.raises(SystemExit) as stopped:
            train(tmp_path / "stopped", "--steps", "30")
    assert stopped.value.code == 130 and read_checkpoint(tmp_path / "stopped" / CHECKPOINT)["step"] == 10
    assert not (tmp_path / "stopped" / "embedder.safetensors").exists()
    with pytest.raises(SystemExit, match=r"expected the batch of the checkpoint in .*, 8, found 6: give the same command"):
        train(tmp_path / "stopped", "--steps", "30", "--batch", "6")
    train(tmp_path / "stopped", "--steps", "30")
    one, other = (load_file(tmp_path / name / "embedder.safetensors") for name in ("whole", "stopped"))
    assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
    begun = load_file(tmp_path / "init.safetensors")
    assert all(one[k].dtype == begun[k].dtype for k in begun) and not torch.equal(one["head.weight"], begun["head.weight"])
    network = AttentionEmbedder.from_weights(one).eval()
    assert network(torch.zeros(1, 3, 112, 112)).shape == (1, DIM)


def test_people_who_are_held_out_are_not_learnt(tmp_path: Path, made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    faces = module("embedder_faces", monkeypatch)
    more = pa.table({"subject": ["p00", "p01"], "crop": [coded(picture(0, 7)), coded(picture(1, 7))]})
    pq.write_table(more, tmp_path / "more.parquet")
    faces.write_data_set(tmp_path / "set", tmp_path / "faces.parquet", [tmp_path / "more.parquet"])
    learnt, held_out, digest = faces.read_set(tmp_path / "set", "cpu")
    assert faces.held_out(tmp_path / "faces.parquet").sum() == 5 == len(held_out) and len(learnt) == 60 - 5 - 1 + 1
    assert learnt.dtype == torch.uint8 and np.abs(learnt[-1].numpy().astype(int) - picture(1, 7)).mean() < 12  # not p00's, who is held out
    faces.write_data_set(tmp_path / "fewer", tmp_path / "faces.parquet")
    assert digest == faces.read_set(tmp_path / "set", "cpu")[2] != faces.read_set(tmp_path / "fewer", "cpu")[2]


def test_what_can_not_be_learnt_is_said(tmp_path: Path, train: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match="expected a loss that is a number, found one that is not: choose a lower --rate"):
        train(tmp_path / "out", "--steps", "40", "--rate", "1e30")
    with pytest.raises(SystemExit, match=r"expected a file of faces or photos at .*none.parquet, found none: correct the path"):
        train(tmp_path / "other", "--steps", "4", "--faces", str(tmp_path / "none.parquet"))
    with pytest.raises(SystemExit, match=r"expected .*none.onnx"):
        train(tmp_path / "out", "--steps", "4", "--teacher", str(tmp_path / "none.onnx"))
    save(named_weights(AttentionEmbedder(**TINY | {"dim": 8})), tmp_path / "short.safetensors")
    with pytest.raises(SystemExit, match="expected vectors of 8 numbers of the teacher, as those of --init are, found 16"):
        train(tmp_path / "other", "--steps", "4", "--init", str(tmp_path / "short.safetensors"))


def of_onnxruntime(path: Path, inner: tuple[str, ...], x: torch.Tensor) -> list[np.ndarray[Any, Any]]:
    """Values of the graph for each face of x, normalised."""
    onnx, runtime = needs("onnx"), needs("onnxruntime")
    model = onnx.load(str(path))
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in inner)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = [session.run(None, {model.graph.input[0].name: one[None]}) for one in x.numpy()]
    return [np.concatenate(values) for values in zip(*rows, strict=True)]


@pytest.mark.parametrize("real", [False, True], ids=["small", "MobileFaceNet"])
def test_the_teacher_says_what_it_says_in_onnxruntime(tmp_path: Path, real: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("onnx")
    teachers, path = module("torch_teacher", monkeypatch), MOBILEFACENET if real else tmp_path / "t.onnx"
    if real and not path.exists():
        pytest.skip("needs ../shared/teachers")
    if not real:
        module("onnx_files", monkeypatch, "tests/models").convolutions(path, parts=8, channels=6, dim=DIM, names=INNER)
    x = torch.from_numpy(np.stack([picture(p, 0) for p in range(3)])).permute(0, 3, 1, 2).float()
    teacher = teachers.TorchTeacher(path, INNER).eval()
    with torch.inference_mode():
        found = teacher(x)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (teachers.MEAN, teachers.STD))
    for mine, theirs in zip(found, of_onnxruntime(path, INNER, (x - mean) / std), strict=True):
        assert mine.shape == theirs.shape and np.abs(theirs).max() > 0.1
        np.testing.assert_allclose(mine.numpy(), theirs, atol=1e-4, rtol=1e-4)


def test_a_teacher_that_can_not_be_taken_over_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("onnx")
    teachers, path = module("torch_teacher", monkeypatch), tmp_path / "t.onnx"
    files = module("onnx_files", monkeypatch, "tests/models")
    files.convolutions(path, parts=8, channels=6, dim=DIM, names=INNER, extra="Sigmoid")
    instead = "give another teacher, or learn by 'facecluster train"
    with pytest.raises(ModelError, match=f"expected the operators Add, Clip, .* found Sigmoid: {instead}"):
        teachers.TorchTeacher(path)
    files.convolutions(path, parts=8, channels=6, dim=DIM, names=INNER)
    with pytest.raises(ModelError, match=f"expected the value /nowhere .* found none: {instead}"):
        teachers.TorchTeacher(path, ["/nowhere"])
    path.write_bytes(b"no graph")
    with pytest.raises(ModelError, match="expected a teacher in an ONNX file") as said:
        teachers.TorchTeacher(path)
    assert "\n" not in str(said.value)
