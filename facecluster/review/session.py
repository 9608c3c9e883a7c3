"""The store behind the page: read again when it has changed, one action at a time; a thread looks for questions.

Several pages and the command line may change one store at the same time. The journal is append-only, each action starts from the journal's
current content, and every answer has a version number, which shows a page that something has changed.

Odd inputs: if 'facecluster cluster' makes a new run meanwhile, the next request uses it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from facecluster.decisions import DRAW, FILE, Decision, append, journal_objects
from facecluster.errors import FaceclusterError, InputError, StoreError, shell
from facecluster.language import ENGLISH, Language
from facecluster.people import current_run, read_people, read_unclear
from facecluster.people.drawn_faces import drawing
from facecluster.people.known_names import read_known
from facecluster.people.runs import POINTER, read_faces
from facecluster.photos.places import GONE_TABLE
from facecluster.review.actions import decisions_for
from facecluster.review.changes import changes
from facecluster.review.drawing import DrawnFaces, with_drawn
from facecluster.review.face_details import FaceDetails
from facecluster.review.file_state import file_state
from facecluster.review.forgetting import forget_person
from facecluster.review.looks import Looks
from facecluster.review.people_view import Ints, PeopleView, RunData, current_view
from facecluster.review.question_list import NameProposal, QuestionList, question_list
from facecluster.review.questions import Questions, find_questions
from facecluster.review.regroup import Regroup
from facecluster.review.suggestions import Suggester
from facecluster.store import IDENTITIES, Store

if TYPE_CHECKING:
    from facecluster.people.known_names import Known, Proposal
    from facecluster.people.suggestions import Suggestions

REMOTE_CHECK_SECONDS = 1.0  # between two checks of a store that is not on this machine


class Session:
    """The people of a store while the page is served."""

    def __init__(self, store: Store, language: Language = ENGLISH) -> None:
        """Raises StoreError if the store was never grouped."""
        self.store, self.language = store, language
        self._lock = threading.RLock()
        self._fingerprint: tuple[object, ...] = ()
        self._checked_at = 0.0
        self._view: PeopleView | None = None
        self._views = 0  # that there were
        self._questions: Questions | None = None
        self._open: tuple[PeopleView, tuple[object, ...], QuestionList] | None = None
        self._names: tuple[RunData, tuple[object, ...], list[NameProposal]] | None = None
        self._skipped: set[tuple[str, str]] = set()
        self._lines: dict[bytes, Decision] = {}  # of the journal, as they were read
        self._question_thread: threading.Thread | None = None
        self._looks: Looks | None = None
        self._suggester: Suggester | None = None
        self._drawn = DrawnFaces(store)
        self.regroup = Regroup(store, language=language.tag)
        self._changes: tuple[int, str, dict[str, Any]] | None = None
        self._proposed: tuple[PeopleView, tuple[object, ...], list[Proposal]] | None = None
        self.view()

    def view(self) -> PeopleView:
        """The current people."""
        with self._lock:
            fingerprint = self._store_fingerprint()
            if self._view is None or fingerprint != self._fingerprint:
                self._view = current_view(self.store, self._load_run(fresh=fingerprint[:1] != self._fingerprint[:1]), self._lines)
                self._fingerprint, self._views = fingerprint, self._views + 1
                self._drawn.update(self._view)
            elif self._drawn.is_due:
                self._drawn.update(self._view)
            return self._view

    def version(self, view: PeopleView) -> str:
        """A text that changes with every decision and every run, and if somebody is forgotten or photos come and go."""
        return f"{view.run_data.run.number}-{self._views}-{len(view.journal.decisions)}"

    def has_face(self, face: str) -> bool:
        """Whether a face can be shown."""
        return face in self.view().run_data.rows

    def changes(self, view: PeopleView) -> dict[str, Any]:
        """What the grouping that waits for an answer changes."""
        progress = self.regroup.progress
        if self._changes is None or self._changes[:2] != (progress.number, self.version(view)):
            self._changes = progress.number, self.version(view), changes(self.store, view, progress.asked)
        return self._changes[2]

    def looks(self, view: PeopleView) -> Looks:
        """Pictures of where the model of the run looks."""
        with self._lock:
            if self._looks is None or self._looks.model != view.run_data.run.model:
                self._looks = Looks(view.run_data.run.model)
            return self._looks

    def act(self, request: Mapping[str, Any]) -> list[Decision]:
        """Carry out a request: append its decisions to the journal, which is on disk when this returns.

        Raises:
            InputError: the request does not fit the current people.
            StoreError: the journal can't be written.
        """
        if request.get("act") == DRAW:
            return self._draw(request)
        with self._lock:
            if request.get("act") == "skip":
                faces = [str(f) for f in request.get("faces") or ()]
                if len(faces) != 2:
                    raise InputError(f"expected two faces, found {len(faces)}: load the page again")
                self._skipped.add((faces[0], faces[1]))
                self._open = None
                return []
            made = append(self.store, decisions_for(self.view(), request))
            self._checked_at = 0.0
            return made

    def forget(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Forget a person, or say what would go: see `forget_person`."""
        with self._lock:
            found = forget_person(self, request)
            if found["done"]:
                self._fingerprint, self._questions, self._looks, self._checked_at = (), None, None, 0.0  # nothing is shown from before
                self._drawn = DrawnFaces(self.store)
            return found

    def _draw(self, request: Mapping[str, Any]) -> list[Decision]:
        row, vectors = self._drawn.face(self.view(), request)  # takes seconds the first time: others need not wait
        with self._lock:
            self._drawn.check(self.view(), row)  # another request may have been faster
            made = append(self.store, [drawing(row)])
            self._checked_at = 0.0
            self._drawn.save(row, vectors)
            return made

    def questions(self) -> QuestionList | None:
        """The open questions; None while the thread looks for them."""
        view = self.view()
        with self._lock:
            asked = self._questions
            if asked is None:
                if self._question_thread is None:
                    self._question_thread = threading.Thread(target=self._find_questions, args=(view.run_data,), daemon=True)
                    self._question_thread.start()
                return None
            state = self._known_state(view)
            if self._open is None or self._open[0] is not view or self._open[1] != state:
                self._open = view, state, question_list(asked, view, self._name_proposals(view), self._skipped)
            return self._open[2]

    def questions_now(self) -> QuestionList:
        """The open questions, found in this thread if they are not known yet."""
        view = self.view()
        with self._lock:
            if self._questions is None:
                self._questions = find_questions(self.store, view.run_data)
            found = self.questions()
        assert found is not None
        return found

    def _name_proposals(self, view: PeopleView) -> list[NameProposal]:
        """The names of known people, proposed once for the groups of a run: answers only take some away."""
        key = view.run_data, self._known_state(view)
        if self._names is None or self._names[0] is not key[0] or self._names[1] != key[1]:
            found: list[NameProposal] = []
            if self.known_names(view):
                with suppress(FaceclusterError):  # the store has no vectors: the page of suggestions says so
                    ids = view.current.people.person_ids
                    found = [NameProposal(ids[p.group], p.name, p.probability) for p in self._suggester_of(view).propose(view)]
            self._names = *key, found
        return self._names[2]

    def _known_state(self, view: PeopleView) -> tuple[object, ...]:
        return file_state(self.store, self.store.shard_path(f"known/{view.run_data.run.model}", "00000"))

    def suggestions(self, view: PeopleView, people: Sequence[int], top: int) -> Suggestions:
        """Who else may be one of some people of the view. Raises FaceclusterError if the store has no vectors."""
        with self._lock:
            return self._suggester_of(view).suggest(view, people, top)

    def likeness(self, view: PeopleView, person: int, others: Sequence[int]) -> float:
        """The highest probability, 0 to 1, that a person of the view is one of some others, without what decisions say of them."""
        with self._lock:
            return self._suggester_of(view).likeness(view, person, others)

    def known_names(self, view: PeopleView) -> list[str]:
        """The names of known people whom pictures were given of."""
        known = read_known(self.store, view.run_data.run.model)
        return [*dict.fromkeys(known.names)] if known else []

    def proposals(self, view: PeopleView) -> list[Proposal]:
        """The names of known people that groups without a name may have. Raises FaceclusterError if the store has no vectors."""
        with self._lock:
            state = self._known_state(view)
            if self._proposed is None or self._proposed[0] is not view or self._proposed[1] != state:
                self._proposed = view, state, self._suggester_of(view).propose(view)
            return self._proposed[2]

    def proposals_of(self, view: PeopleView, known: Known) -> list[Proposal]:
        """As `proposals`, of other people than those of the store's pictures."""
        with self._lock:
            return self._suggester_of(view).propose(view, known)

    def _suggester_of(self, view: PeopleView) -> Suggester:
        if self._suggester is None or self._suggester.run_data is not view.run_data:
            self._close_suggester()
            self._suggester = Suggester(self.store, view.run_data)
        return self._suggester

    def _close_suggester(self) -> None:
        if self._suggester is not None:
            self._suggester.close()
        self._suggester = None

    def _find_questions(self, run_data: RunData) -> None:
        try:
            found = find_questions(self.store, run_data)
        except Exception as e:  # without an answer the page would wait for ever: it shows the error
            none: Ints = np.zeros(0, dtype=np.int64)
            found = Questions([], none, none, np.zeros(0), none, f"no questions: {type(e).__name__}: {e}")
        with self._lock:
            self._question_thread = None
            if self._view is not None and self._view.run_data is run_data:
                self._questions = found

    def _load_run(self, *, fresh: bool) -> RunData:
        if self._view is not None and not fresh:
            return self._view.run_data
        run = current_run(self.store)
        if run is None:
            raise StoreError(f"expected people in {self.store.url}, found none: run 'facecluster cluster {shell(self.store.url)}' first")
        every, before = read_faces(self.store, run), read_people(self.store, run)
        clear, unclear = read_unclear(self.store, run.identities, self.store.read_all(run.identities, IDENTITIES))
        faces, at = with_drawn(self.store, every)
        clear, unclear = np.append(clear, 1.0)[at], np.append(unclear, False)[at]  # the last: drawn since
        run_data = RunData(run, faces, before, faces.rows, FaceDetails(self.store, faces.ids), clear, unclear)
        self._close_files()  # crops of the previous run
        self._questions = None
        return run_data

    def close(self) -> None:
        """End a grouping at work, and delete the temporary files."""
        self.regroup.stop()
        self._close_files()

    def _close_files(self) -> None:
        with self._lock:
            self._close_suggester()
        if self._view is not None:
            self._view.run_data.details.close()

    def _store_fingerprint(self) -> tuple[object, ...]:
        """A value that changes when the current run, the places that are gone or the journal change; the first part stands for the run."""
        if not self.store.is_local:
            if self._fingerprint and time.monotonic() - self._checked_at < REMOTE_CHECK_SECONDS:
                return self._fingerprint
            self.store.fs.invalidate_cache()
            self._checked_at = time.monotonic()
        gone = self.store.shard_path(GONE_TABLE, "00000")
        run = file_state(self.store, self.store.path(*POINTER)), file_state(self.store, gone), self._drawn.state()
        return (run, file_state(self.store, self.store.path(FILE)), *journal_objects.names(self.store))
