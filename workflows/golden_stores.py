"""Small synthetic stores as earlier versions wrote them, by the code of these versions: for tests/upkeep/test_golden_stores.py.

    python workflows/golden_stores.py -o tests/upkeep/golden

Each is made by a commit of this repository, checked out for the time being, and packed as NAME.tar.gz: a run of twelve faces in two shards,
two names, an ignored person, a second run, a name that no run has taken in. There are no photos, and the faces are coloured squares. One
that is there already stays as it is. Old code may need an old environment: that of now has run these.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSIONS = {  # what each was the last to write
    "2026-11-23-runs": "bd872f2",  # the first with people.csv, runs and a journal; photos are known by their bytes alone
    "2026-11-25-rooms": "4568c8c",  # before recognisability, turns and pictures
    "2026-11-26-pictures": "0e90ee4",  # photos stand for pictures; places that are gone
    "2026-11-26-shards": "dbdf3cd",  # before digests, private files and decision ids of 128 bits
    "2026-11-26-digests": "601c429",  # before `upgrade`
}
MAKE = """
import inspect, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests"]
from people_store import add, call, people
from report import report_store as syn
try:
    from facecluster.store import FILES, Store, table_of
except ImportError:
    from facecluster.tables import FILES, Store, table_of

store = Store(sys.argv[2])
store.create()
vectors, truth = people((5, 4, 3), noise=0.5)
colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200)]
ids = []
for shard, part in (("00000", slice(0, 7)), ("00001", slice(7, 12))):
    its = add(store, shard, vectors[part], start=part.start)
    photos = store.read("photos", shard)["photo_id"].to_pylist()
    syn.write_faces(store, shard, list(zip(its, photos)), [syn.crop(colours[t]) for t in truth[part]])
    values = {"uri": [f"/photos/{i}.jpg" for i in range(part.start, part.stop)], "size": [9] * len(its), "mtime_ns": [5] * len(its)}
    values |= {name: [[]] * len(its) for name in ("known", "known_faces")}
    store.write("files", shard, table_of(FILES, {f.name: values.get(f.name, [None] * len(its)) for f in FILES}), {"table": "files"})
    ids += its
call("cluster", store.url)
call("name", store.url, ids[0], "Ada Lovelace")
call("name", store.url, ids[5], "Bob \\u00c4rger")
call("ignore", store.url, ids[9])
call("cluster", store.url)
call("name", store.url, ids[0], "Ada")
"""


def make(commit: str, out: Path) -> None:
    """Make the store of a version."""
    root = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        tree, store = Path(folder) / "tree", Path(folder) / "store"
        subprocess.run(["git", "-C", str(root), "worktree", "add", "--detach", "-f", str(tree), commit], check=True, capture_output=True)
        try:
            environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(tree)}
            subprocess.run([sys.executable, "-c", MAKE, str(tree), str(store)], check=True, env=environment, cwd=folder)
        finally:
            subprocess.run(["git", "-C", str(root), "worktree", "remove", "--force", str(tree)], check=True, capture_output=True)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for path in sorted(store.rglob("*")):
                if path.is_file() and path.suffix != ".lock" and "unchanged" not in path.name:
                    tar.add(path, path.relative_to(store).as_posix(), filter=_plain)
        out.write_bytes(gzip.compress(packed.getvalue(), mtime=0))


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without who made it, and when."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--out", required=True, help="folder for the stores")
    options = parser.parse_args()
    Path(options.out).mkdir(parents=True, exist_ok=True)
    for name, commit in VERSIONS.items():
        if (Path(options.out) / f"{name}.tar.gz").exists():
            continue
        make(commit, Path(options.out) / f"{name}.tar.gz")
        print(name, (Path(options.out) / f"{name}.tar.gz").stat().st_size, flush=True)
