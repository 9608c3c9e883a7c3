"""Photos that would keep their decoder busy are ended, are rows with an error, and the run goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hostile_photos import HOSTILE, encoded, many_passes
from people_store import call
from PIL import Image

from facecluster.errors import PhotoError
from facecluster.photos import decode_process, images
from facecluster.photos.images import is_bounded, open_here, open_photo
from facecluster.store import Store

LIMIT = 6  # seconds, in place of 20
MEASURE = """
import json, resource, sys
from pathlib import Path
from facecluster.errors import PhotoError
from facecluster.photos import decode_process
from facecluster.photos.images import open_photo
decode_process.SECONDS = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
try:
    photo = open_photo(Path(sys.argv[1]).read_bytes(), max_side=2000, min_short=1000, exact=False)
    said = [photo.width, photo.height]
except PhotoError as e:
    said = str(e)
decode_process.close_all()
own = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss begins with the parent's
peak = max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([said, peak / 1024, used.ru_utime + used.ru_stime]))
"""


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_process, "SECONDS", 2)


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_photo_is_one_line_in_bounded_time_and_memory(what: str, tmp_path: Path) -> None:
    path = tmp_path / "photo"
    path.write_bytes(HOSTILE[what]())
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path), str(LIMIT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said, megabytes, seconds = json.loads(done.stdout)
    assert isinstance(said, list) or said.startswith("expected ") and "\n" not in said, said
    assert megabytes < 1500 and seconds < LIMIT + 4, (megabytes, seconds)


def test_a_photo_that_takes_too_long_is_an_error_and_the_next_one_is_read(soon: None) -> None:
    slow, usual = many_passes(4000, 700), encoded(Image.new("RGB", (300, 200), "red"), "AVIF")
    assert not is_bounded(slow) and not is_bounded(usual)
    for _ in range(2):
        with pytest.raises(PhotoError, match="is decoded in 2 s, found one that takes longer"):
            open_photo(slow)
        assert open_photo(usual).width == 300


def test_the_other_process_gives_the_same_photo() -> None:
    picture = Image.effect_mandelbrot((640, 480), (-2, -1.5, 1, 1.5), 100).convert("RGB")
    exif = Image.Exif()
    exif[0x0112], exif[0x0132] = 6, "2020:01:02 03:04:05"
    for kind in ("AVIF", "TIFF", "JPEG2000"):
        data = encoded(picture, kind, **({} if kind == "JPEG2000" else {"exif": exif}))
        there, here = open_photo(data, max_side=300), open_here(data, max_side=300, min_short=0, exact=True, orientation=None)
        assert not is_bounded(data) and (there.pixels == here.pixels).all() and there.pixels.flags.writeable
        for name in ("width", "height", "scale", "format", "orientation", "taken_at"):
            assert getattr(there, name) == getattr(here, name), (kind, name)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        assert is_bounded(encoded(picture, kind)), kind
    assert is_bounded(encoded(picture, "JPEG", progressive=True))


def test_a_decoder_that_dies_takes_nothing_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    dies = f"import os, sys; print('{{}}', flush=True); os.kill(os.getpid(), {int(signal.SIGSEGV)})"
    monkeypatch.setattr(decode_process, "_PROGRAM", dies)
    decode_process.close_all()
    with pytest.raises(PhotoError, match="ends its decoder"):
        open_photo(encoded(Image.new("RGB", (30, 20)), "AVIF"))
    monkeypatch.setattr(decode_process, "_PROGRAM", "raise SystemExit(3)")
    assert open_photo(encoded(Image.new("RGB", (30, 20)), "AVIF")).width == 30  # here, where no process can be started


def test_large_photos_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most, lock = 0, 0, threading.Lock()

    class Counting:
        def __enter__(self) -> None:
            nonlocal inside, most
            lock.acquire()
            inside += 1
            most = max(most, inside)

        def __exit__(self, *_: object) -> None:
            nonlocal inside
            inside -= 1
            lock.release()

    monkeypatch.setattr(images, "_ONE_LARGE", Counting())
    data = encoded(Image.new("L", (8000, 7000), 9), "TIFF", compression="tiff_adobe_deflate")
    threads = [threading.Thread(target=open_photo, args=(data,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and inside == 0


def test_no_process_stays_when_the_program_is_killed() -> None:
    text = (
        "import io, os, signal\nfrom PIL import Image\nfrom facecluster.photos import decode_process, images\nout = io.BytesIO()\n"
        "Image.new('RGB', (30, 20)).save(out, 'AVIF')\nimages.open_photo(out.getvalue())\n"
        "print(decode_process._idle[0]._process.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    end = time.monotonic() + 30
    while Path(f"/proc/{done.stdout.strip()}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{done.stdout.strip()}").exists()


def test_a_run_goes_on_after_a_photo_that_takes_too_long(tmp_path: Path, soon: None) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(many_passes(4000, 700))
    (photos / "b.jpg").write_bytes(encoded(Image.new("RGB", (300, 200), "red"), "JPEG"))
    call("embed", str(photos), "-o", str(tmp_path / "store"))
    rows = {os.path.basename(row["uri"]): row["error"] for row in Store(str(tmp_path / "store")).read("photos", "00000").to_pylist()}
    assert rows["b.jpg"] is None and "found one that takes longer" in rows["a.jpg"]
