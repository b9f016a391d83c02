"""`join` gives exactly the expected segments for known turns and posteriors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.emotion.decoding import DecoderOptions
from sed.segmenting import join
from sed.speakers.turns import Turns, runs
from sed.spooling import SpooledArray

LABELS = ("neutral", "angry")
METHODS = ["viterbi", "argmax", "tv"]
ARGMAX = DecoderOptions("argmax")


def posteriors(*angry_runs):
    """(frames, probability of angry) pairs to (frames, 2)."""
    angry = np.concatenate([np.full(n, q, np.float32) for n, q in angry_runs])
    return np.stack([1 - angry, angry], 1)


def turns(**spans):
    """name=(frames, [(start, end), ...])."""
    frames = max(n for n, _ in spans.values())
    active = np.zeros((frames, len(spans)), bool)
    for column, (_, intervals) in enumerate(spans.values()):
        for start, end in intervals:
            active[start:end, column] = True
    return Turns.from_active(active, tuple(spans))


def rows(segments):
    return [(s.start, s.end, s.speaker, s.emotion) for s in segments]


def test_overlap_and_silence():
    who = turns(a=(200, [(0, 100)]), b=(200, [(80, 150)]))
    what = posteriors((80, 0.1), (70, 0.9), (50, 0.1))
    found = join(
        who, what, LABELS, 4.0, DecoderOptions(switch_cost=2, overlap_weight=1.0, minimum_duration=0.2)
    )
    assert rows(found) == [
        (0.0, 1.6, "a", "neutral"),
        (1.6, 2.0, "a", "angry"),
        (1.6, 3.0, "b", "angry"),
    ]


def test_overlap_weight():
    who = turns(a=(200, [(0, 110)]), b=(200, [(60, 200)]))
    what = posteriors((60, 0.1), (140, 0.9))
    weighted = join(who, what, LABELS, 4.0, DecoderOptions(overlap_weight=1.0))
    ignored = join(who, what, LABELS, 4.0, DecoderOptions(overlap_weight=0.0))
    assert ("a", "angry") in {(s.speaker, s.emotion) for s in weighted}
    assert {s.emotion for s in ignored if s.speaker == "a"} == {"neutral"}


def test_probabilities_are_the_mean_over_frames_without_overlap():
    who = turns(a=(400, [(0, 100), (200, 220)]), b=(400, [(60, 110), (150, 230)]))
    what = posteriors((60, 0.2), (50, 0.9), (40, 0.5), (50, 0.7), (20, 0.99), (180, 0.6))
    found = {(s.start, s.speaker): s for s in join(who, what, LABELS, 8.0)}
    own, other = found[0.0, "a"], found[4.0, "a"]
    assert (own.emotion, own.confidence) == ("neutral", 0.8)
    # The second turn is overlapped throughout: it takes the emotion and the probabilities of the first.
    assert (other.emotion, other.probabilities) == ("neutral", own.probabilities)
    assert found[1.2, "b"].confidence == 0.9  # without overlap from 100 to 110
    unweighted = join(who, what, LABELS, 8.0, ARGMAX)
    assert next(s for s in unweighted if (s.start, s.speaker) == (4.0, "a")).confidence == 0.99


def test_fully_overlapped_speech_is_decoded_from_the_mixture():
    who = turns(a=(500, [(0, 150)]), b=(500, [(50, 100), (300, 350)]), c=(500, [(310, 340), (400, 500)]))
    what = posteriors((50, 0.1), (50, 0.9), (200, 0.1), (10, 0.1), (30, 0.9), (160, 0.2))
    found = join(who, what, LABELS, 10.0, DecoderOptions(memory=2.0))
    assert rows(found) == [
        (0.0, 3.0, "a", "neutral"),
        (1.0, 2.0, "b", "angry"),  # overlapped throughout
        (6.0, 7.0, "b", "neutral"),  # without overlap at its edges
        (6.2, 6.8, "c", "neutral"),  # without overlap later
        (8.0, 10.0, "c", "neutral"),
    ]
    assert found[1].confidence == 0.9


def test_a_short_turn_that_contradicts_the_decoder_gets_its_own_emotion():
    """A turn of 0.2 s at 10 % angry between angry turns: too short for a change, but not "angry 0.1"."""
    what = posteriors((100, 0.95), (100, 0.5), (10, 0.1), (100, 0.5), (100, 0.95))
    found = join(turns(a=(410, [(0, 100), (200, 210), (310, 410)])), what, LABELS, 8.2)
    assert [(s.emotion, round(s.confidence, 4)) for s in found] == [
        ("angry", 0.95),
        ("neutral", 0.9),
        ("angry", 0.95),
    ]


def test_parts_that_agree_after_all_are_one_segment():
    """An outburst with 0.1 s of laughter at its end, in one turn: the decoder's change leaves no cut behind."""
    what = posteriors((100, 0.2), (40, 0.99), (5, 0.2))
    decoded = np.array([0] * 100 + [1] * 45)
    options = DecoderOptions()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sed.segmenting.decode", lambda *_: np.where(np.arange(145) < 60, 1, decoded))
        found = join(turns(a=(145, [(0, 145)])), what, LABELS, 2.9, options)
    assert [(s.start, s.end, s.emotion) for s in found] == [(0.0, 2.0, "neutral"), (2.0, 2.9, "angry")]
    assert found[0].confidence == pytest.approx(0.8, abs=1e-3)


