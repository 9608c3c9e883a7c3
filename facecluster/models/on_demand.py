"""Loading of models for modules that only sometimes need one: torch is loaded by the first call, not by the import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecluster.models.folder import BUNDLED

if TYPE_CHECKING:
    from facecluster.models.attribute import AttributeModel
    from facecluster.models.onnx_detector import FaceFinder
    from facecluster.models.registry import Embedder


def best_device(wanted: str = "auto") -> str:
    """`registry.best_device`."""
    from facecluster.models import registry

    return registry.best_device(wanted)


def batch_of(device: str) -> int:
    """`registry.batch_of`."""
    from facecluster.models import registry

    return registry.batch_of(device)


def load_embedder(model: str = "bundled", device: str = "auto") -> Embedder:
    """`registry.load_embedder`."""
    from facecluster.models import registry

    return registry.load_embedder(model, device)


def load_detector(detector: str = BUNDLED, device: str = "cpu") -> FaceFinder:
    """`onnx_detector.load_detector`."""
    from facecluster.models import onnx_detector

    return onnx_detector.load_detector(detector, device)


def load_attribute(model: str, device: str = "auto") -> AttributeModel:
    """`attribute.load_attribute`."""
    from facecluster.models import attribute

    return attribute.load_attribute(model, device)
