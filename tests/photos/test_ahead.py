"""Values computed ahead come in order, only so many before they are taken, and what fails is raised where its value is wanted."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from facecluster.photos.ahead import computed_ahead


@pytest.mark.parametrize("threads", [1, 3])
def test_in_order_and_not_far_ahead(threads: int) -> None:
    first, taken = threading.Event(), []
    asked: list[int] = []

    def compute(n: int) -> int:
        if n == 0:
            assert threads == 1 or first.wait(60)  # the first is the last to be done
        if n == threads - 1:
            first.set()
        return n * n

    def items() -> Iterator[int]:
        for n in range(20):
            asked.append(n)
            yield n

    for value in computed_ahead(compute, items(), threads):
        taken.append(value)
        assert len(asked) <= len(taken) + 2 * threads
    assert taken == [n * n for n in range(20)]


def test_what_fails_is_raised_in_its_place_and_nothing_is_begun_after_that() -> None:
    done: list[int] = []

    def compute(n: int) -> int:
        if n == 2:
            raise ValueError("two")
        done.append(n)
        return n

    values = computed_ahead(compute, iter(range(1_000_000)), 1)
    assert [next(values), next(values)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(values)
    assert max(done) < 10 and list(values) == []
