"""Changed inputs for every reader of foreign files: does each end in a result, or in one line for the user?

    pip install atheris            # Linux; the dependency group `dev` has it
    python workflows/fuzz.py --seconds 120 -o workflows/benchmarks/results/fuzz.json

Each target of `fuzz_targets.py` runs in a process of its own for some seconds of processor time, led by the coverage of facecluster's code
(atheris, libFuzzer). It begins with inputs that the targets make. An exception that is no line for the user is a finding, once for each
place in the package where it was raised; so is an input that takes more than 20 s or 2 GB, or ends the process. `--plain N` needs no
atheris: N changed inputs a target, always the same; so is LMDB read in any case, since coverage is not seen in forks.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

PLANTED = "planted"
SECONDS, MEMORY, LONGEST = 20, 2048, 8192  # a single input: seconds of processor time, MB; bytes
PLAIN_A_SECOND = 50  # inputs of a target that nothing can lead
HANGS = 600  # seconds; on a busy machine an input may get no processor for long
_NUMBERS = (b"\0", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\x01\0\0\0", b"9" * 20)


class Watched:
    """A target, and what was found of it."""

    def __init__(self, name: str, folder: Path) -> None:
        from fuzz_targets import TARGETS

        self.target, self.folder, self.findings = TARGETS[name], folder, dict[str, dict[str, Any]]()
        self.runs, self.read, self.slowest = 0, 0, 0.0  # inputs; those of them that had a result; processor s

    def run(self, data: bytes) -> bool:
        """Read one input; gives whether that had a result."""
        from fuzz_targets import expected

        self.runs += 1
        began = time.process_time()
        error: Exception | None = None
        try:
            self.target.read(data, self.folder)
        except Exception as e:
            error = e
        if error is not None:
            try:
                expected(error)
            except Exception as found:
                self.note(found, data)
        took = time.process_time() - began
        self.slowest = max(self.slowest, took)
        if took > SECONDS:
            self.note(TimeoutError(f"it took {took:.0f} s"), data)
        self.read += error is None
        return error is None

    def note(self, error: Exception, data: bytes) -> None:
        inside = f"{os.sep}facecluster{os.sep}"
        places = [f"{f.filename.split(inside)[-1]}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__) if inside in f.filename]
        where = places[-1] if places else "?"
        key = f"{type(error).__name__} at {where}"
        if key not in self.findings:
            self.findings[key] = {"what": key, "says": " ".join(str(error).split())[:200], "input": data[:2000].hex()}


def changed(data: bytes, others: Sequence[bytes], words: Sequence[bytes], rng: random.Random) -> bytes:
    """An input with some changes: bits, numbers, words, pieces that are cut out, doubled, or of another input."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at = rng.randrange(len(found) + 1)
        end = min(len(found), at + rng.choice((1, 2, 4, 16, 64)))
        what = rng.randrange(7)
        if what == 0 and at < len(found):
            found[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            found[at:end] = rng.choice(_NUMBERS)
        elif what == 2:
            found[at:at] = rng.choice(words or _NUMBERS)
        elif what == 3:
            del found[at:end]
        elif what == 4:
            found[at:at] = found[at:end] * rng.choice((1, 2, 50))
        elif what == 5:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            found[at:end] = other[start : start + 64]
        else:
            del found[at:]
    return bytes(found[:LONGEST])


def plain(name: str, inputs: int, folder: Path) -> dict[str, Any]:
    """Changed inputs, always the same."""
    watched = Watched(name, folder)
    seeds, rng = watched.target.seeds(), random.Random(name)
    read = sum([watched.run(seed) for seed in seeds])
    for _ in range(inputs):
        watched.run(changed(rng.choice(seeds), seeds, watched.target.words, rng))
    findings = list(watched.findings.values())
    return {"inputs": watched.runs, "whole": [read, len(seeds)], "slowest, s": round(watched.slowest, 2), "findings": findings}


def led(name: str, seconds: int, state: Path) -> None:
    """Fuzz one target in this process, which ends with it; what is found is written to `state`."""
    import atheris

    with atheris.instrument_imports(include=["facecluster", "fuzz_planted"]):
        import fuzz_targets  # noqa: F401
    watched = Watched(name, state / "files")
    began, told = time.process_time(), 0.0

    def one(data: bytes) -> None:
        nonlocal told
        watched.run(data)
        now = time.process_time() - began
        done = now > seconds or name == PLANTED and bool(watched.findings)
        if now - told > 1 or watched.runs == 1 or done:
            told = now
            found = {"inputs": watched.runs, "read": watched.read, "seconds": round(now), "slowest, s": round(watched.slowest, 2)}
            (state / "result.json").write_text(json.dumps(found | {"findings": list(watched.findings.values())}), encoding="utf-8")
        if done:
            os._exit(0)

    words = ["".join("\\x" + format(b, "02x") for b in word) for word in watched.target.words or (b"\0",)]
    (state / "words").write_text("".join(f'"{word}"\n' for word in words), encoding="utf-8")
    options = [f"-max_len={LONGEST}", f"-timeout={HANGS}", f"-rss_limit_mb={MEMORY}", f"-dict={state / 'words'}", "-print_final_stats=0"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={state}/", str(state / "corpus")], one)
    atheris.Fuzz()


def fuzz(name: str, seconds: int) -> dict[str, Any]:
    """Fuzz one target in a process of its own."""
    from fuzz_targets import TARGETS

    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        state = Path(folder)
        (state / "files").mkdir()
        (state / "corpus").mkdir()
        for number, seed in enumerate(TARGETS[name].seeds()):
            (state / "corpus" / f"{number:03d}").write_bytes(seed)
        words = [sys.executable, __file__, "--led", name, "--seconds", str(seconds), "--state", folder]
        ended = subprocess.run(words, capture_output=True, text=True, errors="replace")
        result = state / "result.json"
        found = dict(json.loads(result.read_text(encoding="utf-8"))) if result.exists() else {"inputs": 0, "findings": []}
        covered = re.findall(r"cov: (\d+)", ended.stderr)
        found["places reached"] = int(covered[-1]) if covered else 0
        for path in sorted(state.iterdir()):
            if path.name.startswith(("crash-", "timeout-", "oom-")):
                said = next((line for line in ended.stderr.splitlines() if "ERROR" in line), "")
                found["findings"].append({"what": path.name.split("-")[0], "says": said[:200], "input": path.read_bytes()[:2000].hex()})
        if ended.returncode and not found["findings"]:
            found["findings"].append({"what": f"exit {ended.returncode}", "says": ended.stderr[-600:], "input": ""})
        return found


def planted(seconds: int) -> dict[str, Any]:
    """What is found of the reader of `fuzz_planted.py`: led by coverage, and by as many changed inputs that nothing leads."""
    by_coverage = fuzz(PLANTED, seconds)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        return {"led": by_coverage, "plain": plain(PLANTED, by_coverage["inputs"], Path(folder))}


def _each(names: Sequence[str], seconds: int, inputs: int) -> Iterator[tuple[str, dict[str, Any]]]:
    from fuzz_targets import TARGETS

    for name in names:
        if inputs or TARGETS[name].forks:
            folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
            try:
                yield name, plain(name, inputs or PLAIN_A_SECOND * seconds, folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        else:
            yield name, fuzz(name, seconds)


def main() -> None:
    from fuzz_targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--target", action="append", default=[], choices=TARGETS, help="only this one; can be repeated")
    parser.add_argument("--seconds", type=int, default=120, help="of processor time, a target")
    parser.add_argument("--plain", type=int, default=0, metavar="N", help="N inputs a target, without atheris")
    parser.add_argument("--planted", action="store_true", help="see whether a planted fault is found, led and by as many plain inputs")
    parser.add_argument("-o", "--out", help="file for the result (JSON)")
    options = parser.parse_args()
    if options.planted:
        print(json.dumps(planted(options.seconds)))
        return
    machine = {"system": platform.platform(), "python": platform.python_version(), "processor": platform.machine()}
    machine |= {} if options.plain else {"atheris": version("atheris")}
    result: dict[str, Any] = {"targets": {}, "machine": machine}
    for name, found in _each(options.target or [name for name in TARGETS if name != PLANTED], options.seconds, options.plain):
        result["targets"][name] = found
        print(f"{name}: {found['inputs']:,} inputs, {len(found['findings'])} findings", file=sys.stderr, flush=True)
        if options.out:
            Path(options.out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))
    sys.exit(any(found["findings"] for found in result["targets"].values()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--led"]:
        led(sys.argv[2], int(sys.argv[4]), Path(sys.argv[6]))
    main()
