"""A small collection of photos of synthetic people, with the ground truth."""

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

from facecluster.demo.face_space import FaceSpace
from facecluster.demo.photo import Person, take_photo
from facecluster.demo.scene import Style
from facecluster.errors import InputError
from facecluster.store.temporary_files import remove_left_over, replacing

SIZES = ((640, 480), (800, 600), (960, 720), (1024, 768), (1280, 960), (1600, 1200))  # px
MIN_DISTANCE = 1.15  # between two people, see `distance`
LEADING_COEFFICIENTS = 40  # that are compared: they carry most of the visible differences
GROUP_SIZES = (2, 2, 3, 3, 4, 4, 5, 5, 6, 6)  # people in each group photo
EXIF, TAKEN, ORIENTATION = 0x8769, 0x9003, 0x0112  # tags: the EXIF part, date and time, orientation


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a photo."""

    photo: str  # file name, relative to the folder of photos
    photo_id: str  # SHA-256 of the file
    box: tuple[float, float, float, float]  # x, y, w, h in px of the upright photo
    person: int


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The content of a collection."""

    photos: str  # folder with the photos
    table: str  # CSV file with all faces
    files: int  # number of photos, including the copy and the broken file
    people: int
    faces: tuple[Face, ...]  # faces of an exact copy are listed once, with the first file's name


@dataclass(frozen=True, slots=True)
class _Shot:
    name: str
    people: tuple[int, ...]
    seed: tuple[int, int]
    taken: datetime
    orientation: int = 1  # EXIF


def make_people(space: FaceSpace, n: int, seed: int) -> list[Person]:
    """Draw n people with a distance of at least MIN_DISTANCE, as most real people have."""
    rng = np.random.default_rng([seed, 0])
    drawn: list[Person] = []
    for _ in range(200 * n):
        even = space.draw_person(rng)
        if all(distance(even, p.even) >= MIN_DISTANCE for p in drawn):
            drawn.append(Person(even, Style.draw(rng)))
        if len(drawn) == n:
            return drawn
    raise InputError(f"expected {n} people who differ enough, found {len(drawn)}: ask for {len(drawn)} or fewer")


def distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Distance of two people: root mean square difference of their leading coefficients, in standard deviations."""
    return float(np.sqrt(np.mean((a[:LEADING_COEFFICIENTS] - b[:LEADING_COEFFICIENTS]) ** 2)))


def make_collection(folder: str, *, people: int = 12, photos: int = 8, seed: int = 0, go_on: bool = False) -> GroundTruth:
    """Make a collection of photos of synthetic people in `folder`/photos, and the ground truth in `folder`/truth.csv.

    It has photos of one person, of groups of two to six, two without people, an exact copy and a broken file.

    Args:
        people: number of people, 6 or more.
        photos: photos of each person alone, plus or minus one.
        seed: the same seed gives the same collection.
        go_on: go on with a collection of the same settings; photos that are there stay as they are.

    Raises:
        InputError: too few or too many people, no photos, or `folder` already has photos (unless `go_on`) or can't be written.
    """
    if people < 6 or photos < 2:
        raise InputError(f"expected at least 6 people and 2 photos each, found {people} and {photos}: ask for more")
    root = os.path.join(folder, "photos")
    space = FaceSpace.load()
    cast = make_people(space, people, seed)
    shots = _plan(people, photos, seed)
    try:
        os.makedirs(root, exist_ok=go_on)
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            found = list(pool.map(lambda shot: _make_photo(root, shot, space, cast), shots))
        faces = tuple(face for faces in found for face in faces)
        _add_copy_and_broken_file(root, shots)
        table = os.path.join(folder, "truth.csv")
        with replacing(table) as f:
            f.write(_table_of(faces))
    except FileExistsError:
        raise InputError(f"expected a folder without a collection, found one in {folder}: choose another folder") from None
    except OSError as e:
        raise InputError(f"expected to write photos in {folder}, found: {e}. Choose another folder") from e
    return GroundTruth(root, table, len(shots) + 2, people, faces)


def _table_of(faces: tuple[Face, ...]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["photo", "photo_id", "x", "y", "w", "h", "person"])
    writer.writerows([face.photo, face.photo_id, *face.box, face.person] for face in faces)
    return text.getvalue().encode("utf-8-sig")  # without a mark Excel reads another encoding


def _write(path: str, data: bytes) -> None:
    """Write a file, whole or not at all, unless it is there."""
    if os.path.exists(path):
        return
    remove_left_over(os.path.dirname(path))
    with replacing(path) as f:
        f.write(data)


def _plan(people: int, photos: int, seed: int) -> list[_Shot]:
    """The people, date and orientation of each photo."""
    rng = np.random.default_rng([seed, 1])
    casts: list[tuple[int, ...]] = [(p,) for p in range(people) for _ in range(photos + int(rng.integers(-1, 2)))]
    casts += [tuple(int(p) for p in rng.choice(people, n, replace=False)) for n in GROUP_SIZES]
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


def _make_photo(root: str, shot: _Shot, space: FaceSpace, cast: list[Person]) -> list[Face]:
    """Draw one photo and write it; returns its faces."""
    rng = np.random.default_rng(shot.seed)
    size = SIZES[rng.integers(2, 6) if len(shot.people) > 1 else rng.integers(0, 5)]
    upright = size[::-1] if len(shot.people) <= 1 and rng.random() < 0.4 else size
    picture, boxes = take_photo(space, [cast[p] for p in shot.people], upright, rng)
    turns = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}  # how the camera was turned
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
    _write(path, data.getvalue())
    digest = hashlib.sha256(data.getvalue()).hexdigest()
    return [
        Face(shot.name, digest, tuple(round(float(v), 1) for v in box), person)  # type: ignore[arg-type]
        for person, box in zip(shot.people, boxes, strict=True)
    ]


def _add_copy_and_broken_file(root: str, shots: list[_Shot]) -> None:
    """Copy one photo, and the first third of the bytes of another, each to a new name."""
    first, second = [s.name for s in shots if s.name.endswith(".jpg")][:2]
    for name, new, share in ((first, "copy of a photo.jpg", 1.0), (second, "broken download.jpg", 1 / 3)):
        with open(os.path.join(root, name), "rb") as f:
            data = f.read()
        _write(os.path.join(root, new), data[: round(len(data) * share)])
