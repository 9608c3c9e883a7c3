"""Geometry against brute force and known transforms."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facecluster import geometry


@given(st.floats(-3, 3), st.floats(0.2, 5), st.floats(-50, 50), st.floats(-50, 50))
def test_a_similarity_transform_is_recovered(angle: float, scale: float, x: float, y: float) -> None:
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = geometry.TEMPLATE @ rotation.T + (x, y)
    assert np.allclose(geometry.similarity_transform(geometry.TEMPLATE, target), np.c_[rotation, (x, y)], atol=1e-6)


def test_iou_by_counting_pixels() -> None:
    a, b = (2, 3, 10, 8), (6, 1, 9, 7)
    grid = np.zeros((2, 20, 20), dtype=bool)
    for g, (x, y, w, h) in zip(grid, (a, b), strict=True):
        g[y : y + h, x : x + w] = True
    assert np.isclose(geometry.iou(np.array([a]), np.array([b]))[0, 0], (grid[0] & grid[1]).sum() / (grid[0] | grid[1]).sum())


def test_nms_keeps_the_highest_score_of_overlapping_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 10, 10], [50, 50, 5, 5]])
    assert geometry.nms(boxes, np.array([0.5, 0.9, 0.1]), 0.3).tolist() == [1, 2]


def test_align_puts_the_landmarks_on_the_template() -> None:
    """Dots at the landmarks of a rotated, large face appear at the template's landmarks in the crop."""
    angle, scale = 0.4, 4.0
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    marks = geometry.TEMPLATE @ rotation.T + (300, 60)
    image = np.zeros((700, 800, 3), dtype=np.uint8)
    yy, xx = np.mgrid[:700, :800] + 0.5
    for i, (x, y) in enumerate(marks):
        image[(xx - x) ** 2 + (yy - y) ** 2 < 100, i % 3] = 255
    crop = geometry.align(image, marks[None])[0].astype(float)
    for i, point in enumerate(geometry.TEMPLATE):
        x, y = np.meshgrid(np.arange(112) + 0.5, np.arange(112) + 0.5)
        near = crop[..., i % 3] * ((x - point[0]) ** 2 + (y - point[1]) ** 2 < 100)
        centre = np.array([(near * x).sum(), (near * y).sum()]) / near.sum()
        assert np.abs(centre - point).max() < 0.3
