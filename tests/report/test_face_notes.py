"""Pictures of where the model looks, and attributes, on the pages of people."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import report_store as syn
from full_store import Full, build
from people_store import call, refused
from PIL import Image

from facecluster.explain import FaceMaps, SmallPictures, overlay
from facecluster.photos.images import decode_crop
from facecluster.report import write_report
from facecluster.report.face_notes import LOOKS
from facecluster.report.hide_faces import Faces
from facecluster.store import Store

LOOK = re.compile(r'<li><a href="#face-(\d+)"><img class="crop" src="data:image/(?:jpeg|webp);base64,([^"]+)"')


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Full:
    return build(tmp_path_factory.mktemp("full"))


def pages(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text(encoding="utf-8") for p in folder.rglob("*.html")}


def looks(folder: Path) -> dict[str, list[tuple[int, bytes]]]:
    """Of each page the faces with a picture of where the model looks, and the pictures."""
    found = {name: [(int(row), base64.b64decode(data)) for row, data in LOOK.findall(text)] for name, text in pages(folder).items()}
    return {name: rows for name, rows in found.items() if rows}


def with_attributes(store: Store, masks: Sequence[float | None], words: Sequence[str]) -> None:
    """Attributes of the first faces of the first shard."""
    shard = store.shards("faces")[0]
    ids = store.read("faces", shard, ["face_id"])["face_id"].to_pylist()[: len(masks)]
    stamp = {"table": "attributes", "weights": "1"}
    store.write("attributes/mask", shard, pa.table({"face_id": ids, "mask": pa.array(masks, pa.float32())}), stamp)
    store.write("attributes/mood", shard, pa.table({"face_id": ids, "expression": list(words)}), stamp)


def test_the_surest_faces_of_each_person_get_a_picture_if_asked(full: Full, tmp_path: Path) -> None:
    out = str(tmp_path / "report")
    call("report", full.store.url, "--out", out)
    assert looks(tmp_path / "report") == {} and "Where the model looks" not in "".join(pages(tmp_path / "report").values())
    call("report", full.store.url, "--out", out, "--explain")
    found = looks(tmp_path / "report")
    people = [name for name in pages(tmp_path / "report") if name.startswith("people/")]
    assert sorted(found) == sorted(people) and people
    maps = FaceMaps()
    for name, rows in found.items():
        text = pages(tmp_path / "report")[name]
        tiles = re.findall(r'<li id="face-(\d+)"[^>]* data-sure="([\d.]+)".*?base64,([^"]+)"', text, re.DOTALL)
        sure, crops = {int(row): float(s) for row, s, _ in tiles}, {int(row): base64.b64decode(crop) for row, _, crop in tiles}
        assert len(rows) == min(LOOKS, len(tiles)) and [sure[row] for row, _ in rows] == sorted(sure.values(), reverse=True)[:LOOKS]
        for row, picture in rows:
            crop = crops[row]
            pixels = decode_crop(crop)
            assert picture == overlay(pixels, maps(pixels[None])[0], scale=2, kind="WEBP")
            with Image.open(io.BytesIO(picture)) as image:
                assert image.size == (224, 224)
    call("report", full.store.url, "--out", out)
    assert looks(tmp_path / "report") == {}


@pytest.mark.parametrize("how", ["blur", "none"])
def test_hidden_faces_are_not_explained(full: Full, tmp_path: Path, how: str) -> None:
    out = str(tmp_path / "report")
    assert "leave out --explain" in refused("report", full.store.url, "--out", out, "--explain", "--faces", how)
    assert not Path(out).exists()
    call("report", full.store.url, "--out", out, "--faces", how)
    before = pages(tmp_path / "report")
    assert f"(--faces {how})" in refused("report", full.store.url, "--out", out, "--explain")
    assert pages(tmp_path / "report") == before


def test_the_writer_asks_for_no_picture_of_hidden_faces(full: Full, tmp_path: Path) -> None:
    def look(crops: Sequence[bytes]) -> list[bytes]:
        raise AssertionError("a hidden face was looked at")

    for how in (Faces.BLUR, Faces.NONE):
        write_report(full.store, "identities/bundled", str(tmp_path / how), faces=how, look=look)


def test_a_crop_that_can_not_be_opened_has_no_picture() -> None:
    found = SmallPictures("bundled")([b"no picture", syn.crop((200, 60, 90)), b""])
    assert [picture[:4] for picture in found] == [b"", b"RIFF", b""]
    assert SmallPictures("bundled")([]) == []


def test_forgetting_takes_the_pictures_away(tmp_path: Path) -> None:
    full = build(tmp_path)
    call("report", full.store.url, "--explain")
    data = [base64.b64encode(picture) for rows in looks(Path(full.store.root, "report")).values() for _, picture in rows]
    assert data and any(data[0] in p.read_bytes() for p in Path(full.store.root).rglob("*") if p.is_file())
    call("forget", full.store.url, full.ids[0], "--yes")
    assert not any(one in p.read_bytes() for p in Path(full.store.root).rglob("*") if p.is_file() for one in data)


def test_attributes_are_words_below_faces_and_a_choice_above(tmp_path: Path) -> None:
    store = syn.small_store(tmp_path)
    with_attributes(store, [0.9, 0.1, 0.8, None], ["</script><b>", "calm", "", ""])
    write_report(store, "identities/bundled", str(tmp_path / "report"))
    text = "".join(pages(tmp_path / "report").values())
    assert "mask, expression: &lt;/script&gt;&lt;b&gt;</span>" in text and "no mask, expression: calm</span>" in text
    assert "</script><b>" not in text
    chosen = re.findall(r"<option>([^<]*)</option>", text)
    assert {"mask", "no mask", "expression: calm"} <= set(chosen)
    write_report(store, "identities/bundled", str(tmp_path / "hidden"), faces=Faces.NONE)
    hidden = "".join(pages(tmp_path / "hidden").values())
    assert "expression" not in hidden and "<option>" not in hidden


def test_without_attributes_there_is_nothing_to_choose(full: Full, tmp_path: Path) -> None:
    call("report", full.store.url, "--out", str(tmp_path / "report"))
    assert 'id="only"' not in "".join(pages(tmp_path / "report").values())


def test_pictures_are_of_the_model_of_the_report() -> None:
    crop = syn.crop((200, 60, 90))
    pixels = decode_crop(crop)
    found = SmallPictures("bundled")([crop, crop])
    assert found[0] == found[1] == overlay(pixels, FaceMaps()(np.stack([pixels]))[0], scale=2, kind="WEBP")
