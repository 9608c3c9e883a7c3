"""The library hdbscan on our graph: the same tree and the same clusters, its plottable trees, labels re-cut from them, its limits."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import people_store as syn
import pytest
from conftest import need
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facecluster.errors import ArgumentError
from facecluster.grouping.groups import Groups
from facecluster.grouping.hierarchy import excess_of_mass_clusters
from facecluster.grouping.identify import IdentifyConfig, group
from facecluster.grouping.link import nearest
from facecluster.grouping.spanning_forest import STEPS_PER_UNIT, spanning_forest
from facecluster.grouping.trees import ClusterTree, labels_by_size, linkage_of
from facecluster.store import Store

with warnings.catch_warnings():  # hdbscan 0.8.44 has invalid escape sequences in its docstrings
    warnings.simplefilter("ignore")
    import hdbscan
    from hdbscan.plots import CondensedTree, SingleLinkageTree

    from facecluster.grouping import hdbscan_library

# one neighbour makes a place dense: every distance is its own, there are no ties
CONFIG = IdentifyConfig(impostor_mean=0.0, impostor_sd=128**-0.5, min_samples=1)
LIBRARY = IdentifyConfig(impostor_mean=0.0, impostor_sd=128**-0.5, min_samples=1, algorithm="hdbscan")
SIZES = [12, 9, 7, 5, 4, 3, 2, 2, 1, 1]
Floats = NDArray[np.float64]


def partition(labels: NDArray[np.integer]) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == g).tolist()) for g in set(labels.tolist()) if g >= 0}


def plane(seed: int, n: int = 120, people: int = 10) -> Floats:
    """Points (n, 2) in clouds of several densities."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(people, 2))[rng.integers(0, people, n)] * 6 + rng.normal(size=(n, 2)) * rng.choice([0.2, 0.5], (n, 1))


def steps_between(points: Floats) -> NDArray[np.int32]:
    """All distances (n, n), in steps."""
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    return np.maximum(np.rint(apart * STEPS_PER_UNIT / 16), 4).astype(np.int32)


def tree_of(points: Floats, cut: float, min_cluster_size: int = 2, min_samples: int = 1) -> ClusterTree:
    """The tree of all edges up to a cut; distances in steps of 2^-22, 1/16 of those between the points."""
    a, b = np.triu_indices(len(points), 1)
    d, most = steps_between(points)[a, b], round(cut * STEPS_PER_UNIT / 16)
    near = d <= most
    edges = a[near].astype(np.int32), b[near].astype(np.int32), d[near]
    return ClusterTree(len(points), *spanning_forest(len(points), *edges, most, min_samples), most, min_cluster_size)


def people_of_four_ages(count: int, seed: int = 1) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors (24 count, 128) of people with six faces at each age, and the person of each."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(count), 24)
    x = rng.normal(size=(count, 128))[truth] + 0.7 * rng.normal(size=(4 * count, 128))[np.arange(24 * count) // 6]
    x += 0.7 * rng.normal(size=x.shape)
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), dtype=np.float32), truth


def grouped(config: IdentifyConfig, seed: int = 0, **options: object) -> Groups:
    x, _ = syn.people(SIZES, seed=seed)
    return group(x, *nearest(x, 16), config, **options)  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.booleans())
def test_the_linkage_is_that_of_the_library(seed: int, n: int, ties: bool) -> None:
    """Of any tree, with lengths that are equal too: the order of the edges is given."""
    rng = np.random.default_rng(seed)
    ends = np.c_[[rng.integers(0, i) for i in range(1, n)], np.arange(1, n)][rng.permutation(n - 1)]
    edges = np.c_[ends, np.sort(rng.integers(1, 5, n - 1) if ties else rng.random(n - 1))].astype(np.float64)
    assert np.array_equal(linkage_of(edges), hdbscan_library.linkage_of(edges))


@pytest.mark.parametrize("least", [2, 5])
@pytest.mark.parametrize("cut", [0.4, 1.2])
def test_our_selection_is_that_of_the_library(least: int, cut: float) -> None:
    found = 0
    for seed in range(40):
        tree = tree_of(plane(seed), cut, least)
        mine, scores = excess_of_mass_clusters(tree.n, tree.source, tree.target, tree.length, tree.cut, least)
        linkage = hdbscan_library.linkage_of(tree.edges_with_auxiliary_points(least))
        theirs, strengths, glosh = hdbscan_library.selected_clusters(linkage, tree.n, least)
        assert partition(mine) == partition(theirs) == partition(tree.recut())
        assert np.allclose(scores, glosh, atol=1e-5) and ((strengths > 0) == (theirs >= 0)).all()
        found += len(partition(mine))
    assert found > 200


