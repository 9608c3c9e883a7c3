"""What the tests of whole runs share: small photos of synthetic people, programs on them, and stores compared."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from facecluster.demo import make_collection
from facecluster.store import Store

TABLES = ("files", "photos", "faces", "embeddings/bundled", "links/bundled", "identities/bundled")
PROGRAM = [sys.executable, str(Path(__file__).parent / "pipeline" / "small_shards.py")]
# one thread, so that sums are added in one order whatever engine runs them; the package is found from any folder
SETTINGS = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}


def wait_for(condition: Callable[[], Any], seconds: float = 250, pause: float = 0.05) -> None:
    """Wait until a condition holds; fail after a time that a busy machine needs."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(pause)


@cache
def _small_pictures() -> list[bytes]:
    """JPEGs of six people, 320 px wide: the same for every test, so a process makes them once."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(make_collection(str(Path(folder) / "large"), people=6, photos=3).photos)
        for path in sorted(p for p in photos.rglob("*") if p.is_file()):
            try:
                with Image.open(path) as image:
                    picture = ImageOps.exif_transpose(image).convert("RGB")
            except OSError:  # the collection's damaged one
                continue
            picture.thumbnail((320, 320))
            out = io.BytesIO()
            picture.save(out, "JPEG", quality=90)
            made.append(out.getvalue())
    return made


def small_photos(folder: Path, n: int = 30) -> str:
    """A folder with n photos of six people, 320 px wide; the last but one is a copy, the last is damaged."""
    photos = folder / "photos"
    photos.mkdir()
    pictures = _small_pictures()
    assert len(pictures) >= n - 2
    for i, picture in enumerate(pictures[: n - 2]):
        (photos / f"{i:02}.jpg").write_bytes(picture)
    whole = (photos / "05.jpg").read_bytes()
    (photos / "97.jpg").write_bytes(whole)
    (photos / "98.jpg").write_bytes(whole[: len(whole) // 2])
    return str(photos)


def start(*arguments: str) -> subprocess.Popen[str]:
    """facecluster with these arguments as a program of its own, in a process group of its own as a terminal makes it."""
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="surrogateescape",
        start_new_session=True,
        env=os.environ | SETTINGS,
    )


def run(*arguments: str) -> str:
    """Run facecluster to its end; what it says."""
    process = start(*arguments)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    return out + err


def lines(err: str) -> list[str]:
    """What stands in stderr besides progress bars."""
    return [line for line in err.replace("\r", "\n").splitlines() if line.strip() and not re.search(r"\[\d\d:\d\d[<,]", line)]


def same_tables(a: Store, b: Store, *, but: Collection[str] = ()) -> None:
    """Fail unless the stores hold the same shards with the same rows and stamps; `but`: tables that are not looked at."""
    for table in [table for table in TABLES if table not in but]:
        assert a.shards(table) == b.shards(table) and a.shards(table), table
        for shard in a.shards(table):
            assert a.read(table, shard).equals(b.read(table, shard), check_metadata=True), (table, shard)


def alive(group: int) -> list[str]:
    """Commands of the processes of a group that still run (Linux)."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, _, process_group = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:3]
                if int(process_group) == group and state not in "ZX":
                    found.append((folder / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
    return found
