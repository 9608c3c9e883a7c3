"""Videos for tests, of people who do not exist: a window that moves over drawn photos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from conftest import needs
from numpy.typing import NDArray

from facecluster.demo.collection import make_people
from facecluster.demo.face_space import FaceSpace
from facecluster.demo.photo import take_photo

Pixels = NDArray[np.uint8]
RATE = 5  # frames a second


@dataclass(frozen=True)
class Scene:
    """A drawn photo that a window of `size` px crosses from left to right."""

    picture: Pixels
    boxes: NDArray[np.float64]  # (n, 4) x, y, w, h in px of the picture
    seconds: float
    size: tuple[int, int] = (640, 480)

    def left(self, at: float) -> float:
        """The left edge of the window after `at` seconds, px."""
        return (self.picture.shape[1] - self.size[0]) * at / self.seconds

    def boxes_at(self, at: float) -> NDArray[np.float64]:
        """The boxes in px of the window."""
        return self.boxes - [self.left(at), 0, 0, 0]

    def frames(self) -> Iterator[Pixels]:
        for i in range(round(self.seconds * RATE)):
            left = round(self.left(i / RATE))
            yield self.picture[: self.size[1], left : left + self.size[0]]


def scenes(*people: tuple[int, ...], seconds: float = 6.0, seed: int = 5) -> list[Scene]:
    """A scene for each group of people; the same number is the same person."""
    space = FaceSpace.load()
    cast = make_people(space, 1 + max(max(group) for group in people), seed)
    made = []
    for number, group in enumerate(people):
        picture, boxes = take_photo(space, [cast[i] for i in group], (760, 480), np.random.default_rng([seed, number]))
        made.append(Scene(np.asarray(picture.convert("RGB")), boxes, seconds))
    return made


def write_video(
    path: Path, frames: Iterable[Pixels], *, rotation: int = 0, mirrored: bool = False, codec: str = "libx264", rate: int = RATE,
    aspect: tuple[int, int] = (1, 1), **metadata: str,
) -> None:  # fmt: skip
    """Write frames (h, w, 3). `rotation` and `mirrored` are put into the container only, as phones do: degrees counter-clockwise."""
    av = needs("av")
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"} if path.suffix in {".mp4", ".mov"} else {}) as container:
        container.metadata.update(metadata)
        stream: Any = None
        for picture in frames:
            if stream is None:
                stream = container.add_stream(codec, rate=rate)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p" if codec != "mjpeg" else "yuvj420p"
                stream.codec_context.sample_aspect_ratio = aspect[0] if aspect[1] == 1 else av.AVRational(*aspect)
                if rotation or mirrored:
                    stream.set_display_rotation(rotation, hflip=mirrored)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode())
