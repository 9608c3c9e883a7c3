"""Faults that happen to the commands that write, as processes: does a second run put everything right, and is nothing of the user's lost?

    python workflows/faults.py --faults 500 --log faults.jsonl -o workflows/benchmarks/results/faults.json

Each fault is a command of `fault_cases.py` and a kind of `fault_kinds.py`: kill -9 at random moments and at system calls, errors of system
calls, Ctrl-C, a full disk, a read-only one, permissions, photos that vanish or change, clocks, two commands at once, workers and schedulers
lost. Afterwards: no traceback; the journal, people.csv, photos, sidecars and other files of the user's are there; models are whole; the
same command again ends well; tables, names, exports and files are those of a run without a fault; of whom was forgotten no byte is in the
store; nothing temporary lies outside it.

As root on Linux with strace all kinds happen; else those that need it are left out. Faces are coloured squares (`coloured_photos.py`).
The number of a fault is its seed: `--first N --faults 1` makes it again, but for what depends on the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

for _threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_threads] = "1"  # before anything is loaded: forks of a process with threads may hang

import numpy as np  # noqa: E402
from fault_cases import CASES, Case, user_of  # noqa: E402
from fault_gone import left  # noqa: E402
from fault_ground import edit_people, make_embedder, make_photos, settle  # noqa: E402
from fault_kinds import KINDS, Bench, Setting  # noqa: E402
from fault_lost import EDITED, broken_models, lost  # noqa: E402
from fault_process import Ended, call, load_everything, run, run_traced  # noqa: E402
from fault_review import all_was_done, answers  # noqa: E402
from fault_state import differences, state, temporary, users_own  # noqa: E402
from fault_workers import fork_workers  # noqa: E402

SPACE = "FACECLUSTER_FAULTS_SPACE"


@dataclass
class Happened:
    """A fault, and what was wrong after it."""

    seed: int
    case: str
    kind: str
    detail: str
    codes: list[int]
    wrong: list[str] = field(default_factory=list)


class Ground:
    """The folder that faults happen to, made once and laid out anew for each."""

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self.root, self._kept = folder / "work", folder / "kept"
        self.bench = Bench(self.root, mounted)
        make_photos(self.root)
        store, photos = str(self.root / "store"), str(self.root / "photos")
        self._must(["run", photos, "-o", store])
        for face, words in (("Ann", ["name"]), ("Bob", ["name"]), ("", ["ignore"])):
            person = list(call(_people_of, self.root))[("Ann", "Bob", "").index(face)]
            self._must([*words, store, person, *([face] if face else [])])
        self._must(["cluster", store, "--full"])
        self._must(["export", store, "--format", "xmp", "--ids", "-o", str(self.root / "sidecars")])
        call(edit_people, self.root, EDITED)
        call(make_embedder, self.root / "tiny.toml")
        call(settle, self.root)
        for what, wanted in json.loads((self.root / "facts.json").read_text())["needles"].items():
            if not call(left, self.root / "store", wanted):
                raise SystemExit(f"nothing of what is to be forgotten ({what}) is found in the store: the search is blind")
        shutil.copytree(self.root, self._kept, symlinks=True)
        self._facts = json.loads((self.root / "facts.json").read_text())
        self._usual: dict[str, tuple[Ended, dict[str, Any], int]] = {}

    def _must(self, words: Sequence[str]) -> None:
        ended = run(words)
        if ended.code:
            raise SystemExit(f"facecluster {' '.join(words)}: {ended.said}")

    def _run(self, case: Case, words: Sequence[str]) -> Ended:
        return run(words, fakes=case.fakes, before=fork_workers if case.workers else None, user=user_of(case, self.root))

    def words(self, words: Sequence[str]) -> list[str]:
        facts, root = self._facts, str(self.root)
        unnamed, faces = facts["unnamed"], [of[0] for of in facts["faces"].values()]
        values = {"root": root, "store": f"{root}/store", "photos": f"{root}/photos", "decision": facts["decision"]}
        values |= {f"unnamed{i}": person for i, person in enumerate(unnamed)} | {"ann": facts["named"]["Ann"], "bob": facts["named"]["Bob"]}
        values |= {f"face{i}": face for i, face in enumerate(faces)} | {"bobface": facts["faces"][facts["named"]["Bob"]][0]}
        values["photo"] = facts["photo"]
        values["newphoto"] = min(path.name for path in (self._kept / "new").iterdir())
        return [word.format(**values) for word in words]

    def _left(self, case: Case) -> list[str]:
        """Where something is of what a command forgets."""
        return call(left, self.root / "store", self._facts["needles"][case.forgets]) if case.forgets else []

    def lay_out(self, case: Case) -> None:
        """Make everything as it is before the command."""
        for path in list(self.root.iterdir()):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        answers(self.root).unlink(missing_ok=True)
        os.chown(self.root, os.geteuid(), os.getegid())
        shutil.copytree(self._kept, self.root, symlinks=True, dirs_exist_ok=True)
        for words in case.before:
            self._must(self.words(words))
        if case.prepare is not None:
            case.prepare(self.root)

    def usual(self, case: Case) -> tuple[Ended, dict[str, Any], int]:
        """How a command goes without a fault: its end (and its system calls), what there is afterwards, by how much it grew."""
        if case.name not in self._usual:
            self.lay_out(case)
            before, words = shutil.disk_usage(self.root).used, self.words(case.words)
            ended = self._run(case, words)
            if ended.code or case.user is not None and not all_was_done(self.root):
                told = answers(self.root).read_text(encoding="utf-8") if answers(self.root).exists() else ""
                raise SystemExit(f"facecluster {' '.join(words)}: {ended.said}{told}")
            if there := self._left(case):
                raise SystemExit(f"facecluster {' '.join(words)}: not forgotten: {there}")
            grown, found = shutil.disk_usage(self.root).used - before, call(state, self.root, case.stores, case.varies)
            if self.bench.strace and not case.workers:
                self.lay_out(case)
                ended = Ended(0, "", ended.seconds, run_traced(words, self.root, fakes=case.fakes, user=user_of(case, self.root)).calls)
            self._usual[case.name] = ended, found, max(grown, 0)
        return self._usual[case.name]

    def happen(self, seed: int, case: Case, kind: str) -> Happened | None:
        """One fault; None if this kind can't happen to this command, or here."""
        rng = np.random.default_rng(seed)
        ended, expected, grown = self.usual(case)
        self.lay_out(case)
        own, had_models = users_own(self.root), bool(case.before and case.models)
        words = self.words(case.words)
        fault = KINDS[kind](Setting(self.bench, case, words, ended, grown, rng))
        if fault is None:
            return None
        done = Happened(seed, case.name, kind, fault.detail, [e.code for e in fault.ended])
        done.wrong += [f"traceback: {_last(e)}" for e in fault.ended if e.is_traceback]
        done.wrong += lost(own, self.root, case, fault)
        models = [name for name in case.models if had_models or (self.root / name / "card.toml").exists()]
        done.wrong += call(broken_models, self.root, models)
        for words in case.first_again:
            first = run(self.words(words))
            done.wrong += [f"traceback: {_last(first)}"] if first.is_traceback else []
        again, rows = self.words(case.again or case.words), fault.rows and not case.makes_photos
        second = self._run(case, again)
        try:
            found = call(state, self.root, case.stores, case.varies, rows=rows)
        except RuntimeError:
            done.wrong.append(f"again: exit {second.code}: {_last(second)}; the stores can't be read")
            return done
        if not rows:
            expected = {k: {} if k.endswith((" files", " tables")) else v for k, v in expected.items()}
        wrong = differences(expected, found)
        if second.code and (wrong or second.is_traceback):
            done.wrong.append(f"again: exit {second.code}: {_last(second)}")
        done.wrong += [f"not forgotten: {where}" for where in self._left(case)[:20]]
        done.wrong += wrong[:20] + lost(own, self.root, case, fault)
        done.wrong += [f"temporary file left: {name}" for name in temporary(self.root)]
        return done


