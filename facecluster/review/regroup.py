"""A new grouping in the background: 'facecluster cluster --ask' as a program of its own, which waits for the user's yes before it counts.

It holds the store's lock until then, so that no other run changes what the user looks at. Decisions go on to the journal meanwhile; they
count at the grouping after. If this program ends, the other one gets no answer, which is a no.

Odd inputs: a store that another run works in, or a model that can't be loaded, is an error that the page shows.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from facecluster.errors import InputError
from facecluster.language.said import say
from facecluster.people import Run
from facecluster.store import Store

PROGRAM = (sys.executable, "-m", "facecluster")
END_SECONDS = 10.0  # that a program gets to stop
_SETTINGS = {  # options of 'facecluster cluster', and what a run calls them
    "--margin": "margin", "--merge-margin": "merge", "--min-quality": "min_quality", "--min-recognisability": "min_recognisability",
    "--min-purity": "min_purity",
}  # fmt: skip
WORKING = ("running", "saving", "report")  # states of a program at work
STOPPED = "stopped: the current groups stay"


@dataclass(slots=True)
class Progress:
    """How far a grouping is."""

    state: str = ""  # "" (none), running, asks, saving, report, done, declined, failed
    what: str = ""  # what is being done
    done: int = 0
    total: int = 0
    error: str = ""
    asked: dict[str, Any] = field(default_factory=dict)  # the event `asks`
    number: int = 0  # counts the groupings of this page


def arguments(store: Store, run: Run) -> list[str]:
    """Those of 'facecluster cluster' for a grouping with the settings of a run."""
    kept = {"min_purity": 0.0} | run.settings  # a run from before there was one kept every group
    settings = [text for option, key in _SETTINGS.items() if key in kept for text in (option, str(kept[key]))]
    algorithm = ["--algorithm", run.settings["algorithm"]] if "algorithm" in run.settings else []
    return ["cluster", store.url, "--model", run.model, "--ask", "--json", *settings, *algorithm]


class Regroup:
    """One grouping at a time; its methods may be called by any thread."""

    def __init__(self, store: Store, program: Sequence[str] = PROGRAM, language: str = "en") -> None:
        """`language`: of the report that is written afterwards."""
        self._store, self._program, self._language = store, program, language
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self.progress = Progress()

    def start(self, run: Run) -> None:
        """Begin a grouping with the settings of a run. Raises InputError if one is at work."""
        with self._lock:
            if self.progress.state in (*WORKING, "asks"):
                raise InputError(say("expected no grouping at work, found one: wait for it, or stop it"))
            self.progress = Progress("running", "Starting", number=self.progress.number + 1)
            words = self.progress, self._thread, arguments(self._store, run)
            self._thread = threading.Thread(target=self._follow, args=words, daemon=True)
            self._thread.start()

    def answer(self, yes: bool) -> None:
        """Say whether what is asked is to count. Raises InputError if nothing is asked."""
        with self._lock:
            if self.progress.state != "asks" or self._process is None or self._process.stdin is None:
                raise InputError(say("expected a grouping that waits for an answer, found none: load the page again"))
            self.progress.state = "saving" if yes else "declined"
            self._process.stdin.write("yes\n" if yes else "no\n")
            self._process.stdin.flush()

    def stop(self) -> None:
        """End what is at work; the groups stay as they are."""
        with self._lock:
            process, thread = self._process, self._thread
            if process is None or self.progress.state == "saving":  # half a second from its end, and not to be undone
                process = None
            elif self.progress.state != "report":
                self.progress.state, self.progress.error = "declined", ""
        if process is not None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        if thread is not None:
            thread.join(END_SECONDS)

    def forget(self) -> None:
        """Say no more about a grouping that ended."""
        with self._lock:
            if self.progress.state not in (*WORKING, "asks"):
                self.progress = Progress(number=self.progress.number)

    def _follow(self, progress: Progress, before: threading.Thread | None, words: list[str]) -> None:
        if before is not None:  # whose program may still be ending after a no: it holds the store's lock
            before.join()
        if progress.state != "running":  # stopped meanwhile
            return
        code, error = self._run(progress, words)
        with self._lock:
            saved = progress.state == "saving"
            if code and progress.state != "declined":
                progress.state, progress.error = "failed", error
            elif saved or progress.state == "running":  # nothing changes: nothing was asked
                progress.state, progress.what = ("report", "Writing the report") if saved else ("done", "")
        if saved and not code and self._store.exists("report", "index.html"):
            code, error = self._run(progress, ["report", self._store.url, "--lang", self._language])
        with self._lock:
            if progress.state == "report":
                progress.state, progress.error = "done", error if code else ""

    def _run(self, progress: Progress, words: list[str]) -> tuple[int, str]:
        """Run a command to its end; gives its exit code and the last line that it said."""
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
            process = subprocess.Popen(
                [*self._program, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8",
                start_new_session=True,  # Ctrl-C is for this program, which ends the other one
            )  # fmt: skip
            with self._lock:
                self._process = process
                stopped = progress.state == "declined"
            if stopped:
                process.kill()
            with process:
                assert process.stdout is not None
                for line in process.stdout:
                    self._take(progress, line)
            with self._lock:
                self._process = None
            return process.returncode, _last_line(errors)

    def _take(self, progress: Progress, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:  # what a report prints
            return
        with self._lock:
            if not isinstance(event, dict) or progress.state != "running":
                return
            if event.get("event") == "progress":
                progress.what, progress.done, progress.total = event["what"], event["done"], event["total"]
            elif event.get("event") == "asks":
                progress.state, progress.asked = "asks", event


def _last_line(errors: IO[str]) -> str:
    errors.seek(0)
    lines = [line.strip() for line in errors.read().splitlines() if line.strip()]
    return lines[-1].removeprefix("facecluster: ") if lines else "it ended without a word"
