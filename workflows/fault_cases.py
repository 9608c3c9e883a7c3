"""The commands that write, each with what it needs. For `faults.py`.

Words of a command may hold {store}, {photos}, {root}, and {face0}, {unnamed0}, ...: what `fault_ground.settle` found.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
from fault_process import Command, User, call
from fault_review import draw_faces, forget_bob, group_again, use_page


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command, and what may be different afterwards."""

    name: str
    words: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()  # commands
    prepare: Callable[[Path], None] | None = None
    again: tuple[str, ...] | None = None  # what a user runs after a fault; None: the same
    fakes: bool = True  # whether coloured squares are faces
    stores: tuple[str, ...] = ("store",)
    reads_photos: bool = False  # faults of photos matter
    moves_photos: bool = False  # may give photos other places
    makes_photos: bool = False  # at another time in each run
    forgets: str = ""  # takes lines out of the journal: whose, of the needles in facts.json, nothing may be left
    first_again: tuple[tuple[str, ...], ...] = ()  # commands that a user runs after a fault before `again`; they may have nothing to do
    changes: tuple[str, ...] = field(default=())  # photos and sidecars of the user's into which it writes, as patterns
    varies: tuple[str, ...] = ()  # files that are never the same twice, as patterns
    models: tuple[str, ...] = ()  # folders of models, which are whole or not there at every moment
    user: Callable[[Path, Command], None] | None = None  # what somebody does with it, from the folder, while it runs
    workers: bool = False
    slow: bool = False  # not among the few faults of the tests


def user_of(case: Case, root: Path) -> User | None:
    """Who uses a command while it runs."""
    return None if case.user is None else partial(case.user, root)


def _delete_photos(root: Path) -> None:
    for name in ("0/1.jpg", "1/5.jpg"):
        (root / "photos" / name).unlink()


