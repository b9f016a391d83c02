"""Evidence of the segmentation windows: which runs are one local speaker, and what clustering makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.speakers.agglomeration import Clusters, Linkage, agglomerate
from sed.speakers.clustering import ClusteringOptions, assign_speakers, find_speakers
from sed.speakers.shared_windows import RecentWindows, SharedWindows, together_share

NO_PAIRS = np.zeros((0, 2), np.int64)


def shared_of(n: int, together=(), apart=()) -> SharedWindows:
    """Ten windows for each of the pairs `together`, and ten for each of `apart`."""
    pairs = np.array([*together, *apart], np.int64).reshape(-1, 2)
    numbers = np.zeros((2, len(pairs)))
    numbers[0, : len(together)], numbers[1, len(together) :] = 10, 10
    return SharedWindows(pairs, *numbers)


def two_moods(cosine: float, each: int = 6) -> np.ndarray:
    """`each` embeddings of a calm and of an angry voice whose cosine is `cosine`."""
    rng = np.random.default_rng(3)
    means = np.zeros((2, 40))
    means[0, 0], means[1, :2] = 1, (cosine, np.sqrt(1 - cosine**2))
    vectors = np.repeat(means, each, 0) + 0.02 * rng.normal(size=(2 * each, 40))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def every_pair(each: int):
    return [(one, other) for one in range(each) for other in range(each, 2 * each)]


def test_a_window_counts_by_its_local_speakers_and_by_how_much_it_sees():
    windows = RecentWindows()
    first = np.zeros((500, 3))
    first[:100, 0], first[100:200, 2], first[300:400, 0] = 1, 1, 1
    windows.push(0, first)
    windows.push(250, np.roll(first[250:], 1, axis=1))
    views = [windows.views(start, np.ones(100, bool)) for start in (0, 100, 300)]
    assert [len(view) for view in views] == [1, 1, 2]
    shared = SharedWindows.from_views(views)
    found = dict(zip(map(tuple, shared.pairs), zip(shared.together, shared.apart, strict=True), strict=True))
    assert found == {(0, 1): (0, 1), (0, 2): (1, 0), (1, 2): (0, 1)}


def test_windows_that_have_passed_are_forgotten():
    windows = RecentWindows()
    for start in range(0, 5000, 250):
        windows.push(start, np.ones((500, 3)))
        windows.drop(start)
    assert len(windows.views(4800, np.ones(50, bool))) == 2
    assert len(windows.views(100, np.ones(50, bool))) == 0
    assert len(windows.views(4800, np.ones(15, bool))) == 0, "too little of the run"


@given(seed=st.integers(0, 1000), n=st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_sums_by_label_are_those_of_the_matrices(seed, n):
    rng = np.random.default_rng(seed)
    views = []
    for _ in range(n):
        rows = [[start, rng.uniform(), *rng.uniform(size=3)] for start in range(3) if rng.uniform() < 0.6]
        views.append(np.array(rows) if rows else np.zeros((0, 2)))
    shared, labels = SharedWindows.from_views(views), rng.integers(0, 4, n)
    matrices = shared.matrices(n)
    np.testing.assert_array_equal(matrices, matrices.transpose(0, 2, 1))
    np.testing.assert_allclose(shared.by_label(labels, 4), matrices @ np.eye(4)[labels], atol=1e-5)
    kept = rng.uniform(size=n) < 0.5
    own = matrices[:, kept][:, :, kept]
    np.testing.assert_allclose(shared.among(kept).matrices(int(kept.sum())), own, atol=1e-6)


def test_a_few_windows_are_little_evidence():
    assert together_share(np.array([1.0, 0.0])) < 0.4 < 0.9 < together_share(np.array([30.0, 0.0]))


def test_merged_clusters_have_the_windows_of_their_members():
    vectors, link = two_moods(0.3, 3), Linkage(0.5, 0.1, 0.03, window_bonus=0.3)
    shared = shared_of(6, [(0, 4), (1, 5)], [(2, 3)])
    clusters = Clusters.from_embeddings(vectors, np.ones(6), NO_PAIRS, shared)
    history = agglomerate(clusters, link)
    for merges in range(5):  # each merge as if the clusters before it had been the items
        one = agglomerate(clusters.merge(history.labels(merges)), link)
        assert one.similarities[0] == pytest.approx(history.similarities[merges], abs=1e-5)
    halves = [clusters.merge(np.array([0, 0, 0, 1, 1, 1]))] * 2
    both = Clusters.concatenate([*halves, Clusters.from_embeddings(vectors, np.ones(6), NO_PAIRS)])
    assert both.windows is not None and both.windows.shape == (2, 10, 10)
    assert both.windows[:, 0, 1].tolist() == both.windows[:, 2, 3].tolist() == [20, 10]
    assert both.windows.sum() == 120


def test_one_local_speaker_with_two_moods_is_one_speaker():
    vectors = two_moods(0.4)
    others = -two_moods(0.0)[:6]  # a voice that has nothing in common with them
    vectors, seconds = np.concatenate([vectors, others]), np.full(18, 1.5)

    def count(shared):
        return len(find_speakers(vectors, seconds, NO_PAIRS, ClusteringOptions(), shared=shared))

    assert count(None) == 3
    assert count(shared_of(18, every_pair(6))) == 2
    assert count(shared_of(18, apart=every_pair(6))) == 3


def test_windows_decide_whose_a_doubtful_run_is():
    centroids, vectors = np.eye(2), np.array([[1.0, 0.0], [0.0, 1.0], [0.75, 0.66]])
    shared = shared_of(3, [(1, 2)], [(0, 2)])
    assert assign_speakers(vectors, NO_PAIRS, centroids).tolist() == [0, 1, 0]
    assert assign_speakers(vectors, NO_PAIRS, centroids, shared, 0.3).tolist() == [0, 1, 1]
    overlapping = np.array([[1, 2]])  # what overlaps is not one speaker, whatever the windows say
    assert assign_speakers(vectors, overlapping, centroids, shared, 0.3).tolist() == [0, 1, 0]


def test_batches_keep_the_windows_of_their_own_pairs():
    vectors, seconds = two_moods(0.6, 40), np.full(80, 1.5)
    order = np.arange(80).reshape(2, 40).T.reshape(-1)  # calm and angry in turn
    neighbours = [(n, n + 1) for n in range(79)]
    for shared, speakers in ((shared_of(80, neighbours), 1), (shared_of(80, apart=neighbours), 2)):
        for size in (1000, 20):
            options = ClusteringOptions(threshold=0.45, mean_share=0.0, batch_size=size)
            found = find_speakers(vectors[order], seconds, NO_PAIRS, options, shared=shared)
            assert len(found) == speakers, (speakers, size)
