"""Another program saves a file of the user's while a command works on it: is what it saved still there?

    python workflows/races.py --times 100 -o workflows/benchmarks/results/races.json

Each race is a command of `race_cases.py` on a fresh copy of a small store and its photos, and one save. The places at which it may happen
are all lines of the modules that touch such files, and all calls that open, link, rename or remove a file of the user's, as a run of the
same command without a save passed them. The races take these places in turn, in random order; of the times that a place is passed one is
drawn. So a gap between two steps that is passed once gets as many saves as a loop. Of four editors one writes the file in place, the others
write another one and rename it. What was saved must be among the user's files afterwards.

Faces are coloured squares (`coloured_photos.py`). `--first N --times 1 --case NAME` makes one race again.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

for _threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_threads] = "1"

import numpy as np  # noqa: E402
from fault_ground import edit_people, make_photos, settle  # noqa: E402
from fault_process import pretend  # noqa: E402
from race_cases import CASES, Case, has_mark  # noqa: E402

import facecluster  # noqa: E402
from facecluster.cli import main  # noqa: E402

_EVENTS = ("open", "os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.mkdir", "os.listdir", "os.scandir", "shutil.copyfile")
_PACKAGE = str(Path(facecluster.__file__).parent) + os.sep


class Moments:
    """The moments of a command, as (place, how often it was passed before), and something that is done at one of them."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._rooms: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._on = False
        self._at: tuple[str, int] | None = None
        self._do: Callable[[], None] = lambda: None
        self.passed: Counter[str] = Counter()
        self.done = False
        sys.addaudithook(self._hear)

    def during(
        self, work: Callable[[], Any], rooms: Sequence[str], at: tuple[str, int] | None = None, do: Callable[[], None] = lambda: None
    ) -> bool:
        """Do some work, and something else at one of its moments, or after it if that does not come; gives whether it came."""
        self._rooms, self._at, self._do, self.done = tuple(_PACKAGE + room for room in rooms), at, do, False
        self.passed.clear()
        self._on = True
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        try:
            work()
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            self._on = False
        came = self.done
        if not came:
            do()
        return came

    def _step(self, place: str) -> None:
        with self._lock:
            now = self._at == (place, self.passed[place]) and not self.done
            self.passed[place] += 1
        if now:
            self._on = False  # the save itself has no moments
            self.done = True
            self._do()

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        return self._line if self._on and frame.f_code.co_filename.startswith(self._rooms) else None

    def _line(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line" and self._on:
            self._step(f"{frame.f_code.co_filename.removeprefix(_PACKAGE)}:{frame.f_lineno}")
        return self._line

    def _hear(self, event: str, words: tuple[Any, ...]) -> None:
        if self._on and event in _EVENTS and any(self._is_users(os.fsdecode(w)) for w in words if isinstance(w, str | bytes)):
            self._step(event)

    def _is_users(self, path: str) -> bool:
        return path.startswith(self._root) and (not path.startswith(f"{self._root}/store/") or path.endswith("/store/people.csv"))


@dataclass
class Raced:
    """One race."""

    case: str
    seed: int
    moment: str
    how: str  # in place, or by rename
    lost: str = ""  # what is wrong


@dataclass
class Course:
    """The folder of the races: made once, laid out anew for each."""

    folder: Path
    found: list[Raced] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root, self._kept = self.folder / "work", self.folder / "kept"
        self.root.mkdir()
        make_photos(self.root)
        store, photos = str(self.root / "store"), str(self.root / "photos")
        run("run", photos, "-o", store)
        for number, name in enumerate(("Ann", "Bob")):
            run("name", store, people(self.root)[number], name)
        run("cluster", store, "--full")
        run("export", store, "--format", "xmp", "--ids", "-o", str(self.root / "sidecars"))
        run("export", store, "--format", "folders", "-o", str(self.root / "folders"))
        run("show", store, "Ann", "--copy-to", str(self.root / "copies"))
        edit_people(self.root, "Zoë")
        settle(self.root)
        shutil.copytree(self.root, self._kept, symlinks=True)
        self._moments = Moments(self.root)
        self.passed: dict[str, dict[str, int]] = {}  # by case: how often each place is passed

    def lay_out(self, case: Case) -> None:
        for path in list(self.root.iterdir()):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        shutil.copytree(self._kept, self.root, symlinks=True, dirs_exist_ok=True)
        for words in case.before:
            run(*self._words(words))
        case.prepare(self.root)

    def _words(self, words: Sequence[str]) -> list[str]:
        facts = json.loads((self._kept / "facts.json").read_text(encoding="utf-8"))
        return [word.format(root=self.root, ann=facts["named"]["Ann"], bob=facts["named"]["Bob"]) for word in words]

    def race(self, case: Case, seed: int) -> Raced:
        """One race."""
        words = self._words(case.words)
        if case.name not in self.passed:
            self.lay_out(case)
            self._moments.during(lambda: run(*words), case.rooms)
            self.passed[case.name] = dict(sorted(self._moments.passed.items()))
        rng = np.random.default_rng([seed, CASES.index(case)])
        self.lay_out(case)
        target, data = case.save(self.root, rng)
        in_place = bool(rng.integers(4) == 0)
        place = place_of(list(self.passed[case.name]), seed)
        at = place, time_of(self.passed[case.name][place], seed, rng)

        def save() -> None:
            path = Path(os.path.realpath(target)) if in_place else target
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path if in_place else path.with_name("editor's own")
            beside.write_bytes(data)
            if not in_place:
                os.replace(beside, path)

        came = self._moments.during(lambda: run(*words, fails=True), case.rooms, at, save)
        done = Raced(case.name, seed, f"{place}, time {at[1]}" if came else "afterwards", "in place" if in_place else "by rename")
        for then in case.after:
            run(*self._words(then), fails=True)
        if not has_mark(self.root, case.marks):
            done.lost = f"what was saved at {target.relative_to(self.root)}"
        return done


def place_of(places: Sequence[str], seed: int) -> str:
    """Where a save happens: each place comes once in as many races as there are places."""
    return places[int(np.random.default_rng(seed // len(places)).permutation(len(places))[seed % len(places)])]


def time_of(times: int, seed: int, rng: np.random.Generator) -> int:
    """Which of the times that a place is passed."""
    return int(rng.integers(times))


def run(*words: str, fails: bool = False) -> None:
    """A command in this process; `fails`: it may end with an error in one line."""
    said = io.StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            main.main(list(words), standalone_mode=False)
    except SystemExit as e:
        if e.code and not fails:
            raise RuntimeError(f"facecluster {' '.join(words)}: {said.getvalue()}") from e


def people(root: Path) -> list[str]:
    """The lasting ids of people without a name, the largest first."""
    from fault_state import people

    from facecluster.store import Store

    found = people(Store(str(root / "store")))
    return sorted((p for p, (name, _, _) in found.items()), key=lambda p: (bool(found[p][0]), -len(found[p][2]), p))


def go(cases: Sequence[Case], seeds: Sequence[int], tell: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Races of some commands; gives what is stored as a result."""
    began, found = time.monotonic(), list[Raced]()
    pretend()
    with tempfile.TemporaryDirectory(prefix="races-") as folder:
        course = Course(Path(folder))
        for case in cases:
            for seed in seeds:
                found.append(course.race(case, seed))
                if found[-1].lost:
                    tell(json.dumps(vars(found[-1]), ensure_ascii=False))
            tell(f"{case.name}: {len(seeds)} races, {time.monotonic() - began:.0f} s")
    return {
        "races": len(found),
        "lost": [vars(done) for done in found if done.lost],
        "cases": {
            case.name: {
                "races": sum(done.case == case.name for done in found),
                "places": len(course.passed[case.name]),
                "places of a save": len({done.moment.split(", ")[0] for done in found if done.case == case.name}),
                "saves while it worked": sum(done.case == case.name and done.moment != "afterwards" for done in found),
            }
            for case in cases
        },
        "seconds": round(time.monotonic() - began),
        "machine": {"system": platform.platform(), "python": platform.python_version(), "processor": platform.machine()},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=100, help="races of each command")
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    parser.add_argument("--case", action="append", default=[], help="only this command; can be repeated")
    parser.add_argument("-o", "--out", help="file for the result (JSON)")
    options = parser.parse_args()
    chosen = [case for case in CASES if not options.case or case.name in options.case]
    result = go(chosen, range(options.first, options.first + options.times), lambda line: print(line, file=sys.stderr, flush=True))
    if options.out:
        Path(options.out).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(result, ensure_ascii=False))
    sys.exit(bool(result["lost"]))
