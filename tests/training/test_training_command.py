"""`facecluster train` from faces to groups, and fine-tuning that keeps the old model when the new one is worse."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from people_store import call, refused
from safetensors.torch import load_file
from training_faces import DIM, coded, picture, tiny_model

from facecluster.demo.collection import make_collection
from facecluster.models.card import read_card, read_toml
from facecluster.models.embedder import AttentionEmbedder
from facecluster.models.registry import fold_batch_norm, load_embedder, load_weights
from facecluster.training import train
from facecluster.training.accuracy import HeldOutPairs
from facecluster.training.averaging import average
from facecluster.training.faces import LearningFaces
from facecluster.training.last_layer import head_of, summed_parts
from facecluster.training.loop import CHECKPOINT, read_checkpoint
from facecluster.training.train import Comparison, compare

PEOPLE, FACES = 12, 5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "faces.parquet"
    crops = [coded(picture(p, i)) for p in range(PEOPLE) for i in range(FACES)]
    pq.write_table(pa.table({"crop": crops, "person": [f"p{p:02d}" for p in range(PEOPLE) for _ in range(FACES)]}), path)
    return path


def run(data: Path, out: Path, *more: str) -> dict[str, Any]:
    words = ("train", str(data), "-o", str(out), "--json", "--steps", "8", "--batch", "16", "--hold-out", "0.4", "--threads", "1", *more)
    found: dict[str, Any] = json.loads(call(*words).stdout)
    return found


def test_from_faces_to_a_model_that_groups_photos(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "My model"
    said = run(data, out, "--init", tiny_model(tmp_path), "--rate", "0.002", "--licence", "CC0-1.0", "--about", "made up", "--balance", "1")
    card = out / "card.toml"
    assert said["card"] == str(card) and said["comparison"] is None
    raw, read = read_toml(card), read_card(card)
    assert read.name == "My-model" and read.dim == DIM and read.licence == "CC0-1.0" and read.is_fitted and read.slope > 0
    assert read.recognisability is None or len(read.recognisability.weights) == DIM
    assert raw["training"]["data"] == "made up" and raw["training"]["lineage"] == "tiny (test)" and raw["training"]["faces_seen"] == 128
    assert raw["training"]["people"] + raw["training"]["people_held_out"] == PEOPLE and raw["recipe"]["balance"] == 1.0
    assert set(raw["ranges"]) >= {"stem.0", "blocks.0.mlp", "norm"}  # for 8-bit arithmetic
    held = said["held_out"]
    assert isinstance(held, dict) and held == {k: v for k, v in raw["accuracy"].items() if k != "of"}
    assert held["people"] == raw["training"]["people_held_out"] and 0 <= held["tar at far 0.001"] <= held["tar at far 0.01"] <= 1
    assert {"log.csv", "log.svg", "checkpoint.pt", "card.safetensors"} <= {p.name for p in out.iterdir()}
    make_collection(str(tmp_path / "demo"), people=6, photos=2, seed=0)
    photos = [str(p) for p in sorted((tmp_path / "demo").rglob("*.jpg"))[:2]]
    call("run", *photos, "-o", str(tmp_path / "store"), "--model", str(card))
    assert (tmp_path / "store" / "embeddings" / "My-model").is_dir()


def loads(card: Path) -> str:
    """The digest of a model in a folder, whose weights load."""
    sha256 = read_card(card).sha256
    load_weights(card.with_suffix(".safetensors"), sha256)
    return sha256


@pytest.mark.parametrize("stopped_at", ["card.safetensors", "card.toml"])
def test_a_model_that_is_replaced_is_there_until_the_new_one_is(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: str
) -> None:  # fmt: skip
    """Killed between the new weights and the new card, the old card had weights that are not its own."""
    init, out, straight = tiny_model(tmp_path), tmp_path / "out", tmp_path / "straight"
    for folder in (out, straight):
        run(data, folder, "--init", init, "--steps", "2")
    run(data, straight, "--init", init, "--steps", "4")
    before, replace_file, seen = loads(out / "card.toml"), os.replace, []

    def stopped(source: Any, target: Any) -> None:
        if Path(target).parent == out:
            seen.append(loads(out / "card.toml"))
            if Path(target).name == stopped_at:
                raise KilledError
        replace_file(source, target)

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr("os.replace", stopped)
        run(data, out, "--init", init, "--steps", "4")
    assert set(seen) == {loads(out / "card.toml")} == {before}
    run(data, out, "--init", init, "--steps", "4")
    assert loads(out / "card.toml") == loads(straight / "card.toml") != before
    assert {p.name for p in out.iterdir()} == {p.name for p in straight.iterdir()}


class KilledError(BaseException):
    """Stands for a kill."""


def test_what_the_command_refuses(data: Path, tmp_path: Path) -> None:
    assert "found neither" in refused("train", "-o", str(tmp_path / "m"))
    assert "found both" in refused("train", str(data), "--store", str(data), "-o", str(tmp_path / "m"))
    assert "not 'bundled'" in refused("train", str(data), "-o", str(tmp_path / "bundled"))
    few = tmp_path / "few.parquet"
    pq.write_table(pq.read_table(data).slice(0, 5 * FACES), few)
    found = refused("train", str(few), "-o", str(tmp_path / "m"), "--finetune", tiny_model(tmp_path))
    assert "expected 6 people or more with a name and 5 faces each to fine-tune, found 5" in found


def test_fine_tuning_keeps_the_new_model_unless_it_is_worse(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = tiny_model(tmp_path)
    monkeypatch.setattr(train, "WORSE", 1.0)
    said = run(data, tmp_path / "tuned", "--finetune", tiny, "--rate", "1e-9", "--share", "0.5")
    both = said["comparison"]
    assert isinstance(both, dict) and both["kept"] and both["before"] == pytest.approx(both["after"], abs=0.02)
    crops = np.stack([picture(p, 0) for p in range(4)])
    mine, theirs = (load_embedder(m, "cpu").embed(crops) for m in (str(said["card"]), tiny))
    assert (mine * theirs).sum(axis=1).min() > 0.999  # hardly any rate, so hardly any change
    raw = read_toml(tmp_path / "tuned" / "card.toml")
    assert raw["reading"]["slope"] == 10.0 and "that of tiny" in raw["reading"]["how"] and raw["recipe"]["freeze_norms"]
    def only_a_little(*given: Any) -> Comparison:
        return replace(compare(*given), before=[0.5, 0.5], after=[0.4, 0.6] if given[-1] > 0.3 else [0.499, 0.6])

    with monkeypatch.context() as patch:
        patch.setattr(train, "WORSE", 0.002)
        patch.setattr(train, "compare", only_a_little)
        said = run(data, tmp_path / "tuned", "--finetune", tiny, "--rate", "1e-9")  # learnt already: it goes on to the end
    assert said["comparison"]["share"] == read_toml(tmp_path / "tuned" / "card.toml")["training"]["share_of_new_weights"] == 0.25
    monkeypatch.setattr(train, "WORSE", -2.0)  # now every model is worse
    words = ("--steps", "2", "--batch", "16", "--hold-out", "0.4")
    done = call("train", str(data), "-o", str(tmp_path / "no"), "--finetune", tiny, *words)
    assert "is not kept, and the old one stays as it is" in done.stdout and "with 0.125 of the new weights" in done.stdout
    assert not (tmp_path / "no" / "card.toml").exists()


def test_the_last_layer_alone_is_learnt(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = tiny_model(tmp_path)
    monkeypatch.setattr(train, "WORSE", 1.0)
    said = run(data, tmp_path / "tuned", "--finetune", tiny, "--layers", "last")
    assert said["comparison"]["kept"] and said["comparison"]["share"] == 1.0
    old, new = (load_file(Path(m).with_suffix(".safetensors")) for m in (tiny, said["card"]))
    assert {name for name in old if not torch.equal(old[name].half(), new[name].half())} == {"head.weight", "head.bias"}
    raw = read_toml(tmp_path / "tuned" / "card.toml")
    assert raw["training"]["layers"] == "the last one" and raw["training"]["hold"] == 0.3 and "recipe" not in raw
    assert not (tmp_path / "tuned" / CHECKPOINT).exists()
    again = run(data, tmp_path / "tuned", "--finetune", tiny, "--layers", "last")  # with the names of today, into the same folder
    assert again["comparison"] == said["comparison"] and again["card"] == said["card"]
    rows = [0, 1, FACES, FACES + 1]
    crops = LearningFaces(pq.read_table(data)["crop"].to_pylist(), [None] * (PEOPLE * FACES), "faces").take(rows)
    head, again = head_of(new), load_embedder(str(said["card"]), "cpu").embed(crops)
    network = fold_batch_norm(AttentionEmbedder.from_weights(new).eval())
    by_hand = head(summed_parts(network, iter([crops])))  # type: ignore[arg-type]
    assert (by_hand / np.linalg.norm(by_hand, axis=1, keepdims=True) * again).sum(axis=1).min() > 0.99
    assert "expected --finetune MODEL with --layers last" in refused("train", str(data), "-o", str(tmp_path / "m"), "--layers", "last")
    two = ("--finetune", tiny, "--layers", "last", "--processes", "2")
    assert "expected one process for --layers last" in refused("train", str(data), "-o", str(tmp_path / "m"), *two)


def test_the_anchor_of_fine_tuning_wins_over_a_recipe(data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('teacher = "not there"\nreuse = 2\nteacher_weight = 2.0\nhold_out = 0.05\nhide = 0.2\n')
    tiny = tiny_model(tmp_path)
    kept: list[dict[str, Any]] = []
    for i, more in enumerate(((), ("--teacher-weight", "3", "--hold-out", "0.4"))):
        words = ("train", str(data), "-o", str(tmp_path / f"m{i}"), "--finetune", tiny, "--recipe", str(recipe), "--steps", "1")
        call(*words, "--batch", "8", "--threads", "1", *more)
        kept.append(read_checkpoint(tmp_path / f"m{i}" / CHECKPOINT)["fixed"])
    assert [(k["teacher_weight"], k["hold_out"], k["hide"], k["reuse"]) for k in kept] == [(10.0, 0.3, 0.2, 2), (3.0, 0.4, 0.2, 2)]
    assert all(k["teacher"] == k["init"] == tiny for k in kept)


def test_fine_tuning_by_the_recipe_that_made_the_model_learns_the_names(data: Path, tmp_path: Path) -> None:
    tiny = tiny_model(tmp_path)
    words = ("train", str(data), "--finetune", tiny, "--recipe", "bundled", "--no-compile", "--steps", "1", "--batch", "8")
    call(*words, "-o", str(tmp_path / "m"))
    kept = read_checkpoint(tmp_path / "m" / CHECKPOINT)["fixed"]
    assert (kept["loss"], kept["map7"], kept["map14"], kept["rate"], kept["hide"]) == ("cosface", None, None, None, 0.2)
    assert "with which nothing is learnt" in refused(*words, "--loss", "none", "-o", str(tmp_path / "n"))


def test_worse_is_worse_at_any_rate() -> None:
    """Vectors of six people: exact ones against ones in which a person falls apart."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(6), 5)
    good = np.eye(16)[person] + 0.05 * rng.normal(size=(30, 16))
    bad = good.copy()
    bad[person == 2] = rng.normal(size=(5, 16))
    good, bad = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (good, bad))
    pairs = HeldOutPairs(person)
    better, worse, same = compare(pairs, bad, good), compare(pairs, good, bad), compare(pairs, good, good)
    assert better.is_kept and same.is_kept and not worse.is_kept
    assert worse.before == [1.0, 1.0] and worse.after[0] == pytest.approx(5 / 6, abs=0.02)  # of 60 pairs of one person 10 are that person's
    assert worse.low[0] < worse.after[0] - worse.before[0] < worse.high[0] <= 0 and same.low == same.high == [0.0, 0.0]


