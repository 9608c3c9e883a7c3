"""Photos that a browser can't open, HEIC and those in archives, are shown by the store's small pictures of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import report_store as syn
from test_report_browser import browser, open_page, shot  # noqa: F401  the fixture

from facecluster.photos.fingerprint import LOOKS_TABLE, fingerprint_photo, looks_stamp, looks_table
from facecluster.report import write_report
from facecluster.report.hide_faces import Faces
from facecluster.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A photo in HEIC, one in a zip and one in JPEG, with a face each; all have small pictures."""
    store = Store(str(tmp_path / "store"))
    store.create()
    for name in ("a.heic", "b.zip", "c.jpg"):
        (tmp_path / name).write_bytes(b"no browser opens this")
    uris = [str(tmp_path / "a.heic"), f"zip:{tmp_path / 'b.zip'}!/b.jpg", str(tmp_path / "c.jpg")]
    syn.write_photos(store, "0", [(syn.photo_id(i), uri, None, None) for i, uri in enumerate(uris)])
    table = store.read("photos", "0")
    at = table.schema.get_field_index("format")
    store.write("photos", "0", table.set_column(at, table.schema.field(at), pa.array(["HEIF", "JPEG", "JPEG"])), {"stage": "collect"})
    looks = [fingerprint_photo(np.full((300, 400, 3), 60 + 50 * i, np.uint8)) | {"photo_id": syn.photo_id(i)} for i in range(3)]
    store.write(LOOKS_TABLE, "0", looks_table(looks), looks_stamp())
    faces = [(syn.face_id(i, 0), syn.photo_id(i)) for i in range(3)]
    syn.write_faces(store, "0", faces, [syn.crop((200, 120, 90))] * 3)
    syn.write_identities(store, [(face, 0, 0.9) for face, _ in faces])
    return store


@pytest.mark.parametrize("page", ["photos/photos.html", "people/person-00001.html"])
def test_pages_hold_small_pictures_of_what_browsers_may_not_open(store: Store, tmp_path: Path, page: str) -> None:
    write_report(store, "identities/bundled", str(tmp_path / "r"))
    text = (tmp_path / "r" / page).read_text(encoding="utf-8")
    assert text.count('data-small="data:image/webp;base64,') == 1 and 'a.heic" data-small=' in text  # the file first: Safari opens HEIC
    assert 'c.jpg" loading="lazy"' in text and text.count("data:image/webp;base64,") == 3 + 2  # crops; HEIC and zip
    assert "is not on this machine" not in text
    write_report(store, "identities/bundled", str(tmp_path / "hidden"), faces=Faces.BLUR)
    hidden = (tmp_path / "hidden" / page).read_text(encoding="utf-8")
    assert "data-small" not in hidden and hidden.count("data:image/") == 3


def test_the_small_picture_comes_where_the_browser_fails(browser: Any, store: Store, tmp_path: Path) -> None:  # noqa: F811
    write_report(store, "identities/bundled", str(tmp_path / "r"))
    open_page(browser, tmp_path / "r" / "photos" / "photos.html", 1000)
    shown = "return [...document.querySelectorAll('.photo')].map((p) => [p.querySelector('img').naturalWidth, "
    shown += "p.querySelector('.instead')?.hidden, p.querySelector('.moved')?.hidden])"
    wanted, found = [[160, False, True], [0, None, False], [160, False, None]], None  # HEIC, JPEG, in the zip
    for _ in range(100):
        found = browser.execute_async_script(f"const done = arguments[0]; setTimeout(() => done((() => {{ {shown} }})()), 50)")
        if found == wanted:
            break
    assert found == wanted
    shot(browser, "small-pictures")
