import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sed.simulation.speech_pieces import fade_ends, quietest_cut, speech_level, speech_pieces

RATE = 16_000


def tone(seconds, amplitude=0.3):
    return (amplitude * np.sin(2 * np.pi * 400 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def silence(seconds):
    return np.zeros(round(seconds * RATE), np.float32)


def test_pieces_have_a_margin_of_10_ms():
    samples = np.concatenate([silence(0.5), tone(1), silence(0.4), tone(0.6), silence(0.2)])
    assert speech_pieces(samples) == [(7840, 24160), (30240, 40160)]


def test_short_silences_are_closed_and_clicks_dropped():
    samples = np.concatenate([silence(1), tone(0.02), silence(1), tone(1), silence(0.28), tone(1)])
    assert speech_pieces(samples) == [(32160, 68800)]  # the last one ends with the recording


def test_soft_background_is_not_speech_but_soft_speech_is():
    samples = np.concatenate([tone(0.5, 0.3), tone(0.5, 0.005)])  # 36 dB apart
    assert speech_pieces(samples) == [(0, 8160)]
    assert speech_pieces(np.concatenate([silence(0.5), tone(1, 0.001)])) == [(7840, 24000)]


def test_loud_background_is_not_speech_but_steady_speech_is():
    rng = np.random.default_rng(0)
    background = rng.normal(0, 0.006, 4 * RATE).astype(np.float32)  # 27 dB below the speech
    samples = background.copy()
    samples[RATE : 2 * RATE] += tone(1)
    assert speech_pieces(samples) == [(RATE - 160, 2 * RATE + 160)]
    assert speech_pieces(tone(2)) == [(0, 2 * RATE)]  # no silence to estimate a background from


@pytest.mark.parametrize("ratio", [13, 18, 23])
def test_noise_around_an_utterance_is_not_speech(ratio):
    """As in CREMA-D, half of whose clips have their background less than 23 dB below the voice."""
    noise = np.random.default_rng(0).normal(size=3 * RATE)
    samples = (0.1 / np.sqrt(2) * 10 ** (-ratio / 20) * noise).astype(np.float32)
    samples[RATE : 2 * RATE] += tone(1, 0.1)
    assert speech_pieces(samples) == [(RATE - 160, 2 * RATE + 160)]


@pytest.mark.parametrize("samples", [silence(0), silence(1), np.ones(10, np.float32) * 0])
def test_silence_has_no_pieces_and_no_level(samples):
    assert speech_pieces(samples) == []
    assert speech_level(samples) == -math.inf


def test_speech_level_excludes_silence():
    level = speech_level(tone(1, 0.1))
    assert level == pytest.approx(-23.01, abs=0.01)
    assert speech_level(np.concatenate([silence(2), tone(1, 0.1), silence(2)])) == pytest.approx(
        level, abs=0.01
    )


@given(st.lists(st.tuples(st.booleans(), st.integers(100, 12_000)), max_size=12))
def test_pieces_are_ordered_disjoint_and_inside(parts):
    samples = np.concatenate([silence(0), *(np.full(n, 0.2 * loud, np.float32) for loud, n in parts)])
    pieces = speech_pieces(samples)
    ends = [0, *(end for _, end in pieces)]
    assert all(start < end for start, end in pieces) and ends[-1] <= len(samples)
    assert all(start >= end for (start, _), end in zip(pieces, ends, strict=False))
    gaps = [start - end for (start, _), end in zip(pieces[1:], ends[1:], strict=False)]
    assert all(gap >= 0.28 * RATE for gap in gaps)


def test_cut_is_at_the_quietest_position_within_max_shift():
    samples = np.concatenate([tone(1), silence(0.05), tone(1), silence(0.5)])
    assert 16_000 <= quietest_cut(samples, 14_000, 4_000) <= 16_800
    assert abs(quietest_cut(samples, 8_000, 1_600) - 8_000) <= 1_600
    assert quietest_cut(samples, 99_999, 10) == len(samples)


def test_fade_changes_only_the_ends():
    ones = np.ones(1600, np.float32)
    faded = fade_ends(ones)
    assert faded[0] == faded[-1] == 0 and np.all(faded[160:-160] == 1) and np.all(ones == 1)
    assert np.abs(np.diff(faded)).max() < 0.01
    assert len(fade_ends(np.ones(1, np.float32))) == 1
