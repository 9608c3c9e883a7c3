"""Label Studio: tasks.json to import, with the faces as predictions to correct, and config.xml with the labelling interface for them.

Boxes are in percent of the upright photo, as Label Studio shows it. A face is a rectangle "Face" and a text "person" of the same region.
Photos on this machine are served as Label Studio's local files: set LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and
LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT to the folder that each task's data states (`root`). The format:
https://labelstud.io/guide/predictions and https://labelstud.io/tags/rectanglelabels
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from facecluster.export.output_folder import OutputFolder, json_text, listed
from facecluster.export.photo_library import Face, Photo, PhotoLibrary
from facecluster.photos.images import local_path

CONFIG = """<View>
  <Image name="image" value="$image" zoom="true"/>
  <RectangleLabels name="face" toName="image">
    <Label value="Face"/>
  </RectangleLabels>
  <TextArea name="person" toName="image" perRegion="true" maxSubmissions="1" editable="true"/>
</View>
"""


def export(library: PhotoLibrary, out: OutputFolder, root: str, names: Mapping[str, str]) -> int:
    """Write tasks.json and config.xml; returns the number of faces."""
    count = 0

    def tasks() -> Iterator[bytes]:
        nonlocal count
        for photo, faces in library:
            if photo.width and photo.height:
                yield json_text(_task(photo, faces, root, names))
                count += len(faces)

    out.write_parts("tasks.json", listed(tasks(), end=b"]\n"))
    out.write("config.xml", CONFIG.encode())
    return count


def _task(photo: Photo, faces: list[Face], root: str, names: Mapping[str, str]) -> dict[str, Any]:
    uri = photo.uris[0]
    image = f"/data/local-files/?d={quote(names[uri], errors='surrogateescape')}" if local_path(uri) is not None else uri
    result = [part for face in faces for part in _region(face, photo)]
    data = {"image": image, "photo_id": photo.photo_id, "uri": uri, "root": root}
    score = min((f.probability for f in faces), default=0.0)
    return {"data": data, "predictions": [{"model_version": "facecluster", "score": round(score, 4), "result": result}]}


def _region(face: Face, photo: Photo) -> list[dict[str, Any]]:
    x, y, w, h = face.box
    percent = (100 * x / photo.width, 100 * y / photo.height, 100 * w / photo.width, 100 * h / photo.height)
    box = dict(zip(("x", "y", "width", "height"), (round(v, 4) for v in percent), strict=True)) | {"rotation": 0}
    base = {"id": face.face_id, "to_name": "image", "original_width": photo.width, "original_height": photo.height, "image_rotation": 0}
    rectangle = base | {"from_name": "face", "type": "rectanglelabels", "score": round(face.score, 4)}
    parts = [rectangle | {"value": box | {"rectanglelabels": ["Face"]}}]
    if face.person is not None:
        parts.append(base | {"from_name": "person", "type": "textarea", "value": box | {"text": [face.person.label]}})
    return parts
