"""Compares two thumbnails block by block, after registration: do they show one picture?

A copy that was made smaller, compressed again or turned to grey differs from its original by about the same noise everywhere; another photo
of the same scene differs much somewhere. So the worst block decides. One exception: a band along one side may differ if it is a caption,
that is if everything else is a clean copy and one picture clearly has fine detail added in the band.

Odd input: a picture without contrast is compared with nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.photos.perceptual_hash import MIDDLE_WINDOW, WINDOWS, apply_turn, apply_turn_to_box
from facecluster.photos.registration import Grey, Placement, Registration, correlation, register_pictures

SIDE = 96  # px at which pictures are compared: .9 of bursts with a face moved by 10 % of its width are told from copies
BLOCK = 8  # px
# Limit of the worst block of copies, for photos of 48 px and less, and of 160 px and more (thumbnails are no larger). On the benchmark's
# first half none of 1,792 copies of 160 px was above .20, and none of 153 below 70 px above .42
LIMIT_SMALL, LIMIT = 0.42, 0.23
MIN_CONTRAST = 10.0  # grey values: a block of less contrast counts as if it had this
MISFIT = 0.015  # share of a side: a narrower strip is a misfit, or too little to matter
MIN_BAR = 0.06  # share of a side from which a strip of one colour is a bar for text; below, it may be a border that was cut off
EDGE_BLUR = 3  # px that the edge of a bar of text is blurred over when the photo is made small
CAPTION_STRENGTHS = (5.0, 2.5)  # times the limit: blocks with letters in them; a caption affects other blocks by less. Both are tried
MAX_BAND = 0.34  # share of the side that a caption may cover
# Share of the fine detail in a band that only one picture has: captions .6 and up in 95 of 100, things that moved below .35
MIN_ADDED_DETAIL = 0.5
BLANK = 4.0  # grey values: below this standard deviation a picture shows nothing


Points = tuple[tuple[float, float], ...]  # (across, down)


@dataclass(frozen=True, slots=True)
class AlignmentHint:
    """A match of hashes: after turns, a window of the first photo is similar to the whole second one (MIDDLE_WINDOW: to its middle)."""

    window: int
    turn_first: int
    turn_second: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result for two thumbnails, both after the turns of `hint`."""

    same: bool  # whether they show one picture
    difference: float  # worst block that counts: 0 equal, 1 as different as two copies may be
    correlation: float  # -1 to 1
    placement: Placement  # of the second in the first: left, width, top, height as shares of the first
    captioned: int  # which one has a caption over it: 0 none, 1 the first, 2 the second
    caption_blocks: Points  # centres of the blocks under the caption, as shares of the first
    extra_first: float  # share of the first, 0 to 1, that shows what the second does not
    extra_second: float
    bar_first: bool  # whether the extra part of the first is a bar of one colour, with or without text
    bar_second: bool
    hint: AlignmentHint


def compare(first: NDArray[np.uint8], second: NDArray[np.uint8], hint: AlignmentHint) -> Comparison | None:
    """Compare two thumbnails.

    Args:
        first, second: grey pictures (h, w) of up to 160 px.
        hint: where the second may lie in the first.

    Returns:
        None if they do not fit over each other at all.
    """
    if min(first.std(), second.std()) < BLANK:
        return None
    a, b = apply_turn(first, hint.turn_first), apply_turn(second, hint.turn_second)
    left, top, right, bottom = apply_turn_to_box(WINDOWS[0 if hint.window == MIDDLE_WINDOW else hint.window], hint.turn_first)
    found = register_pictures(a, b, (left, right - left, top, bottom - top), side=SIDE)
    if found is None:
        return None
    blocks = _Blocks(found)
    limit = _limit(min(max(a.shape[0] * found.placement[3], a.shape[1] * found.placement[1]), max(b.shape)))
    worst, captioned = blocks.worst(), 0
    caption_blocks: Points = ()
    if worst >= limit:
        captioned, worst, caption_blocks = _find_caption(a, b, found, blocks, limit)
    left, width, top, height = found.placement
    extra_first = _outside(a, left, top, left + width, top + height)
    extra_second = _outside(b, -left / width, -top / height, (1 - left) / width, (1 - top) / height)
    return Comparison(
        same=worst < limit,
        difference=worst / limit,
        correlation=correlation(found),
        placement=found.placement,
        captioned=captioned,
        caption_blocks=caption_blocks,
        extra_first=extra_first[0], bar_first=extra_first[1],
        extra_second=extra_second[0], bar_second=extra_second[1],
        hint=hint,
    )  # fmt: skip


