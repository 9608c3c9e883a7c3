from __future__ import annotations

import csv
import hashlib
import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageOps

from facecluster.cli import main
from facecluster.demo import Face, GroundTruth, make_collection, score
from facecluster.demo.collection import MIN_DISTANCE, distance, make_people
from facecluster.demo.face_space import FaceSpace, halves, mask, oval
from facecluster.demo.photo import FACE_CENTRE, FACE_RADII, HeadPose, _paste
from facecluster.demo.scene import HEIGHT, LEFT, TOP, WIDTH, Style
from facecluster.errors import InputError
from facecluster.evaluation import Scores


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> GroundTruth:
    return make_collection(str(tmp_path_factory.mktemp("demo")), people=6, photos=2, seed=3)


def digests(truth: GroundTruth) -> dict[str, str]:
    root = Path(truth.photos)
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(root.rglob("*.*"))}


def test_the_same_seed_gives_the_same_photos(made: GroundTruth, tmp_path: Path) -> None:
    again = make_collection(str(tmp_path), people=6, photos=2, seed=3)
    assert digests(again) == digests(made)
    assert again.faces == made.faces
    space = FaceSpace.load()
    people = [make_people(space, 6, seed)[0].even for seed in (3, 3, 4)]
    assert (people[0] == people[1]).all() and distance(people[0], people[2]) > 0.5


def test_boxes_are_inside_the_upright_photos_with_one_face_each(made: GroundTruth) -> None:
    for name in {face.photo for face in made.faces}:
        with Image.open(Path(made.photos) / name) as photo:
            width, height = ImageOps.exif_transpose(photo).size
        boxes = np.array([face.box for face in made.faces if face.photo == name])
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 0] + boxes[:, 2] <= width).all() and (boxes[:, 1] + boxes[:, 3] <= height).all()
        assert (boxes[:, 2:] >= 20).all()
        centres = boxes[:, :2] + boxes[:, 2:] / 2
        apart = np.abs(centres[:, None] - centres[None]) / boxes[:, None, 2:]
        assert (apart.max(axis=2)[~np.eye(len(boxes), dtype=bool)] > 0.9).all()  # nobody covers the face of another


def test_the_collection_has_every_kind_of_photo(made: GroundTruth) -> None:
    names = digests(made)
    assert len(names) == made.files
    assert {Path(name).suffix for name in names} == {".jpg", ".png", ".webp"}
    assert len(set(names.values())) == made.files - 1  # an exact copy
    crowd = [sum(face.photo == name for face in made.faces) for name in names]
    assert set(crowd) >= {0, 1, 2, 3, 4, 5, 6}
    assert {face.person for face in made.faces} == set(range(6))
    assert all(names[face.photo] == face.photo_id for face in made.faces)
    broken = []
    orientations = set()
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with Image.open(Path(made.photos) / name) as photo:
                    photo.load()
                    exif = photo.getexif()
                orientations.add(exif[0x0112])
                assert exif.get_ifd(0x8769)[0x9003].startswith("20")
            except OSError:
                broken.append(name)
    assert broken == ["broken download.jpg"]
    assert orientations == {1, 3, 6}


def test_the_table_has_the_ground_truth(made: GroundTruth) -> None:
    with open(made.table, newline="", encoding="utf-8-sig") as f:
        rows = list(csv.DictReader(f))
    read = [Face(r["photo"], r["photo_id"], tuple(float(r[k]) for k in "xywh"), int(r["person"])) for r in rows]  # type: ignore[arg-type]
    assert tuple(read) == made.faces
    assert Path(made.photos) not in Path(made.table).parents


def test_a_rotated_photo_is_upright_after_its_exif_orientation(made: GroundTruth) -> None:
    for name in {face.photo for face in made.faces}:
        with Image.open(Path(made.photos) / name) as photo:
            if photo.getexif()[0x0112] == 6:
                assert ImageOps.exif_transpose(photo).size == photo.size[::-1]
                return
    pytest.fail("no photo with orientation 6")


def test_refusals(made: GroundTruth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="at least 6 people"):
        make_collection(str(tmp_path), people=2)
    with pytest.raises(InputError, match="another folder"):
        make_collection(str(Path(made.photos).parent), people=6, photos=2)
    monkeypatch.setattr("facecluster.demo.collection.MIN_DISTANCE", 1.5 * MIN_DISTANCE)  # at the usual one 600 are too many
    with pytest.raises(InputError, match="expected 60 people who differ enough, found [0-9]+: ask for"):
        make_people(FaceSpace.load(), 60, seed=0)


def test_people_differ_more_than_photos_of_one_person() -> None:
    space = FaceSpace.load()
    people = make_people(space, 12, seed=0)
    apart = [distance(a.even, b.even) for i, a in enumerate(people) for b in people[:i]]
    assert min(apart) >= MIN_DISTANCE
    rng = np.random.default_rng(0)
    looks = [distance(space.draw_appearance(rng, 0.4)[0], np.zeros(160)) for _ in range(50)]
    assert max(looks) < 0.5 * min(apart)


