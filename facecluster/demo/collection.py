"""A small photo collection of people who do not exist, with the answers: who is where."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facecluster.demo.photo import Person, take
from facecluster.demo.scene import Style
from facecluster.demo.space import FaceSpace
from facecluster.errors import InputError

SIZES = ((640, 480), (800, 600), (960, 720), (1024, 768), (1280, 960), (1600, 1200))  # px
APART = 1.15  # least root mean square difference between two people's leading coefficients, in standard deviations
LEADING = 40  # coefficients that are compared: they hold most of what one sees
GROUPS = (2, 2, 3, 3, 4, 4, 5, 5, 6, 6)  # people in each group photo
EXIF, TAKEN, ORIENTATION = 0x8769, 0x9003, 0x0112  # tags: the EXIF part, when the photo was taken, how to turn it


@dataclass(frozen=True, slots=True)
class Face:
    """A face that is in a photo."""

    photo: str  # file name, relative to the folder of photos
    photo_id: str  # SHA-256 of the file
    box: tuple[float, float, float, float]  # x, y, w, h in px of the upright photo
    person: int


@dataclass(frozen=True, slots=True)
class Truth:
    """What is in a collection."""

    photos: str  # folder with the photos
    table: str  # CSV file with all faces
    files: int  # photos, the copy and the broken one included
    people: int
    faces: tuple[Face, ...]  # those of an exact copy stand once, under the first file's name


@dataclass(frozen=True, slots=True)
class _Shot:
    name: str
    people: tuple[int, ...]
    seed: tuple[int, int]
    taken: datetime
    orientation: int = 1  # EXIF


def make_people(space: FaceSpace, n: int, seed: int) -> list[Person]:
    """Draw n people, each as unlike the others as real people mostly are (see APART)."""
    rng = np.random.default_rng([seed, 0])
    drawn: list[Person] = []
    for _ in range(200 * n):
        even = space.person(rng)
        if all(distance(even, p.even) >= APART for p in drawn):
            drawn.append(Person(even, Style.draw(rng)))
        if len(drawn) == n:
            return drawn
    raise InputError(f"expected room for {n} people who differ, found it for {len(drawn)}: ask for {len(drawn)} or fewer")


def distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """How unlike two people are: root mean square difference of their leading coefficients, in standard deviations."""
    return float(np.sqrt(np.mean((a[:LEADING] - b[:LEADING]) ** 2)))


def make_collection(folder: str, *, people: int = 12, photos: int = 8, seed: int = 0) -> Truth:
    """Make a collection of photos of synthetic people in `folder`/photos, and `folder`/truth.csv beside it.

    There are photos of one person, of groups of two to six, two of nobody, an exact copy and a file that is broken.

    Args:
        people: how many there are, 6 or more.
        photos: how many there are of each person alone, give or take one.
        seed: the same seed gives the same collection.

    Raises:
        InputError: too few or too many people, no photos, or `folder` has photos already or can't be written.
    """
    if people < 6 or photos < 2:
        raise InputError(f"expected at least 6 people and 2 photos each, found {people} and {photos}: ask for more")
    root = os.path.join(folder, "photos")
    space = FaceSpace.load()
    cast = make_people(space, people, seed)
    shots = _plan(people, photos, seed)
    try:
        os.makedirs(root)
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            found = list(pool.map(lambda shot: _shoot(root, shot, space, cast), shots))
        faces = tuple(face for faces in found for face in faces)
        _copy_and_break(root, shots)
        table = os.path.join(folder, "truth.csv")
        with open(table, "w", newline="", encoding="utf-8") as f:
            writer = csv.writer(f)
            writer.writerow(["photo", "photo_id", "x", "y", "w", "h", "person"])
            writer.writerows([face.photo, face.photo_id, *face.box, face.person] for face in faces)
    except FileExistsError:
        raise InputError(f"expected a place for a new collection, found one in {folder}: choose another folder") from None
    except OSError as e:
        raise InputError(f"expected to write photos in {folder}, found: {e}. Choose another folder") from e
    return Truth(root, table, len(shots) + 2, people, faces)


def _plan(people: int, photos: int, seed: int) -> list[_Shot]:
    """Who is in which photo, when."""
    rng = np.random.default_rng([seed, 1])
    casts: list[tuple[int, ...]] = [(p,) for p in range(people) for _ in range(photos + int(rng.integers(-1, 2)))]
    casts += [tuple(int(p) for p in rng.choice(people, n, replace=False)) for n in GROUPS]
    casts += [(), ()]
    shots = []
    order = rng.permutation(len(casts))
    taken = datetime(2019, 5, 4, 9, 30)
    for k, i in enumerate(order):
        taken += timedelta(hours=float(rng.exponential(24 * 16)))
        suffix = {3: "png", 7: "webp"}.get(k, "jpg")
        name = f"{taken.year}/IMG_{k + 1:04d}.{suffix}"
        shots.append(_Shot(name, casts[i], (seed, int(k) + 2), taken.replace(microsecond=0), {5: 6, 11: 3}.get(k, 1)))
    return shots


def _shoot(root: str, shot: _Shot, space: FaceSpace, cast: list[Person]) -> list[Face]:
    """Take one photo and write it; the faces in it."""
    rng = np.random.default_rng(shot.seed)
    size = SIZES[rng.integers(2, 6) if len(shot.people) > 1 else rng.integers(0, 5)]
    upright = size[::-1] if len(shot.people) <= 1 and rng.random() < 0.4 else size
    picture, boxes = take(space, [cast[p] for p in shot.people], upright, rng)
    turns = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}  # how the camera was held
    turn = turns[shot.orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = shot.orientation
    exif.get_ifd(EXIF)[TAKEN] = shot.taken.strftime("%Y:%m:%d %H:%M:%S")
    data = io.BytesIO()
    kind = {"png": "PNG", "webp": "WEBP"}.get(shot.name.rsplit(".", 1)[1], "JPEG")
    stored = picture if turn is None else picture.transpose(turn)
    stored.save(data, kind, exif=exif.tobytes(), **({} if kind == "PNG" else {"quality": int(rng.integers(78, 95))}))
    path = os.path.join(root, shot.name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data.getvalue())
    digest = hashlib.sha256(data.getvalue()).hexdigest()
    return [
        Face(shot.name, digest, tuple(round(float(v), 1) for v in box), person)  # type: ignore[arg-type]
        for person, box in zip(shot.people, boxes, strict=True)
    ]


def _copy_and_break(root: str, shots: list[_Shot]) -> None:
    """One photo stands twice; of another only the first third arrived, under a new name."""
    first, second = [s.name for s in shots if s.name.endswith(".jpg")][:2]
    for name, new, share in ((first, "copy of a photo.jpg", 1.0), (second, "broken download.jpg", 1 / 3)):
        with open(os.path.join(root, name), "rb") as f:
            data = f.read()
        with open(os.path.join(root, new), "wb") as f:
            f.write(data[: round(len(data) * share)])
