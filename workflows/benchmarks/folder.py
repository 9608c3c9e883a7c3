"""Measure a whole folder with dirt in it: people that are none, two faces of one photo in one person, labelled people who are lost.

    python workflows/benchmarks/folder.py --photos photos_more.parquet --faces faces_eval.parquet --album album --judge yunet_n.onnx \
        --work FOLDER -o results/folder.json

The folder holds crowds at sports, streets and groups, photos of things, an album, and people of `faces` pasted into scenes
(folder_photos.py). A face is clear if OpenCV's YuNet finds it at .7 with 28 px of a photo of 1,280 px. A person is junk if over half of
its faces are not clear. A labelled person is lost if two faces or more were found and none is in a person. Twins are pairs of faces of one
photo in one person, without near-copies (cosine .9). Labelled faces are known by their place (IoU .3). BCubed figures are of those that
were found; "of all labels" counts the others as found and with nobody. The peers of grouping.py group the same vectors, each at its default
and at its best setting. Needs opencv-python-headless besides their packages.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from folder_photos import Label, build
from grouping import PEERS, K
from numpy.typing import NDArray
from PIL import Image

from facecluster.evaluation import bcubed
from facecluster.faces.detect import DetectConfig
from facecluster.faces.embed import EmbedConfig
from facecluster.grouping.link import LinkConfig, load_vectors, nearest
from facecluster.pipeline import cluster_faces, embed_photos
from facecluster.store import FACES, IDENTITIES, PHOTOS, Store

Ints = NDArray[np.int64]
SCORE, SIDE, CLEAR = 0.7, 1280, 28


def overlap(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """IoU (n, m) of boxes (n, 4) and (m, 4), x, y, w, h."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum((a[:, :2] + a[:, 2:])[:, None], (b[:, :2] + b[:, 2:])[None])
    both = np.clip(high - low, 0, None).prod(axis=2)
    return np.asarray(both / np.maximum(a[:, 2:].prod(axis=1)[:, None] + b[:, 2:].prod(axis=1)[None] - both, 1e-9))


def clear_boxes(judge: Path, path: str) -> NDArray[np.float64]:
    """Boxes (n, 4) in px of the photo that YuNet is sure of and that are large enough."""
    image = np.asarray(Image.open(path).convert("RGB"))[:, :, ::-1]
    scale = SIDE / max(image.shape[:2])
    image = cv2.resize(image, None, fx=scale, fy=scale)
    found = cv2.FaceDetectorYN.create(str(judge), "", image.shape[1::-1], SCORE).detect(np.ascontiguousarray(image))[1]
    boxes = np.zeros((0, 4)) if found is None else found[:, :4].astype(np.float64)
    return boxes[boxes[:, 2] >= CLEAR] / scale


