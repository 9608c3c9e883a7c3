"""A box that the user draws on the whole photo -> the row of the face in it, and the drawn faces among those of a run."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from facecluster.errors import FaceclusterError, InputError, StoreError
from facecluster.language.said import say
from facecluster.people.drawn_faces import changes_to_drawn, drawn_in, is_seen
from facecluster.people.runs import Faces
from facecluster.photos.drawn import drawn_faces, drawn_shards, drawn_without_vectors, next_face_id, without_undone
from facecluster.photos.followed import PHOTO_CHARS
from facecluster.photos.places import of_current_photos
from facecluster.review.file_state import file_state
from facecluster.review.people_view import Ints, PeopleView
from facecluster.review.whole_photo import number_of
from facecluster.store import FaceIds, Stamp, Store

if TYPE_CHECKING:
    import pyarrow as pa

    from facecluster.faces.embed import EmbedConfig

    Vectors = tuple[str, pa.Table, Stamp]

AGAIN_SECONDS = 1.0  # between two tries to write drawn faces while another program is at work


class DrawnFaces:
    """Makes drawn faces of a store, and keeps them as the journal says. Not for several threads at once, but for `face`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._later = False  # something could not be done as another program was at work
        self._tried_at = 0.0
        self._impossible: set[str] = set()  # face_ids
        self._state: tuple[tuple[object, ...], tuple[object, ...]] = (), ()

    @property
    def is_due(self) -> bool:
        """Whether it is time to try again what could not be done."""
        return self._later and time.monotonic() - self._tried_at > AGAIN_SECONDS

    def face(self, view: PeopleView, request: Mapping[str, Any]) -> tuple[dict[str, Any], Vectors]:
        """The row and the vector for a box that the user drew. Takes seconds the first time, when the models are loaded.

        Args:
            view: the people.
            request: `photo` (photo_id) and `box` (x, y, w, h as shares of the picture that the page shows).

        Raises:
            InputError: the box is no box, too small, or on a face that is known.
            PhotoError: the photo can't be read.
            ModelError: the model can't be loaded.
        """
        from facecluster.people.make_drawn import with_vectors

        row = _row(self._store, view, request)
        self.check(view, row)
        return row, with_vectors([row], self._embedding(view))

    def check(self, view: PeopleView, row: Mapping[str, Any]) -> None:
        """Raise InputError if a face is marked there, or drawn and waits for its row."""
        missing = changes_to_drawn(self._store, view.journal.decisions)[0]
        photo = row["face_id"][:PHOTO_CHARS]
        waiting = [list(box) for face, box in missing.items() if face.startswith(photo) and face not in self._impossible]
        rows = np.flatnonzero(view.run_data.details.photo == number_of(view, row["photo_id"]))
        if is_seen([float(v) for v in row["box"]], [*view.current.faces.boxes[rows].tolist(), *waiting]):
            raise InputError(
                say("expected a face that is not marked yet, found one that is: choose its mark to name it, or draw elsewhere")
            )  # fmt: skip

    def save(self, row: dict[str, Any], vectors: Vectors) -> None:
        """Write a face whose decision is in the journal; while another program is at work in the store, `update` does it later."""
        from facecluster.people.make_drawn import save_drawn

        with suppress(StoreError), self._store.lock():
            save_drawn(self._store, [row], *vectors)

    def update(self, view: PeopleView) -> None:
        """Make drawn faces that have no row or no vector, and take out undone ones, unless another program is at work."""
        missing, undone = changes_to_drawn(self._store, view.journal.decisions)
        without = drawn_without_vectors(self._store, f"embeddings/{view.run_data.run.model}")
        self._later = bool(undone or without or missing.keys() - self._impossible)
        if not self._later:
            return
        from facecluster.faces.detect import DetectConfig
        from facecluster.people.make_drawn import update_drawn

        self._tried_at = time.monotonic()
        with suppress(FaceclusterError), self._store.lock():  # the store is in use, or the model can't be loaded
            done = update_drawn(self._store, DetectConfig(), self._embedding(view), but=self._impossible)
            self._impossible |= done.left_out.keys()
            self._later = False

    def _embedding(self, view: PeopleView) -> EmbedConfig:
        from facecluster.people.make_drawn import embedding_of

        return embedding_of(self._store, view.run_data.run.model)

    def state(self) -> tuple[object, ...]:
        """A value that changes when drawn faces are written."""
        folder = file_state(self._store, self._store.path("faces"))
        if not self._store.is_local or folder != self._state[0]:
            names = drawn_shards(self._store)
            self._state = folder, tuple((name, *file_state(self._store, self._store.shard_path("faces", name))) for name in names)
        return self._state[1]


