"""The report in a real browser, opened from disk, with clicks from the index to a person to a photo."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_store as syn
from conftest import need
from PIL import Image

from facecluster.report import write_report
from facecluster.store import Store

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --hide-scrollbars --force-device-scale-factor=1"
)
GREEN = (40, 180, 60)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    need(importlib.util.find_spec("selenium") is not None, "selenium (PyPI)")
    selenium = importlib.import_module("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    need(bool(chromium and driver), "chromium and chromedriver (Debian: chromium chromium-driver)")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driving = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    driving.get("about:blank")
    driving.get_log("performance")  # drop what the browser did before, such as its own start page
    yield driving
    driving.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on real files: a green face at (50, 60), 100x120, in grey photos of 400x300; photo 4 has a name that is not UTF-8.

    Photo 2 is stored on its side (EXIF orientation 6); photo 7 was moved away.
    """
    folder = tmp_path_factory.mktemp("browser")
    album = folder / "an album #1?"
    album.mkdir()
    uris = [str(album / name) for name in ("<script>alert(1)<", "new\nline.jpg", "on its side.jpg", "smile 😀 %41&.jpg", "\"'.jpg")]
    uris += [f"file://{str(album).replace(' ', '%20').replace('#', '%23').replace('?', '%3F')}/caf%E9%FF.jpg", "s3://b/far.jpg"]
    uris += [str(album / "moved.jpg")]
    picture = np.full((300, 400, 3), 90, np.uint8)
    picture[60:180, 50:150] = GREEN
    for i, uri in enumerate(uris[:6]):
        path = os.fsencode(uri) if i < 5 else os.fsencode(album) + b"/caf\xe9\xff.jpg"
        with open(path, "wb") as file:
            if i == 2:
                exif = Image.Exif()
                exif[0x0112] = 6
                Image.fromarray(np.rot90(picture).copy()).save(file, "JPEG", exif=exif)
            else:
                Image.fromarray(picture).save(file, "JPEG")
    store = Store(str(folder / "store"))
    store.create()
    n = len(uris)
    syn.write_photos(store, "0", [(syn.photo_id(i), uri, None, None) for i, uri in enumerate(uris)] + [("", "/gone.jpg", None, "gone")])
    faces = [(syn.face_id(i, 0), syn.photo_id(i)) for i in range(n)]
    unknown_faces = [(syn.face_id(i, 1), syn.photo_id(i)) for i in range(3)]
    syn.write_faces(store, "0", faces, [syn.crop(GREEN)] * n)
    syn.write_faces(store, "1", unknown_faces, [syn.crop((200, 120, 90))] * 3, box=(300, 200, 50, 60))
    pairs = [(syn.face_id(100 + i, 0), syn.photo_id(i % n)) for i in range(410)]
    syn.write_faces(store, "2", pairs, [syn.crop((90, 60, i % 256)) for i in range(410)], box=(220, 20, 80, 90))
    rows = [(f, 0, 1 - 0.09 * i) for i, (f, _) in enumerate(faces)] + [(f, 1 + i // 2, 0.8) for i, (f, _) in enumerate(pairs)]
    syn.write_identities(store, rows)
    write_report(store, "identities/bundled", str(folder / "report"), names={0: "Ann <b>", 203: "Zoë"})
    return folder / "report"


def quiet(browser: Any) -> None:
    """No error in the console except that of the moved photo, and no network request."""
    errors = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    assert [e for e in errors if not ("moved.jpg" in e and "ERR_FILE_NOT_FOUND" in e)] == []
    sent = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    assert urls and [url for url in urls if not url.startswith(("file:///", "data:"))] == []
    names = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in names if not name.startswith(("file:", "data:"))] == []


def shot(browser: Any, name: str) -> None:
    """Save a screenshot in the folder FACECLUSTER_SCREENSHOTS, if that is set."""
    if folder := os.environ.get("FACECLUSTER_SCREENSHOTS"):
        browser.save_screenshot(f"{folder}/{name}.png")


def open_page(browser: Any, page: Path, width: int = 1200) -> None:
    browser.set_window_size(width, 900)
    browser.get(page.as_uri())


def loaded(browser: Any) -> list[dict[str, Any]]:
    """Each photo on the page, scrolled to and loaded: its size, and the screen rectangles of its picture and its first box."""
    return list(
        browser.execute_async_script("""
        const done = arguments[0], rect = (e) => { const r = e.getBoundingClientRect(); return [r.x, r.y, r.width, r.height]; };
        (async () => {
          const result = [];
          for (const view of document.querySelectorAll(".view")) {
            const image = view.querySelector("img");
            view.scrollIntoView({block: "center"});
            while (!image.complete) await new Promise((go) => setTimeout(go, 20));
            await new Promise((go) => setTimeout(go, 20));
            const box = [...view.querySelectorAll("a")].find((a) => a.getAttribute("aria-label").startsWith("Ann"));
            result.push({src: image.src, width: image.naturalWidth, height: image.naturalHeight, image: rect(image),
              moved: !view.closest(".photo").querySelector(".moved").hidden, box: rect(box.querySelector("rect"))});
          }
          done(result);
        })();
    """)
    )


@pytest.mark.parametrize("width", [400, 1200])
def test_from_the_index_to_a_person_to_a_photo(browser: Any, report: Path, width: int) -> None:
    open_page(browser, report / "index.html", width)
    shot(browser, f"index-{width}")
    quiet(browser)
    browser.find_element("css selector", "#cards a").click()
    assert browser.title.startswith("Ann <b>") and len(browser.find_elements("css selector", "#tiles li")) == 8
    shot(browser, f"person-{width}")
    quiet(browser)
    browser.find_element("css selector", "#tiles li a").click()
    assert "/photos/photos.html#photo-" in browser.current_url
    photos = loaded(browser)
    shot(browser, f"photo-{width}")
    assert len(photos) == 7
    for photo in photos:
        gone = "moved.jpg" in photo["src"]
        assert photo["moved"] == gone
        assert (photo["width"], photo["height"]) == ((0, 0) if gone else (400, 300)), photo["src"]
        x, y, w, h = photo["image"]
        assert 0 < w <= width and h / w == pytest.approx(0.75, abs=0.01)
        assert photo["box"] == pytest.approx([x + w * 50 / 400, y + h * 60 / 300, w * 100 / 400, h * 120 / 300], abs=1)
    over = browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert over <= 0
    box = browser.find_element("css selector", ".view a[aria-label^='Ann']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", box)
    box.click()
    assert "/people/person-00001.html#face-" in browser.current_url
    quiet(browser)


def test_the_box_lies_over_the_face(browser: Any, report: Path) -> None:
    """In every photo that could be loaded, the screen shows the green of the face in the box."""
    open_page(browser, report / "photos" / "photos.html")
    browser.execute_script("for (const e of document.querySelectorAll('.view rect, .view text')) e.style.visibility = 'hidden'")
    seen = 0
    for view in browser.find_elements("css selector", ".view"):
        if "moved" in view.find_element("tag name", "img").get_attribute("src"):
            continue
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", view)
        picture = view.screenshot_as_png
        pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), np.int64)
        green = np.abs(pixels - GREEN).max(axis=2) < 40
        ys, xs = np.nonzero(green)
        h, w = green.shape
        assert np.array([xs.min() / w, xs.max() / w, ys.min() / h, ys.max() / h]) == pytest.approx([1 / 8, 3 / 8, 1 / 5, 3 / 5], abs=0.02)
        seen += 1
    assert seen == 6


