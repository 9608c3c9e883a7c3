"""An ONNX file as a face detector: the same search as with the bundled one, with the file's network to look."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facecluster.errors import ModelError
from facecluster.models.card import Input, about_of, incomplete, input_fingerprint, is_onnx, read_input, read_toml
from facecluster.models.detector import Detector
from facecluster.models.folder import BUNDLED, card_path
from facecluster.models.onnx_decoders import DECODERS, USUAL_THRESHOLD, divisor, family_of, output_order
from facecluster.models.onnx_session import OnnxSession
from facecluster.models.resize import resized
from facecluster.models.search import Found, search
from facecluster.models.views import Candidates, Pixels


class FaceFinder(Protocol):
    """The interface of a model for the detect stage."""

    threshold: float  # default of the lowest score, 0 to 1
    fingerprint: str  # stands for all that decides what is found, for stamps

    def search(self, images: Sequence[NDArray[np.uint8]], *, threshold: float | None = None) -> list[Found]:
        """Find the faces of pictures (h, w, 3), RGB, of any sizes, and which way up they are."""
        ...


class OnnxDetector:
    """A network of one of the families in `onnx_decoders`."""

    def __init__(self, path: Path, wanted: Input, family: str, *, threshold: float, device: str = "cpu", sha256: str | None = None) -> None:
        """`path` is the ONNX file. Raises ModelError: it can't be used, has another hash, or is of another family."""
        if family not in DECODERS:
            raise ModelError(f"expected a detector of the family {' or '.join(DECODERS)}, found {family!r} for {path}: correct its card")
        self.session = OnnxSession(path, wanted, device, sha256)
        if family_of(self.session.shapes) != family:
            raise ModelError(f"expected outputs of the family {family}, found {self.session.shapes} in {path}: use another file, or card")
        self.threshold, self._decode, self._divisor = threshold, DECODERS[family], divisor(len(self.session.shapes))
        self._order = output_order(family, self.session.shapes)
        said = input_fingerprint(sha256 or "", wanted)
        self.fingerprint = hashlib.sha256(f"{said} {family}".encode()).hexdigest()

    def search(self, images: Sequence[NDArray[np.uint8]], *, threshold: float | None = None) -> list[Found]:
        """As `FaceFinder.search` says."""
        return search(self.look, images, self.threshold if threshold is None else threshold)

    def look(self, pictures: Sequence[Pixels], threshold: float) -> list[Candidates]:
        """Candidates of pictures (h, w, 3), RGB, as they are, before suppression; px of each picture.

        A graph of a fixed size sees larger pictures reduced to it, and smaller ones with black beside them.
        """
        out = []
        for picture in pictures:
            height, width = picture.shape[:2]
            shown, scale = self._fitted(picture)
            outputs = self.session.run(shown[None])
            found = self._decode([outputs[i] for i in self._order], shown.shape[0], shown.shape[1], threshold)
            middle = (found.boxes[:, :2] + found.boxes[:, 2:] / 2) * scale
            inside = (middle > 0).all(axis=1) & (middle < (width, height)).all(axis=1)
            real = (found.boxes[:, 2:] > 0).all(axis=1) & np.isfinite(found.landmarks).all(axis=(1, 2))  # distances may be below 0
            out.append(found.take(np.flatnonzero(inside & real)).mapped(scale, np.zeros(2)))
        return out

    def _fitted(self, picture: Pixels) -> tuple[Pixels, NDArray[np.float64]]:
        """A picture in the size that the graph takes, and px of the picture a px of it, (x, y)."""
        height, width = picture.shape[:2]
        size = self.session.size or (height + -height % self._divisor, width + -width % self._divisor)
        reduced = min(1.0, size[0] / height, size[1] / width)
        if reduced < 1:
            picture = resized(picture, max(1, round(width * reduced)), max(1, round(height * reduced)))
        out = np.zeros((*size, 3), np.uint8)
        out[: picture.shape[0], : picture.shape[1]] = picture
        return out, np.array([width / picture.shape[1], height / picture.shape[0]])


def detector_settings(raw: dict[str, Any], path: Path) -> tuple[Input, str, float]:
    """What a detector's card says of its ONNX file: input, family, threshold. Raises ModelError."""
    try:
        family = str(raw["decoder"]["family"])
        return read_input(raw), family, float(raw.get("reading", {}).get("threshold", USUAL_THRESHOLD.get(family, 0.5)))
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise incomplete(path, e) from e


@lru_cache(maxsize=2)
def load_detector(detector: str = BUNDLED, device: str = "cpu") -> FaceFinder:
    """Load "bundled", a detector of the user's folder by its name, or one by its card; cached. Raises ModelError if it can't be loaded."""
    if detector == BUNDLED:
        return Detector.load(device=device)
    path = card_path(detector)
    raw = read_toml(path)
    about = about_of(raw, path)
    if about.task != "detector":
        raise ModelError(f"expected the card of a detector, found that of an {about.task} at {path}: give it with --model")
    if not is_onnx(raw):
        return Detector.load(path.with_suffix(".safetensors"), device)
    wanted, family, threshold = detector_settings(raw, path)
    return OnnxDetector(path.with_suffix(".onnx"), wanted, family, threshold=threshold, device=device, sha256=about.sha256)
