"""The second look: are two photos one picture? Decided on their thumbnails, laid over each other, block by block.

A copy that was made smaller, coded again or turned to grey differs from its original by as much noise everywhere; another photo of the same
scene differs by much somewhere. So the worst block decides. Only where a band along one side was written over (a caption) may blocks
differ, if everything else is a clean copy and one of the two plainly has something added there.
Odd input: a picture without contrast is the same as none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facecluster.dedup.hashing import MIDDLE, WINDOWS, turned, turned_box
from facecluster.dedup.register import Grey, Laid, Map, lay, likeness

SIDE = 96  # px at which pictures are laid over each other: .9 of bursts with a face moved by 10 % of its width are told from copies
BLOCK = 8  # px
# Worst block of copies, for photos of 48 px and less, and of 160 px and more (thumbnails are no larger). On the benchmark's first half none
# of 1,792 copies of 160 px was above .20, and none of 153 below 70 px above .42
LIMIT_SMALL, LIMIT = 0.42, 0.23
FLOOR = 10.0  # grey values: differences in blocks of less contrast than this count as if they had it
THIN = 0.015  # share of a side: a strip as narrow is a misfit, or too little to matter
BAR = 0.06  # share of a side from which a strip of one colour is a bar for text; below, it may be a border that was cut off
SHINE = 3  # px: the edge of a bar of text is as broad as this once it was made small
STRONG = (5.0, 2.5)  # times the limit: blocks with letters in them; a caption draws others off by less. Both are tried
BAND = 0.34  # share of the side that may be written over
ADDED = 0.5  # of fine detail in a band, the share that only one picture has: captions .6 and up in 95 of 100, things that moved below .35
BLANK = 4.0  # grey values, standard deviation of a picture that shows nothing


Points = tuple[tuple[float, float], ...]  # across, down


@dataclass(frozen=True, slots=True)
class Hint:
    """Where a match was found: after turns, a window of the first photo is like the whole second photo (MIDDLE: like its own middle)."""

    window: int
    turn_first: int
    turn_second: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the second look saw. Both photos are in their common form, after the turns of `hint`."""

    same: bool
    difference: float  # worst block that counts: 0 equal, 1 as far as two copies may differ
    likeness: float  # correlation, -1 to 1
    place: Map  # where the second lies in the first: left, width, top, height as shares of the first
    written: int  # which one was written over: 0 none, 1 the first, 2 the second
    marks: Points  # where: middles of blocks, as shares of the first
    more_first: float  # share of the first, 0 to 1, that shows what the second does not
    more_second: float
    blank_first: bool  # what the first has more is a bar of one colour, perhaps with text
    blank_second: bool
    hint: Hint


def compare(first: NDArray[np.uint8], second: NDArray[np.uint8], hint: Hint) -> Comparison | None:
    """Take the second look at two thumbnails.

    Args:
        first, second: grey pictures (h, w) of up to 160 px.
        hint: where the second may lie in the first.

    Returns:
        None if they do not fit over each other at all.
    """
    if min(first.std(), second.std()) < BLANK:
        return None
    a, b = turned(first, hint.turn_first), turned(second, hint.turn_second)
    left, top, right, bottom = turned_box(WINDOWS[0 if hint.window == MIDDLE else hint.window], hint.turn_first)
    laid = lay(a, b, (left, right - left, top, bottom - top), side=SIDE)
    if laid is None:
        return None
    blocks = _Blocks(laid)
    limit = _limit(min(max(a.shape[0] * laid.place[3], a.shape[1] * laid.place[1]), max(b.shape)))
    worst, written = blocks.worst(), 0
    marks: Points = ()
    if worst >= limit:
        written, worst, marks = _written(a, b, laid, blocks, limit)
    left, width, top, height = laid.place
    more = _outside(a, left, top, left + width, top + height)
    less = _outside(b, -left / width, -top / height, (1 - left) / width, (1 - top) / height)
    return Comparison(
        same=worst < limit,
        difference=worst / limit,
        likeness=likeness(laid),
        place=laid.place,
        written=written,
        marks=marks,
        more_first=more[0], blank_first=more[1],
        more_second=less[0], blank_second=less[1],
        hint=hint,
    )  # fmt: skip


def worst_block(laid: Laid) -> float:
    """The largest difference of a block of two laid pictures, in standard deviations of its contrast."""
    return _Blocks(laid).worst()


def _limit(side: float) -> float:
    """Worst block that copies may have, if the smaller of the two has `side` px."""
    return float(np.interp(side, (48, 160), (LIMIT_SMALL, LIMIT)))


class _Blocks:
    """Two laid pictures in blocks: arrays (rows, columns)."""

    def __init__(self, laid: Laid) -> None:
        self.place = laid.place
        height, width = self.shape = laid.second.shape
        self.rows, self.columns = (np.linspace(0, n, max(3, round(n / BLOCK)) + 1).astype(int)[:-1] for n in (height, width))
        mask = _clear(laid).astype(np.float64)
        a, b = _soft(laid.first), _soft(laid.second)
        pixels = self._sum(mask)
        self.inside: NDArray[np.bool_] = pixels >= 0.4 * pixels.max()
        n = np.maximum(pixels, 1)
        off = self._sum(mask * (a - b) ** 2) / n
        contrast = [np.maximum(self._sum(mask * x * x) / n - (self._sum(mask * x) / n) ** 2, 0) for x in (a, b)]
        # against the smaller contrast: a thing that is in one picture only must not excuse itself by its own contrast
        self.difference: Grey = np.sqrt(off / (np.minimum(*contrast) + FLOOR**2))

    def worst(self) -> float:
        """The largest difference of a block."""
        return float(self.difference[self.inside].max())

    def middles(self, which: NDArray[np.bool_]) -> Points:
        """Where the middles of some blocks lie, as shares of the first picture."""
        down, across = (np.diff(starts, append=n) / 2 + starts for starts, n in zip((self.rows, self.columns), self.shape, strict=True))
        left, width, top, height = self.place
        x, y = left + width * across / self.shape[1], top + height * down / self.shape[0]
        return tuple((float(x[c]), float(y[r])) for r, c in np.argwhere(which).tolist())

    def _sum(self, values: Grey) -> Grey:
        return np.asarray(np.add.reduceat(np.add.reduceat(values, self.rows, 0), self.columns, 1))


