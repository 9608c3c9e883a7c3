"""JOB: measure the grouping of a store, and the vectors that it was made from, against known answers: a user's file, or their decisions.

Odd inputs: a face with an answer but without a row in the grouping is left out, and so is a pair with a face without a vector, each with
its reason; without any vectors the answers are not verified. Faces are sorted by face_id, so the order of rows does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facecluster.errors import InputError, StoreError, shell
from facecluster.evaluation.csv_file import LeftOut
from facecluster.evaluation.face_pairs import cosines
from facecluster.evaluation.ground_truth import Answers
from facecluster.evaluation.pair_list import PairAnswers
from facecluster.evaluation.pair_list_subgroups import listed_by_group
from facecluster.evaluation.scores import Evaluation, Stated, Verification, judge_faces, judge_pairs, score, verification_dict
from facecluster.store import IDENTITIES, Store


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of the given answers could be used."""

    source: str
    given: int  # rows, pairs or decisions
    used: int
    left_out: list[LeftOut]


@dataclass(frozen=True, slots=True)
class StoreEvaluation:
    """The measures of a store; None for parts that were not requested."""

    faces: int  # in the grouping
    evaluation: Evaluation
    answers: Coverage | None
    pairs: Verification | None = None
    pair_coverage: Coverage | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers, for JSON."""
        found = self.evaluation.to_dict()
        pairs: dict[str, Any] | None = None
        if self.pairs and self.pair_coverage:
            pairs = {"list": asdict(self.pair_coverage), **verification_dict(self.pairs), "least_accuracy": self.least_accuracy}
        return {"faces": self.faces, "truth": asdict(self.answers) if self.answers else None, **found, "listed_pairs": pairs}

    @property
    def least_accuracy(self) -> float | None:
        """Accuracy over all given pairs, where pairs that were left out count as wrong; None without folds."""
        parts = self.pairs.folds if self.pairs else None
        return parts.right / self.pair_coverage.given if parts and self.pair_coverage else None


def evaluate_store(
    store: Store,
    identities: str,
    embeddings: str,
    *,
    answers: Answers | None = None,
    pairs: PairAnswers | None = None,
    stated: Stated | None = None,
) -> StoreEvaluation:
    """Measure a grouping and a model.

    Args:
        store: where the tables are.
        identities: the table with the grouping, for instance "identities/bundled".
        embeddings: the table with the vectors, for instance "embeddings/bundled".
        answers: the persons of faces.
        pairs: pairs of faces, and whether they are one person.
        stated: a function from cosines to the model's probability that a pair is one person, with even prior odds.

    Raises:
        StoreError: a table is missing or damaged.
        InputError: no answer or pair can be judged.
    """
    count, evaluation, coverage = 0, Evaluation(), None
    if answers is not None:
        count, evaluation, coverage = _judge_answers(store, identities, embeddings, answers, stated)
    if pairs is None:
        return StoreEvaluation(count, evaluation, coverage)
    return StoreEvaluation(count, evaluation, coverage, *_judge_pairs(store, embeddings, pairs, stated))


def _judge_answers(
    store: Store, identities: str, embeddings: str, answers: Answers, stated: Stated | None
) -> tuple[int, Evaluation, Coverage]:
    if not store.shards(identities):
        raise StoreError(f"expected a table {identities} in {store.url}, found none: run 'facecluster cluster {shell(store.url)}' first")
    table = store.read_all(identities, IDENTITIES, ["face_id", "identity", "probability"])
    order = np.argsort(np.array(answers.faces, dtype=str))
    at = _where(table["face_id"], [answers.faces[i] for i in order])
    missing, order, at = order[at < 0], order[at >= 0], at[at >= 0]
    left_out = list(answers.left_out)
    if len(missing):
        left_out.append(LeftOut("face not in the grouping", len(missing), repr(answers.faces[missing[0]])))
    if not len(order):
        raise InputError(
            f"expected answers of {answers.source} on grouped faces, found none: run 'facecluster cluster {shell(store.url)}' again"
        )
    faces = [answers.faces[i] for i in order]
    labels, sure = (np.asarray(table[name], kind)[at] for name, kind in (("identity", np.int64), ("probability", np.float64)))
    truth = np.array([answers.people[i] for i in order], dtype=str)
    groups = {name: np.array([column[i] for i in order], dtype=str) for name, column in answers.groups.items()}
    result = score(truth, labels, groups, probability=np.clip(sure, 0, 1))
    known, vectors = _vectors(store, embeddings, faces)
    if vectors is not None:
        kinds = {name: column[known] for name, column in groups.items()}
        result = replace(result, verification=judge_faces(truth[known], vectors, kinds, stated=stated))
    return table.num_rows, result, Coverage(answers.source, answers.given or len(answers.faces), len(order), left_out)


def _judge_pairs(store: Store, embeddings: str, pairs: PairAnswers, stated: Stated | None) -> tuple[Verification, Coverage]:
    faces = sorted({*pairs.first, *pairs.second})
    known, vectors = _vectors(store, embeddings, faces)
    if vectors is None:
        raise StoreError(
            f"expected vectors in {embeddings} of {store.url}, found none: run 'facecluster embed PHOTOS -o {shell(store.url)}' first"
        )
    row = {faces[i]: n for n, i in enumerate(known.tolist())}
    kept = [i for i, (a, b) in enumerate(zip(pairs.first, pairs.second, strict=True)) if a in row and b in row]
    same = np.array([pairs.same[i] for i in kept], bool)
    if not same.any() or same.all():
        raise InputError(
            f"expected pairs of one person and of two in {pairs.source} whose faces have vectors, found {same.sum()} and {(~same).sum()}: "
            f"run 'facecluster embed PHOTOS -o {shell(store.url)}' again"
        )
    first, second = (np.array([row[names[i]] for i in kept]) for names in (pairs.first, pairs.second))
    number = {name: n for n, name in enumerate(dict.fromkeys(pairs.fold or []))}
    fold = np.array([number[pairs.fold[i]] for i in kept]) if pairs.fold is not None else None
    left_out = [*pairs.left_out]
    if len(kept) < len(pairs.same):
        left_out.append(LeftOut("pair with a face without a vector", len(pairs.same) - len(kept), pairs.source))
    cosine = cosines(vectors, first, second)
    found = judge_pairs(cosine, same, fold=fold, stated=stated)
    kinds = {name: np.array([column[i] for i in kept], dtype=str) for name, column in pairs.groups.items()}
    found = replace(found, by_group=listed_by_group(first, second, same, cosine, kinds, found.roc))
    return found, Coverage(pairs.source, pairs.given, len(kept), left_out)


def _where(column: pa.ChunkedArray, wanted: Sequence[str]) -> NDArray[np.int64]:
    """Row of each wanted face in a column of face_ids; -1 = none."""
    found = pc.index_in(pa.array(wanted, pa.string()), value_set=column.combine_chunks().cast(pa.string()))
    return np.asarray(pc.fill_null(found, -1), np.int64)


def _vectors(store: Store, table: str, faces: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float16] | None]:
    """Which of the faces have vectors, and the vectors (m, dim); None if the table has none of them."""
    wanted = pa.array(faces, pa.string())
    places, parts = [np.zeros(0, np.int64)], []
    for shard in store.shards(table):
        part = store.read(table, shard, ["face_id", "embedding"])
        at = np.asarray(pc.fill_null(pc.index_in(part["face_id"].cast(pa.string()), value_set=wanted), -1), np.int64)
        rows = np.flatnonzero(at >= 0)
        dim = part.schema.field("embedding").type.list_size
        flat = part["embedding"].take(pa.array(rows)).combine_chunks().flatten()
        parts.append(flat.to_numpy(zero_copy_only=False).reshape(-1, dim))
        places.append(at[rows])
    known, first = np.unique(np.concatenate(places), return_index=True)
    return known, np.concatenate(parts)[first] if len(known) else None
