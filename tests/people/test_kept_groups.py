"""A few photos that were edited or deleted: the people who are there stay as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from people_store import call, people
from test_followed_stores import look_at

from facecluster.people.runs import current_run, read_faces
from facecluster.photos.places import write_gone_places
from facecluster.privacy import forget
from facecluster.store import IDENTITIES, Store, table_of

TABLE = "identities/bundled"
SIZES = [12, 12, 12, 12]
URIS = [f"/photos/{i}.jpg" for i in range(sum(SIZES))]


def moved_by_hand(folder: Path) -> tuple[Store, list[str], np.ndarray]:
    """A grouped store in whose groups a face of the first person stands with the second: a grouping from the start puts it back."""
    store = Store(str(folder / "store"))
    store.create()
    vectors, _ = people(SIZES, noise=0.5)
    faces = look_at(store, "00000", range(len(URIS)), URIS, vectors)
    call("cluster", store.url)
    data, stamp = store.read_all(TABLE, IDENTITIES), store.stamp(TABLE, "00000")
    columns = {name: data[name].to_pylist() for name in data.column_names}
    columns["identity"][columns["face_id"].index(faces[0])] = columns["identity"][columns["face_id"].index(faces[12])]
    store.write(TABLE, "00000", table_of(IDENTITIES, columns), stamp)
    return store, faces, vectors


def edit(store: Store, shard: str, which: list[int], vectors: np.ndarray) -> list[str]:
    """Other bytes and slightly other vectors in the places of some photos; the new face_ids."""
    rng = np.random.default_rng(1)
    near = vectors[which] + 0.01 * rng.normal(size=vectors[which].shape)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    return look_at(store, shard, [100 + i for i in which], [URIS[i] for i in which], near)


def groups(store: Store) -> dict[str, int]:
    run = current_run(store)
    assert run is not None
    faces = read_faces(store, run)
    return dict(zip(faces.ids, faces.identity.tolist(), strict=True))


def kept(store: Store) -> tuple[bool, int]:
    grown = (store.stamp(TABLE, "00000") or {})["grown"]
    return grown["kept"], grown["changed"]


def test_edited_photos_stay_in_their_groups_and_move_nobody(tmp_path: Path) -> None:
    store, faces, vectors = moved_by_hand(tmp_path)
    new = edit(store, "00001", [0, 30], vectors)
    said = call("cluster", store.url)
    now = groups(store)
    assert kept(store) == (True, 2) and "the people of the earlier run stay ('facecluster cluster" in said.stderr
    assert now[new[0]] == now[faces[12]] != now[faces[1]] and now[new[1]] == now[faces[31]]
    again = edit(store, "00002", [5], vectors)  # what changed since all were grouped together is added up
    call("cluster", store.url)
    assert kept(store) == (True, 3) and groups(store)[again[0]] == now[faces[1]]
    edit(store, "00003", [14, 15], vectors)
    call("cluster", store.url)
    assert kept(store) == (False, 0) and groups(store)[new[0]] == groups(store)[faces[1]]


@pytest.mark.parametrize("share, stays", [(4, True), (6, False)])
def test_photos_that_are_gone_move_nobody(tmp_path: Path, share: int, stays: bool) -> None:
    """Up to a tenth of all; with those of a person the person is gone too."""
    store, faces, _ = moved_by_hand(tmp_path)
    write_gone_places(store, dict.fromkeys(URIS[36 : 36 + share], True))
    call("cluster", store.url)
    now = groups(store)
    assert len(now) == 48 - share and kept(store)[0] is stays
    assert (now[faces[0]] == now[faces[12]]) is stays and (now[faces[0]] == now[faces[1]]) is not stays
    assert now[faces[-1]] == now[faces[-2]] not in (now[faces[0]], now[faces[1]], now[faces[25]])


def test_faces_whose_earlier_vectors_are_unknown_are_grouped_from_the_start(tmp_path: Path) -> None:
    store, faces, vectors = moved_by_hand(tmp_path)
    new = edit(store, "00001", [0], vectors)
    other = -vectors  # as if another program had made the vectors anew
    look_at(store, "00000", range(len(URIS)), URIS, other)
    edit(store, "00001", [0], other)
    said = call("cluster", store.url)
    assert "have other vectors: all faces are grouped from the start" in said.stderr
    assert kept(store) == (False, 0) and groups(store)[new[0]] == groups(store)[faces[1]]


def test_somebody_is_forgotten_after_photos_are_gone(tmp_path: Path) -> None:
    """Between two groupings: what is forgotten leaves the others where they are, and so do the photos that are gone."""
    store, faces, _ = moved_by_hand(tmp_path)
    write_gone_places(store, dict.fromkeys(URIS[40:42], True))
    forget(store, [faces[30]])
    call("cluster", store.url)
    now = groups(store)
    assert kept(store) == (True, 2) and len(now) == 45 and faces[30] not in now
    assert now[faces[0]] == now[faces[12]] != now[faces[1]]
