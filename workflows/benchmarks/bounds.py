"""Measure memory and processor time of all that comes after the grouping, each stage in a process of its own, by the number of faces.

    python workflows/benchmarks/bounds.py --work FOLDER --faces 30000 100000 300000 -o results/bounds.json

For each size the folder gets a store of generated faces: photos with one to three, people with falling numbers of faces, names for fifty
of them, a run, and a later grouping of which one face in a hundred differs. Photos are empty files, because nothing here opens them. Then
each stage runs. Its memory is the most that its process held less what it held once its modules were loaded. The growth is that between
the two largest sizes.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
SHARD, FOLDER, ROWS, K = 128, 1000, 100_000, 64  # photos of a shard and of a folder, faces of a shard of links, neighbours of a face
NAMED = 50  # people with names
WHEN = datetime(2026, 1, 1, tzinfo=UTC)  # of reports: two of them can be compared


# -- a store of generated faces -------------------------------------------------------------------------------------------------


def people_of_faces(n: int) -> Ints:
    """The person (n,) of each face by falling number of faces; -1 for one face in seven. A person has two faces or more."""
    rng = np.random.default_rng(0)
    sizes = np.minimum(1 + np.ceil(rng.pareto(1.2, n)), 500).astype(int)
    sizes = np.sort(sizes[: np.searchsorted(np.cumsum(sizes), 6 * n // 7)])[::-1]
    labels = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), np.full(n - sizes.sum(), -1)])
    return rng.permutation(labels)


def make_store(url: str, n: int, people: Callable[[int], Ints] = people_of_faces) -> None:
    """Write a store of n faces and the files of its photos beside it; `people` gives whose they are."""
    from facecluster.faces.detect import DetectConfig
    from facecluster.faces.embed import EmbedConfig
    from facecluster.models.registry import card_of
    from facecluster.photos.images import encode_crop
    from facecluster.store import FACES, FILES, PHOTOS, Store, embeddings_schema, table_of

    store, detect, embed, rng = Store(url), DetectConfig().stamp(), EmbedConfig(), np.random.default_rng(1)
    store.create()
    dim = card_of("bundled").dim
    crops = [encode_crop(np.kron(rng.integers(0, 255, (14, 14, 3)), np.ones((8, 8, 1))).astype(np.uint8)) for _ in range(100)]
    faces_in = 1 + np.arange(n) % 3
    photos = int(np.searchsorted(np.cumsum(faces_in), n))
    ids = sorted(hashlib.sha256(str(i).encode()).hexdigest() for i in range(photos))  # in order, so that rows of faces are in order too
    places = [f"{url}-photos/{i // FOLDER:04d}/IMG_{i:07d}.jpg" for i in range(photos)]
    for place in places:
        if place.endswith("000.jpg"):
            Path(place).parent.mkdir(parents=True)
        os.close(os.open(place, os.O_CREAT))
    labels = people(int(faces_in[:photos].sum()))
    centres, at = rng.normal(size=(labels.max() + 1, dim)).astype(np.float32), 0
    for start in range(0, photos, SHARD):
        part, name = slice(start, min(start + SHARD, photos)), f"{start // SHARD:05d}"
        of, count = np.repeat(np.arange(part.start, part.stop), faces_in[part]), part.stop - part.start
        m, many = len(of), [[] for _ in range(count)]
        files = {"uri": places[part], "size": [0] * count, "mtime_ns": [0] * count}
        known = dict.fromkeys(("known", "known_faces", "known_photos", "known_pictures"), many)
        store.write("files", name, table_of(FILES, files | known), {"table": "files"})
        rank = np.arange(m) - np.repeat(np.cumsum(faces_in[part]) - faces_in[part], faces_in[part])
        face_ids = [f"{ids[p][:24]}-{r:04x}" for p, r in zip(of.tolist(), rank.tolist(), strict=True)]
        box = np.stack([300 * rank, np.full(m, 400), np.full(m, 160), np.full(m, 200)], axis=1).astype(np.float32)
        columns = {
            "face_id": face_ids, "photo_id": [ids[p] for p in of], "box": box, "landmarks": np.tile(box, 3)[:, :10],
            "score": rng.random(m, np.float32), "sharpness": rng.random(m, np.float32), "yaw": rng.random(m, np.float32),
            "quality": rng.random(m, np.float32), "crop": [crops[i % len(crops)] for i in range(m)],
        }  # fmt: skip
        store.write("faces", name, table_of(FACES, columns), detect)
        rows = files | {"photo_id": ids[part], "content": ids[part], "picture": [i[:32] for i in ids[part]], "format": ["JPEG"] * count}
        rows |= {"width": [1200] * count, "height": [900] * count, "phash": [int(i[:16], 16) for i in ids[part]], "faces": faces_in[part]}
        rows |= {"taken_at": np.datetime64("2020-01-01T00:00:00", "ms") + 60_000 * np.arange(part.start, part.stop)}
        store.write("photos", name, table_of(PHOTOS, rows), {**detect, "table": "photos"})
        x = centres[labels[at : at + m]] + 0.7 * rng.normal(size=(m, dim))
        lone = labels[at : at + m] < 0
        x[lone] = rng.normal(size=(lone.sum(), dim))
        vectors = np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float16)
        store.write(embed.table(), name, table_of(embeddings_schema(dim), {"face_id": face_ids, "embedding": vectors}), embed.stamp())
        at += m
    make_groups(url, labels)


def make_groups(url: str, labels: Ints) -> None:
    """Write links, a run with names, and a later grouping."""
    from facecluster.decisions import append
    from facecluster.grouping.identify import IdentifyConfig
    from facecluster.grouping.link import load_vectors
    from facecluster.models.registry import card_of
    from facecluster.people import prepare_decisions, read_current_people, reconcile, save_run
    from facecluster.store import IDENTITIES, Store, links_schema, table_of

    store, rng = Store(url), np.random.default_rng(2)
    ids, vectors = load_vectors(store, "embeddings/bundled")
    names, n = list(ids), len(ids)
    order = np.argsort(labels, kind="stable")
    rank = np.argsort(order)
    for start in range(0, n, ROWS):
        rows = np.arange(start, min(start + ROWS, n))
        near = order[(rank[rows, None] + np.arange(1, K + 1)) % n]
        near = np.where(labels[near] == labels[rows, None], near, rng.integers(0, n, near.shape))
        near = np.where(near == rows[:, None], (near + 1) % n, near).astype(np.int32)
        cosine = np.empty(near.shape, np.float32)
        for i in range(0, len(rows), 4096):
            block = slice(i, i + 4096)
            both = vectors[rows[block]].astype(np.float32), vectors[near[block]].astype(np.float32)
            cosine[block] = np.clip(np.einsum("id,ikd->ik", *both), -1, 1)
        falling = np.argsort(-cosine, axis=1, kind="stable")
        sorted_ = {"neighbours": np.take_along_axis(near, falling, 1), "similarity": np.take_along_axis(cosine, falling, 1)}
        columns = {"face_id": names[start : start + len(rows)], **sorted_}
        store.write("links/bundled", f"{start // ROWS:05d}", table_of(links_schema(K), columns), {"table": "links", "inputs": "made"})
    stamp = IdentifyConfig(**card_of("bundled").grouping_settings()).stamp("made")
    for turn in range(2):
        now = labels.copy()
        if turn:
            some = rng.random(n) < 0.01
            now[some] = rng.permutation(now[some])
        columns = {
            "face_id": names, "identity": now, "probability": np.where(now < 0, 0, 1 - rng.random(n) / 3), "outlier_score": rng.random(n),
            "recognisability": np.ones(n),
        }  # fmt: skip
        store.write("identities/bundled", "00000", table_of(IDENTITIES, columns), {**stamp, "turn": turn})
        if not turn:
            prepared = prepare_decisions(store, ids, vectors)
            save_run(store, prepared, reconcile(store, prepared, store, "identities/bundled", "bundled"))
            known = read_current_people(store)[0]
            append(store, [known.name(i, f"Person {i}") for i in range(min(NAMED, len(known.people.faces)))])


# -- stages: each gets the store and a folder for what it makes ------------------------------------------------------------------


def vectors_of(store: Any, out: Path) -> tuple[Any, Any, Any]:
    from facecluster.engine import LocalEngine
    from facecluster.people import OverlayStore
    from facecluster.pipeline import _vectors

    (out / "made").mkdir(exist_ok=True)
    made = OverlayStore(str(out / "made"), store)
    return made, *_vectors(made, "embeddings/bundled", "bundled", LocalEngine())[:2]


def decisions(store: Any, out: Path) -> None:
    from facecluster.grouping.identify import IdentifyConfig
    from facecluster.models.registry import card_of
    from facecluster.people import choose_stand_ins, find_previous_grouping, follow_faces, prepare_decisions

    made, ids, vectors = vectors_of(store, out)
    follow_faces(store, made, "embeddings/bundled")
    choose_stand_ins(store, made, "embeddings/bundled", ids, vectors, 0.5)
    prepared = prepare_decisions(store, ids, vectors, made)
    config = IdentifyConfig(**card_of("bundled").grouping_settings())
    found = find_previous_grouping(store, "identities/bundled", ids, vectors, config, prepared, embedded="embeddings/bundled", full=False)
    digest = hashlib.sha256(prepared.photos.tobytes() + prepared.must_link.tobytes() + prepared.cannot_link.tobytes())
    (out / "prepared.json").write_text(json.dumps([prepared.notes, found.history, digest.hexdigest()]))


def run(store: Any, out: Path) -> None:
    from facecluster.people import people_csv, prepare_decisions, reconcile
    from facecluster.people.runs import write_run
    from facecluster.store import Store

    made, ids, vectors = vectors_of(store, out)
    prepared = prepare_decisions(store, ids, vectors, made)
    done = reconcile(store, prepared, made, "identities/bundled", "bundled")
    target = Store(str(out / "kept"))
    object.__setattr__(done.run, "at", "")
    write_run(target, done.run, done.identities, prepared.boxes, done.people, done.stamp)
    people_csv.write(target, done.people, people_csv.read_user_file(target, done.people), done.run)
    (out / "notes.json").write_text(json.dumps(done.notes))


def people(store: Any, out: Path) -> None:
    from facecluster.people import read_current_people

    known, _, notes = read_current_people(store)
    asked = [known.find("Person 4"), known.find(known.people.person_ids[-1])]
    said = [known.merge(*asked), known.ignore(asked[0]), known.link("same", [known.faces.ids[0], known.faces.ids[-1]])]
    (out / "people.json").write_text(json.dumps([notes, [repr(d) for d in said]]))


def unchanged(store: Any, out: Path) -> None:
    from facecluster.people.unchanged import find_unchanged, remember_state

    remember_state(store, ["bounds"], [], lambda: True)
    assert find_unchanged(store, ["bounds"]) is not None


def report(store: Any, out: Path) -> None:
    from facecluster.people import people_with_current_names
    from facecluster.report import write_report
    from facecluster.report.run_report import _person_infos

    known = people_with_current_names(store)
    assert known is not None
    write_report(store, known[1].identities, str(out / "report"), people=_person_infos(known[0]), created=WHEN)


def questions(store: Any, out: Path) -> None:
    from facecluster.people import current_run
    from facecluster.report.run_report import people_to_check

    (out / "check.json").write_text(repr(people_to_check(store, current_run(store).identities, "bundled")))  # type: ignore[union-attr]


def review(store: Any, out: Path) -> None:
    from facecluster.review import api
    from facecluster.review.session import Session

    session = Session(store)
    shown = [api.state(session, {}), api.people(session, {}), api.nobody(session, {}), api.people(session, {"order": "recent"})]
    shown += [api.person(session, {"id": shown[1]["people"][0]["id"]}), api.history(session, {})]
    crop = session.view().run_data.details.crop(5)
    (out / "answers.json").write_text(json.dumps([shown, len(crop)]))
    session.close()


def index(store: Any, out: Path) -> None:
    from facecluster.matching.index import open_index

    store.fs.rm(store.path("index"), recursive=True) if store.exists("index") else None
    open_index(store, "bundled")


def match(store: Any, out: Path) -> None:
    from facecluster.matching.gallery import build_gallery
    from facecluster.matching.index import open_index
    from facecluster.matching.match import match as match_photo
    from facecluster.matching.probe import Probe
    from facecluster.matching.recognition import read_recognition
    from facecluster.models.registry import card_of

    found = open_index(store, "bundled")
    gallery = build_gallery(found, read_recognition(store, "bundled"))
    query, none = found.vectors(np.array([7])), np.zeros((1, 4), np.float32)
    result = match_photo(Probe("", "f" * 64, none, none[0], none[0], query), gallery, card_of("bundled"))
    (out / "match.txt").write_text(repr(result))


def export(kind: str, *more: str) -> Callable[[Any, Path], None]:
    def stage(store: Any, out: Path) -> None:
        from facecluster.cli.export import command

        with contextlib.redirect_stdout(io.StringIO()) as said:
            command.main([store.url, "--format", kind, "-o", str(out / kind), *more], standalone_mode=False)
        (out / "said.txt").write_text(re.sub(r"(?<=to )\S+", "", said.getvalue()))

    return stage


STAGES: dict[str, Callable[[Any, Path], Any]] = {
    "vectors": vectors_of, "decisions": decisions, "run": run, "people": people, "unchanged": unchanged, "report": report,
    "questions": questions, "review": review, "index": index, "match": match, "csv": export("csv"), "sqlite": export("sqlite"),
    "coco": export("coco"), "fiftyone": export("fiftyone"), "labelstudio": export("labelstudio"),
    "folders": export("folders", "--link", "--dry-run"), "xmp": export("xmp", "--dry-run"),
}  # fmt: skip


def memory(key: str) -> int:
    """Bytes of this process: VmRSS, or VmHWM, the most so far. (`ru_maxrss` of getrusage counts that of the process that started it.)"""
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def do_stage(name: str, store: str, out: Path) -> None:
    """Do one stage in this process, and print what it took."""
    import facecluster.pipeline  # noqa: F401  what nearly all stages load
    from facecluster.store import Store

    gc.collect()
    before, began = memory("VmRSS"), time.process_time()
    STAGES[name](Store(store), out)
    print(json.dumps({"MB": round((memory("VmHWM") - before) / 1e6, 1), "processor s": round(time.process_time() - began, 2)}))  # noqa: T201


def measure(name: str, store: str, keep: Path | None) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=Path(store).parent) as folder:
        out = keep / name if keep else Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        done = subprocess.run([sys.executable, __file__, "--stage", name, store, str(out)], stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1])) if done.returncode == 0 else {"failed": done.returncode}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder for the stores; those that are there are used again")
    parser.add_argument("--faces", type=int, nargs="+", default=[30_000, 100_000, 300_000])
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES), help="stages")
    parser.add_argument("--keep", type=Path, help="folder for what the stages make, to compare versions")
    parser.add_argument("-o", "--out", type=Path, help="JSON file; what it has of other stages and sizes stays")
    parser.add_argument("--stage", nargs=3, metavar=("NAME", "STORE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        return do_stage(options.stage[0], options.stage[1], Path(options.stage[2]))
    found = json.loads(options.out.read_text()) if options.out and options.out.exists() else {"stages": {}}
    for n in options.faces:
        store = options.work / str(n)
        if not (store / "identities").exists():
            subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import bounds; "
                            f"bounds.make_store({str(store)!r}, {n})"], check=True)  # fmt: skip
        for name in options.only:
            took = measure(name, str(store), options.keep)
            found["stages"].setdefault(name, {})[str(n)] = took | {"bytes a face": round(took.get("MB", 0) * 1e6 / n)}
            print(n, name, found["stages"][name][str(n)], flush=True)  # noqa: T201
    for sizes in found["stages"].values():
        done = sorted((int(n), took["MB"]) for n, took in sizes.items() if n.isdecimal() and "MB" in took)[-2:]
        if len(done) == 2:
            sizes["growth, bytes a face"] = round((done[1][1] - done[0][1]) * 1e6 / (done[1][0] - done[0][0]))
    found["machine"] = {"python": platform.python_version(), "cores used": len(os.sched_getaffinity(0))}
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
