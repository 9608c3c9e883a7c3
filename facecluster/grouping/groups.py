"""The result of a grouping: people, how sure they are, and HDBSCAN's tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecluster.errors import ArgumentError
from facecluster.grouping.trees import ClusterTree


@dataclass(frozen=True, slots=True)
class Groups:
    """The people of n faces: struct of arrays, and HDBSCAN's tree of the last round.

    The tree is HDBSCAN's own: before user decisions, average linkage and attachment. It costs nothing until it is asked for. For its
    distances see trees.py.
    """

    labels: NDArray[np.int32]  # (n,) 0, 1, ... by falling size; -1 = nobody
    margins: NDArray[np.float32]  # (n,) sd by which a face clears the bound of its group (probability.py); NaN for nobody
    probabilities: NDArray[np.float32]  # (n,) that a face is its group's person, 0 to 1; 0 for nobody
    outlier_scores: NDArray[np.float32]  # (n,) GLOSH, 0 to 1
    tree: ClusterTree | None = field(default=None, repr=False)

    @property
    def condensed_tree_(self) -> Any:
        """The library's hdbscan.plots.CondensedTree: .plot(), .to_numpy(), .to_pandas(). ArgumentError for fewer than two faces."""
        return self._tree().condensed_tree_

    @property
    def single_linkage_tree_(self) -> Any:
        """The library's hdbscan.plots.SingleLinkageTree: .plot(), .to_numpy(), .get_clusters(). ArgumentError for fewer than two faces."""
        return self._tree().single_linkage_tree_

    def recut(
        self, *, distance: float | None = None, min_cluster_size: int | None = None,
        cluster_selection_method: str = "eom", cluster_selection_epsilon: float = 0.0,
    ) -> NDArray[np.int32]:  # fmt: skip
        """Other labels (n,) from HDBSCAN's tree, without grouping again; see ClusterTree.recut for the arguments.

        Without arguments these are HDBSCAN's clusters, as they are before user decisions, average linkage and attachment.
        """
        return self._tree().recut(
            distance=distance, min_cluster_size=min_cluster_size, cluster_selection_method=cluster_selection_method,
            cluster_selection_epsilon=cluster_selection_epsilon,
        )  # fmt: skip

    def _tree(self) -> ClusterTree:
        if self.tree is None:
            raise ArgumentError(f"expected two faces or more to make a tree of, found {len(self.labels)}: group more faces")
        return self.tree