def _row(store: Store, view: PeopleView, request: Mapping[str, Any]) -> dict[str, Any]:
    """The row of `faces` for a box that the user drew.

    Args:
        store: of the view.
        view: the people.
        request: `photo` (photo_id) and `box` (x, y, w, h as shares of the picture that the page shows).

    Raises:
        InputError: the box is no box, or too small.
        PhotoError: the photo can't be read.
    """
    from facecluster.faces.detect import DetectConfig
    from facecluster.people.make_drawn import look  # with torch, which takes seconds: most users never draw

    box = request.get("box")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, int | float) and math.isfinite(v) for v in box):
        raise InputError("expected a box of four numbers, found something else: draw it again")
    number = number_of(view, str(request.get("photo", "")))
    places = next(view.run_data.details.places.rows(np.array([number])))
    width, height = places[0]["width"], places[0]["height"]
    if not width or not height:
        raise InputError(say("expected a photo of known size, found none: run 'facecluster run' with its folder again"))
    photo_id = view.run_data.details.places.ids[number]
    drawn = _px(box, width, height, (places[0]["turn"] or 0) // 90)
    face = next_face_id(photo_id, drawn_in(photo_id, view.journal.decisions))
    return look(store, photo_id, places, drawn, face, DetectConfig(), "auto")


def _px(share: list[float], width: int, height: int, turns: int) -> list[float]:
    """A box in shares of the turned picture, in px of the upright photo: the way back of whole_photo's."""
    x, y, w, h = share
    x, y, w, h = min(x, x + w), min(y, y + h), abs(w), abs(h)
    for _ in range(turns % 4):
        x, y, w, h = y, 1 - x - w, h, w
    left, top, right, below = (min(max(v, 0.0), 1.0) for v in (x, y, x + w, y + h))
    return [left * width, top * height, (right - left) * width, (below - top) * height]


def with_drawn(store: Store, faces: Faces) -> tuple[Faces, Ints]:
    """The faces of a run whose photos count, without drawn ones that were undone, and with those that were drawn since.

    Returns:
        The n faces, and the row of each in `faces`; -1 = drawn since.
    """
    ids = FaceIds.of(faces.ids)
    kept = np.flatnonzero(of_current_photos(store, ids.arrow()).to_numpy(zero_copy_only=False) & without_undone(store, ids))
    drawn = drawn_faces(store).sort_by("face_id")
    if len(drawn):
        drawn = drawn.filter(of_current_photos(store, drawn["face_id"]))
        drawn = drawn.take(np.flatnonzero(~ids.has(drawn["face_id"])))
    new = FaceIds.of(drawn["face_id"])
    at = np.r_[kept, np.full(len(new), -1, np.int64)]
    keys = np.concatenate([ids[kept].keys, new.keys])
    order = np.argsort(keys, kind="stable")
    boxes = np.asarray(drawn["box"].combine_chunks().flatten(), np.float32).reshape(-1, 4)
    found = Faces(
        FaceIds(keys[order]), np.r_[faces.identity[kept], np.full(len(new), -1)][order],
        np.r_[faces.probability[kept], np.zeros(len(new))][order], np.concatenate([faces.boxes[kept], boxes])[order],
    )  # fmt: skip
    return found, at[order]
