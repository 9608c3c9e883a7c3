"""Faces whose photo was edited: the table `followed`, which people/follow.py writes, says which face of the photo in its place is the same.

Odd inputs: several copies of a photo that were edited give a face several ids; an edit that was undone makes a circle.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from facecluster.store import FOLLOWED, Store

FOLLOWED_TABLE = "followed"
PHOTO_CHARS = 24  # first characters of a face_id, which stand for the photo

Followed = Mapping[str, Sequence[str]]  # face_id -> face_ids of the same face in photos that took its photo's place


def read_followed(store: Store) -> dict[str, list[str]]:
    """face_ids of faces whose photo was edited, each with those of the same face in the photos that took its place."""
    found: dict[str, list[str]] = {}
    table = store.read_all(FOLLOWED_TABLE, FOLLOWED)
    for old, new in zip(table["old"].to_pylist(), table["new"].to_pylist(), strict=True):
        found.setdefault(old, []).append(new)
    return found


class FacesOf:
    """All faces of some photos, as a container: photos by the first PHOTO_CHARS of their ids."""

    def __init__(self, photos: Container[str]) -> None:
        self._photos = photos

    def __contains__(self, face: object) -> bool:
        return isinstance(face, str) and face[:PHOTO_CHARS] in self._photos


def later_ids(face: str, followed: Followed) -> list[str]:
    """The face_ids that a face has had from this one on, this one first, over all edits."""
    found = [face]
    for at in found:  # grows
        found += [new for new in followed.get(at, ()) if new not in found]
    return found


def present_ids(face: str, followed: Followed, present: Container[str]) -> list[str]:
    """The face_ids that a face has now: none if it is gone, several if copies of its photo were edited."""
    return [at for at in later_ids(face, followed) if at in present]
