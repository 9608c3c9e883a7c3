"""The whole photo of a face: its faces with boxes, the photos before and after it, and the picture from the user's own file.

Boxes are shares of the picture as it is shown: upright, and turned until the faces are upright (`turn` of the photo).

Odd inputs: a photo whose file is gone, or can't be read, has no picture, and an InputError says where it was.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from facecluster.errors import InputError, PhotoError
from facecluster.language.said import say
from facecluster.photos.images import open_photo, read_file
from facecluster.photos.places import where_it_is
from facecluster.photos.video import is_video_name
from facecluster.report.text import one_line
from facecluster.review.people_view import Ints, PeopleView

SIDE, SMALL_SIDE = 1600, 480  # px of the picture at most; of the small one
_QUALITY = 85  # of the JPEG


def number_of(view: PeopleView, photo: str) -> int:
    """Number of a photo by its photo_id, or by a face_id in it. Raises InputError if there is none."""
    details = view.run_data.details
    rows = view.current.find_rows(photo)
    number = int(details.photo[rows[0]]) if rows else details.places.ids.rows.get(photo, -1)
    if number < 0:
        found = one_line(photo[:30])
        raise InputError(say("expected a photo of the store, found '%(id)s', which is there no more: go back to the list", id=found))
    return number


def photo_answer(view: PeopleView, number: int, *, every: bool = False) -> dict[str, Any]:
    """What the page shows of a photo: where it is, when it was taken, its faces from left to right, and its neighbours.

    With `every`, photos without a face are among these.
    """
    details, faces, people = view.run_data.details, view.current.faces, view.current.people
    places = next(details.places.rows(np.array([number])))
    row = places[0]
    rows: Ints = np.flatnonzero(details.photo == number)
    boxes = {int(r): share_of(faces.boxes[r].tolist(), row) for r in rows}
    waiting = {claim.faces[0]: claim.text for claim in view.resolved.names if len(claim.faces) == 1}  # a person needs two faces
    shown = []
    for r in sorted(boxes, key=lambda r: boxes[r][:1]):
        group = int(faces.identity[r])
        person, name = ("", waiting.get(faces.ids[r], "")) if group < 0 else (people.person_ids[group], people.names[group] or "")
        shown.append(
            {"id": faces.ids[r], "box": boxes[r], "person": person, "name": name, "sure": round(float(faces.probability[r]), 3),
             "ignored": group >= 0 and people.ignored[group], "aside": view.aside.get(r, "") if group < 0 else ""}
        )  # fmt: skip
    order = details.every if every else details.shown
    at = int(np.flatnonzero(order == number)[0]) if number in order else -1
    ids = details.places.ids
    width, height = picture_size(row)
    return {
        "id": ids[number], "uris": [one_line(place["uri"]) for place in where_it_is(places)[:5]],
        "gone": bool(row["gone"]), "video": is_video_name(row["uri"]),
        "taken": "" if row["taken_at"] is None else row["taken_at"].isoformat(timespec="seconds"),
        "width": width, "height": height, "faces": shown,
        "at": at + 1, "of": len(order), "previous": ids[int(order[at - 1])] if at > 0 else "",
        "next": ids[int(order[at + 1])] if 0 <= at < len(order) - 1 else "",
    }  # fmt: skip


def picture_size(photo: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height of the turned picture in px; 0 if they are not known."""
    width, height = photo["width"] or 0, photo["height"] or 0
    return (height, width) if (photo["turn"] or 0) % 180 == 90 else (width, height)


def share_of(box: list[float], photo: Mapping[str, Any]) -> list[float]:
    """A box in px of the upright photo as shares x, y, w, h of the turned picture; [] if it is not known."""
    width, height = photo["width"], photo["height"]
    if not width or not height or not np.isfinite(box).all():
        return []
    x, y, w, h = box[0] / width, box[1] / height, box[2] / width, box[3] / height
    for _ in range(((photo["turn"] or 0) // 90) % 4):
        x, y, w, h = 1 - y - h, x, h, w
    return [round(v, 5) for v in (x, y, w, h)]


def picture(view: PeopleView, number: int, side: int = SIDE) -> bytes:
    """The photo as a JPEG of at most `side` px, upright, from the first of its places that can be read. Raises InputError if none can."""
    details = view.run_data.details
    places = where_it_is(next(details.places.rows(np.array([number]))))
    why = ""
    for place in places:
        uri = place["uri"]
        if is_video_name(uri):
            why = why or f"{one_line(uri)} is a video, which this page does not show"
            continue
        if uri.startswith(("http://", "https://")):  # it may be another's store, which must not make this machine ask anybody
            why = why or f"{one_line(uri)} is on the web, from where this page fetches nothing"
            continue
        try:
            photo = open_photo(read_file(uri), max_side=side, orientation=place["orientation"])
        except PhotoError as e:
            why = why or f"the photo can't be read: {one_line(uri)}: {e}"
            continue
        pixels = np.ascontiguousarray(np.rot90(photo.pixels, -((place["turn"] or 0) // 90)))
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", quality=_QUALITY)
        return out.getvalue()
    raise InputError(why)
