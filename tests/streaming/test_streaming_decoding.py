"""Fixed-lag decoding against the offline decoders, and what it must do where it cannot know the future."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.emotion.decoding import DecoderOptions, decode
from sed.streaming.decoding import HISTORY, OnlineDecoder


def steps(*runs):
    """Posteriors of two labels: (frames, probability of label 1) pairs."""
    p = np.concatenate([np.full(n, q) for n, q in runs])
    return np.stack([1 - p, p], 1)


def decode_live(posteriors, options, ends, ahead, frames=None, weights=None):
    """Labels as a stream decides them: steps that make everything before each of `ends` final, and see `ahead`
    frames more, or know that there are no more."""
    frames = np.arange(len(posteriors)) if frames is None else frames
    weights = np.ones(len(posteriors)) if weights is None else weights
    decoder, out, done = OnlineDecoder(options), [], 0
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
)
def test_a_stream_that_sees_everything_decides_as_offline(frames, labels, seed, shortest, cost, cuts):
    rng = np.random.default_rng(seed)
    posteriors = rng.dirichlet(np.ones(labels), frames)
    weights = rng.choice([0.5, 1.0], frames)
    numbers = np.cumsum(rng.choice([1, 1, 1, 7], frames))  # a pause of 6 frames begins a turn
    turns = np.flatnonzero(np.diff(numbers) > 1) + 1
    options = DecoderOptions(switch_cost=cost, minimum_duration=shortest, turn_discount=0.4)
    ends = sorted(min(cut, frames) for cut in cuts)
    live = decode_live(posteriors, options, ends, frames, numbers, weights)
    assert live.tolist() == decode(posteriors, options, turns, weights).tolist()


@pytest.mark.parametrize("method", ["argmax", "median", "tv"])
def test_other_decoders_that_see_everything_decide_as_offline(method):
    posteriors = np.random.default_rng(1).dirichlet(np.ones(3), 200)
    options = DecoderOptions(method)
    live = decode_live(posteriors, options, [30, 100, 120], 200)
    assert live.tolist() == decode(posteriors, options).tolist()


def test_slow_evidence_accumulates_over_steps():
    # Each frame alone says next to nothing, and a step of ten less than the price of a change.
    posteriors = steps((100, 0.2), (200, 0.6))
    labels = decode_live(posteriors, DecoderOptions(switch_cost=12), list(range(10, 300, 10)), 10)
    assert labels[:100].sum() == 0
    changed = int(np.flatnonzero(labels)[0])
    assert 100 < changed <= 160 and labels[changed:].all()


def test_a_longer_look_ahead_finds_the_change_sooner():
    posteriors = steps((100, 0.1), (150, 0.7))
    found, options = [], DecoderOptions(switch_cost=10, minimum_duration=0.1)
    for ahead in (0, 5, 20):
        labels = decode_live(posteriors, options, list(range(5, 250, 5)), ahead)
        found.append(int(np.flatnonzero(labels)[0]))
    assert found[0] > found[1] > found[2] == 100


def test_an_emotion_at_the_horizon_need_not_have_lasted_its_minimum_yet():
    posteriors = steps((100, 0.1), (150, 0.9))
    options = DecoderOptions(switch_cost=12, minimum_duration=0.6)
    labels = decode_live(posteriors, options, list(range(5, 250, 5)), 20)
    assert np.flatnonzero(labels).tolist() == list(range(100, 250))


def test_what_is_decided_stays_and_provisional_frames_leave_no_trace():
    rng = np.random.default_rng(3)
    posteriors = rng.dirichlet(np.ones(3), 80)
    plain, peeking = (OnlineDecoder(DecoderOptions(minimum_duration=0.1)) for _ in range(2))
    ones = np.ones(80)
    for end in range(10, 81, 10):
        new = slice(end - 10, end)
        misleading = np.concatenate([posteriors[new], rng.dirichlet(np.ones(3), 30)])
        frames = np.arange(end - 10, end + 30)
        peeking.step(frames, misleading, np.ones(40), final=0)
        a = peeking.step(np.arange(end - 10, end), posteriors[new], ones[new], final=10)
        b = plain.step(np.arange(end - 10, end), posteriors[new], ones[new], final=10)
        assert a.tolist() == b.tolist()


def test_after_a_long_silence_the_emotion_is_decoded_afresh():
    options = DecoderOptions(memory=1.0, switch_cost=20, minimum_duration=0)
    calm, doubtful = steps((100, 0.05)), steps((5, 0.6))
    for gap, expected in ((10, 0), (49, 0), (51, 1)):
        decoder = OnlineDecoder(options)
        decoder.step(np.arange(100), calm, np.ones(100), final=100)
        assert decoder.forgets(100 + gap) == (gap > 50)
        labels = decoder.step(np.arange(100, 105) + gap, doubtful, np.ones(5), final=5)
        assert labels.tolist() == [expected] * 5


def test_a_silence_within_one_step_splits_it():
    options = DecoderOptions(memory=0.2, switch_cost=50)
    frames = np.concatenate([np.arange(20), np.arange(40, 60)])
    posteriors = steps((20, 0.1), (20, 0.9))
    for final in (0, 10, 20, 30, 40):
        labels = OnlineDecoder(options).step(frames, posteriors, np.ones(40), final=final)
        assert labels.tolist() == [0] * 20 + [1] * 20


def test_memory_does_not_grow_with_the_speech():
    def kept(method, steps_):
        decoder = OnlineDecoder(DecoderOptions(method))
        posteriors = np.random.default_rng(0).dirichlet(np.ones(4), 25)
        for n in range(steps_):
            decoder.step(np.arange(25) + 25 * n, posteriors, np.ones(25), final=25)
        return len(pickle.dumps(decoder))

    for method in ("viterbi", "median"):
        assert abs(kept(method, 200) - kept(method, 40)) < 100  # numbers of frames take a byte more
        assert kept(method, 40) < 8 * 50 * HISTORY * 4 * 1.2


def test_scores_stay_small_over_hours():
    decoder = OnlineDecoder(DecoderOptions())
    posteriors = np.full((500, 2), 0.5)
    for n in range(100):
        decoder.step(np.arange(500) + 500 * n, posteriors, np.ones(500), final=500)
    assert np.abs(decoder._stretch._lattice.best).max() < 100