@pytest.mark.parametrize("min_samples", [1, 3])
def test_a_complete_graph_has_the_tree_of_dense_hdbscan(min_samples: int) -> None:
    """An independent oracle: the library with all pairs. What hangs together at a distance is the same also where distances are equal."""
    for seed in range(12):
        points = plane(seed, 60, 6)
        apart = steps_between(points) / STEPS_PER_UNIT
        np.fill_diagonal(apart, 0)
        dense = hdbscan.HDBSCAN(min_cluster_size=3, min_samples=min_samples, metric="precomputed").fit(apart)
        tree = tree_of(points, 60, 3, min_samples)
        heights = dense.single_linkage_tree_.to_numpy()[:, 2]
        assert np.allclose(np.sort(tree.linkage[:, 2]), np.sort(heights), atol=1e-9)
        for distance in np.quantile(heights, [0.05, 0.3, 0.6, 0.9, 1.0]) + 1e-9:
            assert partition(tree.recut(distance=distance)) == partition(dense.single_linkage_tree_.get_clusters(distance, 3))
        if min_samples == 1:
            # the whole is no cluster for dense HDBSCAN; here it is one that ends where it is cut: at its longest edge it has no weight
            tight = ClusterTree(tree.n, tree.source, tree.target, tree.length, int(tree.length[-1]), 3)
            assert partition(tight.recut(cluster_selection_method="leaf")) == partition(
                hdbscan.HDBSCAN(min_cluster_size=3, min_samples=1, metric="precomputed", cluster_selection_method="leaf").fit(apart).labels_
            )
            assert partition(tight.recut()) == partition(dense.labels_)


@pytest.mark.parametrize("seed", range(5))
def test_both_algorithms_have_one_graph(seed: int) -> None:
    """The library's groups are HDBSCAN's of the default, before average linkage; they have the same tree."""
    ours, theirs = grouped(CONFIG, seed), grouped(LIBRARY, seed)
    assert partition(ours.recut()) == partition(theirs.recut()) == partition(theirs.labels)
    assert np.array_equal(ours.single_linkage_tree_.to_numpy(), theirs.single_linkage_tree_.to_numpy())
    assert np.array_equal(ours.condensed_tree_.to_numpy(), theirs.condensed_tree_.to_numpy())
    assert np.allclose(ours.outlier_scores, theirs.outlier_scores, atol=1e-5)
    assert len(partition(theirs.labels)) > 3 and (np.diff(np.bincount(theirs.labels[theirs.labels >= 0])) <= 0).all()
    strong = theirs.probabilities[theirs.labels >= 0]
    assert (theirs.probabilities[theirs.labels < 0] == 0).all() and (strong > 0).all() and strong.max() == 1 and strong.min() < 1


