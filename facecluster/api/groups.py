"""Vectors to people, and what is known about the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from facecluster.api.arguments import as_column, as_count, as_labels, as_number, as_pairs, as_vectors
from facecluster.api.frames import to_pandas
from facecluster.api.html import FACES, PEOPLE, Strip, people_html
from facecluster.api.images import CropsLike, as_crops
from facecluster.errors import ArgumentError
from facecluster.faces.fit_reading import card_for
from facecluster.grouping import identify, link, uncertainty
from facecluster.grouping.groups import Groups
from facecluster.language.english import plural
from facecluster.photos.images import encode_crop

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Graph:
    """What the groups were made of."""

    vectors: NDArray[np.floating[Any]]  # (n, dim)
    neighbours: NDArray[np.int32]  # (n, k)
    similarity: Floats  # (n, k)
    config: identify.IdentifyConfig
    photos: NDArray[np.int64] | None
    crops: NDArray[np.uint8] | None


@dataclass(frozen=True, eq=False, repr=False)
class Grouping:
    """The people found in n vectors. Arrays of faces are (n,), in the order of the vectors; arrays of people are (g,), by label."""

    labels: NDArray[np.int32]  # 0, 1, ... by falling number of faces; -1 = nobody
    probabilities: Floats  # that a face is its group's person, 0 to 1; 0 for nobody
    outlier_scores: Floats  # GLOSH: 0 in the middle of its group, up to 1
    _graph: _Graph = field(repr=False)
    _groups: Groups = field(repr=False)

    @property
    def people(self) -> int:
        """How many people were found."""
        return int(self.labels.max(initial=-1)) + 1

    @property
    def purity(self) -> NDArray[np.float64]:
        """(g,) expected share of a group's faces that are of its person, 0 to 1. Worked out when first asked for."""
        return self._uncertainty.purity

    @property
    def completeness(self) -> NDArray[np.float64]:
        """(g,) expected share of a person's faces that are in the group, 0 to 1. Worked out when first asked for."""
        return self._uncertainty.completeness

    @cached_property
    def _uncertainty(self) -> uncertainty.Uncertainty:
        g = self._graph
        return uncertainty.assess(g.vectors, g.neighbours, g.similarity, self.labels, self.probabilities, g.config, g.photos)

    @property
    def condensed_tree_(self) -> Any:
        """HDBSCAN's condensed tree of these vectors: an hdbscan.plots.CondensedTree, `.plot()` shows it."""
        return self._groups.condensed_tree_

    @property
    def single_linkage_tree_(self) -> Any:
        """HDBSCAN's single linkage tree of these vectors: an hdbscan.plots.SingleLinkageTree."""
        return self._groups.single_linkage_tree_

    def recut(
        self, *, distance: float | None = None, min_cluster_size: int | None = None, cluster_selection_method: str = "eom",
        cluster_selection_epsilon: float = 0.0,
    ) -> NDArray[np.int32]:  # fmt: skip
        """Other labels (n,) from HDBSCAN's tree, without grouping again. This object stays as it is.

        Args:
            distance: give what hangs together at this distance, instead of a selection of clusters.
            min_cluster_size: faces that make a person; None for that of this grouping.
            cluster_selection_method: "eom" (excess of mass) or "leaf" (the smallest clusters).
            cluster_selection_epsilon: clusters that split at a shorter distance stay whole.

        Raises:
            ArgumentError: a value is out of its range.
        """
        return self._groups.recut(
            distance=distance, min_cluster_size=min_cluster_size, cluster_selection_method=cluster_selection_method,
            cluster_selection_epsilon=cluster_selection_epsilon,
        )  # fmt: skip

    def rows(self, label: int) -> NDArray[np.intp]:
        """Rows of the vectors of a person, the most probable first; of -1: those without a person."""
        rows = np.flatnonzero(self.labels == label)
        return rows[np.argsort(-self.probabilities[rows], kind="stable")]

    def to_arrow(self) -> pa.Table:
        """A row a face: row, label, probability, outlier_score."""
        columns = {"row": np.arange(len(self.labels)), "label": self.labels, "probability": self.probabilities}
        return pa.table({**columns, "outlier_score": self.outlier_scores})

    def people_to_arrow(self) -> pa.Table:
        """A row a person: label, faces, probability (mean over the faces), purity, completeness."""
        inside = self.labels >= 0
        faces = np.bincount(self.labels[inside], minlength=self.people)
        mean = np.bincount(self.labels[inside], self.probabilities[inside], minlength=self.people) / np.maximum(faces, 1)
        columns = {"label": np.arange(self.people), "faces": faces, "probability": mean}
        return pa.table({**columns, "purity": self.purity, "completeness": self.completeness})

    def to_pandas(self) -> Any:
        """`to_arrow` as a pandas.DataFrame. Raises InputError if pandas is not installed."""
        return to_pandas(self.to_arrow())

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        nobody = plural(int((self.labels < 0).sum()), "face")
        return f"<Grouping: {plural(len(self), 'face')}, {plural(self.people, 'person', 'people')}, {nobody} without a person>"

    def _repr_html_(self) -> str:
        crops, strips = self._graph.crops, []
        for label in range(min(self.people, PEOPLE)):
            rows = self.rows(label)
            faces = [] if crops is None else [encode_crop(crops[row]) for row in rows[:FACES].tolist()]
            text = f"{plural(len(rows), 'face')}, mean probability {self.probabilities[rows].mean():.2f}"
            strips.append(Strip(f"Person {label}", text, faces))
        return people_html(repr(self)[1:-1], strips, self.people - len(strips))


