"""The faces that a network learns from: encoded crops, and the person of each.

They come from folders by person, from Parquet, or from the people of a store (`read_faces`). A file that can't be used is counted and
passed over. Crops are 112x112 RGB, aligned to the ArcFace template.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facecluster.curate.split import split_people
from facecluster.errors import InputError
from facecluster.geometry import CROP

UNNAMED = -1  # label of a face whose person is not known
KEPT_DECODED = 1_000_000_000  # bytes of pixels that are kept in memory; of more faces each crop is decoded when it is needed
TRAIN, HELD_OUT, UNUSED = "train", "val", "test"  # splits that a data set may state for its people
_FORMATS = ("WEBP", "JPEG", "PNG")

Crops = NDArray[np.uint8]


@dataclass(slots=True)
class Passed:
    """What was passed over, with the first example of each reason."""

    count: dict[str, int] = field(default_factory=dict)
    example: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, what: str, n: int = 1) -> None:
        """Count `what` for a reason."""
        self.count[reason] = self.count.get(reason, 0) + n
        self.example.setdefault(reason, what)

    def lines(self) -> list[str]:
        """A line for each reason."""
        return [f"{n:,} passed over: {why}, as {self.example[why]}" for why, n in sorted(self.count.items())]


class LearningFaces:
    """Faces with the number of the person of each, ready to be drawn from."""

    def __init__(
        self, crops: Sequence[bytes], names: Sequence[str | None], source: str, splits: dict[str, str] | None = None,
        passed: Passed | None = None, strangers: Sequence[bool] | None = None,
    ) -> None:  # fmt: skip
        """Take encoded crops and the name of the person of each, None for nobody known. Crops that can't be decoded are passed over.

        Args:
            crops: (n,) bytes of WebP, JPEG or PNG; another size than 112x112 is resized.
            names: (n,).
            source: what the card says of the data.
            splits: TRAIN, HELD_OUT or UNUSED by name, if the data set states that.
            passed: what was passed over so far.
            strangers: (n,) which faces without a name the data set holds out; None: none.

        Raises:
            InputError: no crop can be used.
        """
        self.source, self.splits, self.passed = source, splits or {}, passed or Passed()
        keep_pixels = len(crops) * CROP * CROP * 3 <= KEPT_DECODED
        pixels = np.empty((len(crops), CROP, CROP, 3) if keep_pixels else (0, CROP, CROP, 3), np.uint8)
        kept: list[int] = []
        with ThreadPoolExecutor(2) as pool:
            for i, crop in enumerate(pool.map(_try_decode, crops)):
                if crop is None:
                    self.passed.add("pictures that can't be decoded", f"face {i} of {names[i] or 'nobody known'}")
                    continue
                if keep_pixels:
                    pixels[len(kept)] = crop
                kept.append(i)
        if not kept:
            raise InputError(f"expected faces in {source}, found none that can be used: give folders by person, Parquet, or a store")
        self._pixels = pixels[: len(kept)] if keep_pixels else None
        self._encoded = [] if keep_pixels else [crops[i] for i in kept]
        said = [names[i] or "" for i in kept]
        self.names = sorted({name for name in said if name})
        number = {name: i for i, name in enumerate(self.names)}
        self.label = np.array([number.get(name, UNNAMED) for name in said], np.int64)
        self.is_stranger = np.zeros(len(kept), bool) if strangers is None else np.asarray(strangers, bool)[kept] & (self.label == UNNAMED)

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: NDArray[np.integer] | Sequence[int]) -> Crops:
        """Crops (m, 112, 112, 3) RGB, 0 to 255, of rows (m,)."""
        if self._pixels is not None:
            return self._pixels[np.asarray(rows, np.intp)]
        found = [decode(self._encoded[int(row)]) for row in rows]
        return np.stack(found) if found else np.zeros((0, CROP, CROP, 3), np.uint8)

    def counts(self) -> NDArray[np.int64]:
        """Faces (people,) of each person."""
        return np.bincount(self.label[self.label >= 0], minlength=len(self.names))


def decode(data: bytes) -> Crops:
    """The pixels (112, 112, 3) of an encoded face. Raises OSError, ValueError or SyntaxError as Pillow does."""
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        rgb = image.convert("RGB")
    return np.asarray(rgb if rgb.size == (CROP, CROP) else rgb.resize((CROP, CROP), Image.Resampling.BICUBIC))


def _try_decode(data: bytes) -> Crops | None:
    try:
        return decode(data)
    except Exception:  # decoders raise nearly anything on damaged files
        return None


@dataclass(frozen=True, slots=True)
class Parts:
    """Rows of the faces to learn from, those of people who are held out, and the people of the first as numbers 0, 1, ..."""

    learn: NDArray[np.int64]
    held_out: NDArray[np.int64]
    label: NDArray[np.int64]  # (n,) of all faces: number among the people who are learnt, UNNAMED for all others
    people: list[str]  # names of the people who are learnt
    strangers: NDArray[np.int64]  # rows of faces without a name that are held out

    def counts(self) -> NDArray[np.int64]:
        """Faces (people,) of each person who is learnt."""
        return np.bincount(self.label[self.label >= 0], minlength=len(self.people))


def part(faces: LearningFaces, share: float, seed: int, *, min_faces: int = 2, unnamed: bool = False, least: int = 2) -> Parts:
    """Hold out people: by the splits that the data state, else about `share` of the faces, drawn by the seed and the names alone.

    Args:
        faces: all of them.
        share: 0 to 1, of the faces of named people.
        seed: of the draw.
        min_faces: people with fewer are left out.
        unnamed: whether faces of nobody known are learnt too, unless the data hold them out.
        least: people to learn from, at least: two, or 0 for a teacher alone.

    Raises:
        InputError: fewer people to learn from, or no face.
    """
    counts = faces.counts()
    enough = [i for i, n in enumerate(counts.tolist()) if n >= min_faces]
    if faces.splits:
        split = [faces.splits.get(faces.names[i], TRAIN) for i in enough]
    else:
        shares = {TRAIN: 1 - share, HELD_OUT: share}
        split = split_people([faces.names[i] for i in enough], counts[enough], shares, seed) if enough else []
    learnt = [i for i, s in zip(enough, split, strict=True) if s == TRAIN]
    held = [i for i, s in zip(enough, split, strict=True) if s == HELD_OUT]
    if len(learnt) < least:
        want = f"two people or more with {min_faces} faces each to learn from"
        raise InputError(f"expected {want}, found {len(learnt)} in {faces.source}: add faces")
    number = np.full(len(faces.names) + 1, UNNAMED, np.int64)  # the last is that of UNNAMED
    number[learnt] = np.arange(len(learnt))
    label = number[faces.label]
    of_named = label >= 0
    rows = np.flatnonzero(of_named | (faces.label == UNNAMED) & ~faces.is_stranger) if unnamed else np.flatnonzero(of_named)
    if not len(rows):
        raise InputError(f"expected faces to learn from, found none in {faces.source} that are not held out: add faces")
    held_out = np.flatnonzero(np.isin(faces.label, held))
    return Parts(rows, held_out, label, [faces.names[i] for i in learnt], np.flatnonzero(faces.is_stranger))


def some_of(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most so many rows, evenly."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]
