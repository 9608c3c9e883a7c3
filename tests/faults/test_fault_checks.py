"""What looks for faults sees them: the search for forgotten bytes, models that are half there, and a run that goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from workflow_runs import WORKFLOWS, ran

FACE, NAME, CROP = "0a4d8128f0a6271ed5d843ea-0000", "Ada Lovelace", b"RIFF-the-bytes-of-a-crop"
VECTOR = np.linspace(-1, 1, 128).astype(np.float16)
WANTED = {"texts": [FACE, NAME], "bytes": [CROP.hex(), VECTOR.tobytes().hex(), VECTOR.astype(np.float32).tobytes().hex()]}


@pytest.fixture(autouse=True)
def workflows() -> Iterator[None]:
    sys.path.insert(0, str(WORKFLOWS))
    yield
    sys.path.remove(str(WORKFLOWS))


def left(store: Path) -> list[str]:
    import base64

    from fault_gone import left

    return left(store, {"texts": WANTED["texts"], "bytes": [base64.b64encode(bytes.fromhex(text)).decode() for text in WANTED["bytes"]]})


@pytest.mark.parametrize(
    "column",
    [
        pa.array([FACE]), pa.array(["somebody", NAME]).dictionary_encode(), pa.array([[NAME]]), pa.array([CROP], pa.binary()),
        *(pa.FixedSizeListArray.from_arrays(pa.array(VECTOR.astype(kind)), 128) for kind in (np.float16, np.float32)),
    ],
)  # fmt: skip
def test_what_a_table_holds_is_found(column: pa.Array, tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1] * len(column)}), tmp_path / "part-00000.parquet", compression="zstd")
    assert left(tmp_path) == []
    pq.write_table(pa.table({"n": [1] * len(column), "x": column}), tmp_path / "part-00000.parquet", compression="zstd")
    assert [line.partition(":")[0] for line in left(tmp_path)] == ["part-00000.parquet x"]


@pytest.mark.parametrize("data", [f"name,{NAME}\n".encode(), b"\0" * 99 + VECTOR.tobytes(), CROP])
def test_what_a_file_holds_is_found(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "left").write_bytes(b"nothing")
    assert left(tmp_path) == []
    (tmp_path / "index" / "left").write_bytes(data)
    assert len(left(tmp_path)) == 1


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    log, row = tmp_path / "log.jsonl", {"case": "name", "kind": "kill", "detail": "", "codes": [-9]}
    rows = [row | {"seed": 0, "wrong": [], "seconds": 5.0}, row | {"seed": 1, "wrong": ["lost: a name"], "seconds": 9.0}]
    log.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    found = ran("-c", f"import faults, json; print(json.dumps(faults.go(range(2), faults.CASES, mounted=False, log={str(log)!r})))")
    assert (found["faults"], found["seeds"], found["seconds"], found["ended_by_the_fault"]) == (2, [0, 1], 9, 2)
    assert [done["seed"] for done in found["wrong"]] == [1] and len(log.read_text().splitlines()) == 2
