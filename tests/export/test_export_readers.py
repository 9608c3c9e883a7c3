"""Exports read by the programs that they are made for, if those are installed: pip install pycocotools fiftyone label-studio-sdk.

They are not dependencies of the tests: FiftyOne has hundreds of megabytes and needs a MongoDB server for a dataset of its own. Here only
its importer runs, which reads the files without a server.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from export_store import BOXES, SIZE, make_photo, make_store

from facecluster.cli import main


def reader(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(package) is None, reason=f"needs {package.replace('_', '-')}, not a dependency of the tests")


def exported(folder: Path, kind: str) -> Path:
    """Three photos, one of them stored on its side, exported."""
    photos = []
    for i, orientation in enumerate((1, 6, 3)):
        path = folder / "photos" / f"a b{i}.jpg"
        photos.append((make_photo(path, orientation, (200, 200, 180 + i)), str(path), orientation))
    store = make_store(folder / "store", photos)
    result = CliRunner().invoke(main, ["export", store.url, "--format", kind, "-o", str(folder / kind)])
    assert result.exit_code == 0, result.output
    return folder / kind


@reader("pycocotools")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own, of numpy's copy keyword
def test_coco_is_read_by_pycocotools(tmp_path: Path) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    coco = COCO(str(exported(tmp_path, "coco") / "instances_faces.json"))
    annotations = coco.loadAnns(coco.getAnnIds())
    assert len(annotations) == 6 and len(coco.getImgIds()) == 3
    for a in annotations:
        x, y, w, h = (int(v) for v in BOXES[int(a["attributes"]["face_id"][-1])])
        mask = coco.annToMask(a)
        assert mask.shape == SIZE[::-1] and mask.sum() == w * h == mask[y : y + h, x : x + w].sum()
    for kind in ("bbox", "keypoints"):
        found = coco.loadRes([{k: a[k] for k in ("image_id", "category_id", kind, "score")} for a in annotations])
        measured = COCOeval(coco, found, kind)
        measured.params.kpt_oks_sigmas = np.full(5, 0.025)
        measured.evaluate()
        measured.accumulate()
        measured.summarize()
        assert measured.stats[0] == pytest.approx(1)  # average precision of the export against itself


@reader("label_studio_sdk")
def test_label_studio_validates_config_tasks_and_predictions(tmp_path: Path) -> None:
    out = exported(tmp_path, "labelstudio")
    code = """
import json, sys
from label_studio_sdk.label_interface import LabelInterface
config, tasks = sys.argv[1:]
interface = LabelInterface(open(config).read())
interface.validate()
rows = []
for task in json.load(open(tasks)):
    data = {"data": task["data"]}
    rows.append([interface.validate_task(data)] + [interface.validate_prediction(p, return_errors=True) for p in task["predictions"]])
    bad = json.loads(json.dumps(task["predictions"][0]))
    bad["result"][0]["value"]["rectanglelabels"] = ["Hand"]
    rows[-1].append(len(interface.validate_prediction(bad, return_errors=True)))
print(json.dumps(rows))
"""
    done = subprocess.run([sys.executable, "-c", code, out / "config.xml", out / "tasks.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[True, [], 1]] * 3  # the validation does notice a label that is not in the config


@reader("fiftyone")
def test_fiftyone_s_importer_reads_photos_boxes_and_people(tmp_path: Path) -> None:
    out = exported(tmp_path, "fiftyone")
    code = """
import json, os, sys
os.environ |= {"FIFTYONE_DATABASE_URI": "mongodb://127.0.0.1:1/none", "FIFTYONE_DO_NOT_TRACK": "true"}
import fiftyone.utils.data as data
rows = []
with data.FiftyOneImageDetectionDatasetImporter(dataset_dir=sys.argv[1], data_path="data.json", compute_metadata=True) as importer:
    for path, metadata, found in importer:
        faces = [[d.label, d.bounding_box, d.confidence, d["face_id"]] for d in found.detections]
        rows.append([path, metadata.width, metadata.height, faces])
print(json.dumps(rows))
"""
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code, out], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])
    assert {path for path, _, _, _ in rows} == {str(p) for p in (tmp_path / "photos").iterdir()}
    for _, width, height, found in rows:
        assert (width, height) == SIZE, "FiftyOne measures the upright photo too"
        assert sorted(label for label, *_ in found) == ["person 0001", "person 0002"]
        for _, box, _, face_id in found:
            assert np.array(box) * np.tile(SIZE, 2) == pytest.approx(BOXES[int(face_id[-1])], abs=0.01)
