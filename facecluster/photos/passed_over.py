"""What a search met and did not take for a photo: always counted, and named with what would open it."""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from facecluster.photos import extras

LIVE_SECONDS = 6.0  # a longer video beside a photo of its name is a video of its own; live photos last about 3 s
LIVE_BYTES = 25_000_000  # the same for videos whose length can't be read; a live photo takes 2 to 8 MB
LIVE = frozenset(["mov", "mp4", "mp"])  # as phones and Google Takeout write them
_STILLS = ("heic", "heif", "hif", "avif", "jpg", "jpeg", "dng")  # of live photos
_HEVC = "_hevc"  # what iOS adds to the stem of a film that it coded again
_MAX_BOXES = 1000  # of a file


@dataclass(slots=True)
class PassedOver:
    """Files that were passed over, counted."""

    missing: Counter[str] = field(default_factory=Counter)  # by the name of the extra that would open them
    live_parts: int = 0  # videos that belong to a live photo, whose still is looked at
    others: Counter[str] = field(default_factory=Counter)  # by extension, in lower case
    inside: Counter[str] = field(default_factory=Counter)  # of archives, in words
    forgotten: int = 0  # photos that the user had forgotten
    made: int = 0  # pictures of a data set that was made of the same store

    def lines(self) -> list[str]:
        """What was passed over, and what to install for it; empty if nothing was."""
        wanted = [e for e in extras.EXTRAS if self.missing[e.name]]
        counts = [f"{self.missing[e.name]:,} {e.what}" for e in wanted]
        lines = [f"{', '.join(counts)}: {extras.install_hint([e.name for e in wanted])}"] if wanted else []
        if self.live_parts:
            lines.append(f"{self.live_parts:,} live part{'s' * (self.live_parts != 1)} (short videos of photos beside them)")
        if total := self.others.total():
            kinds = [f"{count:,} {f'.{name}' if name else 'without extension'}" for name, count in self.others.most_common(5)]
            more = ", ..." if len(self.others) > 5 else ""
            lines.append(f"{total:,} other file{'s' * (total != 1)} ({', '.join(kinds)}{more})")
        if self.forgotten:
            lines.append(f"{self.forgotten:,} photo{'s' * (self.forgotten != 1)} that you had forgotten")
        if self.made:
            pictures = f"{self.made:,} picture{'s' * (self.made != 1)}"
            lines.append(f"{pictures} of a data set that 'curate' made of this store: name its folder to take them")
        if found := +self.inside:
            lines.append(f"in archives: {', '.join(f'{count:,} {what}' for what, count in sorted(found.items()))}")
        return lines


def extension_of(name: str) -> str:
    """The extension of a file's name in lower case, without the dot; '' if it has none."""
    stem, _, extension = name.rpartition(".")
    return extension.lower() if stem else ""


def is_live_part(path: str, size: int, exists: Callable[[str], bool], open_file: Callable[[], BinaryIO] | None) -> bool:
    """Whether a video is the moving part of a photo beside it: that has its name, and the video is short.

    Args:
        path: of the video.
        size: bytes.
        exists: whether there is a file at a path.
        open_file: opens the video, to read how long it is; None: its size decides.
    """
    return any(exists(still) for stills in still_names(path) for still in stills) and is_short(size, open_file)


def still_names(film: str) -> list[list[str]]:
    """The names, or paths, that the photo may have of which a film is the moving part, the likeliest ones first.

    `IMG_1.MOV`, `IMG_1_HEVC.MOV` and `IMG_1.HEIC.MOV` belong to `IMG_1.HEIC`; Takeout's `PXL_1.MP` and `PXL_1.MP.mp4` to `PXL_1.MP.jpg`.
    """
    if extension_of(film.rpartition("/")[2]) not in LIVE:
        return []
    stem = os.path.splitext(film)[0]
    stems = [stem, film, *([stem[: -len(_HEVC)]] if stem.lower().endswith(_HEVC) else [])]
    found = [[f"{name}.{way}" for e in _STILLS for way in (e, e.upper())] for name in stems]
    return found + [[stem]] if extension_of(stem.rpartition("/")[2]) in _STILLS else found


def is_short(size: int, open_file: Callable[[], BinaryIO] | None) -> bool:
    """Whether a video is as short as the moving part of a photo; where it does not say how long it is, its size (bytes) decides."""
    seconds = None
    try:
        if open_file is not None:
            with open_file() as file:
                seconds = movie_seconds(file, size)
    except (OSError, ValueError):
        pass
    return seconds <= LIVE_SECONDS if seconds is not None else size <= LIVE_BYTES


def movie_seconds(file: BinaryIO, size: int) -> float | None:
    """How long an MP4 or QuickTime film is: box "mvhd" (ISO/IEC 14496-12, 8.2.2); None if it says nothing."""
    start, end = 0, size
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return None
        file.seek(start)
        head = file.read(16).ljust(16, b"\0")
        length, kind = int.from_bytes(head[:4]), head[4:8]
        inside = start + 8
        if length == 1:
            length, inside = int.from_bytes(head[8:16]), start + 16
        elif length == 0:
            length = end - start
        if length < inside - start:
            return None
        if kind == b"moov":
            start, end = inside, min(end, start + length)
        elif kind == b"mvhd":
            file.seek(inside)
            data = file.read(32).ljust(32, b"\0")
            scale, duration = struct.unpack(">IQ", data[20:32]) if data[:1] == b"\1" else struct.unpack(">II", data[12:20])
            unknown = duration == (2**64 - 1 if data[:1] == b"\1" else 2**32 - 1)
            return duration / scale if scale and not unknown else None
        else:
            start += length
    return None
