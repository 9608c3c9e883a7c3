"""Batches that a device has no memory for are halved, and the size that fits is remembered."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facecluster.models import registry
from facecluster.models.batches import HalvedBatches, run_batches
from facecluster.models.registry import AttentionModel, load_network


class Short:
    """Doubles numbers of at most `rows` rows; for more there is no memory."""

    def __init__(self, rows: int) -> None:
        self.rows, self.sizes = rows, list[int]()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(x))
        if len(x) > self.rows:
            raise torch.OutOfMemoryError("no memory is left")
        return 2 * x.float()


def test_halved_batches_give_the_same_rows_in_order() -> None:
    x = torch.arange(60).reshape(20, 3)
    short = Short(6)
    run = HalvedBatches(short)
    assert torch.equal(run(x), 2 * x.float()) and short.sizes == [20, 10, 5, 5, 5, 5]
    short.sizes.clear()
    assert torch.equal(run(x[:7]), 2 * x[:7].float()) and short.sizes == [5, 2]
    short.sizes.clear()
    larger = torch.arange(60).reshape(4, 15)  # rows of five times the numbers
    assert torch.equal(run(larger), 2 * larger.float()) and short.sizes == [1, 1, 1, 1]
    with pytest.raises(torch.OutOfMemoryError):
        HalvedBatches(Short(0))(x)
    found = run_batches(HalvedBatches(Short(3)), x.numpy().astype(np.uint8), 8, "cpu")
    assert np.array_equal(found, 2 * x.numpy())


def test_a_model_does_not_try_again_what_did_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    network = load_network("bundled")
    assert network is not None
    model = AttentionModel(network, registry.card_of("bundled"), "cpu")  # type: ignore[arg-type]
    crops = np.random.default_rng(0).integers(0, 255, (12, 112, 112, 3), dtype=np.uint8)
    wanted, run, sizes = model.embed(crops, mirror=False), model.run, list[int]()

    def short(images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        if len(images) > 6:
            raise torch.OutOfMemoryError("no memory is left")
        return run(images)

    monkeypatch.setattr(model, "run", short)
    monkeypatch.setattr(model, "device", "fake")
    monkeypatch.setattr("facecluster.models.batches.to_device", lambda x, device: torch.from_numpy(x))
    assert (model.embed(crops, mirror=False) * wanted).sum(axis=1).min() > 0.99 and max(sizes) == 12
    sizes.clear()
    model.embed(crops, mirror=False)
    assert max(sizes) <= 6
    model.embed(crops)  # each face and its mirror image
    sizes.clear()
    model.embed(crops)
    assert max(sizes) <= 6