@contextmanager
def silent(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """No progress bar."""
    yield lambda n: None


class Folder:
    """The faces of a store in the order of their ids, with what is known about them."""

    def __init__(self, store: Store, labels: list[Label], judge: Path, table: str) -> None:
        self.ids, vectors = load_vectors(store, table)
        self.vectors = np.asarray(vectors, np.float32)
        rows = {r["face_id"]: r for r in store.read_all("faces", FACES, ["face_id", "photo_id", "box"]).to_pylist()}
        uris = {r["photo_id"]: r["uri"] for r in store.read_all("photos", PHOTOS, ["photo_id", "uri"]).to_pylist()}
        self.photo = np.unique([rows[i]["photo_id"] for i in self.ids], return_inverse=True)[1]
        self.clear = np.zeros(len(self.ids), dtype=bool)
        self.truth = np.full(len(self.ids), -1)
        people = {name: i for i, name in enumerate(sorted({x.person for x in labels}))}
        self.labels, self.found = len(labels), 0
        missed = [people[x.person] for x in labels]  # the person of each label; those that are found are taken out
        for photo in np.unique(self.photo):
            at = np.flatnonzero(self.photo == photo)
            boxes = np.array([rows[self.ids[i]]["box"] for i in at], np.float64)
            uri = uris[rows[self.ids[at[0]]]["photo_id"]]
            sure = clear_boxes(judge, uri)
            if len(sure):
                self.clear[at] = overlap(boxes, sure).max(axis=1) > 0.3
            for label in (x for x in labels if x.path == Path(uri).name):
                likeness = overlap(boxes, np.array([label.box]))[:, 0]
                best = int((boxes[:, 2] * boxes[:, 3]).argmax() if label.box[:2] == (0.0, 0.0) else likeness.argmax())
                if label.box[:2] == (0.0, 0.0) or likeness[best] > 0.3:
                    self.truth[at[best]], self.found = people[label.person], self.found + 1
                    missed.remove(people[label.person])
                    self.clear[at[best]] = True  # YuNet misses faces that fill the photo
        self.missed = np.array(missed, np.int64)

    def figures(self, groups: NDArray[np.integer]) -> dict[str, float]:
        """What is wrong and right with groups (n,), -1 = nobody."""
        junk, faces = 0, 0
        twins = 0
        for group in range(int(groups.max(initial=-1)) + 1):
            rows = np.flatnonzero(groups == group)
            if len(rows) > 1 and self.clear[rows].mean() < 0.5:
                junk, faces = junk + 1, faces + len(rows)
            same = np.triu(self.photo[rows][:, None] == self.photo[rows][None], 1)
            twins += int((same & (self.vectors[rows] @ self.vectors[rows].T < 0.9)).sum())
        known = np.flatnonzero(self.truth >= 0)
        alone = groups[known].astype(np.int64)
        alone[alone < 0] = groups.max(initial=-1) + 1 + np.arange((alone < 0).sum())
        cube = bcubed(self.truth[known], alone)
        unseen = alone.max(initial=-1) + 1 + np.arange(len(self.missed))  # as if they were found and with nobody
        whole = bcubed(np.r_[self.truth[known], self.missed], np.r_[alone, unseen])
        people, counts = np.unique(self.truth[known], return_counts=True)
        lost = set(people[counts > 1].tolist()) - set(self.truth[known[groups[known] >= 0]].tolist())
        return {
            "people": int(groups.max(initial=-1)) + 1, "junk people": junk, "faces of junk people": faces, "twins": twins,
            "labelled with nobody": int((groups[known] < 0).sum()), "labelled people lost": len(lost), "bcubed_f": round(cube.f, 4),
            "bcubed_precision": round(cube.precision, 4), "bcubed_recall": round(cube.recall, 4),
            "bcubed_f of all labels": round(whole.f, 4),
        }  # fmt: skip


def as_people(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """A peer's labels as groups of two and more, 0, 1, ...; others -1."""
    _, inverse, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    keep = (sizes > 1) & (np.unique(labels) >= 0 if labels.min() < 0 else True)
    number = np.where(keep, np.cumsum(keep) - 1, -1)
    return np.asarray(number[inverse], np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("photos", "faces", "album", "judge", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="bundled", help="embedder, as facecluster run takes it")
    parser.add_argument("--detector", default="bundled", help="face detector, likewise")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    labels = build(options.photos, options.faces, options.album, options.work / "photos", options.seed)
    embedding, detecting = EmbedConfig(model=options.model), DetectConfig(detector=options.detector)
    store = Store(str(options.work / "store"))
    store.create()
    started = time.process_time()
    embed_photos([str(options.work / "photos")], store, detecting, embedding, bars=silent)
    spent = time.process_time() - started
    cluster_faces(store, embedding, LinkConfig(), None, bars=silent)
    folder = Folder(store, labels, options.judge, embedding.table())
    table = store.read_all(embedding.table().replace("embeddings", "identities"), IDENTITIES, ["face_id", "identity"]).sort_by("face_id")
    result: dict[str, object] = {
        "photos": len(list((options.work / "photos").iterdir())), "faces": len(folder.ids), "clear": int(folder.clear.sum()),
        "labelled": folder.labels, "labelled found": folder.found, "embed: processor seconds": round(spent, 1),
        "ours": folder.figures(table["identity"].to_numpy()),
    }  # fmt: skip
    if not options.no_peers:
        neighbours, similarity = nearest(folder.vectors, K)
        peers: dict[str, object] = {}
        for name, (peer, _) in PEERS.items():
            found = [(setting, folder.figures(as_people(found))) for setting, found in peer(folder.vectors, neighbours, similarity)]
            peers[name] = {"default": found[0], "best bcubed_f": max(found, key=lambda f: f[1]["bcubed_f"])}
        result["peers"] = peers
    result["machine"] = {"python": platform.python_version(), "processor": platform.processor()}
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
