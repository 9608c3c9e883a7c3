"""FiftyOne's FiftyOneImageDetectionDataset: labels.json, and data.json with the paths of the photos (they are not copied).

Read it with fiftyone.Dataset.from_dir(dataset_dir=DIR, dataset_type=fiftyone.types.FiftyOneImageDetectionDataset, data_path="data.json").
Without data_path, FiftyOne 1.22 looks for a folder data/ and stops. A label is the person's name or number; faces of nobody known have the
label "nobody", in as many brackets as it takes if a person is called so. Boxes are (x, y, w, h) as shares of the upright photo. The format:
https://docs.voxel51.com/user_guide/import_datasets.html#fiftyoneimagedetectiondataset
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import chain
from typing import Any

from facecluster.export.coco import attributes
from facecluster.export.output_folder import OutputFolder, json_text, listed
from facecluster.export.photo_library import Face, Photo, PhotoLibrary
from facecluster.photos.images import local_path

NOBODY = "nobody"


def export(library: PhotoLibrary, out: OutputFolder) -> int:
    """Write labels.json and data.json; returns the number of faces. The key of a photo is the start of its photo_id."""
    unknown = _label_of_unknown({p.label.casefold() for p in library.recognition.people})
    sized = partial(filter, lambda shown: shown[0].width and shown[0].height)
    faces = [(face.person.label if face.person else unknown) for _, some in sized(library) for face in some]
    classes = sorted(set(faces))
    number = {name: i for i, name in enumerate(classes)}
    labels = (_item(photo, [_detection(face, photo, number, unknown) for face in some]) for photo, some in sized(library))
    head = json_text({"classes": classes})[:-1]
    out.write_parts("labels.json", chain([head], listed(labels, b',"labels":{', b"}}\n")))
    paths = (_item(photo, local_path(photo.uris[0]) or photo.uris[0]) for photo in library.photos if photo.width and photo.height)
    out.write_parts("data.json", listed(paths, b"{", b"}\n"))
    return len(faces)


def _item(photo: Photo, value: Any) -> bytes:
    return json_text(photo.photo_id[:24]) + b":" + json_text(value)


def _label_of_unknown(taken: set[str]) -> str:
    """The label of faces of nobody known, which no person has."""
    label = NOBODY
    while label in taken:
        label = f"({label})"
    return label


def _detection(face: Face, photo: Photo, number: Mapping[str, int], unknown: str) -> dict[str, Any]:
    x, y, w, h = face.box
    box = [x / photo.width, y / photo.height, w / photo.width, h / photo.height]
    return {
        "label": number[face.person.label if face.person else unknown], "bounding_box": [round(v, 6) for v in box],
        "confidence": round(face.score, 4), "attributes": attributes(face),
    }  # fmt: skip
