"""The second stage of the detector: a network that sees one candidate in its surroundings, and says whether it is a face.

A detector that looks at a whole photo must be fast, so at the scores at which it proposes all faces it proposes many things too. Those few
proposals can be looked at well: a cascade, as in Viola and Jones (2001) and in MTCNN (Zhang et al. 2016). The network is the detector's own
backbone, trained on for this question, with a head of its own.
Odd input: a candidate at the border of a photo is seen with grey beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import expit, logit, softmax
from torch import Tensor, nn

from facecluster.models.backbone import Backbone
from facecluster.models.batches import HalvedBatches, to_device
from facecluster.models.int8_detector import Int8Verifier
from facecluster.models.int8_layers import Ranges
from facecluster.models.views import SIDE, Candidates, Pixels, picture_of

SURE = 4.0  # distance from 0 of the logit of a score from which one look is enough: scores under .018 and over .982
BATCH_GPU = 256  # pictures that a GPU looks at together
BATCHES = 64, 32, 16, 8, 4  # pictures that go through the network together: few numbers, because each new one is compiled anew
FILLED = 3 / 4  # of a batch that must be pictures, but for the last: a batch of 16 takes little more time than one of 8
HIDDEN = 64  # numbers between the head's two layers


class FaceVerifier(Backbone):
    """RGB (n, 3, 64, 64), 0 to 255 -> logits (n, 6).

    The first is of "this is an upright face". The others, for a softmax, are of a face that was turned to the left by 90 degrees 0, 1, 2, 3
    times, and of none.
    """

    def __init__(self, *, widths: tuple[int, ...] = (16, 32, 64, 80, 96), depth: int = 2) -> None:
        super().__init__(widths, depth)
        places = [(SIDE // stride) ** 2 for stride in (16, 32)]
        self.hidden = nn.Linear(sum(n * width for n, width in zip(places, widths[-2:], strict=True)), HIDDEN)
        self.out = nn.Linear(HIDDEN, 6)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.features(pictures)[-2:]
        x = torch.cat([features.flatten(1) for features in maps], dim=1).to(self.hidden.weight.dtype)
        rows = (x,) if x.is_cuda else torch.split(x, 1)  # on a CPU one by one: sums of a batch are rounded by its size
        return torch.cat([self.out(F.relu(self.hidden(row))) for row in rows])


class Verifier:
    """A `FaceVerifier` ready for use, which scores what a detector proposes.

    Attributes:
        network: the network in floating point, its batch norms folded.
        weights: weights of the detector's logit and of the network's, and an offset: together the logit of the score. Fitted on photos that
            neither was trained on, so the score is about the probability of a face on photos like those.
    """

    def __init__(
        self, network: FaceVerifier, weights: Sequence[float], *,
        device: str = "cpu", arithmetic: str = "float32", ranges: Ranges | None = None,
    ) -> None:  # fmt: skip
        """`arithmetic`: float32, bfloat16, or int8 with the `ranges` of the network's card."""
        self.weights, self.device = tuple(weights), device
        dtype = torch.bfloat16 if arithmetic == "bfloat16" else torch.float32
        self.network = network.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.hidden.float(), self.network.out.float()
        self.run: Callable[[Tensor], Tensor] = HalvedBatches(lambda pictures: self.network(pictures.to(dtype)))
        if arithmetic == "int8":
            self.run = Int8Verifier(self.network, ranges or {})

    def __call__(self, photos: Sequence[Pixels], faces: Sequence[Candidates]) -> list[NDArray[np.float32]]:
        """Scores (n,), 0 to 1, of the candidates (n,) of each photo (h, w, 3), RGB. Unsure ones are looked at mirrored, too."""
        pictures: list[Pixels] = []
        owners: list[tuple[int, int]] = []
        for i, (photo, seen) in enumerate(zip(photos, faces, strict=True)):
            for row, box in enumerate(seen.boxes):
                picture = picture_of(photo, box)
                if picture is not None:
                    pictures.append(picture)
                    owners.append((i, row))
        own, other, offset = self.weights
        given = np.array([faces[i].scores[row] for i, row in owners], np.float64)
        values = self._logits(pictures)[:, 0]
        unsure = np.flatnonzero(np.abs(own * logit(given) + other * values + offset) < SURE)
        values[unsure] = (values[unsure] + self._logits([pictures[k][:, ::-1] for k in unsure])[:, 0]) / 2
        scores = [np.zeros(len(seen.scores), np.float32) for seen in faces]
        for (i, row), score in zip(owners, expit(own * logit(given) + other * values + offset), strict=True):
            scores[i][row] = score
        return scores

    def upright(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """How probably there is a face in the middle of each picture (64, 64, 3), and upright: (n,), 0 to 1."""
        logits = self._logits(pictures)
        return np.asarray(expit(logits[:, 0]) * softmax(logits[:, 1:], axis=1)[:, 0])

    @torch.inference_mode()
    def _logits(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """The network's logits (n, 6) of pictures (64, 64, 3)."""
        out = [np.zeros((0, 6))]
        done = 0
        while done < len(pictures):
            left = len(pictures) - done
            size = next((size for size in BATCHES if size * FILLED <= left), BATCHES[-1]) if self.device == "cpu" else min(left, BATCH_GPU)
            some = pictures[done : done + size]
            batch = np.full((size, SIDE, SIDE, 3), 127, np.uint8)
            batch[: len(some)] = some
            found = self.run(to_device(batch, self.device).permute(0, 3, 1, 2))
            out.append(found[: len(some)].double().cpu().numpy())
            done += size
        return np.concatenate(out)
