"""The Python API on real photos, where this machine has them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facecluster

PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "album" / "bbt"
pytestmark = pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"needs photos of people at {PHOTOS}")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> facecluster.Collection:
    return facecluster.run(PHOTOS, tmp_path_factory.mktemp("real") / "store").open()


def test_people_of_real_photos_are_found(store: facecluster.Collection) -> None:
    """A photo of one face in the folder of a person is that person: hardly any two of different people are in one group."""
    rows = store.faces.select(["photo_id", "identity"]).to_pylist()
    truth, labels = [], []
    for row in rows:
        photo = store.photo(row["photo_id"])
        name = re.fullmatch(r"([a-z]+)\d", Path(photo.uri).stem)
        if name and len(photo.faces) == 1:
            truth.append(name[1])
            labels.append(row["identity"])
    assert len(truth) >= 20
    scores = facecluster.evaluate(labels, truth)
    assert scores.bcubed.precision > 0.8 and scores.bcubed.f > 0.5


def test_steps_on_a_file_give_what_the_store_has(store: facecluster.Collection) -> None:
    photo = max((store.photo(p) for p in set(store.faces["photo_id"].to_pylist())), key=lambda p: len(p.faces))
    assert len(photo.faces) >= 3
    boxes, landmarks, scores = facecluster.detect_faces(photo.uri)
    order = np.argsort(boxes[:, 0], kind="stable")
    np.testing.assert_allclose(boxes[order], [face.box for face in photo.faces], rtol=1e-5, atol=1e-2)
    np.testing.assert_allclose(scores[order], [face.score for face in photo.faces], rtol=1e-5)
    vectors = facecluster.embed_faces(facecluster.align_faces(photo.uri, landmarks))
    ids, stored = store.vectors()
    same = stored[[ids.tolist().index(face.id) for face in photo.faces]]
    assert (vectors[order] * same).sum(axis=1).min() > 0.97  # the store keeps crops compressed


def test_pictures_from_the_store_are_pictures_of_the_photo(store: facecluster.Collection) -> None:
    for person in list(store)[:3]:
        face = person.faces[0]
        with Image.open(face.uri) as image:
            again = facecluster.align_faces(image, face.landmarks[None])[0]
        assert np.abs(np.asarray(face.crop(), float) - again).mean() < 10
    assert "<img" in store._repr_html_()
