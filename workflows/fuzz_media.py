"""The targets that need packages of their own: LMDB environments and videos. For `fuzz.py`.

LMDB maps its file into memory, so that a damaged page may end the process that touches it: each input is read in a fork of its own, and a
fork that a signal ended is a finding. Where facecluster starts a process to touch the pages, that is a fork too, for speed.
"""

from __future__ import annotations

import importlib.util
import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from facecluster.errors import FaceclusterError, PhotoError
from facecluster.photos.archives import lmdb as reader
from facecluster.photos.archives.opened import list_members, read_member
from facecluster.photos.images import is_photo
from facecluster.photos.video import looks, open_video

_BLOCK = 64  # bytes


def in_fork(function: Callable[[int], object]) -> tuple[int, bytes]:
    """Run a function with a pipe to write into, in a fork; gives how it ended (a signal as a negative number), and what it wrote."""
    out, into = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.close(out)
            function(into)
            code = 0
        finally:
            os._exit(code)
    os.close(into)
    with os.fdopen(out, "rb") as file:
        wrote = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), wrote


# -- LMDB -----------------------------------------------------------------------------------------------------------------------------


class _Heads:
    """Stands for the process that touches every value."""

    def __init__(self, words: list[str], **_: Any) -> None:
        def write(into: int) -> None:
            with os.fdopen(into, "wb") as file, patch.object(sys, "argv", ["", words[-1]]), patch.object(sys, "stdout", _Text(file)):
                reader.write_heads()

        _, found = in_fork(write)
        self.stdout, self.stderr = io.BytesIO(found), io.BytesIO()

    def __enter__(self) -> _Heads:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _Text:
    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer


def _read_environment(data: bytes, folder: Path) -> None:
    path = folder / "archive.lmdb"
    path.write_bytes(whole_file(data))
    code, said = in_fork(lambda into: _read_members(str(path), into))
    if code:
        raise AssertionError(f"reading it ended the process with {code}")
    error, _, text = said.decode(errors="replace").partition(":")
    if error == "line":
        raise PhotoError(text)
    if error:
        raise AssertionError(f"{error}: {text}")


def _read_members(path: str, into: int) -> None:
    said = b""
    try:
        with patch.object(reader.subprocess, "Popen", _Heads):
            members = list(list_members("lmdb", path, os.path.getsize(path), is_photo, Counter()))
        for member in members[:20]:
            if not member.error:
                read_member("lmdb", path, member.key)
        errors = [member.error for member in members if member.error]
        said = f"line:{errors[0]}".encode() if errors else b""
    except FaceclusterError as e:
        said = f"line:{e}".encode()
    except Exception as e:
        said = f"{type(e).__name__}:{e}".encode()
    os.write(into, said[:2000])


def _environment() -> bytes:
    """A small environment: a few keys with values in the leaf, and one whose value has pages of its own."""
    import lmdb

    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"fuzz-lmdb-{os.getpid()}"
    try:
        with lmdb.open(str(folder), subdir=False, map_size=1 << 20, lock=False) as env, env.begin(write=True) as transaction:
            for key, value in ((b"a", out.getvalue()), (b"b", b"no photo"), (b"c\xff", out.getvalue()), (b"d", out.getvalue() * 4)):
                transaction.put(key, value)
        return folder.read_bytes()
    finally:
        with suppress(FileNotFoundError):
            folder.unlink()


_template: list[bytes] = []


def _blocks() -> tuple[bytes, list[int]]:
    """The environment, and where its blocks begin that hold something: most of its pages are empty, and no place for changes."""
    if not _template:
        _template.append(_environment())
    data = _template[0]
    return data, [at for at in range(0, len(data), _BLOCK) if data[at : at + _BLOCK].strip(b"\0")]


def whole_file(data: bytes) -> bytes:
    """The file of an input, which is the blocks that hold something; more than these are behind it."""
    found, places = _blocks()
    file = bytearray(len(found))
    for number, at in enumerate(places):
        block = data[number * _BLOCK : (number + 1) * _BLOCK]
        file[at : at + len(block)] = block
    return bytes(file) + data[len(places) * _BLOCK :]


def environments() -> list[bytes]:
    """Inputs for `_read_environment`."""
    found, places = _blocks()
    return [b"".join(found[at : at + _BLOCK] for at in places)]


# -- videos ---------------------------------------------------------------------------------------------------------------------------


def _read_video(data: bytes, folder: Path) -> None:
    path = folder / "video.mp4"
    path.write_bytes(data)
    video = open_video(str(path))
    for _ in looks(video, 0.5, 64):
        pass


def _videos() -> list[bytes]:
    """A few small frames in each container."""
    forms = (("mp4", "libx264"), ("avi", "mjpeg"), ("matroska", "mpeg4"), ("mpegts", "libx264"), ("flv", "flv"))
    made = {container: _video(container, codec) for container, codec in forms}
    return [*made.values(), made["mpegts"] * 3]  # recordings that were joined: their times jump back


def _video(container: str, codec: str) -> bytes:
    import av

    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for grey in (40, 40, 200):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), grey, np.uint8), format="rgb24")))
        file.mux(stream.encode())
    return out.getvalue()


_ALL: dict[str, tuple[str, Callable[[bytes, Path], None], Callable[[], list[bytes]], tuple[bytes, ...]]] = {
    "LMDB": ("lmdb", _read_environment, environments, (b"\xde\xc0\xef\xbe",)),
    "videos": ("av", _read_video, _videos, (b"moov", b"mdat", b"stts", b"RIFF", b"\x1a\x45\xdf\xa3", b"\0\0\1\xba", b"G@\0")),
}


def media() -> Iterator[tuple[str, Callable[[bytes, Path], None], Callable[[], list[bytes]], tuple[bytes, ...]]]:
    """The targets whose packages are installed: name, reader, seeds, words."""
    for name, (package, read, seeds, words) in _ALL.items():
        if importlib.util.find_spec(package) and hasattr(os, "fork"):
            yield name, read, seeds, words
