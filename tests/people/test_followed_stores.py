"""Photos edited between runs: what was said of their faces stays, and only likely pairs of photos are laid over each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from people_store import add_boxes, call, people, photo_id

from facecluster.people import follow, read_current_people
from facecluster.people.edited_photos import match_photos
from facecluster.people.face_ids import FOLLOWED_TABLE
from facecluster.people.runs import current_run, read_faces
from facecluster.photos.places import gone_places, write_gone_places
from facecluster.store import FOLLOWED, PHOTOS, Store, embeddings_schema, table_of


def look_at(store: Store, shard: str, photos: Sequence[int], uris: Sequence[str], vectors: NDArray[np.floating] | None = None) -> list[str]:
    """Rows of photos that lie at `uris` now; with `vectors`, they are new, with a face each. Gives the face_ids."""
    n = len(uris)
    columns: dict[str, list[object]] = {name: [None] * n for name in PHOTOS.names}
    ids = [photo_id(i) for i in photos]
    facts = {"size": 1, "mtime_ns": int(shard), "format": "JPEG", "width": 1200, "height": 900, "orientation": 1, "faces": 1}
    columns |= {name: [value] * n for name, value in facts.items()}
    columns |= {"photo_id": ids, "content": ids, "picture": ids, "uri": list(uris), "phash": [i * 7919 for i in photos]}
    store.write("photos", shard, table_of(PHOTOS, columns), {"table": "photos"})
    faces = [f"{photo[:24]}-0000" for photo in ids]
    if vectors is not None:
        rows = {"face_id": faces, "embedding": vectors.astype(np.float16)}
        store.write("embeddings/bundled", shard, table_of(embeddings_schema(vectors.shape[1]), rows), {"table": "embeddings"})
        add_boxes(store, shard, faces, np.tile([300.0, 200, 150, 150], (n, 1)))
    return faces


def test_what_is_said_of_an_edited_photo_stays_when_the_edit_is_undone(tmp_path: Path) -> None:
    """A split, a name and an ignoring of faces while their photos were edited; the old files come back, and the edited ones again."""
    store = Store(str(tmp_path / "store"))
    store.create()
    vectors, truth = people([8, 8, 8], noise=0.5)
    photos, uris = np.arange(24), [f"/photos/{i}.jpg" for i in range(24)]
    old = look_at(store, "00000", photos.tolist(), uris, vectors)
    call("cluster", store.url)
    for number in range(3):
        call("name", store.url, old[8 * number], f"Person {number}")
    call("cluster", store.url)
    new = look_at(store, "00001", (photos + 100).tolist(), uris, vectors)
    assert "from the start" not in call("cluster", store.url).output  # the vectors are the same

    def of(faces: Sequence[str]) -> list[tuple[str, str | None, bool] | None]:
        run = current_run(store)
        assert run is not None
        ids = read_faces(store, run).ids
        assert list(ids) == sorted(faces)
        groups = dict(zip(ids, read_faces(store, run).identity.tolist(), strict=True))
        table = read_current_people(store)[0].people
        rows = dict(enumerate(zip(table.person_ids, table.names, table.ignored, strict=True)))
        return [rows.get(groups[face]) for face in faces]

    call("split", store.url, new[0], new[1])
    call("name", store.url, new[8], "Renamed")
    call("ignore", store.url, new[16])
    call("cluster", store.url)
    said = of(new)
    assert said[1] != said[0] and said[8] is not None and said[8][1] == "Renamed" and said[16] is not None and said[16][2]
    call("cluster", store.url, "--return-to", "2")
    assert None not in of(new)  # the run was made before the edit
    call("cluster", store.url)
    assert of(new) == said
    for shard, there, faces in (("00002", photos, old), ("00003", photos + 100, new), ("00004", photos, old)):
        look_at(store, shard, there.tolist(), uris)
        call("cluster", store.url)
        assert of(faces) == said


def fail_at(table: str, write: Callable[..., None]) -> Callable[..., None]:
    """Store.write, stopped at one table."""

    def stopped(store: Store, name: str, *arguments: object) -> None:
        if name == table:
            raise KeyboardInterrupt
        write(store, name, *arguments)

    return stopped


def test_few_photos_are_laid_over_each_other_however_many_files_have_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All photos are named image.jpg, were edited, and lie in renamed folders; a run that is stopped loses nothing."""
    store = Store(str(tmp_path / "store"))
    store.create()
    vectors, _ = people([10] * 15)
    places = [f"/photos/{i}/image.jpg" for i in range(150)]
    old = look_at(store, "00000", range(150), places, vectors)
    call("cluster", store.url)
    write_gone_places(store, dict.fromkeys(places, False))
    new = look_at(store, "00001", range(200, 350), [f"/photos/new {i}/image.jpg" for i in range(150)], vectors)
    monkeypatch.setattr(Store, "write", fail_at(FOLLOWED_TABLE, Store.write))
    with pytest.raises(KeyboardInterrupt):
        follow.follow_faces(store, store, "embeddings/bundled")
    monkeypatch.undo()
    tried = []
    monkeypatch.setattr(follow, "match_photos", lambda *a: tried.append(a) or match_photos(*a))
    assert follow.follow_faces(store, store, "embeddings/bundled") == 150
    assert len(tried) <= 2 * 150
    assert gone_places(store) == dict.fromkeys(places, True)
    pairs = store.read_all("followed", FOLLOWED)
    assert dict(zip(pairs["old"].to_pylist(), pairs["new"].to_pylist(), strict=True)) == dict(zip(old, new, strict=True))