def test_a_face_is_the_mean_plus_its_components() -> None:
    space = FaceSpace.load()
    nothing, even = np.zeros(40, np.float32), np.zeros(160, np.float32)
    mean = space.render(even, nothing)
    assert np.allclose(mean, mean[:, ::-1])  # no antisymmetric part
    assert not mean[~oval(96)].any()
    odd = nothing.copy()
    odd[0] = 1
    turned = space.render(even, odd) - mean
    assert np.allclose(turned, -turned[:, ::-1], atol=1e-3) and np.abs(turned).max() > 5
    grown = space.render(even + np.eye(160, dtype=np.float32)[3], nothing) - mean
    assert np.allclose(2 * grown, space.render(even + 2 * np.eye(160, dtype=np.float32)[3], nothing) - mean, atol=1e-2)


def test_halves_are_the_symmetric_and_antisymmetric_parts() -> None:
    rng = np.random.default_rng(0)
    luma, chroma = rng.normal(size=(2, 96, 96)).astype(np.float32), rng.normal(size=(2, 2, 24, 24)).astype(np.float32)
    even, odd = halves(luma, chroma)
    kept, is_chroma = mask()
    left = luma[:, :, :48].reshape(2, -1)[:, kept[: 96 * 48]]
    assert np.allclose((even + odd)[:, ~is_chroma], left, atol=1e-6)
    mirrored_even, mirrored_odd = halves(luma[..., ::-1], chroma[..., ::-1])
    assert np.allclose(even, mirrored_even) and np.allclose(odd, -mirrored_odd)


def test_the_components_are_orthogonal() -> None:
    space = FaceSpace.load()
    for components in (space.even, space.odd):
        luma = components * np.where(mask()[1], 4, 1)  # chroma px are weighted by their area
        gram = luma @ luma.T
        assert np.abs(gram - np.eye(len(gram))).max() < 0.05  # tolerance for 8-bit rounding


def truth_of(*faces: tuple[str, tuple[float, float, float, float], int]) -> GroundTruth:
    rows = tuple(Face(f"{photo}.jpg", photo, box, person) for photo, box, person in faces)
    return GroundTruth("photos", "truth.csv", len({f.photo for f in rows}), len({f.person for f in rows}), rows)


def test_score_by_hand() -> None:
    truth = truth_of(
        ("a", (0, 0, 10, 10), 0),
        ("a", (6, 0, 10, 10), 1),
        ("b", (0, 0, 10, 10), 0),
        ("c", (0, 0, 10, 10), 1),  # not found: the detection there misses it
    )
    photos = ["a", "a", "b", "b", "c", "empty"]
    # the first detection overlaps the second face of photo a more than the first, but the second detection takes the second face
    boxes = np.array([[4, 0, 10, 10], [6, 0, 10, 10], [0, 1, 10, 10], [50, 50, 5, 5], [8, 8, 10, 10], [0, 0, 9, 9]], np.float32)
    got = score(truth, photos, boxes, np.array([7, 8, 7, 9, 8, -1]))
    assert (got.faces, got.found, got.others, got.people, got.groups) == (4, 3, 3, 2, 2)
    assert got.recall == 0.75
    assert got.pairwise == got.bcubed == Scores(1, 1, 1)
    merged = score(truth, photos, boxes, np.array([7, 7, 7, 9, 8, -1])).pairwise
    assert (merged.precision, merged.recall, merged.f) == pytest.approx((1 / 3, 1, 0.5))


def test_score_of_nothing_found() -> None:
    got = score(truth_of(("a", (0, 0, 10, 10), 0)), [], np.zeros((0, 4)), np.zeros(0, np.int64))
    assert (got.found, got.others, got.recall, got.groups) == (0, 0, 0, 0)


def test_paste_returns_the_box_of_the_face() -> None:
    """Only the face of the head is white: the white px must fill the returned box."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    inside = ((x + LEFT - FACE_CENTRE[0]) / FACE_RADII[0]) ** 2 + ((y + TOP - FACE_CENTRE[1]) / FACE_RADII[1]) ** 2 <= 1
    drawn = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    drawn[inside] = 255
    for seed in range(8):
        picture = Image.new("RGB", (500, 400))
        box = _paste(picture, drawn, np.zeros(3, np.float32), HeadPose(240, 180, 1.3, 0.3), np.random.default_rng(seed))
        white = np.argwhere(np.asarray(picture)[..., 0] > 127)[:, ::-1]
        seen = np.concatenate((white.min(axis=0), white.max(axis=0) + 1 - white.min(axis=0)))
        assert np.abs(seen - box).max() < 3


def test_styles_vary() -> None:
    rng = np.random.default_rng(0)
    styles = [Style.draw(rng) for _ in range(40)]
    assert {s.long for s in styles} == {True, False} and any(s.bald for s in styles)


def test_the_command_makes_finds_and_groups(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["demo", "-o", str(tmp_path / "demo"), "--people", "6", "--photos", "2"])
    assert done.exit_code == 0, done.output
    assert "6 people are in 6 groups" in done.output and (tmp_path / "demo" / "store" / "report" / "index.html").exists()
