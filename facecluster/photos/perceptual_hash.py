"""Perceptual hashes of a photo and of windows in it, in a form that does not depend on how the photo is rotated or mirrored.

A hash is the signs of 63 low DCT coefficients of a window, lowest first. A *turn* is one of the eight rotations and mirrorings by right
angles. A turn only permutes the coefficients and changes their signs. So each window is brought into a canonical form (landscape, brighter
at the left and at the top) before it is hashed, and the turn is kept. If the form is uncertain (nearly square, or nearly as bright on both
sides), a whole photo is indexed under each form.

A cropped copy matches a window of its original; the original matches a window of a copy with a bar of text below or above; a copy with text
over its upper or lower part has the same middle.

Odd input: a picture without contrast gives a meaningless hash; callers leave such pictures out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facecluster.language import mark

KEY_BITS = 24  # first bits of the hash: dedup's index of 2^24 keys takes 64 MiB
WEAK_BITS = 12  # weak bits listed for each window
# left, top, right, bottom as shares of the photo. The hash still matches if a border is off by 2.5 % of the side
WINDOWS: tuple[tuple[float, float, float, float], ...] = (
    (0, 0, 1, 1),
    (0.025, 0.025, 0.975, 0.975), (0.05, 0.05, 0.95, 0.95),
    (0.05, 0, 1, 1), (0, 0, 0.95, 1), (0, 0.05, 1, 1), (0, 0, 1, 0.95),
    (0.05, 0.05, 1, 1), (0, 0.05, 0.95, 1), (0.05, 0, 1, 0.95), (0, 0, 0.95, 0.95),
    (0, 0, 1, 0.9), (0, 0, 1, 0.85), (0, 0.1, 1, 1), (0, 0.15, 1, 1),
    (0, 0.15, 1, 0.85),
)  # fmt: skip
MIDDLE_WINDOW = len(WINDOWS) - 1  # compared with the same window of others, not with whole photos: it has no text at the top or bottom
NEAR_SQUARE = 0.2  # |ln(width / height)| below which a photo may have been cropped from landscape to portrait
_SIZE, _LOW = 32, 8
_PLACES = sorted(((u, v) for u in range(_LOW) for v in range(_LOW) if u or v), key=lambda p: (max(p), sum(p), p))  # (across, down)
_ACROSS, _DOWN = (np.array([p[i] for p in _PLACES]) for i in range(2))
_BIT = np.uint64(1) << np.arange(63, 0, -1, dtype=np.uint64)
_SWAP = np.array([_PLACES.index((v, u)) for u, v in _PLACES])
_FLIP_X, _FLIP_Y = (np.uint64(_BIT[odd % 2 == 1].sum()) for odd in (_ACROSS, _DOWN))
_FIRST_X, _FIRST_Y = _PLACES.index((1, 0)), _PLACES.index((0, 1))
_BASIS = np.cos(np.pi * np.arange(_LOW)[:, None] * (2 * np.arange(_SIZE) + 1) / (2 * _SIZE))
_STEADY = np.sqrt(_ACROSS + _DOWN)[:KEY_BITS]  # a shift changes high coefficients more, but they are smaller
_UNSURE = 6  # a bit that decides the form is uncertain if it is among this many weakest


@dataclass(frozen=True, slots=True)
class WindowHashes:
    """Hashes of windows, a row for each window. A turn is 4 (transposed first) + 2 (then left for right) + 1 (then top for bottom)."""

    hashes: NDArray[np.uint64]  # (w,)
    weak_bits: NDArray[np.uint8]  # (w, WEAK_BITS) numbers of the bits whose coefficients are nearest to zero, the weakest first
    turns: NDArray[np.uint8]  # (w,) 0 to 7, from the photo to the canonical form


def hash_windows(grey: NDArray[np.uint8]) -> WindowHashes:
    """Hash the WINDOWS of a grey picture (h, w), 0 to 255."""
    image = Image.fromarray(grey)
    width, height = image.size
    pixels, high = [], []
    for left, top, right, bottom in WINDOWS:
        box = (left * width, top * height, right * width, bottom * height)
        pixels.append(np.asarray(image.resize((_SIZE, _SIZE), Image.Resampling.BILINEAR, box=box), np.float64))
        high.append(box[2] - box[0] < box[3] - box[1])
    low = _BASIS @ np.stack(pixels) @ _BASIS.T  # (w, down, across)
    transposed = np.array(high)
    low[transposed] = low[transposed].transpose(0, 2, 1)
    values = np.round(low[:, _DOWN, _ACROSS], 3)  # rounded: coefficients of zero must not get random signs from the last digits
    flip_x, flip_y = values[:, _FIRST_X] < 0, values[:, _FIRST_Y] < 0
    values[flip_x] *= 1 - 2 * (_ACROSS % 2)
    values[flip_y] *= 1 - 2 * (_DOWN % 2)
    weak_bits = np.argsort(np.abs(values[:, :KEY_BITS]) * _STEADY, axis=1, kind="stable")[:, :WEAK_BITS].astype(np.uint8)
    return WindowHashes((values > 0) @ _BIT, weak_bits, (4 * transposed + 2 * flip_x + flip_y).astype(np.uint8))


def canonical_forms(
    hashes: NDArray[np.uint64], weak_bits: NDArray[np.uint8], turns: NDArray[np.uint8],
    widths: NDArray[np.int32], heights: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.uint8]]:  # fmt: skip
    """All canonical forms that are possible for whole photos.

    Args:
        hashes, weak_bits, turns: (n,), (n, WEAK_BITS), (n,) of the first window.
        widths, heights: (n,) px.

    Returns:
        (m,) number of the photo, its hash in the form, and the turn from the photo to the form; m >= n.
    """
    photo, turn = np.arange(len(hashes)), turns.astype(np.uint8)
    unsure = weak_bits[:, :_UNSURE]
    for first, mask, code in ((_FIRST_X, _FLIP_X, 2), (_FIRST_Y, _FLIP_Y, 1)):
        more = np.flatnonzero((unsure == first).any(axis=1)[photo])
        hashes = np.concatenate([hashes, hashes[more] ^ mask])
        turn = np.concatenate([turn, turn[more] ^ np.uint8(code)])
        photo = np.concatenate([photo, photo[more]])
    aspect = np.abs(np.log(np.maximum(widths, 1) / np.maximum(heights, 1)))
    more = np.flatnonzero(aspect[photo] < NEAR_SQUARE)
    return (
        np.concatenate([photo, photo[more]]),
        np.concatenate([hashes, transpose(hashes[more])]),
        np.concatenate([turn, transpose_turn(turn[more])]),
    )


def transpose(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hashes (n,) of the same pictures, transposed."""
    swapped = np.zeros_like(hashes)
    for bit, other in zip(_BIT, _BIT[_SWAP], strict=True):
        swapped |= np.where(hashes & other, bit, np.uint64(0))
    return swapped


