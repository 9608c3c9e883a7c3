"""Attributes of single faces behind one seam: what a face wears, where it looks, how it looks. Models by their cards (docs/models.md).

Three formats: "landmarks" (pose, from a formula), "probe" (a logistic regression on the vector of an embedder; it stands in the card) and
"onnx" (a classifier or a measure of aligned faces). Two are bundled: `mask` and `pose`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from facecluster.errors import ModelError
from facecluster.models.card import NUMBER, TEXT, about_of, card_of, incomplete, input_fingerprint, read_input, read_toml
from facecluster.models.embedder import GRID, AttentionEmbedder
from facecluster.models.folder import card_path
from facecluster.models.onnx_embedder import resized
from facecluster.models.onnx_session import OnnxSession
from facecluster.models.pose import head_pose
from facecluster.models.recognisability import Recognisability
from facecluster.models.registry import best_device, fold_batch_norm, load_network

Crops = NDArray[np.uint8]
Values = Mapping[str, NDArray[Any]]
_BATCH = 32


class AttributeModel(Protocol):
    """The interface of a model of attributes.

    Attributes:
        name: of the model.
        columns: what it says of a face, by name: NUMBER or TEXT.
        fingerprint: stands for all that decides the values.
    """

    name: str
    columns: Mapping[str, str]
    fingerprint: str

    def measure(self, crops: Crops, landmarks: NDArray[np.floating]) -> Values:
        """The columns (n,) of aligned faces (n, 112, 112, 3) RGB 0..255 and their landmarks (n, 5, 2) in px of the photo."""
        ...


class Pose:
    """Yaw, pitch and roll from landmarks."""

    columns: Mapping[str, str] = {"yaw": NUMBER, "pitch": NUMBER, "roll": NUMBER}  # degrees

    def __init__(self, name: str, fingerprint: str) -> None:
        self.name, self.fingerprint = name, fingerprint

    def measure(self, crops: Crops, landmarks: NDArray[np.floating]) -> Values:
        return dict(zip(self.columns, head_pose(landmarks).T, strict=True))


class Probe:
    """The probability of one attribute by a logistic regression on the face parts of the bundled embedder's architecture.

    Its input is the mean of the parts (49, p) over some rows of the 7x7 grid, brought to length 1.
    """

    def __init__(self, name: str, attribute: str, section: Mapping[str, Any], device: str) -> None:
        """`section`: [probe] of the card. Raises ModelError if the embedder has other weights than those that it was fitted to."""
        self.columns: Mapping[str, str] = {attribute: NUMBER}
        self.name, embedder = name, str(section["embedder"])
        self._regression = Recognisability(tuple(float(w) for w in section["weights"]), float(section["intercept"]))
        self._rows, self._device = [int(row) for row in section["rows"]], device
        card, network = card_of(embedder), load_network(embedder)
        if card.sha256 != section["sha256"] or not isinstance(network, AttentionEmbedder):
            expected = f"expected the embedder {str(section['sha256'])[:12]}..., to which the model {name} was fitted"
            raise ModelError(f"{expected}, found {card.sha256[:12]}... of {embedder}: get the right one")
        fold_batch_norm(network)
        self._network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        said = json.dumps([card.sha256, attribute, self._rows, list(self._regression.weights), self._regression.intercept])
        self.fingerprint = hashlib.sha256(said.encode()).hexdigest()

    def measure(self, crops: Crops, landmarks: NDArray[np.floating]) -> Values:
        parts = [self.features(crops[i : i + _BATCH]) for i in range(0, len(crops), _BATCH)]
        found = np.concatenate([*parts, np.zeros((0, len(self._regression.weights)))])
        return dict.fromkeys(self.columns, self._regression.of(found))

    def features(self, crops: Crops) -> NDArray[np.float32]:
        """What the regression gets: (n, p), rows of length 1."""
        return part_features(self._network, crops, self._rows, self._device)


@torch.inference_mode()
def part_features(network: AttentionEmbedder, crops: Crops, rows: Sequence[int], device: str = "cpu") -> NDArray[np.float32]:
    """The mean over some rows of the grid of the face parts of crops (n, 112, 112, 3): (n, p), rows of length 1."""
    images = torch.from_numpy(np.ascontiguousarray(crops)).to(device).permute(0, 3, 1, 2).float()
    parts = network.features(images)[1].view(len(crops), GRID, GRID, -1)[:, list(rows)].mean(dim=(1, 2))
    return np.asarray(torch.nn.functional.normalize(parts).cpu().numpy())


class OnnxAttribute:
    """An ONNX file with one output: a number for each label, of which the highest counts, or one number (n, 1) without labels.

    Attributes:
        columns: the attribute (the label, or the number) and, of labels, ATTRIBUTE_probability: softmax of the outputs, or the outputs
            themselves if they are probabilities already.
    """

    def __init__(self, path: Path, raw: Mapping[str, Any], device: str) -> None:
        """The weights lie beside the card. Raises ModelError: they can't be used, or do not fit the card."""
        about, self._input = about_of(dict(raw), path), read_input(dict(raw))
        self.name, self._attribute = about.name, str(raw["attribute"]["name"])
        self._labels = [str(label) for label in raw["attribute"].get("labels", ())]
        more = {f"{self._attribute}_probability": NUMBER} if self._labels else {}
        self.columns: Mapping[str, str] = {self._attribute: TEXT if self._labels else NUMBER} | more
        said = json.dumps([input_fingerprint(about.sha256, self._input), self._attribute, self._labels])
        self.fingerprint = hashlib.sha256(said.encode()).hexdigest()
        self._session = OnnxSession(path.with_suffix(".onnx"), self._input, device, about.sha256)
        if self._session.size not in (None, (self._input.size, self._input.size)):
            expected = f"expected pictures of {self._input.size} px, as the card {path} says"
            raise ModelError(f"{expected}, found weights that take {self._session.size}: correct the card")

    def measure(self, crops: Crops, landmarks: NDArray[np.floating]) -> Values:
        step = 1 if self._session.one_by_one else _BATCH
        parts = [self._outputs(resized(crops[i : i + step], self._input.size)) for i in range(0, len(crops), step)]
        found = np.concatenate([*parts, np.zeros((0, max(len(self._labels), 1)))])
        if not self._labels:
            return {self._attribute: found[:, 0].astype(np.float32)}
        shares = found
        if found.size and (found.min() < 0 or np.abs(found.sum(axis=1) - 1).max() > 1e-3):
            e = np.exp(found - found.max(axis=1, keepdims=True))
            shares = e / e.sum(axis=1, keepdims=True)
        best = np.array(self._labels, object)[shares.argmax(axis=1)]
        return {self._attribute: best, f"{self._attribute}_probability": shares.max(axis=1).astype(np.float32)}

    def _outputs(self, faces: Crops) -> NDArray[np.float64]:
        outputs = self._session.run(faces)
        found = outputs[0].reshape(len(faces), -1).astype(np.float64)
        wanted = max(len(self._labels), 1)
        if len(outputs) != 1 or found.shape[1] != wanted or not np.isfinite(found).all():
            shapes = ", ".join(str(o.shape) for o in outputs)
            what = f"one output with {wanted} finite numbers a face of the model {self.name}"
            raise ModelError(f"expected {what}, found {shapes}: correct the labels of its card")
        return found


def load_attribute(model: str, device: str = "auto") -> AttributeModel:
    """Load a model of attributes: "mask", "pose", a name of the user's folder, or the path of a card. Raises ModelError."""
    path = card_path(model)
    raw = read_toml(path)
    about = about_of(raw, path)
    if about.task != "attribute":
        raise ModelError(f"expected a model of attributes, found the {about.task} {about.name}: see 'facecluster models list'")
    try:
        kind, device = str(raw["model"].get("format")), best_device(device)
        if kind == "landmarks":
            return Pose(about.name, about.sha256)
        if kind == "onnx":
            return OnnxAttribute(path, raw, device)
        return Probe(about.name, str(raw["attribute"]["name"]), raw["probe"], device)
    except (ValueError, KeyError, TypeError) as e:
        raise incomplete(path, e) from e
