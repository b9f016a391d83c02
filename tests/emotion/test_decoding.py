"""Decoders against constructed truth, brute force, and a general-purpose optimiser."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.emotion.decoding import DecoderOptions, decode, total_variation
from sed.errors import OptionError


def steps(*runs):
    """Posteriors of two labels: (frames, probability of label 1) pairs."""
    p = np.concatenate([np.full(n, q) for n, q in runs])
    return np.stack([1 - p, p], 1)


def path_score(labels, evidence, options, starts=(), minimum=1):
    """The objective of Viterbi, by definition; -inf if an emotion is shorter than `minimum` frames."""
    score = evidence[np.arange(len(labels)), labels].sum()
    changes = [t for t in range(1, len(labels)) if labels[t] != labels[t - 1]]
    edges = sorted({0, *starts, len(labels)})
    for start, end in itertools.pairwise([0, *changes, len(labels)]):
        turn_end = min(e for e in edges if e > start)
        whole_short_turn = start in edges and turn_end - start < minimum and end >= turn_end
        if not whole_short_turn and (end - start < minimum or turn_end - start < minimum):
            return -np.inf
    score -= options.start_cost * (labels[0] != 0)
    return score - sum(options.switch_cost * (options.turn_discount if t in starts else 1) for t in changes)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 8),
    st.integers(2, 3),
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.floats(0, 4),
    st.sampled_from([0.0, 0.5, 3.0]),
)
def test_viterbi_finds_the_best_of_all_paths(frames, labels, seed, minimum, cost, start_cost):
    rng = np.random.default_rng(seed)
    posteriors = rng.dirichlet(np.ones(labels), frames)
    starts = [t for t in range(frames) if rng.random() < 0.3]
    options = DecoderOptions(
        switch_cost=cost, start_cost=start_cost, minimum_duration=minimum / 50, turn_discount=0.4
    )
    evidence = np.log(np.maximum(posteriors, 1e-5))
    best = max(
        path_score(np.array(p), evidence, options, starts, minimum)
        for p in itertools.product(range(labels), repeat=frames)
    )
    found = decode(posteriors, options, np.array(starts, int), labels=("neutral", "happy", "sad")[:labels])
    assert path_score(found, evidence, options, starts, minimum) == pytest.approx(best, abs=1e-9)


def test_a_sequence_starts_from_neutral_and_leaves_it_on_evidence():
    names = ("sad", "neutral")
    weak, strong = steps((60, 0.45)), steps((60, 0.05))  # label 1 is neutral
    assert decode(weak, DecoderOptions(start_cost=0), labels=names).tolist() == [0] * 60
    options = DecoderOptions(start_cost=16)
    for one in (options, DecoderOptions()):
        assert decode(weak, one, labels=names).tolist() == [1] * 60
        assert decode(strong, one, labels=names).tolist() == [0] * 60
    later = steps((60, 0.45), (300, 0.2))
    assert decode(later, options, labels=names).tolist() == [0] * 360, (
        "the cost of a change at the start is paid"
    )
    for names in ((), ("calm", "sad")):
        with pytest.raises(OptionError, match=r"start_cost for labels .*: expected neutral among them"):
            decode(weak, options, labels=names)
        assert decode(weak, DecoderOptions(), labels=names).tolist() == [0] * 60, "no label is neutral"


def test_the_default_cost_of_the_start_is_that_of_a_change():
    names = ("neutral", "sad")
    assert DecoderOptions(switch_cost=7.0).start_costs(names).tolist() == [0.0, 7.0]
    just_below, just_above = steps((100, 0.617)), steps((100, 0.619))  # log(0.618 / 0.382) * 100 is 48.1
    assert decode(just_below, DecoderOptions(), labels=names).sum() == 0
    assert decode(just_above, DecoderOptions(), labels=names).sum() == 100


def test_viterbi_keeps_lasting_changes_and_removes_short_ones():
    posteriors = steps((100, 0.2), (5, 0.9), (95, 0.2), (100, 0.9))
    assert decode(posteriors, DecoderOptions(switch_cost=8)).tolist() == [0] * 200 + [1] * 100


def test_minimum_duration_applies_with_a_low_switch_cost():
    posteriors = steps((50, 0.01), (10, 0.99), (50, 0.01))
    short = DecoderOptions(switch_cost=1, minimum_duration=0.2)
    long = DecoderOptions(switch_cost=1, minimum_duration=0.6)
    assert decode(posteriors, short).sum() == 10
    assert decode(posteriors, long).sum() == 0


def test_a_turn_shorter_than_the_minimum_may_have_its_own_emotion():
    posteriors = steps((100, 0.05), (20, 0.95), (100, 0.05))
    options = DecoderOptions(switch_cost=4, minimum_duration=0.6)
    assert decode(posteriors, options, np.array([100, 120])).tolist() == [0] * 100 + [1] * 20 + [0] * 100
    assert decode(posteriors, options, np.array([100])).tolist() == [0] * 100 + [1] * 30 + [0] * 90
    # The change is too short on either side of the start of the turn.
    assert decode(posteriors, options, np.array([110])).sum() == 0


def test_changes_are_preferred_at_turn_starts():
    posteriors = steps((50, 0.3), (20, 0.5), (50, 0.7))
    options = DecoderOptions(switch_cost=6, minimum_duration=0.1, turn_discount=0.1)
    for start in (52, 60, 69):
        assert np.flatnonzero(np.diff(decode(posteriors, options, np.array([start])))).tolist() == [start - 1]


def test_frames_with_weight_0_are_ignored():
    posteriors = steps((50, 0.1), (60, 0.9), (50, 0.1))
    weights = np.ones(160)
    assert decode(posteriors, DecoderOptions(), weights=weights).sum() == 60
    weights[50:110] = 0
    assert decode(posteriors, DecoderOptions(), weights=weights).sum() == 0


def test_median_removes_a_short_change_and_argmax_keeps_it():
    posteriors = steps((40, 0.2), (10, 0.9), (40, 0.2))
    assert decode(posteriors, DecoderOptions("argmax")).sum() == 10
    assert decode(posteriors, DecoderOptions("median", median_window=0.5)).sum() == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=1, max_size=24), st.floats(0.01, 4))
def test_total_variation_is_the_minimiser(values, weight):
    """The optimum is verified by its dual: y - x = D'u with |u| <= weight, and u = weight * sign at every jump."""
    y = np.array(values)
    x = total_variation(y, weight)
    dual = np.cumsum(y - x)[:-1]  # u up to sign
    assert np.abs(np.sum(y - x)) < 1e-8
    assert np.all(np.abs(dual) <= weight + 1e-8)
    jumps = np.diff(x)
    at_jump = np.abs(jumps) > 1e-8
    assert np.allclose(dual[at_jump], -weight * np.sign(jumps[at_jump]), atol=1e-7)


