"""Pictures without a face, put together from cut-out things on wallpapers: more kinds of false alarms for the detector's second stage.

    python workflows/drawn_things.py --things usr/share/tuxpaint/stamps --grounds usr/share/backgrounds usr/share/wallpapers \
        --yunet yunet_n.onnx --out things.parquet

`--things` is a folder of pictures with transparent ground (Debian's tuxpaint-stamps-default has several hundred photos of animals, fruit,
tools and vehicles); `--grounds` are folders of photos to stand behind them. A picture shows one thing, a few, or a heap of one kind, in
any size, turned, lit, blurred and compressed. Kinds that may show people are left out by their folders, and what the teacher takes for a
face at `DOUBTFUL` by itself. The file has the columns of photos_more.parquet; its source is `negatives/drawn`.
Needs the `train` dependency group (opencv) besides the product.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

PEOPLE = (  # folders that may show people, or faces that are drawn
    "people", "cartoon", "toys", "faces", "christmas", "halloween", "easter", "hobbies", "sports", "symbols", "money",
    "clothes", "monuments",
)  # fmt: skip
DOUBTFUL = 0.8
LONGEST = 640  # px, of a thing as it is kept


def read_things(folder: Path) -> dict[str, list[NDArray[np.uint8]]]:
    """Cut-outs (h, w, 4), BGR and opacity, by kind: the folder they lie in."""
    kinds: dict[str, list[NDArray[np.uint8]]] = {}
    for path in sorted(folder.rglob("*.png")):
        if set(path.relative_to(folder).parts) & set(PEOPLE):
            continue
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if image is None or image.ndim != 3 or image.shape[2] != 4 or min(image.shape[:2]) < 40:
            continue
        scale = min(1.0, LONGEST / max(image.shape[:2]))
        kinds.setdefault(path.parent.name, []).append(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    return kinds


def read_grounds(folders: list[Path]) -> list[NDArray[np.uint8]]:
    """Photos (h, w, 3), BGR, at most 1600 px; one of each folder, of those that hold one picture in several sizes."""
    paths = {}
    for folder in folders:
        for path in sorted(p for e in ("*.jpg", "*.png", "*.webp") for p in folder.rglob(e)):
            if path.stat().st_size > 200_000:
                paths[path.parent if path.stem.split("x")[0].isdigit() else path] = path
    read = (cv2.imread(str(p)) for p in paths.values())
    return [cv2.resize(g, None, fx=s, fy=s, interpolation=cv2.INTER_AREA) for g in read if g is not None for s in [1600 / max(g.shape[:2])]]


def ground(grounds: list[NDArray[np.uint8]], height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    kind = rng.random()
    if kind < 0.25 or not grounds:
        low, high = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
        share = np.linspace(0, 1, height)[:, None, None] if rng.random() < 0.5 else np.zeros((height, 1, 1))
        return np.broadcast_to(low + (high - low) * share, (height, width, 3)).astype(np.float32)
    image = grounds[rng.integers(len(grounds))]
    scale = max(height / image.shape[0], width / image.shape[1]) * float(np.exp(rng.uniform(0, 1)))
    big = cv2.resize(image, (max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale))))
    y, x = rng.integers(0, big.shape[0] - height + 1), rng.integers(0, big.shape[1] - width + 1)
    return big[y : y + height, x : x + width].astype(np.float32)


def lay(canvas: NDArray[np.float32], thing: NDArray[np.uint8], size: float, at: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Draw a thing, its longer side `size` px, with its middle `at` (x, y)."""
    h, w = thing.shape[:2]
    turn = rng.normal(0, 15) if rng.random() < 0.6 else rng.uniform(0, 360)
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), turn, size / max(h, w))
    if rng.random() < 0.5:
        thing = np.ascontiguousarray(thing[:, ::-1])
    side = int(np.ceil(size * 1.5))
    matrix[:, 2] += side / 2 - np.array([w / 2, h / 2])
    source = thing.astype(np.float32)
    source[..., :3] *= source[..., 3:] / 255  # so that what is invisible does not shine through
    if size < max(h, w) / 2:
        source = cv2.GaussianBlur(source, (0, 0), max(h, w) / size / 3)
    piece = cv2.warpAffine(source, matrix, (side, side))
    light = np.exp(rng.normal(0, 0.15, 3) + rng.normal(0, 0.15))
    x, y = (np.round(at) - side // 2).astype(int)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + side, canvas.shape[1]), min(y + side, canvas.shape[0])
    if x1 > x0 and y1 > y0:
        part = piece[y0 - y : y1 - y, x0 - x : x1 - x]
        below = canvas[y0:y1, x0:x1]
        below[:] = below * (1 - part[..., 3:] / 255) + part[..., :3] * light


def drawn(kinds: dict[str, list[NDArray[np.uint8]]], grounds: list[NDArray[np.uint8]], rng: np.random.Generator) -> NDArray[np.uint8]:
    """One picture (h, w, 3), BGR."""
    height, width = (int(v) for v in rng.integers(280, 720, 2))
    canvas = ground(grounds, height, width, rng)
    chances = np.sqrt([len(things) for things in kinds.values()])
    things = list(kinds.values())[rng.choice(len(kinds), p=chances / chances.sum())]
    heap = rng.random() < 0.35
    n = int(rng.integers(12, 60)) if heap else int(rng.integers(1, 5))
    chosen = [things[rng.integers(len(things))] for _ in range(int(rng.integers(1, 3)))] if heap else things
    size = float(np.exp(rng.uniform(np.log(30), np.log(160 if heap else min(height, width)))))
    for _ in range(n):
        at = rng.uniform(0, 1, 2) * (width, height)
        lay(canvas, chosen[rng.integers(len(chosen))], size * float(np.exp(rng.normal(0, 0.15))), at, rng)
    if rng.random() < 0.3:
        canvas = cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.5, 2.5)))
    if rng.random() < 0.15:
        canvas = np.repeat(canvas.mean(axis=2, keepdims=True), 3, axis=2)
    canvas = (canvas - 127) * float(rng.uniform(0.6, 1.2)) + 127 + float(rng.uniform(-40, 30))
    canvas += rng.normal(0, rng.uniform(0, 6), canvas.shape)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--things", type=Path, required=True)
    parser.add_argument("--grounds", type=Path, nargs="+", required=True)
    parser.add_argument("--yunet", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=2500)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    net = cv2.FaceDetectorYN.create(str(options.yunet), "", (320, 320), DOUBTFUL)

    def shows_face(image: NDArray[np.uint8]) -> bool:
        net.setInputSize((image.shape[1], image.shape[0]))
        return net.detect(image)[1] is not None

    kinds = read_things(options.things)
    for kind, things in kinds.items():
        on_grey = [np.round(t[..., :3] * (t[..., 3:] / 255) + 127 * (1 - t[..., 3:] / 255)).astype(np.uint8) for t in things]
        kinds[kind] = [t for t, image in zip(things, on_grey, strict=True) if not shows_face(image)]
    kinds = {kind: things for kind, things in kinds.items() if things}
    grounds = [g for g in read_grounds(options.grounds) if not shows_face(g)]
    print(f"{sum(map(len, kinds.values()))} things of {len(kinds)} kinds, {len(grounds)} grounds")  # noqa: T201
    rows = []
    for _ in range(options.count):
        image = drawn(kinds, grounds, rng)
        data = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, int(rng.integers(40, 90))])[1].tobytes()
        rows.append({"source": "negatives/drawn", "width": image.shape[1], "height": image.shape[0], "image": data})
    table = pa.Table.from_pylist(rows)
    empty = pa.array([[]] * len(rows), pa.list_(pa.list_(pa.float32())))
    for name, column in (("boxes", empty), ("landmarks", pa.array([[]] * len(rows), pa.list_(pa.list_(pa.list_(pa.float32()))))),
                         ("scores", pa.array([[]] * len(rows), pa.list_(pa.float32())))):
        table = table.append_column(name, column)
    pq.write_table(table, options.out)


if __name__ == "__main__":
    main()