def _people_of(root: Path) -> dict[str, Any]:
    from fault_state import people

    from facecluster.store import Store

    found = people(Store(str(root / "store")))
    return dict(sorted(found.items(), key=lambda item: (bool(item[1][0]), item[1][1], -len(item[1][2]), item[0])))


def _last(ended: Ended) -> str:
    return " / ".join(ended.said.strip().splitlines()[-4:])[-500:]


def draw(seed: int, cases: Sequence[Case]) -> list[tuple[Case, str]]:
    """Commands and kinds in the order in which they are tried for a fault: each command comes once in as many faults as there are."""
    rng = np.random.default_rng([seed // len(cases), 1])
    case = cases[int(rng.permutation(len(cases))[seed % len(cases)])]
    kinds = list(KINDS)
    first = (seed * 7 + seed // len(cases)) % len(kinds)
    if case.workers and rng.random() < 0.7:
        first = kinds.index(str(rng.choice(["worker lost", "scheduler lost"])))
    return [(case, kind) for kind in kinds[first:] + kinds[:first]]


def go(
    seeds: Sequence[int], cases: Sequence[Case], *, mounted: bool, kinds: Sequence[str] = (), tell: bool = True, log: str | None = None
) -> dict[str, Any]:  # fmt: skip
    """Have faults happen; gives what is stored as a result. Each is a line of the file `log`; those that are there are not made again."""
    began, found, before = time.monotonic(), *_read_log(log)
    seeds = [seed for seed in seeds if seed not in {done.seed for done in found}]
    if not seeds:
        return _result(found, before)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        os.chmod(folder, 0o755)
        root = Path(folder) / "work"
        root.mkdir()
        if mounted:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g", "faults", str(root)], check=True)
        try:
            ground = Ground(Path(folder), mounted=mounted)
            for seed in seeds:
                for case, kind in draw(seed, cases):
                    if kinds and kind not in kinds:
                        continue
                    done = ground.happen(seed, case, kind)
                    if done is not None:
                        found.append(done)
                        if log:
                            with open(log, "a", encoding="utf-8") as file:
                                line = asdict(done) | {"seconds": round(time.monotonic() - began + before, 1)}
                                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                        if tell:
                            print(json.dumps(asdict(done), ensure_ascii=False), file=sys.stderr, flush=True)
                        break
        finally:
            if mounted:
                subprocess.run(["umount", "-l", str(root)], check=True)
    return _result(found, time.monotonic() - began + before)


def _read_log(log: str | None) -> tuple[list[Happened], float]:
    """The faults of a run that was stopped, and the seconds that it took."""
    lines = Path(log).read_text(encoding="utf-8").splitlines() if log and Path(log).exists() else []
    rows = [json.loads(line) for line in lines]
    seconds = [row.pop("seconds") for row in rows]
    return [Happened(**row) for row in rows], max(seconds, default=0.0)


def _result(found: Sequence[Happened], seconds: float) -> dict[str, Any]:
    return {
        "faults": len(found),
        "seeds": [min(done.seed for done in found), max(done.seed for done in found)] if found else [],
        "wrong": [asdict(done) for done in found if done.wrong],
        "kinds": dict(sorted(Counter(done.kind for done in found).items())),
        "commands": dict(sorted(Counter(done.case for done in found).items())),
        "ended_by_the_fault": sum(any(done.codes) for done in found),
        "seconds": round(seconds),
        "machine": {"system": platform.platform(), "python": platform.python_version(), "processor": platform.machine()},
    }


def _in_namespace() -> bool:
    """Start this program again where it may mount a tmpfs; gives whether it may, and is there."""
    if os.environ.get(SPACE):
        return os.environ[SPACE] == "yes"
    may = os.geteuid() == 0 and shutil.which("unshare") is not None
    may = may and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0
    os.environ[SPACE] = "yes" if may else "no"
    if may:
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, *sys.argv])
    return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    parser.add_argument("--quick", action="store_true", help="only commands that take little time")
    parser.add_argument("--case", action="append", default=[], help="only this command; can be repeated")
    parser.add_argument("--kind", action="append", default=[], help="only this kind; can be repeated")
    parser.add_argument("--log", help="file that gets a line for each fault; with the same file a run that was stopped goes on")
    parser.add_argument("-o", "--out", help="file for the result (JSON)")
    options = parser.parse_args()
    mounted = _in_namespace()
    load_everything()
    cases = [case for case in CASES if not (options.quick and case.slow) and (not options.case or case.name in options.case)]
    seeds = range(options.first, options.first + options.faults)
    result = go(seeds, cases, mounted=mounted, kinds=options.kind, log=options.log)
    if options.out:
        Path(options.out).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(result, ensure_ascii=False))
    sys.exit(bool(result["wrong"]))
