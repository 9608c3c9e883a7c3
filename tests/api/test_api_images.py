"""Photos and faces are given as paths, PIL images or arrays, and mean the same; what is wrong is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobs import small_photos
from PIL import Image

import facecluster
from facecluster.errors import ArgumentError
from facecluster.geometry import iou

CROPS = np.random.default_rng(0).integers(0, 255, (3, 112, 112, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(small_photos(tmp_path_factory.mktemp("photos"), 12))


@pytest.fixture(scope="module")
def photo(photos: Path) -> Path:
    """One with faces, without loss, so that all ways of reading it give the same pixels."""
    source = max((p for p in sorted(photos.glob("0*.jpg"))), key=lambda p: len(facecluster.detect_faces(p)[0]))
    with Image.open(source) as image:
        image.save(photos / "one.png")
    return photos / "one.png"


def test_paths_pil_images_and_arrays_give_the_same_faces(photo: Path) -> None:
    with Image.open(photo) as image:
        array = np.array(image.convert("RGB"))
        ways: list[Any] = [str(photo), photo, f"file://{photo}", image, image.convert("RGBA"), array]
        found = [facecluster.detect_faces(way) for way in ways]
        crops = [facecluster.align_faces(way, f[1]) for way, f in zip(ways, found, strict=True)]
    boxes, landmarks, scores = found[0]
    assert len(boxes) >= 1 and boxes.shape == (len(boxes), 4) and landmarks.shape == (len(boxes), 5, 2) and (np.diff(scores) <= 0).all()
    for other, crop in zip(found[1:], crops[1:], strict=True):
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(crops[0], crop)
    vectors = facecluster.embed_faces(crops[0])
    np.testing.assert_array_equal(vectors, facecluster.embed_faces([Image.fromarray(c) for c in crops[0]]))
    np.testing.assert_array_equal(vectors, facecluster.embed_faces(list(crops[0])))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_photos_that_lie_on_their_side_are_turned(photo: Path, tmp_path: Path, orientation: int) -> None:
    back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(photo) as image:
        image.convert("RGB").transpose(back).save(tmp_path / "turned.png", exif=exif)
    expected = facecluster.detect_faces(photo)
    with Image.open(tmp_path / "turned.png") as turned:
        for way in (tmp_path / "turned.png", turned):
            for a, b in zip(expected, facecluster.detect_faces(way), strict=True):
                np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(facecluster.align_faces(way, expected[1]), facecluster.align_faces(photo, expected[1]))


def test_a_photo_that_only_its_sidecar_turns_is_turned_here_as_in_a_store(photo: Path, tmp_path: Path) -> None:
    """A photo program turned it: the file itself says nothing."""
    (tmp_path / "turned").mkdir()
    turned = tmp_path / "turned" / "one.png"
    with Image.open(photo) as image:
        image.convert("RGB").transpose(Image.Transpose.ROTATE_90).save(turned)
    Path(f"{turned}.xmp").write_text(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><d xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></x:xmpmeta>'
    )
    for a, b in zip(facecluster.detect_faces(photo), facecluster.detect_faces(turned), strict=True):
        np.testing.assert_array_equal(a, b)
    facecluster.run(tmp_path / "turned", tmp_path / "store", report=False)
    found = facecluster.open(tmp_path / "store").photo(turned)
    with Image.open(photo) as image:
        assert found.open().size == (found.width, found.height) == image.size
        np.testing.assert_array_equal(np.array(found.open()), np.array(image.convert("RGB")))


def test_a_large_file_is_reduced_and_its_boxes_are_of_the_whole_photo(photo: Path, tmp_path: Path) -> None:
    with Image.open(photo) as image:
        small = image.convert("RGB").resize((1000, 1000 * image.height // image.width))
    small.resize((3 * small.width, 3 * small.height), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg", quality=95)
    expected, landmarks, _ = facecluster.detect_faces(small)
    boxes, large, _ = facecluster.detect_faces(tmp_path / "large.jpg")
    assert len(boxes) == len(expected) >= 1
    overlap = iou(boxes / 3, expected)
    assert (overlap.max(axis=1) > 0.85).all() and len(set(overlap.argmax(axis=1))) == len(boxes)
    crops, same = facecluster.align_faces(tmp_path / "large.jpg", large), facecluster.align_faces(small, landmarks[overlap.argmax(axis=1)])
    assert (facecluster.embed_faces(crops) * facecluster.embed_faces(same)).sum(axis=1).min() > 0.9


def test_a_photo_without_faces_passes_through_all_steps() -> None:
    blank = np.full((120, 160, 3), 200, np.uint8)
    boxes, landmarks, scores = facecluster.detect_faces(blank)
    crops = facecluster.align_faces(blank, landmarks)
    vectors = facecluster.embed_faces(crops)
    assert boxes.shape == (0, 4) and scores.shape == (0,) and crops.shape == (0, 112, 112, 3)
    assert vectors.shape == facecluster.embed_faces([]).shape and vectors.shape[0] == 0 and vectors.shape[1] > 0
    assert facecluster.group_faces(vectors)[0].shape == (0,)


WRONG: list[tuple[Callable[[Any], Any], Any, str]] = [
    (facecluster.detect_faces, "nowhere.jpg", "found 'nowhere.jpg', no file there: give the path of one photo"),
    (facecluster.detect_faces, "", "found '', no file there"),
    (facecluster.detect_faces, ".", "found '.', a folder"),
    (facecluster.detect_faces, None, "found NoneType"),
    (facecluster.detect_faces, b"\xff\xd8\xff", "found bytes"),
    (facecluster.detect_faces, CROPS, r"an array \(3, 112, 112, 3\) uint8: give one image at a time"),
    (facecluster.detect_faces, CROPS[0] / 255, r"float64: turn 0 to 1 into 0 to 255"),
    (facecluster.detect_faces, CROPS[0].astype(np.float32), r"float32: if it holds 0 to 255, convert it"),
    (facecluster.detect_faces, np.full((9, 9, 3), np.nan), "holds NaN or infinity"),
    (facecluster.detect_faces, CROPS[0].astype(int), r"int64: if it holds 0 to 255, convert it"),
    (facecluster.detect_faces, CROPS[0, :, :, 0], r"\(112, 112\) uint8: make grey RGB"),
    (facecluster.detect_faces, CROPS[0, :, :, [0, 1, 2, 0]].transpose(1, 2, 0), r"\(112, 112, 4\) uint8: leave out the fourth channel"),
    (facecluster.detect_faces, CROPS[0].transpose(2, 0, 1), r"\(3, 112, 112\) uint8: put the channels last"),
    (facecluster.detect_faces, np.zeros((0, 5, 3), np.uint8), "it has no pixels"),
    (facecluster.detect_faces, Image.new("RGB", (0, 4)), "without pixels"),
    (lambda x: facecluster.detect_faces(CROPS[0], threshold=x), "high", "expected a number as threshold, found 'high'"),
    (lambda x: facecluster.align_faces(CROPS[0], x), np.zeros((2, 4)), r"expected landmarks \(n, 5, 2\).*found an array \(2, 4\)"),
    (lambda x: facecluster.align_faces(CROPS[0], x), np.full((1, 5, 2), np.nan), "NaN or infinity among them"),
    (lambda x: facecluster.align_faces(CROPS[0], x), "eyes", "found str: take them from detect_faces"),
    (facecluster.embed_faces, "crop.png", "found str: cut faces out"),
    (facecluster.embed_faces, None, "found NoneType"),
    (facecluster.embed_faces, Image.new("RGB", (112, 112)), "one PIL image: put it into a list"),
    (facecluster.embed_faces, CROPS[0], r"\(112, 112, 3\) uint8: put one face into a list"),
    (facecluster.embed_faces, CROPS / 255, "turn 0 to 1 into 0 to 255"),
    (facecluster.embed_faces, [CROPS[0] / 255], r"one in the list that is \(112, 112, 3\) float64: turn 0 to 1"),
    (facecluster.embed_faces, CROPS[:, :100], r"\(3, 100, 112, 3\) uint8: cut faces out"),
    (facecluster.embed_faces, [Image.new("RGB", (64, 64))], r"one in the list that is \(64, 64, 3\) uint8: cut faces out"),
    (facecluster.embed_faces, ["a.png"], "one in the list that is str"),
    (facecluster.embed_faces, np.zeros(0), r"an array \(0,\) float64"),
]


@pytest.mark.parametrize("function, given, message", WRONG)
def test_what_is_wrong_is_one_line(function: Callable[[Any], Any], given: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        function(given)
    text = str(caught.value)
    assert text.startswith("expected ") and ", found " in text and ": " in text and "\n" not in text
    assert isinstance(caught.value, facecluster.InputError) and isinstance(caught.value, (ValueError, TypeError))


def test_a_damaged_photo_is_a_photo_error(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no photo")
    with pytest.raises(facecluster.PhotoError, match=r"found something else, in '.*text.jpg'"):
        facecluster.detect_faces(tmp_path / "text.jpg")
    with pytest.raises(facecluster.PhotoError, match="truncated or damaged"):
        facecluster.detect_faces(photos / "98.jpg")
    with Image.open(photos / "98.jpg") as image, pytest.raises(facecluster.PhotoError, match="expected a whole PIL image"):
        facecluster.detect_faces(image)
