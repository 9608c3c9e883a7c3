"""Faces that are left out have no group and no effect; those of whom the user has spoken are not left out."""

from __future__ import annotations

import numpy as np
from test_grouping import planted

from facecluster.grouping.group import in_shards, kept_faces
from facecluster.grouping.identify import IdentifyConfig, group, group_kept
from facecluster.grouping.link import nearest
from facecluster.grouping.subset import pairs_within, recognisable
from facecluster.grouping.work import LocalCrew

CONFIG = IdentifyConfig(impostor_mean=0.0, impostor_sd=0.125)


def test_what_is_left_out_has_no_effect() -> None:
    """The groups are those of the other faces alone, on their own graph, rules included."""
    x, truth = planted([8] * 40 + [1] * 120, noise=0.7)
    rng = np.random.default_rng(0)
    keep = rng.random(len(x)) < 0.8
    near, similarity = nearest(x, len(x) - 1)  # all pairs: leaving faces out of the graph is then the same as never having had them
    must = np.array([[0, 8], [1, 9], [2, int(np.flatnonzero(~keep)[0])]])
    cannot = np.array([[0, 3]])
    photos = rng.integers(0, 150, len(x))
    found = group_kept(keep, x, near, similarity, CONFIG, must=must, cannot=cannot, photos=photos)
    own, of_own = nearest(x[keep], int(keep.sum()) - 1)
    alone = group(x[keep], own, of_own, CONFIG, must=pairs_within(keep, must), cannot=pairs_within(keep, cannot), photos=photos[keep])
    assert np.array_equal(found.labels[keep], alone.labels) and np.array_equal(found.probabilities[keep], alone.probabilities)
    assert (found.labels[~keep] == -1).all() and not found.probabilities[~keep].any() and np.isnan(found.margins[~keep]).all()
    assert len(np.unique(truth[keep])) > 40 and alone.labels.max() >= 39


def test_rows_are_renumbered() -> None:
    keep = np.array([True, False, True, True])
    near = np.array([[2, 1, -1], [0, 2, 3], [1, 3, 0], [-1, -1, -1]])
    [links] = kept_faces(LocalCrew(), keep, np.eye(4, dtype=np.float32), in_shards(near, np.zeros(near.shape)))[1]
    assert links.arrays()[0].tolist() == [[1, -1, -1], [-1, 2, 0], [-1, -1, -1]]
    assert pairs_within(keep, np.array([[0, 2], [1, 3], [3, 2]])).tolist() == [[0, 1], [2, 1]]  # type: ignore[union-attr]
    assert pairs_within(keep, None) is None


def test_a_face_that_the_user_has_spoken_of_is_grouped() -> None:
    clear = np.array([0.9, 0.1, 0.2, 0.5])
    assert recognisable(clear, None, 0.5, 4).tolist() == [True, False, False, True]
    assert recognisable(clear, np.array([[0, 2]]), 0.5, 4).tolist() == [True, False, True, True]
    assert recognisable(None, None, 0.5, 2).all() and clear.tolist() == [0.9, 0.1, 0.2, 0.5]
