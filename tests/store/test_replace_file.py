"""A file that another program saves at the same moment is never lost."""

from __future__ import annotations

import errno
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from facecluster.store import replace_file as replacing
from facecluster.store.replace_file import aside_name, place, recover, remove_file, replace_file, swap_in


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_bytes(b"old")
    return path


@pytest.fixture(params=["exchange", "moving"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The two ways to replace a file."""
    if request.param == "moving":
        monkeypatch.setattr(replacing, "_libc", None)
    elif sys.platform != "linux":
        pytest.skip("names are exchanged on Linux only")
    return str(request.param)


def left(file: Path) -> set[str]:
    return {p.name for p in file.parent.iterdir()}


def test_replaces_what_is_as_expected(file: Path, way: str) -> None:
    assert replace_file(str(file), b"new", b"old") and file.read_bytes() == b"new"
    assert not replace_file(str(file), b"newer", b"old") and file.read_bytes() == b"new"
    file.unlink()
    assert not replace_file(str(file), b"x", b"old") and not file.exists()
    assert replace_file(str(file), b"x", None) and file.read_bytes() == b"x"
    assert not replace_file(str(file), b"y", None) and left(file) == {"people.csv"}


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("call", ["rename", "link", "unlink", "fsync", "lstat", "_exchange"])
@pytest.mark.parametrize("after", [False, True])
def test_a_save_at_any_moment_stays(
    file: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, way: str, call: str, after: bool, in_place: bool
) -> None:
    """Another program saves before or after a step: by a new file that is renamed, or by writing into the file that it holds open."""
    module = replacing if call == "_exchange" else os
    real: Callable[..., object] = getattr(module, call)
    held = os.fdopen(os.open(file, os.O_RDWR), "r+b", buffering=0)
    request.addfinalizer(held.close)
    saved = []

    def save() -> None:
        if saved:
            return
        saved.append(1)
        if in_place:
            held.seek(0)
            held.write(b"theirs")
        else:
            beside = file.with_name("theirs.tmp")
            beside.write_bytes(b"theirs")
            os.replace(beside, file)

    def step(*args: object, **more: object) -> object:
        if not after:
            save()
        found = real(*args, **more)
        if after:
            save()
        return found

    monkeypatch.setattr(module, call, step)
    replace_file(str(file), b"new", b"old")
    monkeypatch.setattr(module, call, real)
    if not saved and in_place:
        return  # this way has no such step, and the old file has no name any more
    save()
    assert file.read_bytes() == b"theirs" and left(file) == {"people.csv"}


def test_a_crash_leaves_the_file_or_puts_it_back(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for call in ("rename", "link"):
        monkeypatch.setattr(replacing, "_libc", None)
        real, calls = getattr(os, call), iter([KeyboardInterrupt])

        def once(
            *args: str, real: Callable[..., None] = real, calls: Iterator[type[BaseException]] = calls, **more: bool
        ) -> None:  # fmt: skip
            for stop in calls:
                raise stop
            real(*args, **more)

        monkeypatch.setattr(os, call, once)
        with pytest.raises(KeyboardInterrupt):
            replace_file(str(file), b"new", b"old")
        monkeypatch.undo()
        assert file.read_bytes() == b"old" and left(file) == {"people.csv"}
    file.rename(aside_name(str(file)))  # as after a power cut
    recover(str(file))
    assert file.read_bytes() == b"old" and left(file) == {"people.csv"}


def test_without_hard_links(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **more: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(replacing, "_libc", None)
    assert replace_file(str(file), b"new", b"old") and file.read_bytes() == b"new" and left(file) == {"people.csv"}
    assert not replace_file(str(file), b"newer", b"old") and file.read_bytes() == b"new" and left(file) == {"people.csv"}


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says which files are open")
def test_where_an_open_file_can_not_be_removed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where names can't be exchanged either."""
    unlink = os.unlink

    def refused(path: str, **more: object) -> None:
        for number in os.listdir("/proc/self/fd"):
            if os.path.exists(f"/proc/self/fd/{number}") and not os.path.islink(path) and os.path.samefile(f"/proc/self/fd/{number}", path):
                raise PermissionError(errno.EACCES, "The process cannot access the file because it is being used by another process", path)
        unlink(path)

    monkeypatch.setattr(os, "unlink", refused)
    monkeypatch.setattr(replacing, "_libc", None)
    monkeypatch.setattr(replacing, "_OPEN_FILES_STAY", True)
    with open(file, "rb"), pytest.raises(PermissionError):
        os.unlink(str(file))
    assert replace_file(str(file), b"new", b"old") and file.read_bytes() == b"new"
    assert not replace_file(str(file), b"newer", b"old") and file.read_bytes() == b"new"
    made = file.with_name("made")
    made.write_bytes(b"made")
    assert not swap_in(str(made), str(file), lambda old: False) and file.read_bytes() == b"new"
    assert swap_in(str(made), str(file), lambda old: Path(old).read_bytes() == b"new") and file.read_bytes() == b"made"
    made.unlink()
    assert not remove_file(str(file), lambda old: False) and file.read_bytes() == b"made"
    assert remove_file(str(file), lambda old: Path(old).read_bytes() == b"made") and left(file) == set()


def test_no_hard_links_on_macos(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its link() gives ENOTSUP on exFAT, which has another number there than EOPNOTSUPP."""
    monkeypatch.setattr(errno, "ENOTSUP", 45)
    monkeypatch.setattr(errno, "EOPNOTSUPP", 102)
    found = importlib.util.find_spec(replacing.__name__)
    assert found is not None and found.loader is not None
    on_macos = importlib.util.module_from_spec(found)
    found.loader.exec_module(on_macos)

    def link(*_: object, **more: object) -> None:
        raise OSError(45, "Operation not supported")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(OSError, match="not supported"):
        place(str(file), str(file.with_name("other")))  # 45 says something else here
    assert on_macos.place(str(file), str(file.with_name("other"))) and left(file) == {"other"}
