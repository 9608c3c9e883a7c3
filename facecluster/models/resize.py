"""Pictures in another size, by torch: on bytes it is about three times as fast as Pillow. For the search of faces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def resized(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """A picture (h, w, 3) in another size (height, width, 3), 1 px and more: bilinear, with antialiasing."""
    import torch
    import torch.nn.functional as F

    if not pixels.flags.writeable or min(pixels.strides) < 0:  # torch takes no such arrays
        pixels = pixels.copy()
    planes = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)  # the dimension first: torch knows it for channels-last, which is faster
    small = F.interpolate(planes, (height, width), mode="bilinear", antialias=True)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())
