"""What encryption costs where a collection is grouped by an index on disk: `cluster --full` of a large store, plain and encrypted in turns.

    OMP_NUM_THREADS=1 python workflows/benchmarks/encrypt_large.py --work FOLDER -o results/encrypt.json

The vectors are those of millions.py, crops are a few bytes. Above 200,000 faces the arrays of a grouping are mapped files; of an encrypted
store they are opened into memory. Each grouping is a process of its own, starting up included; the least of the rounds counts on each side.
Both sides must give the same groups. The result is added to the file of encrypt.py. Needs the extra `encrypt` and the peers of grouping.py.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa

from facecluster.store import IDENTITIES, Store
from facecluster.store.keys import FILE_VARIABLE, make_key

TOOL = [sys.executable, "-c", "from facecluster.cli import main; main()"]
MADE = ("links", "linking", "identities", "grouping", "runs", "people.csv")  # by a grouping
Took = dict[str, float]


def measure(*words: str) -> Took:
    """Seconds and the most memory of a command."""
    began = time.perf_counter()
    process = subprocess.Popen([*TOOL, *words], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"facecluster {' '.join(words)} ended with {status}")
    seconds = {"wall s": round(time.perf_counter() - began, 1), "processor s": round(used.ru_utime + used.ru_stime, 1)}
    return seconds | {"peak GB": round(used.ru_maxrss / 1e6, 2)}


def group(store: Store, card: str) -> Took:
    """Group all faces from the start, as in a store that was never grouped."""
    for name in MADE:
        path = Path(store.path(name))
        if path.exists():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return measure("cluster", store.url, "--model", card, "--min-recognisability", "0", "--full")


def groups(store: Store) -> pa.Table:
    return store.read_all("identities/generated", IDENTITIES, ["face_id", "identity"]).sort_by("face_id")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="a new folder")
    parser.add_argument("--faces", type=int, default=250_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    folder = options.work / f"millions-{options.faces}"
    folder.mkdir(parents=True)
    make_key(str(options.work / "key"))
    os.environ[FILE_VARIABLE] = str(options.work / "key")
    millions = Path(__file__).with_name("millions.py")
    subprocess.run([sys.executable, millions, "--work", options.work, "--faces", str(options.faces), "--do", "write"], check=True)
    card, sides = str(folder / "millions.toml"), {"plain": Store(str(folder / "store")), "encrypted": Store(str(folder / "sealed"))}
    shutil.copytree(sides["plain"].root, sides["encrypted"].root)
    encrypting = measure("encrypt", sides["encrypted"].url)
    rounds: list[dict[str, Took]] = []
    for _ in range(options.rounds):
        rounds.append({name: group(store, card) for name, store in sides.items()})
        print(json.dumps(rounds[-1]), file=sys.stderr, flush=True)
    sides["encrypted"] = Store(sides["encrypted"].url)
    if not groups(sides["plain"]).equals(groups(sides["encrypted"])):
        raise SystemExit("the groups of the two stores differ")
    least = {side: {key: min(found[side][key] for found in rounds) for key in rounds[0][side]} for side in sides}
    result = {
        **least, "ratio": {key: round(least["encrypted"][key] / least["plain"][key], 3) for key in least["plain"]},
        "rounds": rounds, "encrypting that store": encrypting,
        "machine": {"python": platform.python_version(), "cores used": len(os.sched_getaffinity(0)),
                    "busy with other work": round(os.getloadavg()[0], 1)},
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    if options.out:
        table = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
        table[f"cluster --full, {options.faces:,} generated vectors"] = result
        options.out.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
