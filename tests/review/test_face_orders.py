"""Lists of people from the orders of the run, against sorting by value."""

from __future__ import annotations

import numpy as np
import pytest

from facecluster.people.grouped_faces import by_group
from facecluster.review.face_orders import FaceOrders


@pytest.mark.parametrize("seed", range(20))
def test_groups_in_order_whatever_was_decided(seed: int) -> None:
    """Faces change their groups, and faces of nobody join: the orders of the run still give each group's."""
    rng = np.random.default_rng(seed)
    n, groups = int(rng.integers(1, 300)), int(rng.integers(1, 9))
    before = rng.integers(-1, groups, n)
    probability = np.where(before < 0, 0.0, rng.integers(1, 5, n) / 4)  # with many equal ones
    quality, photo = rng.integers(0, 4, n) / 4, rng.integers(-1, 40, n)
    orders = FaceOrders.of(before, probability, quality, photo)
    now = np.where(rng.random(n) < 0.3, rng.integers(-1, groups, n), before)
    sure = np.where(now < 0, 0.0, np.where(before < 0, 1.0, probability))
    surest = np.lexsort((-quality, -sure, now))
    assert by_group(orders.surest, now, groups).tolist() == surest[now[surest] >= 0].tolist()
    best = np.lexsort((-(quality * sure), now))
    assert by_group(orders.best, now, groups).tolist() == best[now[best] >= 0].tolist()
    seen = by_group(orders.by_photo, now, groups)
    assert sorted(seen.tolist()) == np.flatnonzero((now >= 0) & (photo >= 0)).tolist()
    keys = list(zip(now[seen].tolist(), photo[seen].tolist(), strict=True))
    assert keys == sorted(keys)
    assert by_group(orders.surest, now, 1 << 20).tolist() == by_group(orders.surest, now, groups).tolist()
