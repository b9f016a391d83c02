"""Fixed-lag decoding: equal to the offline decoders with all frames in view, and its behaviour with less look-ahead."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.emotion.decoding import DecoderOptions, decode
from sed.streaming.decoding import HISTORY, OnlineDecoder

NAMES = ("neutral", "happy", "angry", "sad")


def steps(*runs):
    """Posteriors of two labels: (frames, probability of label 1) pairs."""
    p = np.concatenate([np.full(n, q) for n, q in runs])
    return np.stack([1 - p, p], 1)


def decode_live(posteriors, options, ends, ahead, frames=None, weights=None):
    """Final labels of a stream: each step makes everything before one of `ends` final and receives `ahead` more frames,
    or knows that there are no more."""
    frames = np.arange(len(posteriors)) if frames is None else frames
    weights = np.ones(len(posteriors)) if weights is None else weights
    decoder, out, done = OnlineDecoder(options, NAMES[: posteriors.shape[1]]), [], 0
    for end in [*ends, len(posteriors)]:
        seen = slice(done, min(end + ahead, len(posteriors)))
        labels = decoder.step(
            frames[seen], posteriors[seen], weights[seen], end - done, seen.stop == len(posteriors)
        )
        out.append(labels[: end - done])
        done = end
    return np.concatenate(out)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 120),
    st.integers(2, 4),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 0.02, 0.1, 0.4]),
    st.floats(0, 4),
    st.lists(st.integers(0, 120), max_size=6),
    st.sampled_from([0.0, 2.0, 20.0]),
)
def test_with_all_frames_the_labels_equal_offline(frames, labels, seed, min_duration, cost, cuts, start_cost):
    rng = np.random.default_rng(seed)
    posteriors = rng.dirichlet(np.ones(labels), frames)
    weights = rng.choice([0.5, 1.0], frames)
    numbers = np.cumsum(rng.choice([1, 1, 1, 7], frames))  # a turn starts after a pause of 6 frames
    turns = np.flatnonzero(np.diff(numbers) > 1) + 1
    options = DecoderOptions(
        switch_cost=cost, start_cost=start_cost, minimum_duration=min_duration, turn_discount=0.4
    )
    ends = sorted(min(cut, frames) for cut in cuts)
    live = decode_live(posteriors, options, ends, frames, numbers, weights)
    offline = decode(posteriors, options, turns, weights, NAMES[:labels])
    assert live.tolist() == offline.tolist()


@pytest.mark.parametrize("method", ["argmax", "median", "tv"])
def test_with_all_frames_the_labels_of_other_decoders_equal_offline(method):
    posteriors = np.random.default_rng(1).dirichlet(np.ones(3), 200)
    options = DecoderOptions(method)
    live = decode_live(posteriors, options, [30, 100, 120], 200)
    assert live.tolist() == decode(posteriors, options).tolist()


def test_slow_evidence_accumulates_over_steps():
    # A single frame is nearly uninformative, and the evidence of a step of ten frames is below the cost of a change.
    posteriors = steps((100, 0.2), (200, 0.6))
    labels = decode_live(posteriors, DecoderOptions(switch_cost=12), list(range(10, 300, 10)), 10)
    assert labels[:100].sum() == 0
    changed = int(np.flatnonzero(labels)[0])
    assert 100 < changed <= 160 and labels[changed:].all()


def test_a_longer_look_ahead_detects_a_change_earlier():
    posteriors = steps((100, 0.1), (150, 0.7))
    found, options = [], DecoderOptions(switch_cost=10, minimum_duration=0.1)
    for ahead in (0, 5, 20):
        labels = decode_live(posteriors, options, list(range(5, 250, 5)), ahead)
        found.append(int(np.flatnonzero(labels)[0]))
    assert found[0] > found[1] > found[2] == 100


def test_the_last_emotion_may_be_shorter_than_the_minimum_while_the_run_continues():
    posteriors = steps((100, 0.1), (150, 0.9))
    options = DecoderOptions(switch_cost=12, minimum_duration=0.6)
    labels = decode_live(posteriors, options, list(range(5, 250, 5)), 20)
    assert np.flatnonzero(labels).tolist() == list(range(100, 250))


def test_provisional_frames_have_no_lasting_effect():
    rng = np.random.default_rng(3)
    posteriors = rng.dirichlet(np.ones(3), 80)
    plain, with_look_ahead = (OnlineDecoder(DecoderOptions(minimum_duration=0.1)) for _ in range(2))
    ones = np.ones(80)
    for end in range(10, 81, 10):
        new = slice(end - 10, end)
        misleading = np.concatenate([posteriors[new], rng.dirichlet(np.ones(3), 30)])
        frames = np.arange(end - 10, end + 30)
        with_look_ahead.step(frames, misleading, np.ones(40), final=0)
        a = with_look_ahead.step(np.arange(end - 10, end), posteriors[new], ones[new], final=10)
        b = plain.step(np.arange(end - 10, end), posteriors[new], ones[new], final=10)
        assert a.tolist() == b.tolist()


def test_a_long_silence_starts_a_new_run():
    options = DecoderOptions(memory=1.0, switch_cost=20, minimum_duration=0)
    certain, uncertain = steps((100, 0.05)), steps((5, 0.6))
    for gap, expected in ((10, 0), (49, 0), (51, 1)):
        decoder = OnlineDecoder(options)
        decoder.step(np.arange(100), certain, np.ones(100), final=100)
        assert decoder.resets_at(100 + gap) == (gap > 50)
        labels = decoder.step(np.arange(100, 105) + gap, uncertain, np.ones(5), final=5)
        assert labels.tolist() == [expected] * 5


def test_a_long_silence_within_a_step_splits_it():
    options = DecoderOptions(memory=0.2, switch_cost=50)
    frames = np.concatenate([np.arange(20), np.arange(40, 60)])
    posteriors = steps((20, 0.1), (20, 0.9))
    for final in (0, 10, 20, 30, 40):
        labels = OnlineDecoder(options).step(frames, posteriors, np.ones(40), final=final)
        assert labels.tolist() == [0] * 20 + [1] * 20


def test_memory_is_bounded():
    def size(method, steps_):
        decoder = OnlineDecoder(DecoderOptions(method))
        posteriors = np.random.default_rng(0).dirichlet(np.ones(4), 25)
        for n in range(steps_):
            decoder.step(np.arange(25) + 25 * n, posteriors, np.ones(25), final=25)
        return len(pickle.dumps(decoder))

    for method in ("viterbi", "median"):
        assert abs(size(method, 200) - size(method, 40)) < 100  # larger frame numbers take one more byte
        assert size(method, 40) < 8 * 50 * HISTORY * 4 * 1.2


def test_scores_stay_small():
    decoder = OnlineDecoder(DecoderOptions())
    posteriors = np.full((500, 2), 0.5)
    for n in range(100):
        decoder.step(np.arange(500) + 500 * n, posteriors, np.ones(500), final=500)
    assert np.abs(decoder._run._state.best).max() < 100
