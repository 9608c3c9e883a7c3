"""The store behind the page: read again when it has changed, one act at a time, questions found in the background.

Several pages, and the command line beside them, may act on one store: the journal is only appended to, each act is made from what it says
at that moment, and every answer carries a version by which a page sees that others have acted.

Odd inputs: a run that a 'cluster' replaces meanwhile is taken over with the next request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.decisions import FILE, Decision, append, journal_objects
from facecluster.errors import InputError, StoreError
from facecluster.people import current_run, read_people
from facecluster.people.runs import POINTER, read_faces
from facecluster.review.acts import decide
from facecluster.review.library import Library
from facecluster.review.questions import Asked, ask, coverage, still_open
from facecluster.review.view import Base, Ints, View, look
from facecluster.store import Store

LOOK = 1.0  # seconds between two looks at a store that is not on this machine


class Session:
    """The people of a store, for as long as the page is served."""

    def __init__(self, store: Store) -> None:
        """Raises StoreError if the store was never grouped."""
        self.store = store
        self._lock = threading.RLock()
        self._mark: tuple[object, ...] = ()
        self._looked = 0.0
        self._view: View | None = None
        self._asked: Asked | None = None
        self._open: tuple[View, Ints] | None = None
        self._skipped: set[tuple[str, str]] = set()
        self._asking: threading.Thread | None = None
        self.view()

    def view(self) -> View:
        """The people as they stand now."""
        with self._lock:
            mark = self._state()
            if self._view is None or mark != self._mark:
                self._view = look(self.store, self._base(fresh=mark[:1] != self._mark[:1]))
                self._mark = mark
            return self._view

    def version(self, view: View) -> str:
        """Changes with every decision and every run."""
        return f"{view.base.run.number}-{len(view.journal.decisions)}"

    def act(self, request: Mapping[str, Any]) -> list[Decision]:
        """Do what a request asks, as lines of the journal that are on the disk when this returns.

        Raises:
            InputError: it makes no sense for the people as they stand.
            StoreError: the journal can't be written.
        """
        with self._lock:
            if request.get("act") == "skip":
                faces = [str(f) for f in request.get("faces") or ()]
                if len(faces) != 2:
                    raise InputError(f"expected two faces, found {len(faces)}: load the page again")
                self._skipped.add((faces[0], faces[1]))
                self._open = None
                return []
            made = append(self.store, decide(self.view(), request))
            self._looked = 0.0
            return made

    def questions(self) -> tuple[Asked | None, Ints, NDArray[np.float64]]:
        """All questions (None while they are looked for), which are open (q,), and the coverage now and after each (q + 1,)."""
        view = self.view()
        with self._lock:
            asked = self._asked
            if asked is None:
                if self._asking is None:
                    self._asking = threading.Thread(target=self._ask, args=(view.base,), daemon=True)
                    self._asking.start()
                return None, np.zeros(0, np.int64), np.zeros(1)
            if self._open is None or self._open[0] is not view:
                self._open = view, still_open(asked, view)
            left = self._open[1]
            share = coverage(asked, left, view)
            ids = view.register.faces.ids
            later = np.array([(ids[asked.a[i]], ids[asked.b[i]]) in self._skipped for i in left.tolist()], bool) if self._skipped else None
        if later is None:
            return asked, left, share
        return asked, left[~later], np.concatenate([share[:1], share[1:][~later]])

    def _ask(self, base: Base) -> None:
        try:
            found = ask(self.store, base)
        except Exception as e:  # the page must not wait for ever: what went wrong is said there
            none: Ints = np.zeros(0, dtype=np.int64)
            found = Asked([], none, none, np.zeros(0), none, f"no questions: {type(e).__name__}: {e}")
        with self._lock:
            self._asking = None
            if self._view is not None and self._view.base is base:
                self._asked = found

    def _base(self, *, fresh: bool) -> Base:
        if self._view is not None and not fresh:
            return self._view.base
        run = current_run(self.store)
        if run is None:
            raise StoreError(f"expected people in {self.store.url}, found none: run 'facecluster cluster {self.store.url}' first")
        if self._view is not None and self._view.base.run == run:
            return self._view.base
        faces, before = read_faces(self.store, run), read_people(self.store, run)
        base = Base(run, faces, before.person_ids, {face: i for i, face in enumerate(faces.ids)}, Library(self.store, faces.ids))
        self.close()  # the crops of the run before
        self._asked = None
        return base

    def close(self) -> None:
        """Give the file of crops back."""
        if self._view is not None:
            self._view.base.library.close()

    def _state(self) -> tuple[object, ...]:
        """What tells whether the run, and the journal, are still what was read."""
        if not self.store.is_local:
            if self._mark and time.monotonic() - self._looked < LOOK:
                return self._mark
            self.store.fs.invalidate_cache()
            self._looked = time.monotonic()
        return (*(_stat(self.store, *parts) for parts in (POINTER, (FILE,))), *journal_objects.names(self.store))


def _stat(store: Store, *parts: str) -> tuple[object, ...]:
    """Size and time of a file's last change; () if it is not there."""
    try:
        info = store.fs.info(store.path(*parts))
    except FileNotFoundError:
        return ()
    except OSError as e:
        raise StoreError(f"expected to read {store.path(*parts)}, found: {e}. Check its permissions") from e
    return tuple(str(info.get(key)) for key in ("size", "mtime", "ino", "ETag", "LastModified", "updated"))
