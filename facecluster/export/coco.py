"""COCO's JSON for detection and keypoints, one category "face" with five keypoints.

Boxes (x, y, w, h) and keypoints are in px of the *upright* photo. So a reader must turn photos by their EXIF orientation: browsers and
FiftyOne do, `PIL.Image.open` alone does not (ImageOps.exif_transpose does). `images[].orientation` says which photos need it. Beyond the
standard, an annotation has `score` and `attributes` with the person. The format: https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, count
from typing import Any

from facecluster.export.output_folder import OutputFolder, json_text, listed
from facecluster.export.photo_library import Face, Photo, PhotoLibrary

KEYPOINTS = ["right_eye", "left_eye", "nose", "right_mouth_corner", "left_mouth_corner"]
FILE = "instances_faces.json"


def export(library: PhotoLibrary, out: OutputFolder, root: str, names: Mapping[str, str]) -> int:
    """Write instances_faces.json; returns the number of faces. `names` are the paths of the uris, relative to `root`."""
    numbers = count(1)  # of annotations
    category = {"id": 1, "name": "face", "supercategory": "person", "keypoints": KEYPOINTS, "skeleton": [[1, 3], [2, 3], [3, 4], [3, 5]]}
    info = {"description": "Faces found by facecluster; boxes are in px of the upright photo", "version": "1.0", "root": root}
    licence = {"id": 0, "name": "unknown", "url": ""}
    head = json_text({"info": info, "licenses": [licence], "categories": [category]})[:-1]
    images = (json_text(_image(photo, i, names)) for i, photo in enumerate(library.photos, start=1))
    shown = ((i, face) for i, (_, faces) in enumerate(library, start=1) for face in faces)
    annotations = (json_text(_annotation(face, next(numbers), i)) for i, face in shown)
    out.write_parts(FILE, chain([head], listed(images, b',"images":['), listed(annotations, b',"annotations":[', b"]}\n")))
    return next(numbers) - 1


def _image(photo: Photo, number: int, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": number, "file_name": names[photo.uris[0]], "width": photo.width, "height": photo.height, "license": 0,
        "date_captured": photo.taken_at.replace("T", " "), "orientation": photo.orientation,
        "sha256": photo.contents.get(photo.uris[0], photo.photo_id),
    }  # fmt: skip


def _annotation(face: Face, number: int, image: int) -> dict[str, Any]:
    x, y, w, h = (round(v, 2) for v in face.box)
    points = [v for i in range(0, 10, 2) for v in (round(face.landmarks[i], 2), round(face.landmarks[i + 1], 2), 2)]
    return {
        "id": number, "image_id": image, "category_id": 1, "bbox": [x, y, w, h], "area": round(w * h, 2), "iscrowd": 0,
        "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]], "keypoints": points, "num_keypoints": 5,
        "score": round(face.score, 4), "attributes": attributes(face),
    }  # fmt: skip


def attributes(face: Face) -> dict[str, Any]:
    """Person and quality of a face, for formats that take any attributes."""
    return {
        "face_id": face.face_id, "person": face.person.key if face.person else None, "name": face.person.name if face.person else None,
        "probability": round(face.probability, 4), "quality": round(face.quality, 4), "sharpness": round(face.sharpness, 3),
        "yaw": round(face.yaw, 1), "unclear": face.unclear,
    }  # fmt: skip
