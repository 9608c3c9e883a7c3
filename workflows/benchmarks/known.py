"""Measure how often `facecluster known` gives a group the right name, by the probability from which it does so without a question.

    python workflows/benchmarks/known.py -o workflows/benchmarks/results/known.json

The store: 15 people who are in no training data (60 faces each, less the known pictures) and 1,000 faces of strangers, one a photo. Ten of
the 15 are known, by 1, 2 or 3 pictures that are not in the store; five, and the strangers, must keep no name. A group is right if most of
its faces show the person whose name it gets. Each number of pictures is measured on _DRAWS choices of known people and pictures.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from naming import embedded, write_store
from numpy.typing import NDArray

from facecluster import pipeline
from facecluster.faces.embed import EmbedConfig
from facecluster.grouping.link import LinkConfig
from facecluster.known.sources import Picture
from facecluster.known.take_in import take_in
from facecluster.review.session import Session
from facecluster.store import Store

_LEAST = (0.5, 0.8, 0.9, 0.95, 0.99)
_KNOWN, _DRAWS = 10, 3


def measure(folder: Path, x: NDArray[np.float32], subjects: list[str | None], pictures: int, draw: int) -> list[tuple[float, bool, int]]:
    """Probability, whether the name is right, and faces of each group that may be a known person."""
    rng = np.random.default_rng(draw)
    names = sorted({s for s in subjects if s})
    known = rng.choice(names, _KNOWN, replace=False).tolist()
    rows = {name: rng.choice([i for i, s in enumerate(subjects) if s == name], pictures, replace=False).tolist() for name in known}
    out = {i for some in rows.values() for i in some}
    left = [i for i in range(len(x)) if i not in out]
    store = Store(str(folder / f"{pictures}-{draw}"))
    ids = write_store(store, x[left])
    pipeline.cluster_faces(store, EmbedConfig(), LinkConfig(), None, bars=lambda what, total: nullcontext(lambda n: None))
    truth = dict(zip(ids, (subjects[i] for i in left), strict=True))
    found = take_in(store, [Picture(n, f"{n} {i}", vector=x[i]) for n, some in rows.items() for i in some], EmbedConfig(), sure=1.1)
    view = Session(store).view()
    made = []
    for proposal, person, faces in found.asked:
        number = view.current.people.index(person)
        assert number is not None
        whose = Counter(truth[view.current.faces.ids[row]] for row in view.rows_of(number).tolist()).most_common(1)[0][0]
        made.append((proposal.probability, whose == proposal.name, faces))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("data"), help="Folder of faces_eval.parquet.")
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    table = pq.read_table(given.data / "faces_eval.parquet", columns=["subject", "crop"]).to_pylist()
    x, subjects = embedded([row["crop"] for row in table]), [row["subject"] for row in table]
    result: dict[str, Any] = {"faces": len(x), "people": 15, "known": _KNOWN, "draws": _DRAWS}
    with tempfile.TemporaryDirectory() as folder:
        for pictures in (1, 2, 3):
            found = [one for draw in range(_DRAWS) for one in measure(Path(folder), x, subjects, pictures, draw)]
            faces = _DRAWS * _KNOWN * (60 - pictures)
            result[f"{pictures} pictures a person"] = {
                f"from {least}": {
                    "groups named": sum(p >= least for p, _, _ in found),
                    "wrongly": sum(p >= least and not right for p, right, _ in found),
                    "share of the known people's faces named": round(sum(n for p, right, n in found if p >= least and right) / faces, 3),
                }
                for least in _LEAST
            }
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