def test_search_and_order(browser: Any, report: Path) -> None:
    open_page(browser, report / "index.html")
    box = browser.find_element("id", "filter")
    box.send_keys("ann")
    visible = "return [...document.querySelectorAll('#cards li')].filter((e) => e.offsetParent).length"
    assert browser.execute_script(visible) == 1
    box.clear()
    box.send_keys("zoë")  # on the second page
    assert browser.execute_script(visible) == 0
    assert browser.find_element("id", "found").text == "1 found"
    browser.find_element("css selector", "#elsewhere a").click()
    assert browser.title.startswith("Zoë")
    open_page(browser, report / "people" / "person-00001.html")
    ids = "return [...document.querySelectorAll('#tiles li')].map((e) => e.id)"
    before = browser.execute_script(ids)
    for order, wanted in (("unsure", before[::-1]), ("sure", before)):
        browser.find_element("css selector", f"#order [value={order}]").click()
        assert browser.execute_script(ids) == wanted
    quiet(browser)


def test_the_search_leaves_nothing_over(browser: Any, report: Path) -> None:
    open_page(browser, report / "index.html")
    parts = "[...document.querySelectorAll('main *')].filter((e) => e.getClientRects().length && e.id !== 'filter')"
    look = f"return {parts}.map((e) => e.outerHTML)"
    before = browser.execute_script(look)
    box = browser.find_element("id", "filter")
    for typed in ("zoe", "person 1", "nobody of this name"):
        box.send_keys(typed)
        shown = browser.execute_script(look)
        assert shown != before and not any("Faces per person" in part for part in shown)
        box.send_keys("\ue00c" if typed == "zoe" else "\ue003" * len(typed))  # Escape, or Backspace
        assert browser.execute_script(look) == before and box.get_attribute("value") == ""
    box.send_keys("zoe")  # without the accent
    assert browser.find_element("css selector", "#elsewhere a").text == "Zoë (2)"
    browser.find_element("css selector", "#elsewhere a").click()
    browser.back()
    typed = browser.find_element("id", "filter").get_attribute("value")  # a browser may put it back: then its hits stand there too
    assert bool(typed) == bool(browser.find_elements("css selector", "#elsewhere a"))
    quiet(browser)


def test_people_by_name_from_disk(browser: Any, report: Path) -> None:
    open_page(browser, report / "index.html")
    browser.find_element("link text", "By name").click()
    assert browser.current_url.endswith("names.html")
    assert [e.text for e in browser.find_elements("css selector", "#cards strong")] == ["Ann <b>", "Zoë"]
    browser.find_element("link text", "By size").click()
    assert browser.current_url.endswith("index.html") and len(browser.find_elements("css selector", "#cards strong")) == 200
    quiet(browser)


def test_dark_and_other_pages(browser: Any, report: Path) -> None:
    shades = []
    for scheme in ("light", "dark"):
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        for page in ("index.html", "index-2.html", "nobody/nobody.html", "failed.html"):
            open_page(browser, report / page)
            shot(browser, f"{scheme}-{page.split('/')[-1][:-5]}")
        colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        shades.append(sum(map(int, colour[4:-1].split(","))))
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert shades[0] > 700 and shades[1] < 150
    quiet(browser)
