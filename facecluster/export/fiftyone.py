"""FiftyOne's FiftyOneImageDetectionDataset: labels.json, and data.json with the paths of the photos (they are not copied).

Read it with fiftyone.Dataset.from_dir(dataset_dir=DIR, dataset_type=fiftyone.types.FiftyOneImageDetectionDataset, data_path="data.json").
Without data_path, FiftyOne 1.22 looks for a folder data/ and stops. A label is the person's name or number; faces of nobody known have the
label "nobody", in as many brackets as it takes if a person is called so. Boxes are (x, y, w, h) as shares of the upright photo. The format:
https://docs.voxel51.com/user_guide/import_datasets.html#fiftyoneimagedetectiondataset
"""

from __future__ import annotations

from typing import Any

from facecluster.export.coco import attributes
from facecluster.export.output_folder import OutputFolder, json_bytes
from facecluster.export.photo_library import Face, Photo, PhotoLibrary
from facecluster.photos.images import local_path

NOBODY = "nobody"


def export(library: PhotoLibrary, out: OutputFolder) -> int:
    """Write labels.json and data.json; returns the number of faces. The key of a photo is the start of its photo_id."""
    labels: dict[str, list[dict[str, Any]]] = {}
    paths: dict[str, str] = {}
    unknown = _label_of_unknown({p.label.casefold() for p in library.recognition.people})
    for photo, faces in library:
        if not photo.width or not photo.height:
            continue
        key = photo.photo_id[:24]
        paths[key] = local_path(photo.uris[0]) or photo.uris[0]
        labels[key] = [_detection(face, photo, unknown) for face in faces]
    classes = sorted({row["label"] for rows in labels.values() for row in rows})
    number = {name: i for i, name in enumerate(classes)}
    for rows in labels.values():
        for row in rows:
            row["label"] = number[row["label"]]
    out.write("labels.json", json_bytes({"classes": classes, "labels": labels}))
    out.write("data.json", json_bytes(paths))
    return sum(map(len, labels.values()))


def _label_of_unknown(taken: set[str]) -> str:
    """The label of faces of nobody known, which no person has."""
    label = NOBODY
    while label in taken:
        label = f"({label})"
    return label


def _detection(face: Face, photo: Photo, unknown: str) -> dict[str, Any]:
    x, y, w, h = face.box
    box = [x / photo.width, y / photo.height, w / photo.width, h / photo.height]
    return {
        "label": face.person.label if face.person else unknown, "bounding_box": [round(v, 6) for v in box],
        "confidence": round(face.score, 4), "attributes": attributes(face),
    }  # fmt: skip