def worst_block(registration: Registration) -> float:
    """The largest difference of a block of two registered pictures, in standard deviations of the block's contrast."""
    return _Blocks(registration).worst()


def _limit(side: float) -> float:
    """Limit of the worst block of copies, if the smaller of the two has `side` px."""
    return float(np.interp(side, (48, 160), (LIMIT_SMALL, LIMIT)))


class _Blocks:
    """Two registered pictures in blocks: arrays (rows, columns)."""

    def __init__(self, registration: Registration) -> None:
        self.placement = registration.placement
        height, width = self.shape = registration.second.shape
        self.rows, self.columns = (np.linspace(0, n, max(3, round(n / BLOCK)) + 1).astype(int)[:-1] for n in (height, width))
        mask = _comparable(registration).astype(np.float64)
        a, b = _blurred(registration.first), _blurred(registration.second)
        pixels = self._sum(mask)
        self.inside: NDArray[np.bool_] = pixels >= 0.4 * pixels.max()
        n = np.maximum(pixels, 1)
        squared = self._sum(mask * (a - b) ** 2) / n
        contrast = [np.maximum(self._sum(mask * x * x) / n - (self._sum(mask * x) / n) ** 2, 0) for x in (a, b)]
        # relative to the smaller contrast: a thing that is in one picture only must not hide behind its own contrast
        self.difference: Grey = np.sqrt(squared / (np.minimum(*contrast) + MIN_CONTRAST**2))

    def worst(self) -> float:
        """The largest difference of a block."""
        return float(self.difference[self.inside].max())

    def centres(self, which: NDArray[np.bool_]) -> Points:
        """Centres of the chosen blocks, as shares of the first picture."""
        down, across = (np.diff(starts, append=n) / 2 + starts for starts, n in zip((self.rows, self.columns), self.shape, strict=True))
        left, width, top, height = self.placement
        x, y = left + width * across / self.shape[1], top + height * down / self.shape[0]
        return tuple((float(x[c]), float(y[r])) for r, c in np.argwhere(which).tolist())

    def _sum(self, values: Grey) -> Grey:
        return np.asarray(np.add.reduceat(np.add.reduceat(values, self.rows, 0), self.columns, 1))


def _comparable(registration: Registration) -> NDArray[np.bool_]:
    """Where both pictures can be compared: not at the border, and EDGE_BLUR away from one beyond which a picture continues."""
    left, width, top, height = registration.placement
    mask = registration.inside.copy()
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    for lines, before, after, axis in ((rows, top, 1 - top - height, 0), (columns, left, 1 - left - width, 1)):
        view = np.moveaxis(mask, axis, 0)
        view[: lines[0] + (EDGE_BLUR if abs(before) > 0.01 else 1)] = False
        view[lines[-1] + 1 - (EDGE_BLUR if abs(after) > 0.01 else 1) :] = False
    return mask


