"""Make the pictures of the documents (docs/images) from the demo's synthetic people: no real person is on them.

    python workflows/build_pictures.py --work FOLDER

Runs the main job on a small collection, names a few people, draws the stages of the grouping on its own vectors, and takes screenshots of
the report and of the review page. Needs selenium with Chromium and scikit-learn besides the product. The layout of the graph is t-SNE of
the vectors.
"""

from __future__ import annotations

import argparse
import colorsys
import io
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait
from sklearn.manifold import TSNE

from facecluster.demo import make_collection
from facecluster.geometry import TEMPLATE
from facecluster.grouping.identify import IdentifyConfig, group
from facecluster.grouping.link import load_vectors, nearest
from facecluster.models.registry import card_of
from facecluster.photos.images import decode_crop, open_photo, read_file
from facecluster.store import FACES, IDENTITIES, PHOTOS, Store

IMAGES = Path(__file__).parents[1] / "docs" / "images"
KNOWN = ["Grace", "Hedy", "Isaac"]  # whom pictures are given of
NAMES = ["Ada", "Blaise", "Carl", "Dorothy", "Emmy"]
PROGRAM = [sys.executable, "-c", "from facecluster.cli import main; main(prog_name='facecluster')"]
SIDE, EDGE = 520, 30  # px of a drawing and of its border
NOISE, LOOK = 0.05, 0.65  # sd of each number of a vector; length of what a changed look adds


def call(*words: str) -> str:
    """What a command prints."""
    return subprocess.run([*PROGRAM, *words], check=True, capture_output=True, text=True).stdout


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
    image.quantize(128).save(IMAGES / "stage-detect.png", optimize=True)
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
    strip.quantize(192).save(IMAGES / "stage-embed.png", optimize=True)


def screenshots(store: Store) -> None:
    """The report's first page, and pages of the review."""
    options = webdriver.ChromeOptions()
    for word in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
                 "--window-size=1180,1000", "--hide-scrollbars"):
        options.add_argument(word)
    server = subprocess.Popen([*PROGRAM, "review", store.url, "--no-browser"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.get(Path(store.path("report", "index.html")).as_uri())
        small(browser.get_screenshot_as_png(), "report.png")
        assert server.stdout is not None
        address = next(word for line in server.stdout for word in line.split() if word.startswith("http://127.0.0.1"))
        browser.get(address)
        loaded = "const i = [...document.images].slice(0, 7); return i.length > 6 && i.every(x => x.complete && x.naturalWidth)"
        WebDriverWait(browser, 30).until(lambda b: b.execute_script(loaded))
        small(browser.get_screenshot_as_png(), "review.png")
        face = crowd(store)
        for name, page in (("review-photo.png", f"photo/{face}"), ("review-suggestions.png", "suggestions")):
            browser.execute_script("delete document.getElementById('main').dataset.version; location.hash = arguments[0]", f"#/{page}")
            shown = "const m = document.getElementById('main'); return m.dataset.version && [...document.images].every(x => x.naturalWidth)"
            WebDriverWait(browser, 30).until(lambda b, shown=shown: b.execute_script(shown))
            short = "for (const p of document.querySelectorAll('.path')) p.textContent = p.textContent.replace(/^.*(?=.photos.)/, '')"
            browser.execute_script(short)  # not where the pictures were made
            small(browser.get_screenshot_as_png(), name)
    finally:
        browser.quit()
        server.terminate()
        server.wait()


def crowd(store: Store) -> str:
    """A face of the photo with most faces."""
    faces = store.read_all("faces", FACES, ["face_id", "photo_id"]).to_pylist()
    count = Counter(row["photo_id"] for row in faces)
    return max((row["face_id"] for row in faces), key=lambda face: (count[next(p for p in count if p.startswith(face[:24]))], face))


def give_known(store: Store, folder: Path) -> None:
    """Give a picture of each of three people without a name, and ask about all of them."""
    people = store.read_all("identities/bundled", IDENTITIES, ["face_id", "identity"]).to_pydict()
    faces = store.read_all("faces", FACES, ["photo_id"]).to_pydict()["photo_id"]
    uris = {r["photo_id"][:24]: r["uri"] for r in store.read_all("photos", PHOTOS).to_pylist() if faces.count(r["photo_id"]) == 1}
    for number, name in enumerate(KNOWN, start=len(NAMES)):
        mine = [face[:24] for face, i in zip(people["face_id"], people["identity"], strict=True) if i == number and face[:24] in uris]
        (folder / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(uris[mine[0]], folder / name)
    call("known", str(folder), store.url, "--name-from", "1")


def small(png: bytes, name: str) -> None:
    """Keep a screenshot with 128 colours and 900 px."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.thumbnail((900, 900), Image.Resampling.LANCZOS)
    image.quantize(128, dither=Image.Dither.NONE).save(IMAGES / name, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="new folder for the photos and the store")
    options = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    made = make_collection(str(options.work), people=12, photos=8)
    store = Store(str(options.work / "store"))
    call("run", str(made.photos), "-o", store.url)
    table = Path(store.path("people.csv"))
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    named = [line.replace(",,", f",{name},", 1) for line, name in zip(lines[1:], NAMES, strict=False)]
    table.write_text("\n".join([lines[0], *named, *lines[1 + len(named) :], ""]), encoding="utf-8-sig")
    call("cluster", store.url)
    call("report", store.url)
    stages(store)
    faces_of(store)
    give_known(store, options.work / "known")
    screenshots(store)


if __name__ == "__main__":
    main()
