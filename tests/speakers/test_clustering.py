"""Clustering of voices: against scipy, on people made up for the purpose, and in bounded time."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.speakers.clustering import ClusteringOptions, Voices, agglomerate, assign, find_people

NONE = np.zeros((0, 2), np.int64)


def crowd(people: int, each: int, noise: float = 0.06, seed: int = 0, dimension: int = 48):
    """Unit vectors around `people` orthogonal voices, shuffled, and whose each is."""
    rng = np.random.default_rng(seed)
    who = rng.permutation(np.repeat(np.arange(people), each))
    vectors = np.eye(dimension)[who] + noise * rng.normal(size=(len(who), dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), who


def same_partition(one, other) -> bool:
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 24), seed=st.integers(0, 1000), threshold=st.floats(-0.2, 0.8))
def test_without_weights_it_is_scipys_average_linkage(n, seed, threshold):
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    vectors = np.random.default_rng(seed).normal(size=(n, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    merges = agglomerate(Voices.from_embeddings(vectors, np.ones(n), NONE))
    ours = merges.labels(merges.above(threshold))
    tree = hierarchy.average(1 - (vectors @ vectors.T)[np.triu_indices(n, 1)])
    np.testing.assert_allclose(1 - merges.likeness, tree[:, 2], atol=1e-5)
    if np.abs(tree[:, 2] - (1 - threshold)).min() > 1e-5:
        assert same_partition(ours, hierarchy.fcluster(tree, 1 - threshold, "distance"))


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_seconds_weigh_as_repetition_does(seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(7, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    seconds = rng.integers(1, 4, 7)
    whole = agglomerate(Voices.from_embeddings(vectors, seconds, NONE))
    copies = np.repeat(np.arange(7), seconds)
    repeated = agglomerate(Voices.from_embeddings(vectors[copies], np.ones(len(copies)), NONE))
    np.testing.assert_allclose(repeated.likeness[-6:], whole.likeness, atol=1e-5)  # copies join first, at 1


@pytest.mark.parametrize("people", [1, 2, 5])
def test_the_number_of_people_is_found(people):
    vectors, who = crowd(people, 15)
    found = find_people(vectors, np.full(len(who), 2.0), NONE, ClusteringOptions())
    assert len(found) == people
    assert same_partition(assign(vectors, NONE, found), who)


@pytest.mark.parametrize("wanted", [1, 2, 3, 4, 6, 9])
def test_the_number_asked_for_is_given(wanted):
    vectors, who = crowd(4, 10, noise=0.15)
    found = find_people(vectors, np.full(len(who), 2.0), NONE, ClusteringOptions(), wanted, wanted)
    assert len(found) == wanted
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_bounds_bind_only_where_they_must():
    vectors, who = crowd(4, 10)
    seconds, options = np.full(len(who), 2.0), ClusteringOptions()
    for at_least, at_most, expected in [(1, 10, 4), (5, None, 5), (1, 3, 3), (2, 4, 4), (50, None, 40)]:
        assert len(find_people(vectors, seconds, NONE, options, at_least, at_most)) == expected


def test_a_few_stray_sounds_are_nobody():
    vectors, who = crowd(3, 20)
    vectors[:2] = np.eye(vectors.shape[1])[40:42]  # two sounds like nothing else
    seconds = np.full(len(who), 2.0)
    seconds[:2] = 0.8
    assert len(find_people(vectors, seconds, NONE, ClusteringOptions())) == 3
    seconds[:2] = 8.0  # had they lasted, they would be somebody
    assert len(find_people(vectors, seconds, NONE, ClusteringOptions())) == 5


def test_voices_that_sound_at_once_are_kept_apart():
    angle = np.deg2rad(55)  # cosine 0.57: alike, but not by much
    vectors = np.array([[1, 0], [np.cos(angle), np.sin(angle)]])
    seconds = np.full(2, 5.0)
    assert len(find_people(vectors, seconds, NONE, ClusteringOptions())) == 1
    assert len(find_people(vectors, seconds, np.array([[0, 1]]), ClusteringOptions())) == 2
    assert len(find_people(vectors, seconds, np.array([[0, 1]]), ClusteringOptions(), 1, 1)) == 1


def test_assignment_keeps_pairs_apart_at_the_least_loss():
    centroids = np.eye(3)
    vectors = np.array([[0.9, 0.4, 0.1], [0.8, 0.1, 0.59]])
    assert assign(vectors, NONE, centroids).tolist() == [0, 0]
    assert assign(vectors, np.array([[0, 1]]), centroids).tolist() == [0, 2]
    assert assign(vectors, np.array([[0, 1]]), centroids[:1]).tolist() == [0, 0]


def test_portions_find_the_same_people():
    vectors, who = crowd(6, 60)
    seconds, pairs = np.full(len(who), 2.0), np.array([[0, 1]]) if who[0] != who[1] else NONE
    one = find_people(vectors, seconds, pairs, ClusteringOptions())
    many = find_people(vectors, seconds, pairs, ClusteringOptions(portion=40))
    assert len(one) == len(many) == 6
    assert same_partition(assign(vectors, pairs, one), assign(vectors, pairs, many))


def test_ten_hours_take_seconds():
    vectors, who = crowd(12, 1500, noise=0.04, dimension=96)
    started = time.process_time()
    found = find_people(vectors, np.full(len(who), 2.0), NONE, ClusteringOptions(portion=500))
    assert len(found) == 12
    assert same_partition(assign(vectors, NONE, found), who)
    assert time.process_time() - started < 30


def test_memory_is_that_of_a_portion():
    peaks = []
    for each in (60, 300):
        vectors, who = crowd(5, each, noise=0.04)
        voices, seconds = list(vectors), np.full(len(who), 2.0)  # one by one, as they are kept
        tracemalloc.start()
        people = find_people(voices, seconds, NONE, ClusteringOptions(portion=150))
        assign(voices, NONE, people)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < 1e6, "less than four arrays of likenesses"
    assert peaks[1] < 1.5 * peaks[0]


def test_nobody_is_nobody():
    assert find_people(np.zeros((0, 5)), np.zeros(0), NONE, ClusteringOptions()).shape == (0, 5)
    assert len(agglomerate(Voices.from_embeddings(np.zeros((0, 5)), np.zeros(0), NONE)).pairs) == 0