def test_total_variation_decoder_removes_a_short_change():
    posteriors = steps((40, 0.2), (5, 0.9), (40, 0.2), (60, 0.9))
    labels = decode(posteriors, DecoderOptions("tv", tv_weight=8))
    assert labels.tolist() == [0] * 85 + [1] * 60


@pytest.mark.parametrize("method", ["viterbi", "argmax", "median", "tv"])
@pytest.mark.parametrize("frames", [0, 1, 2, 31])
def test_every_decoder_accepts_any_length(method, frames):
    posteriors = np.random.default_rng(0).dirichlet(np.ones(5), frames).reshape(frames, 5)
    labels = decode(posteriors, DecoderOptions(method))
    assert labels.shape == (frames,) and np.all((labels >= 0) & (labels < 5))


@pytest.mark.parametrize(
    "options, text",
    [
        ({"start_cost": -1}, "decoder option start_cost is -1: expected 0 or more"),
        ({"method": "magic"}, "decoder 'magic': expected one of viterbi, argmax, median, tv"),
        ({"switch_cost": -1}, "switch_cost is -1: expected 0 or more"),
        ({"overlap_weight": 2}, "overlap_weight is 2: expected 0 to 1"),
        ({"memory": float("nan")}, "memory is nan: expected 0 or more"),
    ],
)
def test_invalid_options_are_rejected(options, text):
    with pytest.raises(OptionError, match=text):
        DecoderOptions(**options)


class LazyPosteriors:
    """Posteriors of a long sequence that are computed when they are read, and need no memory."""

    def __init__(self, frames, labels):
        self.shape = frames, labels

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        start, stop, _ = rows.indices(self.shape[0])
        angles = np.arange(start, stop)[:, None] / 150 + np.arange(self.shape[1])
        p = 1 + 0.9 * np.sin(angles) + 0.05 * np.sin(37 * angles)
        return (p / p.sum(1, keepdims=True)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 40))
def test_viterbi_and_argmax_do_not_depend_on_the_chunks(frames, seed, minimum, chunk):
    rng = np.random.default_rng(seed)
    posteriors = rng.dirichlet(np.ones(3), frames).astype(np.float32)
    starts = np.flatnonzero(rng.random(frames) < 0.1)
    weights = rng.random(frames)
    options = DecoderOptions(switch_cost=1, minimum_duration=minimum / 50)
    whole = decode(posteriors, options, starts, weights)
    plain = decode(posteriors, DecoderOptions("argmax"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sed.emotion.decoding._CHUNK", chunk)
        np.testing.assert_array_equal(decode(posteriors, options, starts, weights), whole)
        np.testing.assert_array_equal(decode(posteriors, DecoderOptions("argmax")), plain)
    np.testing.assert_array_equal(plain, posteriors.argmax(1))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["viterbi", "argmax"])
def test_memory_is_a_few_bytes_per_frame(method):
    """Ten hours of one speaker are one sequence of 1.8 million frames."""
    frames = 40_000
    options = DecoderOptions(method, switch_cost=4)
    tracemalloc.start()
    found = decode(LazyPosteriors(frames, 4), options, weights=np.ones(frames, np.float16))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(np.flatnonzero(np.diff(found))) > 50
    assert peak < 1.5e6 + 10 * frames
