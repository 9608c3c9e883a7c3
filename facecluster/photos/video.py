"""Videos through PyAV (BSD; its wheel bundles FFmpeg, LGPL-3, with libx264 and libx265, GPL-2): the extra `video`.

A video is looked at every few seconds and where the scene changes. One frame is in memory at a time beside the decoder's own, and a video
of any length gets a bounded number of looks. Where its key frames are dense enough, only those are decoded. Frames are upright (the
container's rotation and mirroring), with square pixels. Odd inputs: a damaged part is skipped; of a video that ends early the part that
can be decoded counts; where its times jump back, they go on instead; nothing but the file itself is ever read (no playlists, no references
to other files, no network).
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facecluster.errors import PhotoError
from facecluster.photos import extras
from facecluster.photos.dates import believed
from facecluster.photos.exif import turn
from facecluster.photos.images import Photo, open_file
from facecluster.photos.passed_over import extension_of

MAX_PIXELS = 40_000_000  # of a frame: 8K video has 33 million; the decoder keeps up to 16 of them
MAX_LOOKS = 1000  # of a video every few seconds; a longer one is looked at less often. As many again where the scene changes
SECONDS = 300  # of processor time for decoding a video, and
SECONDS_A_SECOND = 20  # more for each second of it that was decoded: 4K takes 1 to 3; other threads of the process count too
MAX_PACKETS = 5_000_000  # read of a video: 40 hours at 30 frames a second
_MAX_SECONDS = 100 * 3600.0  # a longer duration is damage, and says nothing
_DENSE = 0.55  # key frames come every second in the videos of phones: 30 frames at 29.97 a second are a little more
_HASHED = 300  # coded pictures: ten seconds
_JUMP = 1.0  # seconds; frames that come earlier by less are only out of order
_CHECK_SECONDS = 0.2  # between two looks for a change of scene
_SCENE_CHANGE = 28.0  # mean change of grey values, 0 to 255, of pictures of 32 x 18 px
# by FFmpeg's name of the container
_FORMATS = {
    "mov": "MP4", "matroska": "MKV", "avi": "AVI", "mpegts": "MPEGTS", "mpeg": "MPEG", "asf": "ASF", "flv": "FLV", "ogg": "OGG",
    "mpegvideo": "MPEG", "dv": "DV",
}  # fmt: skip
_OPTIONS = {"format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,asf,flv,ogg,mpegvideo,dv", "protocol_whitelist": ""}
# the EXIF orientation of a display matrix a, b, c, d (x' = a x + c y, y' = b x + d y; ISO/IEC 14496-12, 6.2.2) by its signs
_ORIENTATION = {
    (1, 0, 0, 1): 1, (-1, 0, 0, 1): 2, (-1, 0, 0, -1): 3, (1, 0, 0, -1): 4, (0, 1, 1, 0): 5, (0, 1, -1, 0): 6, (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Video:
    """A video that can be decoded."""

    uri: str
    content: str  # SHA-256 of its bytes
    picture: str  # hash of its length and its first pictures as they are coded: the same after its metadata was edited; 32 hex digits
    size: int  # bytes
    format: str  # MP4, MOV, MKV, ...
    width: int  # px of the upright picture
    height: int  # px of the upright picture
    taken_at: datetime | None  # by the camera's clock where the file says so (Apple), else UTC


@dataclass(frozen=True, slots=True)
class Look:
    """A frame of a video."""

    at_ms: int  # milliseconds from the start of the video
    picture: Photo  # the frame, upright
    cut: bool  # whether the scene has changed since the look before


def is_video_name(uri: str) -> bool:
    """Whether a file is a video by its extension."""
    return extension_of(uri.rpartition("/")[2]) in extras.VIDEO.extensions


def check_no_video(uri: str) -> None:
    """Raise PhotoError for a video, where only photos are looked at."""
    if is_video_name(uri):
        raise PhotoError("expected a photo, found a video: 'facecluster run' looks at videos too, other commands at photos only")


def open_video(uri: str) -> Video:
    """Hash a video in pieces, and decode its first frame.

    Raises:
        PhotoError: PyAV is not installed, the file can't be read, it is no video, or one that is damaged or too large, or takes too long.
    """
    extras.load(extras.VIDEO)
    digest, size = hashlib.sha256(), 0
    with open_file(uri) as file:
        try:
            while piece := file.read(1 << 20):
                digest.update(piece)
                size += len(piece)
            file.seek(0)
        except OSError as e:
            raise PhotoError(f"expected a readable file, found: {e.strerror or e}") from e
        if not size:
            raise PhotoError("expected a video, found an empty file")
        reader = _Reader(file)
        reader.skip_between_key_frames(math.inf)
        frame = next(reader.frames(), None)
        if frame is None:
            raise PhotoError(f"expected a whole {reader.format} video, found none of its frames that can be decoded")
        width, height = reader.upright_size(frame)
        picture = hashlib.sha256(f"{width} {height} {reader.seconds}".encode())
        file.seek(0)
        for packet in islice(_Reader(file).packets(), _HASHED):
            picture.update(bytes(packet))
        return Video(uri, digest.hexdigest(), picture.hexdigest()[:32], size, reader.format, width, height, reader.taken_at)


def looks(video: Video, every: float, max_side: int) -> Iterator[Look]:
    """Frames of a video: the first, one every `every` seconds, and one where the scene has changed.

    Args:
        video: as opened.
        every: seconds between two looks; more for a video of more than `MAX_LOOKS` times that.
        max_side: px; larger frames are reduced by whole factors to less than twice this.

    Raises:
        PhotoError: the file is no longer there, or decoding takes too long.
    """
    with open_file(video.uri) as file:
        reader = _Reader(file)
        every = max(every, (reader.seconds or 0) / MAX_LOOKS)
        reader.skip_between_key_frames(every)
        due, checked, done = 0.0, -math.inf, 0
        before: NDArray[np.int16] | None = None
        cut = False
        for frame in reader.frames():
            at = reader.time_of(frame)
            if at < due and at - checked < _CHECK_SECONDS:
                continue
            small = frame.reformat(32, 18, "gray", interpolation="AREA").to_ndarray().astype(np.int16)
            changed = before is not None and float(np.abs(small - before).mean()) > _SCENE_CHANGE
            before, checked, cut = small, at, cut or changed
            if at >= due or changed:
                yield Look(round(1000 * at), reader.picture(frame, max_side), cut)
                due, cut, done = at + every, False, done + 1
                if done == 2 * MAX_LOOKS:
                    return


class _Reader:
    """The video stream of an open file. Raises PhotoError if there is none."""

    def __init__(self, file: BinaryIO) -> None:
        self._av = extras.load(extras.VIDEO)
        try:
            # not the name: it would lead FFmpeg to other files
            self._container = self._av.open(file, "r", container_options=_OPTIONS, metadata_errors="replace")
            self._stream = self._container.streams.best("video")
        except Exception as e:  # PyAV has many errors, and files raise their own
            raise PhotoError(f"expected a video, found a file that can't be opened as one: {_line(e)}") from e
        if self._stream is None:
            raise PhotoError("expected a video, found a file without moving pictures")
        self._codec = self._stream.codec_context
        if self._codec is None or self._codec.width * self._codec.height > MAX_PIXELS:
            found = "one that can't be decoded" if self._codec is None else f"one of {self._codec.width} x {self._codec.height}"
            raise PhotoError(f"expected a video of at most {MAX_PIXELS // 1_000_000} megapixels a frame, found {found}")
        self._codec.options = {"max_pixels": str(MAX_PIXELS)}
        self._codec.thread_type, self._codec.thread_count = "AUTO", 2
        self._start: float | None = None  # the time that the file gives for second 0; another one after each jump back
        self._former = math.nan  # the one before the last jump
        self._last, self._step = 0.0, 0.0  # of the frame before: its second, and how much later it came than the one before it

    @property
    def format(self) -> str:
        """MP4, MOV, MKV, ..."""
        name = self._container.format.name.split(",")[0]
        quicktime = name == "mov" and self._container.metadata.get("major_brand", "qt").startswith("qt")
        return "MOV" if quicktime else _FORMATS.get(name, name.upper())

    @property
    def seconds(self) -> float | None:
        """How long the video says that it is."""
        found = self._container.duration
        return found / 1e6 if found and 0 < found / 1e6 < _MAX_SECONDS else None

    @property
    def taken_at(self) -> datetime | None:
        """Apple's local time, else the container's time of creation, which is UTC."""
        said = {**self._stream.metadata, **self._container.metadata}
        for key in ("com.apple.quicktime.creationdate", "creation_time"):
            found = re.match(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)", said.get(key, ""))
            try:
                at = datetime.fromisoformat(f"{found[1]} {found[2]}") if found else None
            except ValueError:
                continue
            if at is not None and at.year > 1970 and believed(at):  # 1904 and 1970: a clock that was not set
                return at
        return None

    def skip_between_key_frames(self, every: float) -> None:
        """Decode key frames only, if the container lists them and they come about twice in `every` seconds."""
        entries = self._stream.index_entries
        if not len(entries) or not self.seconds:
            return
        # matroska and others list key frames only, and not all: so it is their distance that counts
        keys = sorted(float(e.timestamp * self._stream.time_base) for e in entries if e.is_keyframe)
        if keys and max(np.diff([*keys, keys[0] + self.seconds])) <= _DENSE * every:
            self._codec.skip_frame = "NONKEY"

    def packets(self) -> Iterator[Any]:
        """The coded pictures of the stream, until the file is damaged or gone."""
        packets = self._container.demux(self._stream)
        for _ in range(MAX_PACKETS):
            try:
                packet = next(packets, None)
            except Exception:  # noqa: BLE001  files and FFmpeg raise nearly anything
                return
            if packet is None:
                return
            yield packet

    def frames(self) -> Iterator[Any]:
        """The frames that can be decoded; what is damaged is skipped. Raises PhotoError if decoding takes longer than a video's may."""
        packets, used = self.packets(), 0.0
        while True:
            began, found = time.process_time(), []
            packet = next(packets, None)
            if packet is None:
                return
            with suppress(Exception):  # this packet is damaged
                found = packet.decode()
            used += time.process_time() - began
            if used > SECONDS + SECONDS_A_SECOND * self._last:
                raise PhotoError(f"expected a video that can be decoded in time, found one that took {used:.0f} s up to its second "
                                 f"{self._last:.0f}: leave it out, or save it again")  # fmt: skip
            yield from (f for f in found if f.width * f.height <= MAX_PIXELS and f.width and f.height and not f.is_corrupt)

    def time_of(self, frame: Any) -> float:
        """Seconds from the first frame; a frame without a time comes with the one before. They never fall: where the times of a file jump
        back, as in recordings that were joined, the next one begins where the one before ended."""
        at = frame.time
        if at is None or not math.isfinite(at):
            return self._last
        if self._start is None:
            self._start = at
        elif at - self._start < self._last - _JUMP:
            self._former, self._start = self._start, at - self._last - self._step
        elif abs(at - self._former - self._last) <= _JUMP < at - self._start - self._last:
            self._start = self._former  # it was no other recording, but a frame with a wrong time
        if (later := at - self._start - self._last) > 0:
            self._last, self._step = self._last + later, min(later, _JUMP)
        return self._last

    def upright_size(self, frame: Any) -> tuple[int, int]:
        """Width and height of a frame, px, with square pixels and turned upright."""
        width, height = self._square_size(frame)
        return (height, width) if _orientation_of(frame) >= 5 else (width, height)

    def _square_size(self, frame: Any) -> tuple[int, int]:
        ratio = float(self._stream.sample_aspect_ratio or 1)
        if not .2 < ratio < 5:
            ratio = 1.0
        return max(1, round(frame.width * ratio)), frame.height

    def picture(self, frame: Any, max_side: int) -> Photo:
        """A frame as a photo."""
        width, height = self._square_size(frame)
        factor = max(width, height) // max_side or 1
        size = max(1, round(width / factor)), max(1, round(height / factor))
        pixels = frame.reformat(*size, "rgb24", interpolation="AREA" if factor > 1 else "BILINEAR").to_ndarray()
        upright = np.array(turn(Image.fromarray(pixels), _orientation_of(frame)))
        full = self.upright_size(frame)
        return Photo(upright, *full, max(size) / max(width, height), self.format, 1, self.taken_at)


def _orientation_of(frame: Any) -> int:
    """The EXIF orientation of a frame from its display matrix; 1 if it has none or a slanted one."""
    data = next((bytes(d) for d in frame.side_data if d.type.name == "DISPLAYMATRIX"), b"")
    if len(data) < 36:
        return 1
    a, b, _, c, d = np.sign(np.frombuffer(data[:36], "=i4"))[:5].tolist()
    return _ORIENTATION.get((a, b, c, d), 1)


def _line(error: Exception) -> str:
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return " ".join(said.split())[:200] or type(error).__name__