def _blurred(picture: Grey) -> Grey:
    """Blurred by a pixel, so that a misfit of half a pixel and compression noise count for little."""
    wide = np.pad(picture, 1, mode="edge")
    wide = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    return np.asarray((wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 16)


def _find_caption(
    first: NDArray[np.uint8], second: NDArray[np.uint8], registration: Registration, blocks: _Blocks, limit: float
) -> tuple[int, float, Points]:
    """Which picture has a caption over it (0 for none), the worst block outside the caption, and the blocks with letters."""
    for strength, axis in ((s, axis) for s in CAPTION_STRENGTHS for axis in (0, 1)):
        letters = (blocks.difference >= strength * limit) & blocks.inside
        free = _between_bands(np.logical_or.reduce(letters, axis=1 - axis))
        rest = _register_rest(first, second, registration, axis, free) if free else None
        worst = _Blocks(rest).worst() if rest else limit
        if free is None or worst >= limit:
            continue
        # letters are thin: registered at the thumbnails' own size
        fine = register_pictures(first, second, registration.placement, side=max(first.shape + second.shape))
        if fine is None:
            continue
        where = fine.inside.copy()
        np.moveaxis(where, axis, 0)[round(free[0] * where.shape[axis]) : round(free[1] * where.shape[axis])] = False
        which = _added_detail(fine, where)
        if which:
            return which, worst, blocks.centres(letters)
    return 0, blocks.worst(), ()


def _between_bands(differs: NDArray[np.bool_]) -> tuple[float, float] | None:
    """The part between two bands at the borders that hold all differing lines, as shares; None if they are too broad, or nothing differs.

    `differs` (rows or columns,) says which lines of blocks differ.
    """
    middle = (np.flatnonzero(differs) + 0.5) / len(differs)
    if not len(middle) or ((middle > MAX_BAND) & (middle < 1 - MAX_BAND)).any():
        return None
    start, end = middle[middle <= MAX_BAND], middle[middle >= 1 - MAX_BAND]
    half = 0.5 / len(differs)
    return float(start.max() + half) if len(start) else 0.0, float(end.min() - half) if len(end) else 1.0


def _register_rest(
    first: NDArray[np.uint8], second: NDArray[np.uint8], registration: Registration, axis: int, free: tuple[float, float]
) -> Registration | None:
    """Register the two again without the bands, which distort the placement and the brightness."""
    start, end = (round(share * second.shape[axis]) for share in free)
    left, width, top, height = registration.placement
    if axis == 0:
        return register_pictures(first, second[start:end], (left, width, top + free[0] * height, (free[1] - free[0]) * height), side=SIDE)
    return register_pictures(first, second[:, start:end], (left + free[0] * width, (free[1] - free[0]) * width, top, height), side=SIDE)


def _added_detail(fine: Registration, where: NDArray[np.bool_]) -> int:
    """Which of the two clearly has more fine detail there than the other: 1, 2, or 0 for neither."""
    if not where.any():
        return 0
    detail = [(picture - _blurred(picture))[where] for picture in (fine.first, fine.second)]
    added = (detail[0].var() - detail[1].var()) / ((detail[0] - detail[1]).var() + 1)
    return 0 if abs(added) < MIN_ADDED_DETAIL else 1 if added > 0 else 2


def _outside(picture: NDArray[np.uint8], left: float, top: float, right: float, bottom: float) -> tuple[float, bool]:
    """Share of a picture outside a box (shares of its sides), and whether all of that is bars of one colour, with or without text."""
    inside = max(0.0, min(1.0, right) - max(0.0, left)) * max(0.0, min(1.0, bottom) - max(0.0, top))
    strips = [(top, picture), (1 - bottom, picture[::-1]), (left, picture.T), (1 - right, picture.T[::-1])]
    broad = [(share, rows) for share, rows in strips if share > MISFIT]
    if not broad or len({rows.shape for _, rows in broad}) > 1 and picture.shape[0] != picture.shape[1]:
        return 1 - inside, False
    return 1 - inside, all(share >= MIN_BAR and _is_bar(rows, round(share * len(rows))) for share, rows in broad)


def _is_bar(rows: NDArray[np.uint8], height: int) -> bool:
    """Whether the first `height` rows are a bar: mostly one colour, and with text on it or followed by another colour."""
    off = np.abs(rows[: max(1, height - 1)].astype(np.float64) - float(np.median(rows[: max(1, height - 1)])))
    after = np.abs(rows[height + 1 : height + 4].astype(np.float64) - float(np.median(rows[: max(1, height - 1)])))
    has_text, ends = (off > 60).mean() > 0.04, len(after) > 0 and (after > 20).mean() > 0.5
    return bool((off <= 8).mean() > 0.5 and (has_text or ends))
