"""The folder of a training: one at a time, files whole or as they were, and what a kill left is no obstacle."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from facecluster.errors import InputError
from facecluster.store.temporary_files import temporary_name
from facecluster.training.folder import at_work, replacing
from facecluster.training.log import COLUMNS
from facecluster.training.train import check_folder


def test_one_at_a_time_and_what_a_kill_left_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "model"
    (out / ".making-abc").mkdir(parents=True)
    (out / ".making-abc" / "card.toml").write_text("half")
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: 2**22 + 1)  # a process that is no more
        left = Path(temporary_name(str(out / "checkpoint.pt")))
    left.write_bytes(b"half")
    with at_work(out):
        assert not (out / ".making-abc").exists() and not left.exists()
        with pytest.raises(InputError, match="another training at work") as caught, at_work(out):
            pass
        assert "\n" not in str(caught.value)
    with at_work(out):
        pass


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"before")
    full = OSError(errno.ENOSPC, "No space left on device")

    class Full:
        """A file on a full disk."""

        def write(self, data: bytes) -> int:
            raise full

        def flush(self) -> None:
            pass

    with pytest.raises(OSError, match="No space left") as caught, replacing(path):
        torch.save({"a": torch.zeros(9)}, Full())  # type: ignore[arg-type]
    assert caught.value is full and path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]
    with replacing(path) as file:
        torch.save({"a": torch.zeros(9)}, file)
    assert torch.load(path, weights_only=True)["a"].shape == (9,) and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("log", ["", "step,fa", ",".join(COLUMNS) + "\r\n1,2"])
def test_the_folder_of_a_training_that_was_killed_at_once_is_one(log: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(log)
    Path(temporary_name(str(tmp_path / "checkpoint.pt"))).write_bytes(b"half")
    with at_work(tmp_path):
        pass
    check_folder(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="other files"):
        check_folder(tmp_path)