def test_the_default_joins_what_the_library_leaves_in_pieces() -> None:
    """Five people, each at four ages."""
    x, truth = people_of_four_ages(5)
    links = nearest(x, 24)
    ours, theirs = group(x, *links, CONFIG), group(x, *links, LIBRARY)
    assert partition(ours.labels) == partition(truth)
    assert partition(theirs.labels) == partition(ours.recut()) == partition(np.arange(len(x)) // 6)


@pytest.mark.parametrize("config", [CONFIG, LIBRARY])
def test_trees_are_the_librarys_plottable_objects(config: IdentifyConfig) -> None:
    groups = grouped(config)
    n, condensed, single = len(groups.labels), groups.condensed_tree_, groups.single_linkage_tree_
    assert isinstance(condensed, CondensedTree) and isinstance(single, SingleLinkageTree)
    assert condensed is groups.condensed_tree_  # made once
    rows = condensed.to_numpy()
    assert rows.dtype.names == ("parent", "child", "lambda_val", "child_size") and rows["parent"].min() == n
    assert sorted(rows["child"][rows["child"] < n].tolist()) == list(range(n))  # every face once, and nothing that is no face
    linkage = single.to_numpy()
    assert linkage.shape == (n - 1, 4) and linkage[-1, 3] == n and (np.diff(linkage[:, 2]) >= 0).all()
    assert len(condensed.get_plot_data()["bar_tops"]) >= len(partition(groups.recut()))
    chosen = {int(c) for c in condensed._select_clusters()}  # what plot(select_clusters=True) marks
    assert len(chosen) == len(partition(groups.recut()))
    assert condensed.to_networkx().number_of_nodes() == len(rows) + 1


def test_distances_are_those_of_the_graph() -> None:
    """Two pairs: their two distances are 1 - cosine, both moved by the same amount, and the two pairs meet one step beyond the cut."""
    x, _ = syn.people([2, 2], noise=0.3)
    linkage = group(x, *nearest(x, 3), CONFIG).single_linkage_tree_.to_numpy()
    apart = sorted((1 - float(x[0] @ x[1]), 1 - float(x[2] @ x[3])))
    moved = linkage[:2, 2] - apart
    assert moved[0] == pytest.approx(moved[1], abs=1e-6) and abs(moved[0]) < 0.2
    assert linkage[2, 2] > linkage[1, 2] and linkage[2, 3] == 4


def test_trees_as_pandas_frames() -> None:
    need(importlib.util.find_spec("pandas") is not None, "pandas (PyPI)")
    groups = grouped(CONFIG)
    assert list(groups.condensed_tree_.to_pandas().columns) == ["parent", "child", "lambda_val", "child_size"]
    assert len(groups.single_linkage_tree_.to_pandas()) == len(groups.labels) - 1


def test_trees_are_drawn() -> None:
    need(importlib.util.find_spec("matplotlib") is not None, "matplotlib (PyPI)")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    groups = grouped(CONFIG)
    figure, (one, other) = plt.subplots(1, 2)
    groups.condensed_tree_.plot(select_clusters=True, axis=one)
    groups.single_linkage_tree_.plot(other)
    assert one.has_data() and other.has_data()
    plt.close(figure)


def test_the_plot_of_two_thousand_people_is_low() -> None:
    """The pieces of the graph all meet beyond the cut: in pairs, pairs of pairs and so on, and not one after the other."""
    a = np.arange(0, 4_000, 2, dtype=np.int32)
    tree = ClusterTree(4_001, a, a + 1, np.arange(100, 2_100, dtype=np.int32), 10_000, 2)
    assert len(tree.condensed_tree_.get_plot_data()["line_xs"]) == 2 * (2_000 - 1)
    level = {4_001: 0}
    for parent, child, _, _ in tree.condensed_tree_.to_numpy():
        level[int(child)] = level[int(parent)] + 1
    assert max(level.values()) == 12  # 2^11 people and more; their faces
    assert tree.recut().max() == 1_999 and tree.recut()[-1] == -1


@pytest.mark.parametrize("min_cluster_size", [1, 2, 4])
def test_a_flat_cut_is_that_of_the_library(min_cluster_size: int) -> None:
    groups = grouped(CONFIG)
    single, heights = groups.single_linkage_tree_, groups.single_linkage_tree_.to_numpy()[:, 2]
    counts = set()
    for distance in [0.0, *np.quantile(heights, [0.1, 0.4, 0.8])]:
        found = groups.recut(distance=distance, min_cluster_size=min_cluster_size)
        assert partition(found) == partition(single.get_clusters(distance, min_cluster_size))
        assert found.dtype == np.int32 and (np.diff(np.bincount(found[found >= 0], minlength=1)) <= 0).all()
        counts.add(len(partition(found)))
    assert len(counts) > 1
    # beyond the cut nothing is linked: the pieces of the graph stay apart at any distance
    assert partition(groups.recut(distance=float("inf"), min_cluster_size=1)) == partition(single.get_clusters(heights[-1], 1))
    assert len(partition(groups.recut(distance=float("inf")))) > 1


def test_another_selection_from_the_same_tree() -> None:
    """As if it had been grouped with these settings."""
    more = 0
    for seed in range(10):
        points = plane(seed)
        tree, larger = tree_of(points, 1.2, 2), tree_of(points, 1.2, 8)
        assert partition(tree.recut(min_cluster_size=8)) == partition(larger.recut())
        assert all(len(g) >= 8 for g in partition(tree.recut(min_cluster_size=8)))
        eom, leaf = (partition(tree.recut(cluster_selection_method=m)) for m in ("eom", "leaf"))
        assert all(any(small <= large for large in eom) for small in leaf if any(small & large for large in eom))
        more += len(leaf) - len(eom)
        # with an epsilon up to the cut, every leaf grows into the tree of the forest that it is in, and no further
        whole = partition(tree.recut(cluster_selection_method="leaf", cluster_selection_epsilon=99.0))
        assert whole == partition(tree.recut(distance=99.0))
    assert more > 10


def test_a_collection_of_one_person_has_a_group() -> None:
    x, _ = syn.people([25], noise=0.5)
    groups = group(x, *nearest(x, 24), LIBRARY)
    assert groups.labels.tolist() == [0] * 25 and groups.recut().tolist() == [0] * 25
    assert len(groups.condensed_tree_.get_plot_data()["cluster_bounds"]) >= 1


@pytest.mark.parametrize("n", [0, 1])
def test_hardly_any_faces(n: int) -> None:
    x = np.eye(2, 128, dtype=np.float32)[:n]
    links = np.full((n, 4), -1, dtype=np.int32), np.full((n, 4), -2, dtype=np.float32)
    for config in (CONFIG, LIBRARY):
        groups = group(x, *links, config)
        assert groups.labels.tolist() == [-1] * n
        for ask in (lambda g=groups: g.condensed_tree_, lambda g=groups: g.single_linkage_tree_, groups.recut):
            with pytest.raises(ArgumentError, match=f"found {n}: group more faces"):
                ask()


def test_faces_without_any_link() -> None:
    x = np.eye(5, 128, dtype=np.float32)
    groups = group(x, *nearest(x, 4), LIBRARY)
    assert groups.labels.tolist() == groups.recut().tolist() == groups.recut(cluster_selection_method="leaf").tolist() == [-1] * 5
    assert groups.recut(distance=9.0).tolist() == [-1] * 5 and (groups.outlier_scores > 0.99).all()
    assert groups.recut(distance=0.0, min_cluster_size=1).tolist() == [0, 1, 2, 3, 4]
    assert len(groups.condensed_tree_.to_numpy()) == 5 and len(groups.condensed_tree_.get_plot_data()["bar_tops"]) == 1


@pytest.mark.parametrize(
    "wrong, says",
    [
        ({"min_cluster_size": 1}, "min_cluster_size, a whole number of 2 or more, found 1"),
        ({"min_cluster_size": 2.5}, "found 2.5"),
        ({"distance": 0.5, "min_cluster_size": 0}, "a whole number of 1 or more, found 0"),
        ({"distance": -0.1}, "distance of 0 or more, found -0.1"),
        ({"distance": float("nan")}, "distance of 0 or more, found nan"),
        ({"distance": "far"}, "distance of 0 or more, found 'far'"),
        ({"cluster_selection_epsilon": None}, "epsilon of 0 or more, found None"),
        ({"cluster_selection_method": "best"}, "'eom' or 'leaf', found 'best'"),
        ({"cluster_selection_epsilon": float("inf")}, "epsilon of 0 or more, found inf"),
        ({"distance": 0.5, "cluster_selection_method": "leaf"}, "found both"),
    ],
)
def test_a_recut_out_of_range_is_one_clear_error(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        grouped(CONFIG).recut(**wrong)  # type: ignore[arg-type]


def test_more_faces_than_there_are_make_nobody() -> None:
    assert (grouped(CONFIG).recut(min_cluster_size=10**9) == -1).all()


def test_the_users_decisions_hold() -> None:
    free = grouped(LIBRARY)
    one, two = (np.flatnonzero(free.labels == g) for g in (0, 1))
    alone = np.flatnonzero(free.labels < 0)
    must = np.array([[one[0], two[0]], [alone[0], alone[1]]])
    cannot = np.array([[two[0], face] for face in two[1:]])
    held = grouped(LIBRARY, must=must, cannot=cannot)
    assert (held.labels[must[:, 0]] == held.labels[must[:, 1]]).all() and (held.labels[must] >= 0).all()
    assert (held.labels[cannot[:, 0]] != held.labels[cannot[:, 1]]).all()
    assert (held.probabilities[alone[:2]] == 1).all()  # noise to the library, a group by decision
    assert (held.probabilities[held.labels < 0] == 0).all()
    assert partition(held.recut()) == partition(grouped(CONFIG, must=must, cannot=cannot).recut())


def test_poor_faces_stay_without_a_group() -> None:
    x, _ = syn.people([10, 10], noise=0.5)
    weak = np.zeros(20, dtype=bool)
    weak[[3, 14]] = True
    links = nearest(x, 16)
    ours, theirs = group(x, *links, CONFIG, weak=weak), group(x, *links, LIBRARY, weak=weak)
    assert (theirs.labels[weak] == -1).all() and (theirs.labels[~weak] >= 0).all() and (ours.labels >= 0).all()


def test_what_the_library_cannot_do_is_one_clear_error() -> None:
    with pytest.raises(ArgumentError, match="groups all faces each time"):
        grouped(LIBRARY, before=np.full(sum(SIZES), -1))
    with pytest.raises(ArgumentError, match="'facecluster' or 'hdbscan', found 'dbscan'"):
        grouped(IdentifyConfig(algorithm="dbscan"))


def test_labels_by_size() -> None:
    assert labels_by_size(np.array([7, 3, 3, -1, 7, 9, 3, 2, 2]), 2).tolist() == [1, 0, 0, -1, 1, -1, 0, 2, 2]
    assert labels_by_size(np.array([-1, -1, -1, 5]), 1).tolist() == [-1, -1, -1, 0]
    assert labels_by_size(np.zeros(0, dtype=np.int64), 2).tolist() == []


def test_a_stamp_names_the_algorithm_only_if_it_is_not_the_default() -> None:
    """The keys and values of a stamp, by the names that the first stores have: a new name would group every store again."""
    old = {
        "table": "identities", "method": 6, "inputs": "abc", "margin": 0.7, "merge": 1.2, "alone": 0.85, "unlike": 0.32, "attach": 0.15,
        "min_samples": 2, "min_cluster_size": 2, "same_photo_odds": 0.001, "pair_evidence": 2.4, "min_quality": 0.0,
        "min_recognisability": 0.5, "min_purity": 0.5, "stranger_mean": 0.035, "stranger_sd": 0.115, "sure": 2.1, "even": 0.4,
    }  # fmt: skip
    assert IdentifyConfig().stamp("abc") == old
    assert IdentifyConfig(algorithm="hdbscan").stamp("abc") == {**old, "algorithm": "hdbscan"}
    changed = IdentifyConfig(impostor_sd=0.2, separation_penalty=0.5, algorithm="hdbscan", confidence_slope=1.0)
    assert IdentifyConfig.from_stamp(changed.stamp("abc")) == changed
    first = {k: v for k, v in old.items() if k not in ("same_photo_odds", "pair_evidence")} | {"same_photo": 3.0}  # before there were odds
    assert IdentifyConfig.from_stamp(first) == IdentifyConfig()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(str(tmp_path / "store"))
    made.create()
    syn.add(made, "00000", people_of_four_ages(4)[0])
    return made


def stamp(store: Store) -> dict[str, object]:
    return dict(store.stamp("identities/bundled", "00000") or {})


def identities(store: Store) -> NDArray[np.int32]:
    return np.asarray(store.read("identities/bundled", "00000")["identity"], dtype=np.int32)


def test_the_command_groups_by_the_library(store: Store) -> None:
    syn.call("cluster", store.url)
    usual = identities(store)
    done = json.loads(syn.call("cluster", store.url, "--algorithm", "hdbscan", "--json").stdout)
    assert done["run"] == 2 and stamp(store)["algorithm"] == "hdbscan" and not stamp(store)["grown"]["kept"]  # type: ignore[index]
    assert len(partition(identities(store))) > len(partition(usual)) == 4
    assert json.loads(syn.call("cluster", store.url, "--algorithm", "hdbscan", "--json").stdout)["run"] == 2  # up to date
    ids = store.read("identities/bundled", "00000")["face_id"].to_pylist()
    one, other = (int(np.flatnonzero(identities(store) == g)[0]) for g in (0, 1))
    syn.call("same", store.url, ids[one], ids[other])
    syn.call("cluster", store.url, "--algorithm", "hdbscan")
    assert identities(store)[one] == identities(store)[other] >= 0
    syn.call("cluster", store.url)
    assert "algorithm" not in stamp(store) and identities(store).max() == usual.max() == 3


@pytest.mark.parametrize("first, then", [("facecluster", "hdbscan"), ("hdbscan", "facecluster"), ("hdbscan", "hdbscan")])
def test_a_few_new_faces_are_not_added_to_groups_of_the_library_nor_by_it(store: Store, first: str, then: str) -> None:
    syn.call("cluster", store.url, "--algorithm", first)
    syn.add(store, "00001", syn.people([2], seed=99)[0], start=96)
    syn.call("cluster", store.url, "--algorithm", then)
    assert not stamp(store)["grown"]["kept"] and stamp(store).get("algorithm", "facecluster") == then  # type: ignore[index]


def test_probabilities_of_the_library_are_not_calibrated(store: Store) -> None:
    assert "expected --calibrate without --algorithm hdbscan" in syn.refused("cluster", store.url, "--algorithm", "hdbscan", "--calibrate")


def test_the_library_is_loaded_only_where_it_is_asked_for() -> None:
    code = """
import sys, numpy as np, facecluster, facecluster.cli, facecluster.pipeline
from facecluster.grouping.identify import IdentifyConfig, group
from facecluster.grouping.link import nearest
x = np.eye(4, 16, dtype=np.float32)[[0, 0, 1, 1]]
groups = group(x, *nearest(x, 3), IdentifyConfig())
before = "hdbscan" in sys.modules
groups.recut()
print(before, "hdbscan" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"], done.stderr