def group(
    vectors: ArrayLike, *, margin: float | None = None, merge: float | None = None, min_cluster_size: int | None = None, k: int = 64,
    model: str = "bundled", photos: ArrayLike | None = None, before: ArrayLike | None = None, must_link: ArrayLike | None = None,
    cannot_link: ArrayLike | None = None, algorithm: str = "facecluster", crops: CropsLike | None = None,
) -> Grouping:  # fmt: skip
    """Group vectors into people.

    Args:
        vectors: (n, dim), a row a face. Rows are scaled to length 1, since only their directions count.
        margin: how far the cosine of two faces must lie above that of their best impostor for a link to count, in sd of impostors'
            cosines.
        merge: how far above impostors two large groups must lie to be joined, in the same unit.
        min_cluster_size: faces that make a person, from 2.
        k: neighbours looked at for each face.
        model: whose card says how alike two different people are; it counts in collections too small to tell.
        photos: (n,) numbers or text, the photo that each face is in: two faces of one photo are rarely one person.
        before: (n,) labels of an earlier call, -1 for new faces: those groups stay whole and apart, and new faces join or found groups.
        must_link: (m, 2) rows of faces that are one person.
        cannot_link: (c, 2) rows of faces that are two people.
        algorithm: "facecluster", or "hdbscan" for the clusters that the library hdbscan finds in the same graph: nothing is joined
            afterwards, and probabilities are its strengths of membership.
        crops: the aligned faces, shown where the result is displayed in a notebook; nothing else depends on them.

    Raises:
        ArgumentError: a value that can't be used.
        ModelError: the model is unknown.
    """
    x = as_vectors(vectors)
    n = len(x)
    changes: dict[str, Any] = {name: as_number(value, name) for name, value in (("margin", margin), ("merge", merge)) if value is not None}
    if min_cluster_size is not None:
        if as_count(min_cluster_size, "min_cluster_size") < 2:
            raise ArgumentError(f"expected a whole number from 2 on as min_cluster_size, found {min_cluster_size}: one face is no group")
        changes["min_cluster_size"] = int(min_cluster_size)
    card = card_for(model, x)
    config = identify.IdentifyConfig(**card.grouping_settings(), algorithm=algorithm, **changes)
    photo = None if photos is None else as_column(photos, n, "photos")
    neighbours, similarity = link.nearest(x, as_count(k, "k"))
    faces = None if crops is None else as_crops(crops)
    if faces is not None and len(faces) != n:
        raise ArgumentError(f"expected a crop for each of {n} vectors, found {len(faces)}: give each face one, or leave crops out")
    groups = identify.group(
        x, neighbours, similarity, config, photos=photo, must=as_pairs(must_link, n, "must_link"),
        cannot=as_pairs(cannot_link, n, "cannot_link"), before=None if before is None else as_labels(before, n, "before"),
    )  # fmt: skip
    graph = _Graph(x, neighbours, similarity, config, photo, faces)
    return Grouping(groups.labels, groups.probabilities, groups.outlier_scores, graph, groups)
