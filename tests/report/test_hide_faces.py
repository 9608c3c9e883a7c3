"""Reports that others may see: blurred faces can't be told apart by the embedder, and neither crops nor photos are in them."""

from __future__ import annotations

import base64
import io
import re
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from full_store import Full, build, forms, uri
from people_store import call
from PIL import Image

from facecluster.demo import make_collection
from facecluster.faces.detect import DetectConfig
from facecluster.faces.embed import EmbedConfig, embed_faces
from facecluster.photos.images import decode_crop
from facecluster.pipeline import embed_photos
from facecluster.report.hide_faces import Faces, shown
from facecluster.store import Store


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Full:
    return build(tmp_path_factory.mktemp("full"))


def pictures(folder: Path) -> list[bytes]:
    text = "".join(p.read_text(encoding="utf-8") for p in folder.rglob("*.html"))
    return [base64.b64decode(data) for data in re.findall(r"data:image/(?:jpeg|webp);base64,([A-Za-z0-9+/=]+)", text)]


def sources(folder: Path) -> list[str]:
    return [src for p in folder.rglob("*.html") for src in re.findall(r"(?:src|href)=\"(file:[^\"]+)", p.read_text(encoding="utf-8"))]


def test_crops_and_photos_are_left_out(full: Full, tmp_path: Path) -> None:
    found = {}
    for how in Faces:
        call("report", full.store.url, "--out", str(tmp_path / how), "--faces", how.value)
        found[how] = pictures(tmp_path / how)
    assert set(found[Faces.SHOW]) == set(full.crops) and sources(tmp_path / "show")
    assert found[Faces.NONE] == [] and len(found[Faces.BLUR]) == len(found[Faces.SHOW])
    assert not set(found[Faces.BLUR]) & set(full.crops)
    for how in (Faces.BLUR, Faces.NONE):
        assert sources(tmp_path / how) == []
        assert "This report shows no photos" in "".join(p.read_text(encoding="utf-8") for p in (tmp_path / how / "photos").iterdir())
        every = b"".join(p.read_bytes() for p in (tmp_path / how).rglob("*") if p.is_file())
        assert not any(crop in every or base64.b64encode(crop) in every for crop in full.crops)
        assert any(form in every for form in forms(uri(0)))  # paths and names stay


def test_a_report_that_is_there_is_made_anew_for_other_faces(full: Full, tmp_path: Path) -> None:
    out = tmp_path / "report"
    call("report", full.store.url, "--out", str(out))
    call("report", full.store.url, "--out", str(out), "--faces", "none")
    assert pictures(out) == []
    call("report", full.store.url, "--out", str(out))  # as it was: whoever hid faces must not show them after the next run
    assert pictures(out) == []
    call("report", full.store.url, "--out", str(out), "--faces", "show")
    assert pictures(out) != []
    shutil.rmtree(out)


def test_a_crop_that_can_not_be_opened_is_left_out() -> None:
    out = io.BytesIO()
    Image.new("RGB", (112, 112)).save(out, "GIF")
    assert shown(out.getvalue(), Faces.BLUR) == b"" == shown(b"", Faces.BLUR) == shown(b"RIFFxxxxWEBP", Faces.BLUR)
    assert shown(out.getvalue(), Faces.SHOW) == out.getvalue()


def test_the_embedder_can_not_tell_blurred_faces_apart(tmp_path: Path) -> None:
    """Drawn people: the nearest face of another photo is the same person's for most as they are, and by chance for the blurred."""
    truth = make_collection(str(tmp_path / "made"), people=6, photos=4)
    store = Store(str(tmp_path / "store"))
    store.create()
    embed_photos([str(truth.photos)], store, DetectConfig(), EmbedConfig(), bars=lambda what, total: nullcontext(lambda n: None))
    crops = [c for s in store.shards("faces") for c in store.read("faces", s, ["crop"])["crop"].to_pylist()]
    whole, hidden = (embed_faces(np.stack([decode_crop(shown(c, how)) for c in crops])) for how in (Faces.SHOW, Faces.BLUR))
    nearest = (hidden @ whole.T).argmax(axis=1)
    found = float((nearest == np.arange(len(crops))).mean())
    assert (whole @ whole.T).argmax(axis=1).tolist() == list(range(len(crops))) and found < 0.2, found
