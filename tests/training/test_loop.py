"""A training that was stopped goes on as if it had not been; the log, the plot, and what is refused."""

from __future__ import annotations

import math
import os
import signal
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch
from training_faces import faces, tiny_model

from facecluster.errors import InputError
from facecluster.training import loop
from facecluster.training.config import TrainConfig
from facecluster.training.faces import part
from facecluster.training.log import read_log
from facecluster.training.loop import Status, learn, read_checkpoint

SIZES = [5] * 8


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return TrainConfig(init=tiny_model(tmp_path / "init"), steps=6, minutes=None, batch=8, hold_out=0.3, partial=0.6, rate=1e-3)


def test_a_stop_changes_nothing(tmp_path: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_LOG_STEPS", 1)
    some = faces(SIZES)
    parts = part(some, config.hold_out, config.seed)
    told: list[Status] = []

    def stop_after_three(status: Status) -> None:
        told.append(status)
        if status.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    learn(config, some, parts, whole)
    with pytest.raises(KeyboardInterrupt):
        learn(config, some, parts, stopped, stop_after_three)
    assert read_checkpoint(stopped / loop.CHECKPOINT)["step"] == told[-1].step == 3
    learn(config, some, parts, stopped, told.append)
    assert told[0].seconds_left > 0 and told[-1].seconds_left == 0 and told[-1].share == 1
    one, other = (read_checkpoint(p / loop.CHECKPOINT) for p in (whole, stopped))
    assert other["step"] == 6 and one["fixed"] == other["fixed"]
    for name in ("network", "mean"):
        assert all(torch.equal(one[name][k], other[name][k]) for k in one[name])
    assert torch.equal(one["centres"], other["centres"])
    rows = read_log(stopped / "log.csv")
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    columns = ("step", "faces", "rate", "loss")
    assert [[row[c] for c in columns] for row in rows] == [[row[c] for c in columns] for row in read_log(whole / "log.csv")]
    assert 0 <= float(rows[-1]["held_out_tar"]) <= 1
    drawn = ET.parse(stopped / "log.svg").getroot()
    assert len([e for e in drawn.iter() if e.tag.endswith("path")]) == 2 and "held out" in ET.tostring(drawn, "unicode")


def test_other_settings_and_other_faces_are_refused(tmp_path: Path, config: TrainConfig) -> None:
    from dataclasses import replace

    some = faces(SIZES)
    parts = part(some, config.hold_out, config.seed)
    learn(replace(config, steps=1), some, parts, tmp_path / "out")
    learn(replace(config, steps=2), some, parts, tmp_path / "out")  # for longer: that goes on
    with pytest.raises(InputError, match="expected loss 'arcface' .* found loss 'cosface'"):
        learn(replace(config, loss="arcface"), some, parts, tmp_path / "out")
    more = faces([*SIZES, 3])
    with pytest.raises(InputError, match="other faces"):
        learn(config, more, part(more, config.hold_out, config.seed), tmp_path / "out")
    (tmp_path / "out" / loop.CHECKPOINT).write_bytes(b"torn")
    with pytest.raises(InputError, match="choose another folder with -o, or delete .* to begin again"):
        learn(config, some, parts, tmp_path / "out")


def test_settings_that_cannot_be() -> None:
    for given, words in (
        ({"minutes": None}, "how long to learn"), ({"loss": "none"}, "give --teacher"), ({"batch": 9, "processes": 2}, "choose a multiple"),
        ({"minutes": 0.0}, "expected minutes above 0, found 0"), ({"minutes": math.inf}, "expected minutes above 0, found inf"),
        ({"steps": 0}, "expected steps of 1 or more, found 0"), ({"threads": 0}, "expected threads of 1 or more, found 0"),
        ({"processes": 0}, "expected processes of 1 or more, found 0"), ({"device": "gpu"}, "cuda:1 and so on, found 'gpu'"),
        ({"rate": math.nan}, "expected rate above 0, found nan"), ({"seed": 2**64}, "expected seed from"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            TrainConfig(**given)  # type: ignore[arg-type]


def test_a_folder_with_other_files_is_refused_and_stays(tmp_path: Path) -> None:
    from facecluster.training.train import check_folder

    for name, data in (("log.csv", b"date,km\n1,2\n"), ("card.toml", b"[model]\n"), ("note.txt", b"mine")):
        place = tmp_path / name.replace(".", "-")
        place.mkdir()
        (place / name).write_bytes(data)
        with pytest.raises(InputError, match="other files"):
            check_folder(place)
        assert (place / name).read_bytes() == data
    store = tmp_path / "store"
    store.mkdir()
    (store / "store.json").write_text("{}")
    with pytest.raises(InputError, match="outside of stores"):
        check_folder(store / "model")
    (tmp_path / "empty").mkdir()
    check_folder(tmp_path / "empty")
    check_folder(tmp_path / "new")
    torch.save({"model": {}}, tmp_path / "empty" / "checkpoint.pt")
    with pytest.raises(InputError, match="found something else"):
        check_folder(tmp_path / "empty")
