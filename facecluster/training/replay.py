"""The last faces that the teacher saw, for a network to learn from again.

What a teacher says costs a third of a step; while the network underfits, seeing a face twice more is nearly free. Faces are kept as uint8,
inner maps as float16. A training that goes on begins with none, and fills them anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LEAST = 8  # batches, before which every step is of new faces


class Replay:
    """The last `size` faces with their labels and what the teacher said of them."""

    def __init__(self, size: int) -> None:
        self.size, self.seen, self.parts = size, 0, list[Tensor]()

    def add(self, images: Tensor, labels: Tensor, told: Sequence[Tensor]) -> None:
        """Keep images (n, 3, 112, 112) 0 to 255, labels (n,), and what the teacher said: vectors (n, dim), then its maps (n, ...)."""
        rows = [images.to(torch.uint8), labels, told[0], *(value.half() for value in told[1:])]
        if not self.parts:
            self.parts = [torch.empty(self.size, *r.shape[1:], dtype=r.dtype, device=r.device) for r in rows]
        at = (self.seen + torch.arange(len(images))) % self.size
        for part, r in zip(self.parts, rows, strict=True):
            part[at] = r
        self.seen += len(images)

    def draw(self, n: int, g: torch.Generator) -> tuple[Tensor, Tensor, list[Tensor]]:
        """The same of n of them, drawn with replacement."""
        at = torch.randint(min(self.seen, self.size), (n,), generator=g)
        images, labels, *told = (part[at] for part in self.parts)
        return images.float(), labels, [value.float() for value in told]
