"""A store that grows by little and often, with names, photos that are forgotten and `compact`, holds what one run over all photos gives.

    python workflows/soak.py --growths 1000 --folder soak

Each growth adds a photo or two and runs. Between them people are named, and photos forgotten. Every twenty growths the store is compacted,
which must change no table, and afterwards `cluster` must compute nothing; but the last hundred growths lie in as many shards. With --folder
it can be stopped after any growth, and the same command goes on. At the end a second store gets all photos in one run, and the
same names and forgettings: photos, faces, vectors, people and names must be equal, and the first store must have few files. Faces are
coloured squares.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from coloured_photos import HUES, Detector, Embedder, Picture, draw

import facecluster
from facecluster.cli import main
from facecluster.people import read_current_people
from facecluster.photos.places import current_photos
from facecluster.store import FACES, Store, embeddings_schema

NAMES = ("Ann", "Bob", "Cy", "Dee", "Eve", "Zoë")
START = 18  # photos before the first growth: three of each look
LAST = 100  # growths without a compaction
FILES_A_RUN = 5  # of runs/NUMBER, which `compact --keep-runs` bounds


class Wrong(Exception):
    """The two stores differ, or a compaction did more than it may."""


def command(*words: str) -> str:
    said = io.StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            main.main(list(words), standalone_mode=False)
    except SystemExit as e:
        if e.code:
            raise Wrong(f"facecluster {' '.join(words)}: {said.getvalue()}") from e
    return said.getvalue()


class Soak:
    """Photos, and the store that grows with them."""

    def __init__(self, root: Path, seed: int) -> None:
        self.state = root / "state.json"
        self.photos, self.store, self.rng = root / "photos", Store(str(root / "store")), np.random.default_rng(seed)
        self.hue: dict[str, int] = {}  # true person by path
        self.forgotten: set[str] = set()  # paths
        self.names: dict[int, str] = {}  # by true person
        self.seed, self.grown, self.seconds = seed, 0, 0.0  # growths; processor time of all of it
        if self.state.exists():
            self.go_on(json.loads(self.state.read_text(encoding="utf-8")))
            return
        for number in range(START):
            self.add(number % HUES)
        self.run()

    def go_on(self, said: dict[str, Any]) -> None:
        if said["seed"] != self.seed:
            raise Wrong(f"the soak there has the seed {said['seed']}, not {self.seed}")
        self.rng.bit_generator.state = said["rng"]
        self.hue, self.forgotten, self.grown, self.seconds = said["hue"], set(said["forgotten"]), said["grown"], said["seconds"]
        self.names = {int(hue): name for hue, name in said["names"].items()}

    def save(self, began: float) -> None:
        """Keep what is needed to go on."""
        said = {
            "seed": self.seed, "rng": self.rng.bit_generator.state, "hue": self.hue, "forgotten": sorted(self.forgotten),
            "names": self.names, "grown": self.grown, "seconds": self.seconds + time.process_time() - began,
        }  # fmt: skip
        beside = self.state.with_suffix(".new")
        beside.write_text(json.dumps(said), encoding="utf-8")
        beside.replace(self.state)

    def add(self, hue: int) -> None:
        number = len(self.hue)
        path = self.photos / str(number % 7) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(Picture(number, (hue,), ((0.5, 0.5),)), self.rng).save(path, quality=92)
        self.hue[str(path)] = hue

    def run(self) -> None:
        facecluster.run(self.photos, self.store.url, report=False)

    def face_of(self, path: str, store: Store) -> str:
        row = next(row for row in current_photos(store, ["uri", "photo_id"]).to_pylist() if row["uri"] == path)
        return f"{row['photo_id'][:24]}-0000"

    def name(self, store: Store, hue: int, name: str) -> None:
        path = next(path for path, of in self.hue.items() if of == hue and path not in self.forgotten)
        command("name", store.url, self.face_of(path, store), name)

    def forget(self) -> None:
        """One photo, of a person who has others."""
        paths = [path for path in self.hue if path not in self.forgotten]
        path = paths[int(self.rng.integers(START, len(paths)))] if len(paths) > START else ""
        if path:
            command("forget", self.store.url, path, "--yes")
            self.forgotten.add(path)

    def grow(self) -> None:
        for _ in range(int(self.rng.integers(1, 3))):
            self.add(int(self.rng.integers(HUES)))
        self.run()
        what = self.rng.random()
        if what < 0.1:
            hue = int(self.rng.integers(HUES))
            self.names[hue] = self.names.get(hue) or NAMES[hue]
            self.name(self.store, hue, self.names[hue])
        elif what < 0.14:
            self.forget()

    def compact(self) -> None:
        facecluster.run(self.photos, self.store.url, report=False)
        before, made = says(self.store), made_of(self.store)
        command("compact", self.store.url, "--keep-runs", "20")
        if says(self.store) != before:
            raise Wrong("compact changed a table")
        facecluster.run(self.photos, self.store.url, report=False)
        if made_of(self.store) != made:
            raise Wrong("links or groups were made anew after compact")
        many = sum(1 for path in Path(self.store.url).rglob("*") if path.is_file())
        few = 40 + 21 * FILES_A_RUN + 2 * len(self.forgotten)
        if many > few:
            raise Wrong(f"{many} files after compact, not {few} at most")


def made_of(store: Store) -> list[tuple[str, int]]:
    paths = [path for table in ("links", "identities") for path in sorted((Path(store.url) / table).rglob("*.parquet"))]
    return [(str(path), path.stat().st_mtime_ns) for path in paths]


def says(store: Store) -> dict[str, Any]:
    """What counts of the tables, and the people by their faces."""
    rows = {row["uri"]: row for row in current_photos(store).to_pylist()}
    facts = ("photo_id", "width", "height", "faces", "error", "content", "picture")
    photos = {uri: [row[key] for key in facts] for uri, row in rows.items()}
    counted = {row["photo_id"] for row in rows.values()}
    faces = {row["face_id"]: row for row in store.read_all("faces", FACES).to_pylist() if row["photo_id"] in counted}
    vectors = store.read_all("embeddings/bundled", embeddings_schema(128)).to_pylist()
    current = read_current_people(store)[0]
    people: dict[int, list[str]] = {}
    for face, identity in zip(current.faces.ids, current.faces.identity.tolist(), strict=True):
        people.setdefault(identity, []).append(face)
    groups = sorted((sorted(of), (current.people.names[i] or "") if i >= 0 else "") for i, of in people.items())
    return {
        "photos": photos,
        "faces": faces,
        "vectors": {row["face_id"]: row["embedding"] for row in vectors if row["face_id"] in faces},
        "people": groups,
    }


def soak(growths: int, seed: int, every: int, tell: Callable[[str], None], folder: str | None = None) -> dict[str, Any]:
    """Let a store grow, in a folder of its own or one that stays; gives what was done. Raises Wrong."""
    began, last = time.process_time(), min(LAST, growths // 3)
    with ExitStack() as stack:
        root = folder or stack.enter_context(tempfile.TemporaryDirectory())
        for name, fake in (("faces.detect._detector", Detector()), ("faces.embed.load_embedder", Embedder())):
            stack.enter_context(patch(f"facecluster.{name}", lambda *_, fake=fake: fake))
        it = Soak(Path(root), seed)
        while it.grown < growths:
            it.grow()
            it.grown += 1
            if it.grown % every == 0:
                if it.grown <= growths - last:
                    it.compact()
                tell(f"{it.grown} growths, {len(it.hue)} photos, {it.seconds + time.process_time() - began:.0f} s of processor time")
            it.save(began)
        it.run()
        it.compact()
        command("cluster", it.store.url, "--full")
        shutil.rmtree(Path(root) / "one", ignore_errors=True)
        one = Store(str(Path(root) / "one"))
        facecluster.run(it.photos, one.url, report=False)
        for path in sorted(it.forgotten):
            command("forget", one.url, path, "--yes")
        for hue, called in it.names.items():
            it.name(one, hue, called)
        command("cluster", one.url, "--full")
        grown, whole = says(it.store), says(one)
        wrong = [key for key in grown if grown[key] != whole[key]]
        if wrong:
            raise Wrong(f"after {growths} growths these are not as in one run: {', '.join(wrong)}")
        files = sum(1 for path in Path(it.store.url).rglob("*") if path.is_file())
        return {
            "growths": it.grown, "seed": seed, "photos": len(it.hue), "named": len(it.names), "forgotten": len(it.forgotten),
            "files": files, "seconds of processor time": round(it.seconds + time.process_time() - began),
        }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--growths", type=int, default=1000)
    parser.add_argument("--every", type=int, default=20, help="growths between two compactions")
    parser.add_argument("--folder", help="folder for photos and stores, which stays, so that the same command goes on there")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", help="file for the result (JSON)")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found = soak(options.growths, options.seed, options.every, lambda line: print(line, file=sys.stderr, flush=True), options.folder)
    if options.out:
        Path(options.out).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
