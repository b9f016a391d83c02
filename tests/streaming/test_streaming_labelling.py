"""Every final segment has its most probable label, and none is a short fragment of a turn."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.streaming.labelling import MIN_DURATION, SegmentLabels

MIN_FRAMES = round(MIN_DURATION * 50)


def posteriors(*runs):
    """Two labels: (frames, probability of label 1) pairs."""
    p = np.concatenate([np.full(n, q) for n, q in runs])
    return np.stack([1 - p, p], 1)


def decide(p, decoded, ends, ahead, frames=None, weights=None, memory=500):
    """Final labels, posteriors and weights of frames with the decoder output `decoded`, in steps that end at `ends`."""
    frames = np.arange(len(p)) if frames is None else frames
    weights = np.ones(len(p)) if weights is None else weights
    stop = int(frames[-1]) + 1
    labelling, found, done = SegmentLabels(memory), [], 0
    for end in [*sorted(e for e in ends if e < stop), stop]:
        closing = end == stop
        final = end if closing else max(0, end - ahead)
        new = slice(done, int(np.searchsorted(frames, end)))
        step = labelling.step(
            frames[new], decoded[new], p[new], weights[new], final=final, end=end, closing=closing
        )
        settled = max(done, int(np.searchsorted(frames, final)))
        found.append([part[: settled - done] for part in step])
        done = settled
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def segments(frames, labels):
    """First and last index of each segment."""
    changes = np.flatnonzero((np.diff(labels) != 0) | (np.diff(frames) != 1)) + 1
    return list(itertools.pairwise([0, *changes.tolist(), len(labels)]))


def test_correct_decoder_output_is_unchanged():
    p = posteriors((60, 0.1), (60, 0.9), (30, 0.2))
    decoded = p.argmax(1)
    labels, rows, weights = decide(p, decoded, range(12, 150, 12), 13)
    assert labels.tolist() == decoded.tolist()
    assert np.array_equal(rows, p) and np.array_equal(weights, np.ones(150))


def test_a_turn_does_not_start_with_a_remainder_of_the_previous_emotion():
    """The decoder keeps the emotion of the previous turn until the evidence exceeds the cost of a change."""
    p = posteriors((50, 0.05), (100, 0.97))
    frames = np.concatenate([np.arange(50), np.arange(80, 180)])
    decoded = np.concatenate([np.zeros(65, int), np.ones(85, int)])
    labels, _, _ = decide(p, decoded, range(25, 180, 25), 25, frames)
    assert labels.tolist() == [0] * 50 + [1] * 100


def test_a_turn_does_not_end_with_a_fragment():
    p = posteriors((50, 0.05), (6, 0.9))
    frames = np.arange(56)
    labels, _, _ = decide(p, p.argmax(1), range(12, 150, 12), 13, frames)
    assert labels.tolist() == [0] * 56


def test_a_short_segment_is_merged_into_its_longer_neighbour():
    p = np.eye(3)[[0] * 30 + [2] * 5 + [1] * 40] * 0.6 + 0.1
    labels, _, _ = decide(p, p.argmax(1), [75], 0)
    assert labels.tolist() == [0] * 30 + [1] * 45


def test_overlapped_speech_is_scored_by_speech_without_overlap():
    own, mixed = [0.8, 0.2], [0.1, 0.9]
    p = np.array([own] * 40 + [mixed] * 40 + [mixed] * 40)
    frames = np.concatenate([np.arange(80), np.arange(100, 140)])
    weights = np.concatenate([np.ones(40), np.zeros(80)])
    labels, rows, scored_weights = decide(p, np.zeros(120, int), range(12, 140, 12), 13, frames, weights)
    assert labels.tolist() == [0] * 120
    for first, last in segments(frames, labels):
        mean = np.average(rows[first:last], axis=0, weights=scored_weights[first:last])
        assert mean == pytest.approx(own, abs=1e-4)


def test_a_speaker_without_clean_speech_is_scored_by_the_mixture():
    p = posteriors((40, 0.9), (40, 0.2))
    weights = np.repeat([0.0, 1.0], 40)
    frames = np.concatenate([np.arange(40), np.arange(1000, 1040)])
    labels, rows, _ = decide(p, np.zeros(80, int), range(12, 1040, 12), 13, frames, weights)
    assert labels.tolist() == [1] * 40 + [0] * 40 and np.array_equal(rows, p)


def test_earlier_speech_is_not_used_after_a_long_silence():
    p = posteriors((40, 0.1), (40, 0.9))
    weights = np.repeat([1.0, 0.0], 40)
    for gap, expected in ((100, 0), (101, 1)):
        frames = np.concatenate([np.arange(40), np.arange(40, 80) + gap])
        labels, _, _ = decide(p, np.zeros(80, int), range(12, 300, 12), 13, frames, weights, memory=100)
        assert labels[40:].tolist() == [expected] * 40


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 60), st.sampled_from([0, 0, 3, 40])), min_size=1, max_size=6),
    st.lists(st.integers(1, 40), min_size=1, max_size=20),
    st.integers(MIN_FRAMES, 60),
    st.integers(0, 2**32 - 1),
)
def test_every_final_segment_has_its_most_probable_label(turns, sizes, ahead, seed):
    """For any decoder output and any steps, if posteriors are not revised."""
    rng = np.random.default_rng(seed)
    at = np.cumsum([gap for _, gap in turns]) + np.cumsum([0, *[n for n, _ in turns]])[:-1]
    frames = np.concatenate([np.arange(start, start + n) for (n, _), start in zip(turns, at, strict=True)])
    p = np.repeat(rng.dirichlet(np.ones(3), len(frames) // 7 + 1), 7, 0)[: len(frames)]
    p = 0.7 * p + 0.3 * rng.dirichlet(np.ones(3), len(frames))
    decoded = np.repeat(rng.integers(0, 3, len(frames) // 15 + 1), 15)[: len(frames)]
    labels, rows, _ = decide(p, decoded, np.cumsum(sizes), ahead, frames)
    assert np.array_equal(rows, p) and len(labels) == len(frames)
    for first, last in segments(frames, labels):
        total = p[first:last].sum(0)
        assert total[labels[first]] >= total.max() - 1e-6