def test_accuracy_by_head_body_and_tail() -> None:
    """A person with few faces who falls apart lowers the tail alone, and no accuracy without two people."""
    sizes = [9, 8, 7, 6, 3, 2]
    person = np.repeat(np.arange(6), sizes)
    vectors = np.eye(8)[person]
    vectors[person == 5] = np.eye(8)[[6, 7]]
    found = HeldOutPairs(person).accuracy(vectors)
    assert found is not None and found.people == 6 and found.faces == 35
    assert found.parts["head"] == found.parts["body"] == [1.0, 1.0] and found.parts["tail"] == [0.75, 0.75]  # three pairs of four
    same = sum(n * (n - 1) // 2 for n in sizes)
    assert found.tar == pytest.approx([(same - 1) / same] * 2) and found.low[0] <= found.tar[0] <= found.high[0]
    assert HeldOutPairs(np.zeros(4, int)).accuracy(np.eye(4)) is None and HeldOutPairs(np.arange(4)).accuracy(np.eye(4)) is None


def test_averages_of_transformers_are_means() -> None:
    import torch

    one, two = {"a": torch.zeros(2), "n": torch.tensor(3)}, {"a": torch.full((2,), 4.0), "n": torch.tensor(5)}
    assert average(one, two, 0.25)["a"].tolist() == [1.0, 1.0] and average(one, two, 0.25)["n"] == 3


def test_what_a_killed_training_of_the_last_layer_left_does_not_stop_the_next(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """It has no checkpoint by which its folder would be known."""
    tiny = tiny_model(tmp_path)
    monkeypatch.setattr(train, "WORSE", 1.0)
    first, second = tmp_path / "first", tmp_path / "second"
    for out in (first, second):
        (out / ".making-abcd1234").mkdir(parents=True)  # killed while the model was made
        (out / ".making-abcd1234" / "card.safetensors").write_bytes(b"half")
    card = run(data, first, "--finetune", tiny, "--layers", "last")["card"]
    for name in ("card.toml", "card.safetensors"):
        shutil.copy(Path(card).with_name(name), second / name)
    shutil.copy(first / "card.safetensors", second / "card-0123456789abcdef.safetensors")  # killed while it was put in its place
    run(data, second, "--finetune", tiny, "--layers", "last")
    for out in (first, second):
        assert {p.name for p in out.iterdir()} - {"train.lock"} == {"card.toml", "card.safetensors"}
    (second / "photo.jpg").write_bytes(b"")
    assert "found other files" in refused("train", str(data), "-o", str(second), "--finetune", tiny, "--layers", "last")
