"""Make the pictures of every page in docs/pages.md (docs/images/page-*.webp) from the demo's synthetic people: no real person is on them.

    python workflows/build_pages.py --work FOLDER

The folder gets a small collection, its store, copies of some photos, and the pages; what is there already is used again. Needs selenium
with Chromium besides the product.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from facecluster.demo import make_collection
from facecluster.store import FACES, IDENTITIES, PHOTOS, Store

IMAGES = Path(__file__).parents[1] / "docs" / "images"
KNOWN = ["Grace", "Hedy", "Isaac"]  # whom pictures are given of
NAMES = ["Ada", "Blaise", "Carl", "Dorothy", "Emmy"]
PROGRAM = [sys.executable, "-c", "from facecluster.cli import main; main(prog_name='facecluster')"]
SIZE, WIDTH, QUALITY = (1180, 860), 800, 50  # px of the window; px and quality of a picture
MOUSE = "primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"  # a browser without a window has none
LOADED = (
    "const seen = (i) => i.loading !== 'lazy' || i.getBoundingClientRect().top < innerHeight;"
    "return [...document.images].filter(seen).every((i) => i.complete)"
)


def call(*words: str) -> str:
    """What a command prints."""
    return subprocess.run([*PROGRAM, *words], check=True, capture_output=True, text=True).stdout


def make_store(folder: Path) -> Store:
    """A store of synthetic people, some of them with names, with its report."""
    made = make_collection(str(folder), people=12, photos=8)
    store = Store(str(folder / "store"))
    call("run", str(made.photos), "-o", store.url)
    table = Path(store.path("people.csv"))
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    named = [line.replace(",,", f",{name},", 1) for line, name in zip(lines[1:], NAMES, strict=False)]
    table.write_text("\n".join([lines[0], *named, *lines[1 + len(named) :], ""]), encoding="utf-8-sig")
    call("cluster", store.url)
    call("report", store.url)
    return store


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


def crowd(store: Store) -> str:
    """A face of the photo with most faces."""
    faces = store.read_all("faces", FACES, ["face_id", "photo_id"]).to_pylist()
    count = Counter(row["photo_id"] for row in faces)
    return max((row["face_id"] for row in faces), key=lambda face: (count[next(p for p in count if p.startswith(face[:24]))], face))


def duplicates(folder: Path) -> Path:
    """The page of duplicates: photos of the collection with smaller and cropped copies. Gives the page."""
    photos, page = folder / "copies", folder / "duplicates"
    if not page.exists():
        photos.mkdir(exist_ok=True)
        for path in sorted(p for p in (folder / "photos").rglob("*.jpg") if p.stat().st_size > 20_000)[:6]:
            shutil.copy(path, photos)
            with Image.open(path) as image:
                w, h = image.size
                image.convert("RGB").resize((w // 2, h // 2)).save(photos / f"{path.stem}-small.jpg", quality=80)
                image.convert("RGB").crop((0, 0, w * 9 // 10, h)).save(photos / f"{path.stem}-cropped.jpg", quality=90)
        call("run", str(photos), "-o", str(folder / "copies-store"))
        call("dedup", str(folder / "copies-store"), "--out", str(page))
    return next(page.rglob("index.html"))


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    options = webdriver.ChromeOptions()
    for word in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
                 "--hide-scrollbars", f"--blink-settings={MOUSE}"):  # fmt: skip
        options.add_argument(word)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.set_window_size(*SIZE)
        yield browser
    finally:
        browser.quit()


@contextmanager
def review(store: Store) -> Iterator[str]:
    """The review, at work; gives its address."""
    server = subprocess.Popen([*PROGRAM, "review", store.url, "--no-browser"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        yield next(word for line in server.stdout for word in line.split() if word.startswith("http://127.0.0.1"))
    finally:
        server.terminate()
        server.wait()


def keep(browser: Any, name: str, out: Path) -> None:
    """Keep a picture of the page."""
    WebDriverWait(browser, 30).until(lambda b: b.execute_script(LOADED))
    # not where the pictures were made
    place = "/^.*(?=.(photos|copies|duplicates).)/"
    browser.execute_script(f"for (const p of document.querySelectorAll('.path, code')) p.textContent = p.textContent.replace({place}, '')")
    image = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    image.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    image.save(out / f"page-{name}.webp", quality=QUALITY, method=6)


def review_pages(browser: Any, store: Store, out: Path) -> None:
    """Pictures of the pages of the review."""

    def go(page: str, css: str) -> None:
        browser.execute_script(
            "if (location.hash !== arguments[0]) { delete document.getElementById('main').dataset.version; location.hash = arguments[0]; }",
            f"#/{page}",
        )
        shown = f"return document.getElementById('main').dataset.version && document.querySelector({css!r})"
        WebDriverWait(browser, 30).until(lambda b: b.execute_script(shown))

    with review(store) as address:
        browser.get(address)
        go("people", ".card:nth-child(8) img")
        keep(browser, "people", out)
        person = browser.execute_script("return [...document.querySelectorAll('.card')].map((c) => c.dataset.id)")
        for one in person[:2]:
            browser.execute_script("document.querySelector(`[data-key='tick-${arguments[0]}']`).click()", one)
        browser.find_element("css selector", '[data-key="merge"]').click()
        WebDriverWait(browser, 30).until(lambda b: b.execute_script("return document.querySelector('dialog[open]')"))
        keep(browser, "merge", out)
        browser.execute_script("document.querySelector('dialog').close()")
        browser.find_element("css selector", '[data-key="untick"]').click()
        go(f"person/{person[0]}", ".face")
        for i in (1, 2):
            browser.execute_script("document.querySelectorAll('.face input')[arguments[0]].click()", i)
        keep(browser, "person", out)
        go(f"album/{person[0]}", ".album li")
        keep(browser, "album", out)
        go("suggestions", ".suggestion")
        keep(browser, "suggestions", out)
        go("questions?all=1", ".pair, .note")
        keep(browser, "questions", out)
        go(f"photo/{crowd(store)}", ".mark")
        keep(browser, "photo", out)
        for page in ("nobody", "unclear", "history", "regroup"):
            go(page, "h1")
            keep(browser, page, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the photos and the store")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder for the pictures")
    options = parser.parse_args()
    options.out.mkdir(exist_ok=True)
    store = Store(str(options.work / "store"))
    if not (options.work / "known").exists():
        store = make_store(options.work)
        give_known(store, options.work / "known")
    report = Path(store.path("report"))
    with chromium() as browser:
        review_pages(browser, store, options.out)
        for name, path in (
            ("report", report / "index.html"), ("report-person", min((report / "people").glob("*.html"))),
            ("report-photos", report / "photos" / "photos.html"), ("duplicates", duplicates(options.work)),
        ):  # fmt: skip
            browser.get(path.as_uri())
            keep(browser, name, options.out)


if __name__ == "__main__":
    main()
