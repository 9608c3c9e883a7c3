"""Stores and reports can be read by their owner alone, whatever the umask; what lies among the photos follows the user's umask."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from full_store import build

from facecluster.permissions import as_user, umask_of_user

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_store_is_private_whatever_the_umask(tmp_path: Path, open_umask: None) -> None:
    root = Path(build(tmp_path).store.root)
    by_commands = [p for p in [root, *root.rglob("*")] if not p.name.endswith(".tmp") and p.name != "note of the user.txt"]
    assert [p for p in by_commands if p.stat().st_mode & 0o077] == []


def test_what_lies_among_the_photos_follows_the_umask_of_the_user(tmp_path: Path) -> None:
    code = (
        "import os\nfrom facecluster.permissions import as_user, keep_private, umask_of_user\n"
        "assert umask_of_user() == -1\nkeep_private()\nkeep_private()\nassert umask_of_user() == 0o002\n"
        "open('private', 'w').close()\nwith as_user():\n    open('shared', 'w').close()\nopen('again', 'w').close()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, umask=0o002)
    modes = {p.name: p.stat().st_mode & 0o777 for p in tmp_path.iterdir()}
    assert modes == {"private": 0o600, "shared": 0o664, "again": 0o600}


def test_without_a_command_nothing_changes() -> None:
    """The library leaves the umask of its caller alone."""
    if umask_of_user() == -1:
        before = os.umask(0o022)
        with as_user():
            assert os.umask(0o022) == 0o022
        os.umask(before)
