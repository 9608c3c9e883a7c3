"""Moving a file whose first name can't be removed."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from facecluster.dedup import files


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("step", ["rename", "unlink"])
def test_a_file_that_can_not_be_removed_is_not_moved(across: bool, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system refuses is an error, and the second name that the file had got goes."""
    source, target = tmp_path / "a" / "p.jpg", tmp_path / "b" / "p.jpg"
    for path in (source, target):
        path.parent.mkdir()
    source.write_bytes(b"photo")
    link, real = os.link, getattr(os, step)

    def linked(one: str, two: str, **more: Any) -> None:
        if across and os.path.dirname(one) != os.path.dirname(two):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        link(one, two, **more)

    def refused(path: str, *more: Any) -> None:
        if os.path.dirname(path) == str(source.parent) and (step == "unlink" or path == str(source)):
            raise PermissionError(errno.EACCES, "it is being used by another process", path)
        real(path, *more)

    monkeypatch.setattr(os, "link", linked)
    monkeypatch.setattr(os, step, refused)
    digest = hashlib.sha256(b"photo").hexdigest()
    with pytest.raises(PermissionError, match="another process"):
        files.move(str(source), str(target), digest)
    monkeypatch.undo()
    assert os.listdir(target.parent) == [] and {p.read_bytes() for p in source.parent.iterdir()} == {b"photo"}
    files.move(str(source), str(target), digest)
    assert target.read_bytes() == b"photo" and os.listdir(source.parent) == []
