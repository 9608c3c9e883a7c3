"""The detector's networks in 8-bit integers: against the same networks in floating point, and their sums of bytes."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from test_detector import drawn_face

from facecluster.errors import ModelError
from facecluster.models.backbone import fold_batch_norms
from facecluster.models.detector import WEIGHTS, Detector, FaceDetector
from facecluster.models.int8_detector import Int8Detector, Int8Verifier, add, maxima
from facecluster.models.int8_layers import multiplication
from facecluster.models.verifier import FaceVerifier
from facecluster.models.views import SIDE

pytestmark = pytest.mark.skipif(not multiplication(), reason="needs a processor with VNNI or AVX2")


def random_pictures(n: int, height: int, width: int, seed: int) -> torch.Tensor:
    """Coarse and fine noise, (n, 3, height, width), channels last."""
    generator = torch.Generator().manual_seed(seed)
    fine = torch.rand(n, 3, height, width, generator=generator) * 255
    coarse = torch.nn.functional.interpolate(torch.rand(n, 3, 8, 8, generator=generator) * 255, (height, width), mode="bilinear")
    return (0.3 * fine + 0.7 * coarse).to(torch.uint8).contiguous(memory_format=torch.channels_last)


def test_the_bundled_networks_are_close_to_those_in_floating_point() -> None:
    low, high = Detector.load(arithmetic="int8"), Detector.load(arithmetic="float32")
    assert low.verifier is not None and high.verifier is not None
    pictures = [drawn_face(side, 480, 384, 200 + side // 9, 190) for side in range(60, 300, 30)]
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        found, expected = low.run(batch), high.run(batch)
        near = expected[..., 0] > -2.5  # cells that propose a face
        assert near.sum() > 50
        errors = (found - expected)[near]
        assert errors[:, 0].square().mean().sqrt() < 0.3, "logits"
        assert errors[:, 1:5].square().mean().sqrt() < 0.05, "boxes, in strides"
        small = random_pictures(30, SIDE, SIDE, 0)
        errors = low.verifier.run(small) - high.verifier.run(small)
    assert errors.square().mean().sqrt() < 0.5
    faces = [(low.detect(p), high.detect(p)) for p in pictures]
    assert all(len(a.scores) == len(b.scores) for a, b in faces)
    for a, b in faces:
        np.testing.assert_allclose(a.boxes, b.boxes, atol=3)


@given(hnp.arrays(np.uint8, (2, 40)))
def test_a_sum_of_bytes_ends_at_255(pair: NDArray[np.uint8]) -> None:
    expected = np.minimum(pair[0].astype(int) + pair[1], 255)
    np.testing.assert_array_equal(add(*map(torch.from_numpy, pair)).numpy(), expected)


def test_activations_outside_the_ranges_are_cut_off() -> None:
    """A tenth of the ranges: what is larger counts as the highest, and nothing wraps around to small values."""
    torch.manual_seed(2)
    network = fold_batch_norms(FaceDetector())
    found, end = maxima(network)
    pictures = random_pictures(2, 96, 96, 1)
    with torch.inference_mode():
        network(pictures.float())
        end()
        wide = Int8Detector(copy.deepcopy(network), found).body
        narrow = Int8Detector(copy.deepcopy(network), {name: [0.0, high / 10] for name, (_, high) in found.items()}).body
        (right, *_), (cut, *_) = wide.features(pictures), narrow.features(pictures)
    assert float((cut == 255).float().mean()) > 0.02
    assert (cut[right > 200] == 255).float().mean() > 0.9


@pytest.mark.parametrize("sizes", [(64, 64), (192, 256), (320, 448)])
def test_a_picture_gives_the_same_bits_alone_and_among_others(sizes: tuple[int, int]) -> None:
    detector = Detector.load(arithmetic="int8")
    assert detector.verifier is not None
    run = detector.verifier.run if sizes == (SIDE, SIDE) else detector.run
    pictures = random_pictures(16, *sizes, 7)
    with torch.inference_mode():
        alone = torch.cat([run(one) for one in pictures.split(1)])
        for number in (4, 16):
            assert torch.equal(torch.cat([run(some) for some in pictures.split(number)]), alone)


def test_ranges_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.safetensors"
    path.write_bytes(WEIGHTS.read_bytes())
    (tmp_path / "verifier.safetensors").write_bytes(WEIGHTS.with_name("verifier.safetensors").read_bytes())
    card = WEIGHTS.with_suffix(".toml").read_text()
    path.with_suffix(".toml").write_text(card.replace('"smooth.1" =', '"smooth.7" ='))
    with pytest.raises(ModelError, match="that fit"):
        Detector.load(path)
    for wrong in ("highest = 3\n", "[highest]\ndetector = 3\n", "[highest.detector]\n'stem.0' = 'high'\n"):
        top = re.split(r"(?m)^\[highest\]", card)[0]
        path.with_suffix(".toml").write_text(wrong + top if wrong[0] != "[" else top + wrong)
        with pytest.raises(ModelError, match="that fit"):
            Detector.load(path)
    path.with_suffix(".toml").write_text(re.split(r"(?m)^\[highest\]", card)[0])
    without = Detector.load(path)
    assert without.arithmetic != "int8" and Detector.load().arithmetic == "int8"
    assert without.fingerprint == Detector.load().fingerprint


def test_a_network_without_ranges_is_refused() -> None:
    with pytest.raises(KeyError):
        Int8Verifier(fold_batch_norms(FaceVerifier()), {})
