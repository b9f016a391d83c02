"""Clustering of speaker embeddings: against scipy, on synthetic speakers, and in bounded time and memory."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.speakers.agglomeration import Clusters, Linkage, agglomerate
from sed.speakers.clustering import ClusteringOptions, assign_speakers, find_speakers

NO_PAIRS = np.zeros((0, 2), np.int64)


def synthetic(speakers: int, each: int, noise: float = 0.06, seed: int = 0, dimension: int = 48):
    """Unit vectors around `speakers` orthogonal centroids, shuffled, and the speaker of each vector."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(speakers), each))
    vectors = np.eye(dimension)[truth] + noise * rng.normal(size=(len(truth), dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), truth


def same_partition(one, other) -> bool:
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 24), seed=st.integers(0, 1000), threshold=st.floats(-0.2, 0.8))
def test_with_equal_weights_it_is_scipys_average_linkage(n, seed, threshold):
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    vectors = np.random.default_rng(seed).normal(size=(n, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    history = agglomerate(Clusters.from_embeddings(vectors, np.ones(n), NO_PAIRS))
    ours = history.labels(history.count_above(threshold))
    tree = hierarchy.average(1 - (vectors @ vectors.T)[np.triu_indices(n, 1)])
    np.testing.assert_allclose(1 - history.similarities, tree[:, 2], atol=1e-5)
    if np.abs(tree[:, 2] - (1 - threshold)).min() > 1e-5:
        assert same_partition(ours, hierarchy.fcluster(tree, 1 - threshold, "distance"))


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_a_weight_of_n_seconds_equals_n_copies(seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(7, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    seconds = rng.integers(1, 4, 7)
    whole = agglomerate(Clusters.from_embeddings(vectors, seconds, NO_PAIRS))
    copies = np.repeat(np.arange(7), seconds)
    repeated = agglomerate(Clusters.from_embeddings(vectors[copies], np.ones(len(copies)), NO_PAIRS))
    # The copies are merged first, at a similarity of 1.
    np.testing.assert_allclose(repeated.similarities[-6:], whole.similarities, atol=1e-5)


@pytest.mark.parametrize("speakers", [1, 2, 5])
def test_the_number_of_speakers_is_found(speakers):
    vectors, truth = synthetic(speakers, 15)
    found = find_speakers(vectors, np.full(len(truth), 2.0), NO_PAIRS, ClusteringOptions())
    assert len(found) == speakers
    assert same_partition(assign_speakers(vectors, NO_PAIRS, found), truth)


@pytest.mark.parametrize("speakers", [1, 2, 3, 4, 6])
def test_the_requested_number_of_speakers_is_found(speakers):
    vectors, truth = synthetic(4, 10, noise=0.15)
    seconds = np.full(len(truth), 2.0)
    found = find_speakers(vectors, seconds, NO_PAIRS, ClusteringOptions(), speakers, speakers)
    assert len(found) == speakers
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_bounds_on_the_number_of_speakers():
    vectors, truth = synthetic(4, 10)
    seconds, options = np.full(len(truth), 2.0), ClusteringOptions()
    for minimum, maximum, expected in [(1, 10, 4), (1, 3, 3), (2, 4, 4), (4, None, 4)]:
        assert len(find_speakers(vectors, seconds, NO_PAIRS, options, minimum, maximum)) == expected


def test_a_minimum_separates_alike_voices_but_does_not_split_a_voice():
    """In real meetings the given number includes speakers who say next to nothing."""
    alike = np.full(24, 0.9)
    assert len(find_speakers(voices(0.7, 2), alike, NO_PAIRS, ClusteringOptions())) == 1
    assert len(find_speakers(voices(0.7, 2), alike, NO_PAIRS, ClusteringOptions(), 2)) == 2
    for minimum in (2, 3, 50):
        found = find_speakers(voices(0.0, 2), alike, NO_PAIRS, ClusteringOptions(), minimum, minimum)
        assert len(found) == 2
    split = ClusteringOptions(split_margin=9.0)
    assert len(find_speakers(voices(0.0, 2), alike, NO_PAIRS, split, 3)) == 3


def test_clusters_with_little_speech_are_not_speakers():
    vectors, truth = synthetic(3, 20)
    vectors[:2] = np.eye(vectors.shape[1])[40:42]  # two outliers
    seconds = np.full(len(truth), 2.0)
    seconds[:2] = 0.8
    assert len(find_speakers(vectors, seconds, NO_PAIRS, ClusteringOptions())) == 3
    seconds[:2] = 8.0
    assert len(find_speakers(vectors, seconds, NO_PAIRS, ClusteringOptions())) == 5


def test_the_more_speech_two_clusters_have_the_more_alike_they_must_be():
    angle = np.deg2rad(70)  # cosine 0.34
    vectors = np.array([[1, 0], [np.cos(angle), np.sin(angle)]])
    for seconds, speakers in ((1.0, 1), (3.0, 1), (12.0, 2)):
        assert len(find_speakers(vectors, np.full(2, seconds), NO_PAIRS, ClusteringOptions())) == speakers


def test_the_similarities_are_those_of_the_linkage():
    """Recomputed from the members at every merge."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(12, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    seconds, pairs, link = rng.uniform(0.5, 30, 12), np.array([[0, 1], [2, 5]]), Linkage(0.3, 0.1, 0.04, 0.2)
    history = agglomerate(Clusters.from_embeddings(vectors, seconds, pairs), link)
    members = [[n] for n in range(12)]
    for (i, j), similarity in zip(history.pairs, history.similarities, strict=True):
        one, two = (np.array(members[n]) for n in (i, j))
        sums = [(vectors[m] * seconds[m, None]).sum(0) for m in (one, two)]
        total = np.array([seconds[m].sum() for m in (one, two)])
        product = sums[0] @ sums[1]
        expected = 0.7 * product / total.prod() + 0.3 * product / np.prod([np.linalg.norm(s) for s in sums])
        expected -= 0.1 * np.log(min(total.min(), 20) / 2.5) + 0.04 * np.log(min(total.max(), 60) / 6)
        expected -= 0.2 * any((a in one and b in two) or (b in one and a in two) for a, b in pairs.tolist())
        assert similarity == pytest.approx(expected, abs=1e-5)
        members[i] += members[j]


def test_overlap_separates_moderately_similar_embeddings():
    angle = np.deg2rad(60)  # cosine 0.5
    vectors = np.array([[1, 0], [np.cos(angle), np.sin(angle)]])
    seconds = np.full(2, 5.0)
    assert len(find_speakers(vectors, seconds, NO_PAIRS, ClusteringOptions())) == 1
    assert len(find_speakers(vectors, seconds, np.array([[0, 1]]), ClusteringOptions())) == 2
    assert len(find_speakers(vectors, seconds, np.array([[0, 1]]), ClusteringOptions(), 1, 1)) == 1


def test_overlapping_embeddings_are_assigned_to_different_speakers_at_the_smallest_loss():
    centroids = np.eye(3)
    vectors = np.array([[0.9, 0.4, 0.1], [0.8, 0.1, 0.59]])
    assert assign_speakers(vectors, NO_PAIRS, centroids).tolist() == [0, 0]
    assert assign_speakers(vectors, np.array([[0, 1]]), centroids).tolist() == [0, 2]
    assert assign_speakers(vectors, np.array([[0, 1]]), centroids[:1]).tolist() == [0, 0]


def test_batches_find_the_same_speakers():
    vectors, truth = synthetic(6, 60)
    seconds, pairs = np.full(len(truth), 2.0), np.array([[0, 1]]) if truth[0] != truth[1] else NO_PAIRS
    one = find_speakers(vectors, seconds, pairs, ClusteringOptions())
    many = find_speakers(vectors, seconds, pairs, ClusteringOptions(batch_size=40))
    assert len(one) == len(many) == 6
    assert same_partition(assign_speakers(vectors, pairs, one), assign_speakers(vectors, pairs, many))


@pytest.mark.slow
def test_ten_hours_take_seconds():
    vectors, truth = synthetic(12, 1500, noise=0.04, dimension=96)
    started = time.process_time()
    found = find_speakers(vectors, np.full(len(truth), 2.0), NO_PAIRS, ClusteringOptions(batch_size=500))
    assert len(found) == 12
    assert same_partition(assign_speakers(vectors, NO_PAIRS, found), truth)
    assert time.process_time() - started < 30


@pytest.mark.slow
def test_memory_is_that_of_a_batch():
    peaks = []
    for each in (60, 300):
        vectors, truth = synthetic(5, each, noise=0.04)
        embeddings, seconds = list(vectors), np.full(len(truth), 2.0)  # a list, as in the diarizer
        tracemalloc.start()
        speakers = find_speakers(embeddings, seconds, NO_PAIRS, ClusteringOptions(batch_size=150))
        assign_speakers(embeddings, NO_PAIRS, speakers)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < 1e6, "less than four arrays of similarities"
    assert peaks[1] < 1.5 * peaks[0]


def test_no_embeddings():
    assert find_speakers(np.zeros((0, 5)), np.zeros(0), NO_PAIRS, ClusteringOptions()).shape == (0, 5)
    assert len(agglomerate(Clusters.from_embeddings(np.zeros((0, 5)), np.zeros(0), NO_PAIRS)).pairs) == 0


def voices(shared, speakers, each=12):
    """`each` noisy embeddings of every speaker; the mean cosine of two speakers is about `shared`."""
    rng = np.random.default_rng(5)
    means = np.eye(60)[1 : speakers + 1] * np.sqrt(1 - shared)
    means[:, 0] = np.sqrt(shared)
    vectors = np.repeat(means, each, 0) + 0.07 * rng.normal(size=(speakers * each, 60))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("shared", [0.0, 0.55])
def test_what_all_voices_of_a_recording_share_does_not_merge_them(shared):
    """Two voices on one telephone line are more alike than two in different rooms."""
    found = find_speakers(voices(shared, 2), np.full(24, 0.9), NO_PAIRS, ClusteringOptions())
    assert len(found) == 2


def test_a_varying_voice_is_one_speaker_where_others_are_unlike_it():
    """The same two clusters as on the telephone, now beside four voices that have nothing in common with them."""
    alike, others = voices(0.55, 2), voices(0.0, 6)[24:]
    vectors = np.concatenate([alike, others])
    found = find_speakers(vectors, np.full(len(vectors), 0.9), NO_PAIRS, ClusteringOptions())
    assert len(found) == 5
