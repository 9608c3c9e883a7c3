"""Measure how many acts it takes to name 95 % of the faces of a labelled collection: every group by hand, or with suggestions.

    python workflows/benchmarks/naming.py -o workflows/benchmarks/results/naming.json

The collection: 1,500 faces of 40 people from the named part of the data that the models were trained and judged on (pins): 15 people that
are in no training data with 60 faces each, and 25 people of the training data with 24 each. The bundled model makes the vectors; each face
is a photo of its own. `cluster` groups them with its defaults.

A scripted user, who always knows the answer, works on the store by way of the review page's own requests. An act is one request that is
written to the journal. A face counts as named if its person has the name of its true subject.

by hand      name the largest group without a name (after whoever most of its faces show), until enough faces are named; when no group is
             left, move the single faces one by one
suggestions  whatever names most faces: name the largest group without a name; accept all above the first wrong one of _SHOWN
             suggestions that the page shows for everybody who has a name; or say no to the first one, if it is wrong, for half of what
             follows it
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from facecluster import pipeline
from facecluster.faces.embed import EmbedConfig, embed_faces
from facecluster.grouping.link import LinkConfig
from facecluster.review import api
from facecluster.review.session import Session
from facecluster.store import PHOTOS, Store, embeddings_schema, table_of

_SHOWN = 60  # suggestions on the page
_ENOUGH = 0.95
_HELD_OUT, _MORE = 60, 24  # faces of a person in either part
_PEOPLE = 25  # of the training part


def labelled(data: Path) -> tuple[NDArray[np.float32], list[str]]:
    """The vectors (n, dim) of the collection, and the subject of each."""
    crops, subjects = [], []
    for name, most, people in (("faces_eval", _HELD_OUT, 15), ("faces_train", _MORE, _PEOPLE)):
        table = pq.read_table(data / f"{name}.parquet", columns=["source", "subject", "crop"]).to_pylist()
        table = [row for row in table if row["subject"] and row["source"].startswith("pins")]
        wanted = sorted({row["subject"] for row in table})[:people]
        seen: Counter[str] = Counter()
        for row in table:
            seen[row["subject"]] += 1
            if row["subject"] in wanted and seen[row["subject"]] <= most:
                crops.append(row["crop"])
                subjects.append(f"{name} {row['subject']}")  # each file numbers its people anew
    return embedded(crops), subjects


def embedded(crops: list[bytes]) -> NDArray[np.float32]:
    """The vectors (n, dim) of crops."""
    return embed_faces(np.stack([np.asarray(Image.open(io.BytesIO(crop)).convert("RGB")) for crop in crops]), EmbedConfig())


def write_store(store: Store, vectors: NDArray[np.float32]) -> list[str]:
    """A store with these faces, each in a photo of its own; their face_ids."""
    n = len(vectors)
    photos = [f"{i:024x}{i:040x}" for i in range(n)]
    ids = [f"{photo[:24]}-0000" for photo in photos]
    store.create()
    columns: dict[str, Any] = {
        "photo_id": photos, "uri": [f"/photos/{i}.jpg" for i in range(n)], "size": [9] * n, "mtime_ns": [0] * n,
        "format": ["JPEG"] * n, "width": [400] * n, "height": [300] * n, "orientation": [1] * n, "phash": np.zeros(n, np.uint64),
        "faces": [1] * n,
    }  # fmt: skip
    store.write("photos", "00000", table_of(PHOTOS, columns), {"stage": "collect"})
    embed = EmbedConfig()
    rows = {"face_id": ids, "embedding": vectors.astype(np.float16)}
    store.write(embed.table(), "00000", table_of(embeddings_schema(vectors.shape[1]), rows), embed.stamp())
    return ids


class User:
    """Always knows whose face it is, and counts the acts."""

    def __init__(self, store: Store, truth: dict[str, str]) -> None:
        self.session, self.truth, self.acts = Session(store), truth, Counter[str]()
        self.curve: list[float] = []

    def act(self, **request: Any) -> None:
        self.session.act(request)
        self.acts[request["act"]] += 1
        self.curve.append(self.named)

    @property
    def named(self) -> float:
        """Share of the faces whose person has the name of their subject."""
        current = self.session.view().current
        names = [*current.people.names, None]
        right = sum(names[g] == self.truth[face] for face, g in zip(current.faces.ids, current.faces.identity.tolist(), strict=True))
        return right / len(current.faces.ids)

    def whose(self, faces: list[str]) -> str:
        """Whom most of these faces show."""
        return Counter(self.truth[face] for face in faces).most_common(1)[0][0]

    def faces_of(self, number: int) -> list[str]:
        view = self.session.view()
        return [view.current.faces.ids[row] for row in view.rows_of(number).tolist()]

    def name_next(self) -> bool:
        """Name the largest group that has no name; False if all have names."""
        people = self.session.view().current.people
        number = next((i for i, name in enumerate(people.names) if not name), None)
        if number is not None:
            self.act(act="name", person=people.person_ids[number], name=self.whose(self.faces_of(number)))
        return number is not None

    def move_next(self) -> None:
        """Move a single face to its person."""
        view = self.session.view()
        face = view.current.faces.ids[int(view.nobody()[0])]
        person = next(p for p, n in zip(view.current.people.person_ids, view.current.people.names, strict=True) if n == self.truth[face])
        self.act(act="give", person=person, faces=[face])

    def suggested(self) -> tuple[list[tuple[str, str]], list[int], list[bool]]:
        """The page of suggestions for all who have names: pairs to answer, faces of each, and whether it is right."""
        answer = api.suggestions(self.session, {"limit": str(_SHOWN)})
        pairs, faces, right = [], [], []
        for side in answer["suggestions"]:
            person, other = answer["people"][side["of"]], side["person"]
            members = self._members(side)
            pairs.append((person["id"], other["id"] if other else side["face"]["id"]))
            faces.append(len(members))
            right.append(self.whose(members) == person["name"])
        return pairs, faces, right

    def best_act(self) -> None:
        """Whatever names most faces: the next group, all suggestions above the first wrong one, or no to that one and then the next."""
        pairs, faces, right = self.suggested()
        until = right.index(False) if False in right else len(right)
        after = right.index(False, until + 1) if False in right[until + 1 :] else len(right)
        group = next((f for f, n in zip(*self._shown(), strict=True) if not n), 0)
        gains = {"name": group, "join": sum(faces[:until]), "apart": sum(faces[until + 1 : after]) / 2 if until == 0 else 0}
        act = max(gains, key=lambda key: gains[key])
        if not gains[act]:
            self.move_next()
        elif act == "name":
            self.name_next()
        else:
            self.act(act=act, pairs=[list(pair) for pair in (pairs[:until] if act == "join" else pairs[:1])])

    def _shown(self) -> tuple[list[int], list[str | None]]:
        people = self.session.view().current.people
        return people.faces, people.names

    def _members(self, side: dict[str, Any]) -> list[str]:
        if side["person"] is None:
            return [side["face"]["id"]]
        number = self.session.view().current.people.index(side["person"]["id"])
        assert number is not None
        return self.faces_of(number)


def run(store: Store, truth: dict[str, str], *, suggestions: bool) -> dict[str, Any]:
    """One evening of the user's."""
    user = User(store, truth)
    while user.named < _ENOUGH:
        if suggestions:
            user.best_act()
        elif not user.name_next():
            user.move_next()
    user.session.close()
    shares = {f"{share:.0%}": next(i + 1 for i, got in enumerate(user.curve) if got >= share) for share in (0.5, 0.8, 0.9, 0.95)}
    return {"acts": len(user.curve), "of these": dict(user.acts), "acts to name": shares}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("data"), help="Folder of faces_eval.parquet and faces_train.parquet.")
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    vectors, subjects = labelled(given.data)
    result: dict[str, Any] = {}
    for part, count in (("40 people", len(subjects)), ("the 15 people who are in no training data", 15 * _HELD_OUT)):
        with tempfile.TemporaryDirectory() as folder:
            ways: dict[str, Any] = {}
            for way in ("by hand", "suggestions"):
                store = Store(str(Path(folder) / way.replace(" ", "-")))
                ids = write_store(store, vectors[:count])
                pipeline.cluster_faces(store, EmbedConfig(), LinkConfig(), None, bars=lambda what, total: nullcontext(lambda n: None))
                truth = dict(zip(ids, subjects, strict=False))
                people = Session(store).view()
                ways.setdefault("faces", len(ids))
                ways.setdefault("people", len(set(truth.values())))
                ways.setdefault("groups of the run", people.count)
                ways.setdefault("faces of nobody", len(people.nobody()) + len(people.unclear()))
                ways[way] = run(store, truth, suggestions=way == "suggestions")
            ways["times fewer acts"] = round(ways["by hand"]["acts"] / ways["suggestions"]["acts"], 2)
            result[part] = ways
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
