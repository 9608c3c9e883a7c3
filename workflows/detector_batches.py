"""Batches of mosaics, made by processes beside the training."""

from __future__ import annotations

import multiprocessing
import signal
from multiprocessing.queues import Queue
from typing import TypeAlias

import cv2
import numpy as np
from detector_mosaics import SIDE, chances, mosaic
from detector_photos import Photo
from numpy.typing import NDArray

from facecluster.models.detector import Detector

AHEAD = 4  # batches that may wait, besides one that each process is at

Faces: TypeAlias = tuple[int, NDArray[np.float32], NDArray[np.int64]]  # of a batch: its place, faces (g, 16), their pictures (g,)


class Batches:
    """Mosaics from one seed: with one process always the same ones in the same order.

    The processes are copies of this one (fork), so that the photos lie in memory once: begin before a GPU is used.
    """

    def __init__(self, photos: list[Photo], batch: int, seed: int, workers: int) -> None:
        self.photos, self.rng = photos, np.random.default_rng(seed)
        self.alarms = np.zeros(len(photos))  # highest score of a face on each photo without one, as far as it was looked at
        context = multiprocessing.get_context("fork")
        places = workers + AHEAD
        shared = context.RawArray("B", places * batch * SIDE * SIDE * 3)
        self.pixels = np.frombuffer(shared, np.uint8).reshape(places, batch, SIDE, SIDE, 3)
        self.weights = np.frombuffer(context.RawArray("d", len(photos)))
        self.weights[:] = chances(photos, self.alarms)
        self.free: Queue[int] = context.Queue()
        self.ready: Queue[Faces] = context.Queue()
        for place in range(places):
            self.free.put(place)
        self.processes = [context.Process(target=self._make, args=(own,), daemon=True) for own in self.rng.spawn(workers)]
        for process in self.processes:
            process.start()

    def _make(self, rng: np.random.Generator) -> None:
        """Fill free places with mosaics, for ever."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # ends with the training
        cv2.setNumThreads(1)
        empty = [p for p in self.photos if len(p.boxes) == 0]
        while True:
            place, found = self.free.get(), []
            for to in self.pixels[place]:
                to[:], faces = mosaic(self.photos, empty, self.weights, rng)
                found.append(faces)
            self.ready.put((place, np.concatenate(found), np.repeat(np.arange(len(found)), [len(faces) for faces in found])))

    def next(self) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
        """Pictures (n, SIDE, SIDE, 3), faces (g, 16) as `mosaic` gives them, and their pictures (g,)."""
        place, faces, index = self.ready.get()
        pixels = self.pixels[place].copy()
        self.free.put(place)
        return pixels, faces, index

    def stop(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.terminate()
            process.join()

    def mine(self, detector: Detector, count: int = 600) -> float:
        """Look at some photos without a face, and draw them more often from now on the more they look like one.

        A photo is looked at in a size drawn anew each time, from its own to twice as large. Returns the share of photos with an alarm.
        """
        rows = self.rng.choice([i for i, p in enumerate(self.photos) if len(p.boxes) == 0], count)
        for i in rows:
            image, scale = self.photos[i].image, float(2 ** self.rng.uniform(0, 1))
            if max(image.shape) < 400:
                image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
            self.alarms[i] = detector.look([image], 0.1)[0].scores.max(initial=0)
        self.weights[:] = chances(self.photos, self.alarms)
        return float((self.alarms[rows] >= detector.threshold).mean())
