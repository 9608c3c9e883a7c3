"""Reading a store starts none of Arrow's threads: one that still holds a Python object when the interpreter exits ends it with SIGABRT."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import people_store as syn
import pytest
from people_store import call

import facecluster

READS = """
import os, sys
import facecluster, numpy, pyarrow, pyarrow.compute, pyarrow.parquet, torch, faiss
from facecluster.export.photo_library import read_photo_library
from facecluster.people import read_current_people
from facecluster.store import Store

def threads():
    return len(os.listdir("/proc/self/task"))

pyarrow.array([1])
before = threads()
store = Store(sys.argv[1])
for table in ("photos", "faces", "embeddings/bundled", "identities/bundled", "runs/00001/identities", "runs/00001/people"):
    for shard in store.shards(table):
        store.read(table, shard)
        store.stamp(table, shard)
read_photo_library(store, None, min_probability=0)
read_current_people(store)
opened = facecluster.open(store.url)
opened.people, opened.faces, opened.photos
print(threads() - before)
with store.fs.open(store.shard_path("faces", "00000"), "rb") as f:
    pyarrow.parquet.ParquetFile(f).read()
print(threads() - before > 0, flush=True)
os._exit(0)  # these threads could end the process with SIGABRT
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_reading_a_store_starts_no_threads(tmp_path: Path) -> None:
    store, ids, _ = syn.ungrouped_store(tmp_path, [6, 5, 4], noise=0.5)
    syn.add_boxes(store, "00000", ids, np.tile([10.0, 10, 50, 50], (len(ids), 1)))
    call("cluster", store.url)
    done = subprocess.run([sys.executable, "-c", READS, store.url], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True"]  # and Arrow's own way does


def test_no_call_of_arrow_uses_its_threads() -> None:
    """Calls that take `use_threads` and use threads unless told otherwise."""
    wrong = []
    for path in sorted(Path(facecluster.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            parquet = node.func.attr == "read" and "ParquetFile" in ast.unparse(node.func)
            wanted = {"use_threads": False} | ({"pre_buffer": False} if parquet else {})
            keywords = {k.arg: k.value for call in ast.walk(node) if isinstance(call, ast.Call) for k in call.keywords}
            off = all(isinstance(v := keywords.get(key), ast.Constant) and v.value is value for key, value in wanted.items())
            if not off and (parquet or node.func.attr in ("group_by", "to_pandas", "read_table", "read_pandas", "dataset")):
                wrong.append(f"{path.name}:{node.lineno} {ast.unparse(node)[:60]}")
    assert wrong == []
