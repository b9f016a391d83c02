import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sed.corpora.levels import equalise_loudness, frame_levels, speech_frames, trim_silence
from sed.errors import OptionError
from sed.grid import HOP, frame_count
from sed.simulation.patterns import PATTERNS, Event, frame_labels, join, transition_pattern


def tone(samples, level=0.3):
    return (level * np.sin(np.arange(samples) * 0.3)).astype(np.float32)


def test_levels_of_known_waves():
    levels = frame_levels(np.concatenate([np.ones(HOP), np.full(HOP, 0.1), np.zeros(HOP)]))
    assert levels == pytest.approx([0, -20, -120])


def test_trim_keeps_speech_pauses_and_margin():
    pause = np.zeros(8 * HOP, np.float32)
    wave = np.concatenate([pause, tone(4 * HOP), pause, tone(4 * HOP), pause])
    assert np.array_equal(trim_silence(wave, margin=0), wave[8 * HOP : 24 * HOP])
    assert np.array_equal(trim_silence(wave, margin=HOP), wave[7 * HOP : 25 * HOP])
    assert np.array_equal(trim_silence(wave[8 * HOP : -8 * HOP], margin=HOP), wave[8 * HOP : -8 * HOP])


def test_trim_of_silence_is_empty():
    assert len(trim_silence(np.zeros(5000, np.float32))) == 0
    assert len(trim_silence(np.zeros(0, np.float32))) == 0


@pytest.mark.parametrize("level", [0.001, 0.05, 0.5])
def test_equalised_speech_has_the_target_level(level):
    wave = np.concatenate([tone(20 * HOP, level), np.zeros(20 * HOP, np.float32)])
    equal = equalise_loudness(wave, level=-26)
    assert frame_levels(equal)[speech_frames(equal)].mean() == pytest.approx(-26, abs=0.1)


def test_equalise_loudness_does_not_clip():
    wave = np.full(20 * HOP, 1e-3, np.float32)
    wave[100] = 0.5
    assert np.abs(equalise_loudness(wave)).max() <= 1


def test_join_is_exact():
    samples, events = join(
        [tone(100), tone(50), tone(30)], ["neutral", "sad", "neutral"], gaps=[7, 0], fade=0
    )
    assert events == [Event(0, 100, "neutral"), Event(107, 157, "sad"), Event(157, 187, "neutral")]
    assert np.array_equal(samples[107:157], tone(50)) and not samples[100:107].any() and len(samples) == 187


def test_join_fades_at_joints_only():
    samples, _ = join([np.ones(100), np.ones(100)], ["sad", "sad"], fade=10)
    assert samples[0] == samples[-1] == 1 and samples[99] == samples[100] == 0
    assert np.all(samples[10:90] == 1) and np.all(np.diff(samples[100:110]) > 0)


def test_join_of_mismatched_arguments_raises():
    with pytest.raises(OptionError, match="2 waves with 1 labels"):
        join([tone(4), tone(4)], ["sad"])
    with pytest.raises(OptionError, match="gaps"):
        join([tone(4), tone(4)], ["sad", "sad"], gaps=[-1])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_have_their_emotions_and_utterances(pattern):
    neutral, angry = [tone(1000), tone(1100)], [tone(2000)]
    samples, events = transition_pattern(np.random.default_rng(1), neutral, angry, "angry", pattern)
    assert "-".join(e.label for e in events).replace("angry", "emotion") == pattern
    assert [e.end - e.start == 2000 for e in events] == [e.label == "angry" for e in events]
    assert events[-1].end == len(samples)
    lengths = [e.end - e.start for e in events if e.label == "neutral"]
    assert len(set(lengths)) == len(lengths), "two neutral parts are two different utterances"


def test_patterns_are_drawn_uniformly_by_seed():
    def draw(seed):
        rng = np.random.default_rng(seed)
        return [
            "-".join(e.label for e in transition_pattern(rng, [tone(90)], [tone(80)], "sad")[1])
            for _ in range(400)
        ]

    assert draw(5) == draw(5) != draw(6)
    counts = [draw(5).count(name) for name in set(draw(5))]
    assert len(counts) == 4 and min(counts) > 70


def test_unknown_patterns_and_missing_utterances_raise():
    rng = np.random.default_rng(0)
    with pytest.raises(OptionError, match="unknown pattern 'x'"):
        transition_pattern(rng, [tone(9)], [tone(9)], "sad", "x")
    with pytest.raises(OptionError, match="found 0 and 1"):
        transition_pattern(rng, [], [tone(9)], "sad", "neutral-emotion")
    assert transition_pattern(rng, [], [tone(9)], "sad", "emotion")[1] == [Event(0, 9, "sad")]


@given(st.lists(st.tuples(st.integers(1, 2000), st.integers(0, 900)), min_size=1, max_size=6))
def test_frame_labels_equal_the_events_at_frame_centres(parts):
    labels = ["neutral", "sad"]
    waves, names = [np.zeros(length) for length, _ in parts], [labels[n % 2] for n in range(len(parts))]
    samples, events = join(waves, names, [gap for _, gap in parts[1:]])
    found = frame_labels(events, len(samples), labels)
    assert len(found) == frame_count(len(samples))
    for frame, label in enumerate(found):
        centre = (frame * HOP + min(frame * HOP + HOP, len(samples))) // 2
        expected = [e.label for e in events if e.start <= centre < e.end]
        assert expected == ([labels[label]] if label >= 0 else [])