def test_emotion_persists_over_a_pause_but_not_a_long_silence():
    what = posteriors((100, 0.95), (400, 0.5), (20, 0.45))
    near = turns(a=(520, [(0, 100), (480, 500), (500, 520)]))
    kept = join(near, what, LABELS, 10.4, DecoderOptions(memory=8.0))
    assert [s.emotion for s in kept] == ["angry", "angry"]
    fresh = join(near, what, LABELS, 10.4, DecoderOptions(memory=7.0))
    assert [s.emotion for s in fresh] == ["angry", "neutral"]


def test_segments_end_with_the_recording():
    (segment,) = join(
        turns(a=(50, [(40, 50)])), posteriors((45, 0.2), (5, 0.6)), LABELS, 0.99, DecoderOptions()
    )
    assert (segment.start, segment.end) == (0.8, 0.99)
    assert segment.probabilities == {"neutral": 0.6, "angry": 0.4}
    assert segment.confidence == 0.6


def test_separate_posteriors_per_channel():
    who = turns(a=(100, [(0, 100)]), b=(100, [(0, 100)]))
    found = join(who, [posteriors((100, 0.9)), posteriors((100, 0.1))], LABELS, 2.0, ARGMAX)
    assert rows(found) == [(0.0, 2.0, "a", "angry"), (0.0, 2.0, "b", "neutral")]


def test_no_speech():
    assert join(Turns.from_active(np.zeros((10, 0), bool), ()), posteriors((10, 0.5)), LABELS, 0.2) == []
    assert join(turns(a=(10, [])), posteriors((10, 0.5)), LABELS, 0.2) == []


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 400),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["viterbi", "argmax", "tv"]),
)
def test_segments_cover_exactly_the_speech_of_each_speaker(frames, speakers, seed, method):
    rng = np.random.default_rng(seed)
    active = np.repeat(rng.random((frames // 9 + 1, speakers)) < 0.5, 9, 0)[:frames]
    names = tuple(f"spk{n:02d}" for n in range(speakers))
    p = rng.dirichlet(np.ones(3), frames).astype(np.float32)
    found = join(Turns.from_active(active, names), p, ("x", "y", "z"), frames / 50, DecoderOptions(method))
    covered = np.zeros((frames, speakers), int)
    for s in found:
        covered[round(s.start * 50) : round(s.end * 50), names.index(s.speaker)] += 1
    assert np.array_equal(covered, active.astype(int))
    assert found == sorted(found)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(METHODS), st.integers(1, 200))
def test_posteriors_on_disk_give_the_same_segments(seed, method, block):
    rng = np.random.default_rng(seed)
    active = np.repeat(rng.random((40, 2)) < 0.5, 9, 0)
    p = rng.dirichlet(np.ones(2), 360).astype(np.float32)
    spooled = SpooledArray(2, on_disk=True, block=8 * block)
    spooled.append(p)
    who, options = (
        Turns.from_active(active, ("a", "b")),
        DecoderOptions(method, memory=0.5, overlap_weight=0.3),
    )
    expected = join(who, p, LABELS, 7.2, options)
    assert join(who, spooled, LABELS, 7.2, options) == expected
    assert join(who, [spooled, spooled], LABELS, 7.2, options) == join(who, [p, p], LABELS, 7.2, options)
    found = join(who, spooled, LABELS, 7.2, options)
    assert [s.probabilities for s in found] == [s.probabilities for s in expected]


@given(st.lists(st.booleans(), max_size=30))
def test_runs_cover_exactly_the_true_flags(flags):
    flags = np.array(flags, bool)
    again = np.zeros(len(flags), bool)
    for start, end in runs(flags):
        assert start < end and (start == 0 or not flags[start - 1]) and (end == len(flags) or not flags[end])
        again[start:end] = True
    assert np.array_equal(again, flags)