def transpose_turn(turns: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The turns followed by a transposition: left for right becomes top for bottom."""
    return np.asarray((turns ^ 4) & 4 | (turns & 2) >> 1 | (turns & 1) << 1, np.uint8)


def apply_turn(pixels: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """Turn a picture (h, w) or (h, w, c)."""
    if turn & 4:
        pixels = pixels.swapaxes(0, 1)
    if turn & 2:
        pixels = pixels[:, ::-1]
    return pixels[::-1] if turn & 1 else pixels


def apply_turn_to_box(box: tuple[float, float, float, float], turn: int) -> tuple[float, float, float, float]:
    """A window (left, top, right, bottom as shares) after a turn."""
    left, top, right, bottom = box
    if turn & 4:
        left, top, right, bottom = top, left, bottom, right
    if turn & 2:
        left, right = 1 - right, 1 - left
    if turn & 1:
        top, bottom = 1 - bottom, 1 - top
    return left, top, right, bottom


def describe_turn(a: int, b: int) -> str:
    """What turns a photo into another, in words: "turned by 90°" (clockwise); '' if nothing does.

    Args:
        a: turn from the first photo to the canonical form.
        b: turn from the second photo to it.
    """
    corners = np.array([[0, 1], [2, 3]])
    there = apply_turn(corners.astype(np.uint8), a)
    for turn in range(8):
        if (apply_turn(apply_turn(corners.astype(np.uint8), turn), b) == there).all():
            return _WORDS[turn]
    raise AssertionError("eight turns are all there are")


_WORDS = {
    0: "", 1: mark("mirrored top to bottom"), 2: mark("mirrored"), 3: mark("turned by 180°"),
    4: mark("mirrored and turned by 270°"), 5: mark("turned by 270°"), 6: mark("turned by 90°"), 7: mark("mirrored and turned by 90°"),
}  # fmt: skip
