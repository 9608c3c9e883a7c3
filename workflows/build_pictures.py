"""Make the pictures of the documents (docs/images) from the demo's synthetic people: no real person is on them.

    python workflows/build_pictures.py --work FOLDER

Runs the main job on a small collection, names a few people, and draws the stages of the grouping on its own vectors. Needs scikit-learn
besides the product. The layout of the graph is t-SNE of the vectors. build_pages.py takes screenshots of the pages.
"""

from __future__ import annotations

import argparse
import colorsys
from pathlib import Path

import numpy as np
from build_pages import IMAGES, make_store
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from sklearn.manifold import TSNE

from facecluster.geometry import TEMPLATE
from facecluster.grouping.identify import IdentifyConfig, group
from facecluster.grouping.link import load_vectors, nearest
from facecluster.models.registry import card_of
from facecluster.photos.images import decode_crop, open_photo, read_file
from facecluster.store import FACES, IDENTITIES, PHOTOS, Store

SIDE, EDGE = 520, 30  # px of a drawing and of its border
NOISE, LOOK = 0.05, 0.65  # sd of each number of a vector; length of what a changed look adds


def palette(n: int) -> list[str]:
    """n colours that are easy to tell apart, as #rrggbb."""
    colours = [colorsys.hls_to_rgb(i * 0.618 % 1, 0.42 + 0.16 * (i % 2), 0.75) for i in range(n)]
    return ["#" + "".join(f"{round(255 * v):02x}" for v in c) for c in colours]


def drawing(points: NDArray[np.float64], lines: list[tuple[int, int, float]], labels: NDArray[np.integer] | None) -> str:
    """An SVG: faces as circles (grey = nobody's), edges as lines, the darker the more similar (weights 0 to 1, in four steps)."""
    colours = palette(int(labels.max(initial=0)) + 1) if labels is not None else []
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}" width="{SIDE}" height="{SIDE}" role="img">']
    parts.append(f'<rect width="{SIDE}" height="{SIDE}" fill="#fff"/>')
    for step in range(4):
        some = [(points[i], points[j]) for i, j, weight in lines if min(3, int(4 * weight)) == step]
        path = "".join(f"M{x1:.0f} {y1:.0f}L{x2:.0f} {y2:.0f}" for (x1, y1), (x2, y2) in some)
        parts.append(f'<path d="{path}" stroke="#557" stroke-opacity="{0.12 + 0.2 * step:.2f}"/>')
    parts.append('<g stroke="#222" stroke-width=".7">')
    for i, (x, y) in enumerate(points):
        fill = "#999" if labels is None or labels[i] < 0 else colours[labels[i]]
        parts.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="6" fill="{fill}"/>')
    return "\n".join([*parts, "</g></svg>", ""])


def stages(store: Store) -> None:
    """The three drawings of the graph: links, HDBSCAN's groups, people.

    The demo's people are easy to tell apart, and every stage would give the same. So noise is added to the vectors, and half of the faces
    of each person are moved together, as if the person had a beard there.
    """
    ids, vectors = load_vectors(store, "embeddings/bundled")
    people = store.read_all("identities/bundled", IDENTITIES, ["face_id", "identity"]).sort_by("face_id").to_pydict()
    assert people["face_id"] == ids
    person = np.array(people["identity"])
    rng, vectors, person = np.random.default_rng(5), vectors[person >= 0], person[person >= 0]
    x = np.asarray(vectors, np.float32) + rng.normal(0, NOISE, vectors.shape) * rng.gamma(4, 1 / 4, (len(vectors), 1))
    looks = rng.normal(0, LOOK / vectors.shape[1] ** 0.5, (2 * (person.max() + 1), vectors.shape[1]))
    x += looks[2 * person + rng.integers(0, 2, len(x))]
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    neighbours, similarity = nearest(x, 64)
    far = np.clip(1 - x @ x.T, 0, 2)
    np.fill_diagonal(far, 0)
    points = TSNE(metric="precomputed", init="random", perplexity=12, random_state=3).fit_transform(far)
    low, high = points.min(axis=0), points.max(axis=0)
    points = EDGE + (points - low) / (high - low) * (SIDE - 2 * EDGE)
    lines = []
    for i in range(len(x)):
        for j, cosine in zip(neighbours[i, :8].tolist(), similarity[i, :8].tolist(), strict=True):
            if j > i or (j >= 0 and i not in neighbours[j, :8]):
                lines.append((i, j, float(np.clip(cosine, 0, 1))))
    card = card_of("bundled")
    config = {"impostor_mean": card.impostor_mean, "impostor_sd": card.impostor_sd}
    found = {
        "link": None,
        "hdbscan": group(x, neighbours, similarity, IdentifyConfig(**config, algorithm="hdbscan")).labels,
        "linkage": group(x, neighbours, similarity, IdentifyConfig(**config)).labels,
    }
    for name, labels in found.items():
        (IMAGES / f"stage-{name}.svg").write_text(drawing(points, lines, labels), encoding="utf-8")
        if labels is not None:
            print(f"{name}: {labels.max() + 1} groups, {(labels < 0).sum()} faces of nobody")


def faces_of(store: Store) -> None:
    """A photo with boxes and landmarks, and the crops of the two largest people."""
    rows = store.read_all("faces", FACES).to_pylist()
    uris = {r["photo_id"]: r["uri"] for r in store.read_all("photos", PHOTOS).to_pylist()}
    count: dict[str, int] = {}
    for row in rows:
        count[row["photo_id"]] = count.get(row["photo_id"], 0) + 1
    three = [Image.fromarray(open_photo(read_file(uris[p]), max_side=1600).pixels) for p in sorted(count) if count[p] == 3]
    image = max(three, key=lambda i: float(np.asarray(i.convert("HSV"))[..., 1].mean()))  # a colourful one
    photo_id = [p for p in sorted(count) if count[p] == 3][three.index(image)]
    draw = ImageDraw.Draw(image)
    wide = max(2, image.width // 300)
    for row in (r for r in rows if r["photo_id"] == photo_id):
        x, y, w, h = row["box"]
        draw.rectangle((x, y, x + w, y + h), outline="#ffd400", width=wide)
        for px, py in np.reshape(row["landmarks"], (5, 2)):
            draw.ellipse((px - wide, py - wide, px + wide, py + wide), fill="#00e5ff")
    image.thumbnail((640, 640))
    image.save(IMAGES / "stage-detect.webp", quality=85, method=6)
    people = store.read_all("identities/bundled", IDENTITIES, ["face_id", "identity"]).to_pydict()
    person = dict(zip(people["face_id"], people["identity"], strict=True))
    crops: dict[int, list[bytes]] = {}
    for row in sorted(rows, key=lambda r: -r["quality"]):
        crops.setdefault(person.get(row["face_id"], -1), []).append(row["crop"])
    strip = Image.new("RGB", (6 * 116 - 4, 2 * 116 - 4), "#ffffff")
    for line in (0, 1):
        for column, crop in enumerate(crops[line][:6]):
            tile = Image.fromarray(decode_crop(crop))
            mark = ImageDraw.Draw(tile)
            for px, py in TEMPLATE:
                mark.ellipse((px - 1.5, py - 1.5, px + 1.5, py + 1.5), fill="#00e5ff")
            strip.paste(tile, (column * 116, line * 116))
    strip.save(IMAGES / "stage-embed.webp", quality=90, method=6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="new folder for the photos and the store")
    options = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    store = make_store(options.work)
    stages(store)
    faces_of(store)


if __name__ == "__main__":
    main()
