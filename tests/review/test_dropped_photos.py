"""Faces of photos that no place shows any more are not in review; those of photos that are gone are."""

from __future__ import annotations

from pathlib import Path

from review_store import grouped

from facecluster.photos.places import current_photos, drop_places, restore_places
from facecluster.review.session import Session


def test_faces_of_dropped_photos_are_in_no_list(tmp_path: Path) -> None:
    store, ids, truth = grouped(tmp_path)
    session = Session(store)
    try:
        before = session.view()
        assert len(before.current.faces.ids) == len(ids)  # all their files are gone, but not dropped
        people = before.current.people
        largest = set(before.rows_of(0).tolist())
        places = dict(zip(*(current_photos(store, ["photo_id", "uri"])[n].to_pylist() for n in ("photo_id", "uri")), strict=True))
        prefixes = {photo[:24]: uri for photo, uri in places.items()}
        gone = [before.current.faces.ids[row] for row in sorted(largest)]
        drop_places(store, [prefixes[face[:24]] for face in gone])
        after = session.view()
        assert not set(gone) & set(after.current.faces.ids) and len(after.current.faces.ids) == len(ids) - len(gone)
        assert after.current.people.person_ids == people.person_ids[1:] and after.current.people.faces == people.faces[1:]
        assert [len(after.rows_of(i)) for i in range(after.count)] == after.current.people.faces
        restore_places(store, [prefixes[face[:24]] for face in gone])
        assert session.view().current.people.faces == people.faces
    finally:
        session.close()