def _flip(root: Path) -> None:
    path = sorted((root / "store" / "embeddings" / "bundled").glob("part-*.parquet"))[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    (root / "store" / "photos" / ".x.tmp").write_bytes(b"left")


def _drop_report(root: Path) -> None:
    """So that a grouping which counts is not followed by a report, which is a case of its own."""
    shutil.rmtree(root / "store" / "report")


def _make_old(root: Path) -> None:
    """Take the digests from the shards, and let others read the files, as in stores of earlier versions."""
    for path in sorted((root / "store").rglob("part-*.parquet")):
        call(_without_digests, path)
        path.chmod(0o644)


def _without_digests(path: Path) -> None:
    table = pq.read_table(path, use_threads=False, pre_buffer=False)
    kept = {key: value for key, value in (table.schema.metadata or {}).items() if not key.startswith(b"facecluster.")}
    pq.write_table(table.replace_schema_metadata(kept), path, compression="zstd")


def _reference_undo(root: Path) -> None:
    """Give the undo file of a move a name that a command can hold."""
    found = sorted((root / "store" / "dedup").glob("undo-*.jsonl"))[0]
    shutil.copyfile(found, root / "undo.jsonl")


_MOVE = ("dedup", "{store}", "--move-to", "{root}/aside")
_REVIEW = ("review", "{store}", "--no-browser")
_LOGS = ("model/log.*", "model/checkpoint.pt", "model/events/*")
_TRAIN = (
    "train", "--store", "{store}", "-o", "{root}/model", "--init", "{root}/tiny.toml", "--batch", "4", "--hold-out", "0", "--threads", "1",
)  # fmt: skip

CASES = (
    Case(name="run", words=("run", "{photos}", "{root}/new", "-o", "{store}"), reads_photos=True),
    Case(name="run, a new store", words=("run", "{photos}", "-o", "{root}/fresh"), stores=("store", "fresh"), reads_photos=True),
    Case(name="embed", words=("embed", "{root}/new", "-o", "{store}"), reads_photos=True),
    Case(name="cluster", words=("cluster", "{store}")),
    Case(name="cluster --full", words=("cluster", "{store}", "--full")),
    Case(name="cluster --return-to", words=("cluster", "{store}", "--return-to", "1")),
    Case(name="name", words=("name", "{store}", "{unnamed0}", "Carla")),
    Case(name="name, a rename", words=("name", "{store}", "Ann", "Anna"), again=("name", "{store}", "{ann}", "Anna")),
    Case(name="name --csv", words=("name", "{store}", "--csv", "{root}/names.csv")),
    Case(name="merge", words=("merge", "{store}", "{ann}", "{unnamed0}")),
    Case(name="split", words=("split", "{store}", "{bob}", "{bobface}")),
    Case(name="same", words=("same", "{store}", "{face0}", "{face1}")),
    Case(name="not-same", words=("not-same", "{store}", "{face0}", "{face2}")),
    Case(name="ignore", words=("ignore", "{store}", "{unnamed1}")),
    Case(name="undo", words=("undo", "{store}", "{decision}")),
    Case(name="import-names", words=("import-names", "{store}", "{root}/sidecars")),
    Case(name="known", words=("known", "{root}/pictures", "{store}")),
    Case(name="report", words=("report", "{store}", "--out", "{root}/out/report")),
    Case(name="match", words=("match", "{root}/new/{newphoto}", "--store", "{store}")),
    Case(name="show --copy-to", words=("show", "{store}", "Ann", "--copy-to", "{root}/out/copies"), reads_photos=True),
    Case(name="show --link-to", words=("show", "{store}", "Ann", "--link-to", "{root}/out/links")),
    Case(name="export xmp", words=("export", "{store}", "--format", "xmp", "-o", "{root}/out/xmp"), reads_photos=True),
    Case(name="export xmp --beside", words=("export", "{store}", "--format", "xmp", "--beside"), changes=("photos/**/*.xmp",)),
    Case(name="export xmp --embed", words=("export", "{store}", "--format", "xmp", "--embed"), changes=("photos/**/*.jpg",), slow=True),
    Case(name="export csv", words=("export", "{store}", "--format", "csv", "-o", "{root}/out/csv")),
    Case(name="export sqlite", words=("export", "{store}", "--format", "sqlite", "-o", "{root}/out/sqlite")),
    Case(name="export folders", words=("export", "{store}", "--format", "folders", "-o", "{root}/out/folders"), reads_photos=True),
    Case(name="export coco", words=("export", "{store}", "--format", "coco", "-o", "{root}/out/coco")),
    Case(name="dedup", words=("dedup", "{store}"), reads_photos=True),
    Case(name="dedup --move-to", words=_MOVE, reads_photos=True, moves_photos=True),
    Case(name="dedup --link", words=("dedup", "{store}", "--link", "symbolic"), moves_photos=True),
    Case(
        name="dedup --undo", words=("dedup", "{store}", "--undo", "{root}/undo.jsonl"), before=(_MOVE,), prepare=_reference_undo,
        moves_photos=True,
    ),
    Case(name="prune", words=("prune", "{store}", "--yes"), prepare=_delete_photos),
    Case(name="forget", words=("forget", "{store}", "Bob", "--yes"), forgets="bob"),
    Case(name="forget, a face", words=("forget", "{store}", "{face0}", "--yes"), forgets="face"),
    Case(name="forget, a photo", words=("forget", "{store}", "{photo}", "--yes"), forgets="photo"),
    Case(name="curate", words=("curate", "{store}", "-o", "{root}/out/set", "--format", "imagefolder", "--format", "parquet")),
    Case(name="curate webdataset", words=("curate", "{store}", "-o", "{root}/out/web", "--format", "webdataset")),
    Case(name="evaluate", words=("evaluate", "{store}", "--truth", "{root}/truth.csv", "-o", "{root}/out/evaluation")),
    Case(name="explain", words=("explain", "{store}", "Ann", "-o", "{root}/out/maps", "--max-faces", "1"), slow=True),
    Case(name="attributes", words=("attributes", "{store}", "--model", "pose")),
    Case(name="check --repair", words=("check", "{store}", "--repair"), prepare=_flip),
    Case(name="upgrade", words=("upgrade", "{store}"), prepare=_make_old),
    Case(name="compact", words=("compact", "{store}"), before=(("embed", "{root}/new", "-o", "{store}"),)),
    Case(name="review", words=_REVIEW, user=use_page),
    Case(name="review, a drawn face", words=_REVIEW, user=draw_faces, reads_photos=True),
    Case(name="review, group again", words=_REVIEW, user=group_again, prepare=_drop_report, reads_photos=True, slow=True),
    Case(name="review, forget", words=_REVIEW, user=forget_bob, forgets="bob", first_again=(("forget", "{store}", "--yes"),)),
    Case(name="train", varies=_LOGS, models=("model",), words=(*_TRAIN, "--steps", "4")),
    Case(
        name="train, a model's next", before=((*_TRAIN, "--steps", "2"),), varies=_LOGS, models=("model",),
        words=(*_TRAIN, "--steps", "4"), slow=True,
    ),
    Case(
        name="demo", words=("demo", "-o", "{root}/demo", "--people", "6", "--photos", "2"), fakes=False, stores=("store", "demo/store"),
        makes_photos=True, slow=True,
    ),
    Case(name="run --workers", words=("run", "{root}/new", "-o", "{store}", "--workers", "1"), workers=True, reads_photos=True, slow=True),
)  # fmt: skip
