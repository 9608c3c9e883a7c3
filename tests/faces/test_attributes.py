"""The command attributes, its table, and conditions on it in show and curate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from people_store import call, refused
from review.review_store import grouped

from facecluster.cli import main
from facecluster.errors import InputError
from facecluster.faces.attribute_filter import faces_where
from facecluster.faces.attributes import measure_shard
from facecluster.models.pose import FACE
from facecluster.store import Store


class Brightness:
    """A fake model: how bright a crop is, and the word for it."""

    name, fingerprint, calls = "light", "1", 0
    columns = {"brightness": "number", "word": "text"}

    def measure(self, crops: np.ndarray, landmarks: np.ndarray) -> dict[str, np.ndarray]:
        self.calls += 1
        found = crops.mean(axis=(1, 2, 3)) / 255
        words = np.where(found > 0.5, "bright", "dark").astype(object)
        return {"brightness": np.where(landmarks[:, 0, 0] > 0, np.nan, found), "word": words}


def with_landmarks(store: Store, turned: int) -> list[str]:
    """Faces of the store that look ahead, but the first `turned` to their left; gives their face_ids."""
    ahead = FACE[:, :2] * 40 + 100
    aside = ahead.copy()
    aside[2, 0] += 12
    ids: list[str] = []
    for shard in store.shards("faces"):
        table = store.read("faces", shard)
        marks = [(aside if len(ids) + i < turned else ahead).ravel().tolist() for i in range(len(table))]
        at = table.column_names.index("landmarks")
        table = table.set_column(at, table.schema.field(at), pa.array(marks, table.schema.field(at).type))
        store.write("faces", shard, table.replace_schema_metadata(), store.stamp("faces", shard) or {})
        ids += table["face_id"].to_pylist()
    return ids


def test_measured_once_made_again_for_new_weights_and_numbers_that_are_none_are_null(tmp_path: Path) -> None:
    store, ids, _ = grouped(tmp_path, (3, 2), singles=0)
    model = Brightness()
    first = [measure_shard(shard, model, store) for shard in store.shards("faces")]
    again = [measure_shard(shard, model, store) for shard in store.shards("faces")]
    assert sum(r.faces for r in first) == 5 and all(r.skipped for r in again) and model.calls == 2
    with_landmarks(store, 0)
    model.fingerprint = "2"
    assert not measure_shard("00000", model, store).skipped
    assert store.read("attributes/light", "00000")["brightness"].null_count == 2  # landmarks count now: see Brightness


def test_conditions(tmp_path: Path) -> None:
    store, ids, _ = grouped(tmp_path, (3, 2), singles=0)
    assert faces_where(store, []) is None
    with pytest.raises(InputError, match="it has: none"):
        faces_where(store, ["mask<0.5"])
    for shard in store.shards("faces"):
        measure_shard(shard, Brightness(), store)
    values = {r["face_id"]: r for s in store.shards("faces") for r in store.read("attributes/light", s).to_pylist()}
    for text, holds in (("brightness<0.5", lambda r: r["brightness"] < 0.5), ("light.word != dark", lambda r: r["word"] != "dark")):
        assert faces_where(store, [text]).to_pylist() == sorted(i for i in ids if holds(values[i]))
    both = faces_where(store, ["brightness>=0", "word=dark"]).to_pylist()
    assert both == sorted(i for i in ids if values[i]["word"] == "dark")
    wrong = {"word<dark": "= or !=", "brightness=dark": "a number", "bright": "a condition", "age>3": "it has: brightness, word"}
    for text, why in wrong.items():
        with pytest.raises(InputError, match=why):
            faces_where(store, [text])


def test_the_commands(tmp_path: Path) -> None:
    store, ids, truth = grouped(tmp_path, (5, 4), singles=0)
    order = with_landmarks(store, 2)
    found = json.loads(call("attributes", store.url, "--model", "pose", "--json").stdout)
    assert found["attributes"]["yaw"]["faces"] == 9 and found["attributes"]["yaw"]["quartiles"][1] == pytest.approx(0, abs=0.1)
    assert call("attributes", store.url, "--model", "pose").stdout.startswith("yaw: 9 faces; a quarter below")
    person = f"{order[0]}"
    assert len(json.loads(call("show", store.url, person, "--json").stdout)["gone"]) == 5  # there are no such files
    ahead = json.loads(call("show", store.url, person, "--where", "pose.yaw<5", "--json").stdout)
    assert len(ahead["gone"]) == 3
    sheet = json.loads(call("curate", store.url, "--where", "yaw<5", "--min-quality", "0", "--keep-duplicates", "--json").stdout)
    assert sheet["why"]["attribute"] == 2 and sheet["faces"]["included"] == 7
    assert "expected an attribute" in refused("show", store.url, person, "--where", "mask<0.5")
    path = Path(store.shard_path("attributes/pose", store.shards("attributes/pose")[0]))
    path.write_bytes(path.read_bytes()[:-9])
    found = json.loads(CliRunner().invoke(main, ["check", store.url, "--json"]).stdout)
    assert any("facecluster attributes" in f["next"] for f in found["findings"])
    path.unlink()
    call("attributes", store.url, "--model", "pose")
    call("forget", store.url, order[0], "--yes")
    assert order[0] not in store.read("attributes/pose", store.shards("attributes/pose")[0])["face_id"].to_pylist()