def _clear(laid: Laid) -> NDArray[np.bool_]:
    """Where both can be compared: not the border, and not near one beyond which a picture goes on, since what is there shines in."""
    left, width, top, height = laid.place
    clear = laid.inside.copy()
    rows, columns = np.flatnonzero(clear.any(axis=1)), np.flatnonzero(clear.any(axis=0))
    for lines, before, after, axis in ((rows, top, 1 - top - height, 0), (columns, left, 1 - left - width, 1)):
        view = np.moveaxis(clear, axis, 0)
        view[: lines[0] + (SHINE if abs(before) > 0.01 else 1)] = False
        view[lines[-1] + 1 - (SHINE if abs(after) > 0.01 else 1) :] = False
    return clear


def _soft(picture: Grey) -> Grey:
    """Blurred by a pixel, so that half a pixel of misfit and the noise of coding count for little."""
    wide = np.pad(picture, 1, mode="edge")
    wide = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    return np.asarray((wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 16)


def _written(first: NDArray[np.uint8], second: NDArray[np.uint8], laid: Laid, blocks: _Blocks, limit: float) -> tuple[int, float, Points]:
    """Which picture was written over, 0 if none was, the worst block of what was not, and where the letters are."""
    for strong, axis in ((s, axis) for s in STRONG for axis in (0, 1)):
        letters = (blocks.difference >= strong * limit) & blocks.inside
        free = _between_bands(np.logical_or.reduce(letters, axis=1 - axis))
        rest = _rest(first, second, laid, axis, free) if free else None
        worst = _Blocks(rest).worst() if rest else limit
        if free is None or worst >= limit:
            continue
        fine = lay(first, second, laid.place, side=max(first.shape + second.shape))  # letters are thin: the thumbnails' own size
        if fine is None:
            continue
        where = fine.inside.copy()
        np.moveaxis(where, axis, 0)[round(free[0] * where.shape[axis]) : round(free[1] * where.shape[axis])] = False
        which = _added(fine, where)
        if which:
            return which, worst, blocks.middles(letters)
    return 0, blocks.worst(), ()


def _between_bands(strong: NDArray[np.bool_]) -> tuple[float, float] | None:
    """The part between two bands along the borders that hold all strong lines, as shares; None if they are broader, or none."""
    middle = (np.flatnonzero(strong) + 0.5) / len(strong)
    if not len(middle) or ((middle > BAND) & (middle < 1 - BAND)).any():
        return None
    start, end = middle[middle <= BAND], middle[middle >= 1 - BAND]
    half = 0.5 / len(strong)
    return float(start.max() + half) if len(start) else 0.0, float(end.min() - half) if len(end) else 1.0


def _rest(first: NDArray[np.uint8], second: NDArray[np.uint8], laid: Laid, axis: int, free: tuple[float, float]) -> Laid | None:
    """The two laid anew without the bands, which drew them off and made them brighter or darker."""
    start, end = (round(share * second.shape[axis]) for share in free)
    left, width, top, height = laid.place
    if axis == 0:
        return lay(first, second[start:end], (left, width, top + free[0] * height, (free[1] - free[0]) * height), side=SIDE)
    return lay(first, second[:, start:end], (left + free[0] * width, (free[1] - free[0]) * width, top, height), side=SIDE)


def _added(fine: Laid, where: NDArray[np.bool_]) -> int:
    """Which of the two has plainly more fine detail than the other there: 1, 2, or 0 for neither."""
    if not where.any():
        return 0
    detail = [(picture - _soft(picture))[where] for picture in (fine.first, fine.second)]
    added = (detail[0].var() - detail[1].var()) / ((detail[0] - detail[1]).var() + 1)
    return 0 if abs(added) < ADDED else 1 if added > 0 else 2


def _outside(picture: NDArray[np.uint8], left: float, top: float, right: float, bottom: float) -> tuple[float, bool]:
    """Share of a picture outside a box (shares of its sides), and whether that is nothing but bars of one colour, perhaps with text."""
    inside = max(0.0, min(1.0, right) - max(0.0, left)) * max(0.0, min(1.0, bottom) - max(0.0, top))
    strips = [(top, picture), (1 - bottom, picture[::-1]), (left, picture.T), (1 - right, picture.T[::-1])]
    broad = [(share, rows) for share, rows in strips if share > THIN]
    if not broad or len({rows.shape for _, rows in broad}) > 1 and picture.shape[0] != picture.shape[1]:
        return 1 - inside, False
    return 1 - inside, all(share >= BAR and _is_bar(rows, round(share * len(rows))) for share, rows in broad)


def _is_bar(rows: NDArray[np.uint8], height: int) -> bool:
    """Whether the first `height` rows are a bar for text: one colour for the most part, and text on it or another colour after it."""
    off = np.abs(rows[: max(1, height - 1)].astype(np.float64) - float(np.median(rows[: max(1, height - 1)])))
    after = np.abs(rows[height + 1 : height + 4].astype(np.float64) - float(np.median(rows[: max(1, height - 1)])))
    written, ends = (off > 60).mean() > 0.04, len(after) > 0 and (after > 20).mean() > 0.5
    return bool((off <= 8).mean() > 0.5 and (written or ends))
