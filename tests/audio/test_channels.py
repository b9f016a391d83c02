"""Channels that cancel or carry one speaker each: the right mix or a warning; ordinary stereo is simply averaged."""

import itertools

import numpy as np
import pytest
import soundfile
from audio_reading import read_all
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.audio.channels import ChannelMix

RATE = 16000
OPPOSITE, LOST, SPLIT = "opposite polarity", "cancel in their mix", "--channels split"


def mixed(samples, channels="mix"):
    return read_all((samples, RATE), channels)


def stereo(*channels):
    size = min(map(len, channels))
    return np.stack([channel[:size] for channel in channels], 1).astype(np.float32)


@pytest.fixture(scope="module")
def speech(data):
    """Twenty seconds of a meeting."""
    return soundfile.read(data / "ami_dev00.flac", dtype="float32", frames=RATE * 20)[0]


@pytest.fixture(scope="module")
def turns(data):
    """Two speakers taking turns, one per channel, with silence in the other."""
    left, right = [], []
    for number in range(8):
        name = f"emodb_{(15, 16)[number % 2]}_{('angry', 'happy', 'neutral', 'sad')[number // 2]}_1.flac"
        samples = soundfile.read(data / name, dtype="float32")[0]
        for channel, speaks in ((left, number % 2 == 0), (right, number % 2 == 1)):
            channel.append(np.pad(samples * speaks, (0, RATE // 4)))
    return np.concatenate(left), np.concatenate(right)


def test_channels_of_opposite_polarity_give_their_difference(speech, caplog):
    assert np.array_equal(mixed(stereo(speech, -speech)), speech)
    assert len(caplog.records) == 1
    assert f"array: its 2 channels have {OPPOSITE}" in caplog.text and "--channels 1" in caplog.text


def test_channels_of_nearly_opposite_polarity_give_their_difference(speech, caplog):
    noise = np.random.default_rng(0).normal(0, 1e-4, (len(speech), 2))
    found = mixed(stereo(speech, -0.8 * speech) + noise.astype(np.float32))
    assert np.corrcoef(found, speech)[0, 1] > 0.99
    assert np.std(found) > 0.85 * np.std(speech) and OPPOSITE in caplog.text


def test_silence_and_hum_before_speech_do_not_determine_the_polarity(speech, caplog):
    """Hum of opposite polarity, as picked up by the two wires of a cable, before speech that is equal in both."""
    hum = 1e-3 * np.sin(2 * np.pi * 50 / RATE * np.arange(len(speech) + 3 * RATE))
    late = np.concatenate([np.zeros(3 * RATE, np.float32), speech])
    found = mixed(stereo(late + hum, late - hum))
    assert np.allclose(found[4 * RATE :], late[4 * RATE :], atol=1e-6)
    assert LOST not in caplog.text
    assert np.array_equal(mixed(stereo(late, -late)), late)


def test_a_part_that_cancels_is_reported(speech, caplog):
    second = speech.copy()
    second[RATE * 12 :] *= -1
    found = mixed(stereo(speech, second))
    assert np.array_equal(found[: RATE * 12], speech[: RATE * 12])
    assert "its 2 channels cancel in their mix for 8.00 s, which are lost; --channels 1 " in caplog.text


def test_several_channels_that_cancel_are_reported(speech, caplog):
    mixed(stereo(speech, -speech, 1.2 * speech, -1.2 * speech))
    assert "its 4 channels cancel in their mix for 20.00 s, which are lost; --channels 3 " in caplog.text


@pytest.mark.parametrize("leak", [0, 0.03, 0.1, 0.2])
def test_one_speaker_per_channel_is_reported(turns, caplog, leak):
    left, right = turns
    samples = stereo(left + leak * right, right + leak * left)
    assert np.array_equal(mixed(samples), samples.mean(1))
    assert len(caplog.records) == 1 and "its channels carry different audio (1 alone for " in caplog.text
    assert SPLIT in caplog.text
    caplog.clear()
    mixed(samples, "split"), mixed(samples, 2)
    assert not caplog.records


def test_overlapping_speakers_and_unequal_levels_are_reported(turns, caplog):
    left, right = turns
    mixed(stereo(left[left != 0], right[right != 0]))
    assert SPLIT in caplog.text
    caplog.clear()
    mixed(stereo(0.1 * left, right))
    assert SPLIT in caplog.text
    caplog.clear()
    mixed(stereo(left, right, 0 * left))
    assert "(1 alone for " in caplog.text and ", 2 alone" in caplog.text and "3 alone" not in caplog.text


@pytest.mark.slow
def test_real_calls_are_reported(shared, caplog):
    calls = sorted((shared / "conversations" / "calls").glob("*.opus"))
    assert len(calls) == 7
    for call in calls:
        samples, _ = soundfile.read(call, dtype="float32", frames=RATE * 60)
        mixed(samples)
        assert SPLIT in caplog.text, call
        caplog.clear()


def music():
    """One instrument on the left, one on the right, and one in the centre."""
    rng, instruments = np.random.default_rng(0), np.zeros((3, RATE * 20))
    for instrument in instruments:
        for start in range(0, RATE * 19, RATE // 4):
            t = np.arange(RATE) / RATE
            instrument[start : start + RATE] += (
                0.2 * np.exp(-3 * t) * np.sin(440 * 2 ** rng.uniform(0, 2) * np.pi * t)
            )
    return stereo(instruments[0] + 0.5 * instruments[2], instruments[1] + 0.5 * instruments[2])


def room(turns, level):
    """Two microphones, each nearer to one of two speakers, with some reverberation."""
    rng, (left, right) = np.random.default_rng(0), turns
    echo = 0.02 * rng.normal(size=(4, 3000)) * np.exp(-np.arange(3000) / 700)
    echo[[0, 3], 0], echo[[1, 2], 9] = 1, level
    near_left, far_left, far_right, near_right = (
        np.convolve(speech, response)
        for speech, response in zip((left, right, left, right), echo[[0, 1, 2, 3]], strict=True)
    )
    return stereo(near_left + far_left, far_right + near_right)


HISS = np.random.default_rng(1).normal(size=20 * RATE)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    ["dual mono", "dead", "hiss", "loud hiss", "hum", "balance", "music", "room", "wide room", "delay"],
)
def test_ordinary_stereo_gives_the_mean_without_a_warning(speech, turns, caplog, kind):
    samples = {
        "dual mono": lambda: stereo(speech, speech),
        "dead": lambda: stereo(speech, 0 * speech),
        "hiss": lambda: stereo(speech, 0.003 * HISS),
        "loud hiss": lambda: stereo(speech, 0.03 * HISS),
        "hum": lambda: stereo(speech, 0.01 * np.sin(np.arange(len(speech)) / 50)),
        "balance": lambda: stereo(speech, -0.3 * speech),
        "music": music,
        "room": lambda: room(turns, 0.7),
        "wide room": lambda: room(turns, 0.3),
        "delay": lambda: stereo(speech, np.roll(speech, 12)),
    }[kind]()
    found = mixed(samples)
    if kind != "balance":
        assert np.array_equal(found, samples.mean(1))
    assert not caplog.records


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 20_000), max_size=30), st.integers(0, 3))
def test_block_sizes_change_nothing(sizes, seed):
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.1, (30_000, 2)).astype(np.float32)
    samples[:, 1] *= rng.choice([-0.9, 0, 0.9], 30_000 // 5_000).repeat(5_000)
    samples[:, 1] -= np.float32(0.98) * samples[:, 0]
    mix = ChannelMix(RATE, 2)
    expected = np.concatenate([mix.push(samples), mix.close()])
    other = ChannelMix(RATE, 2)
    edges = np.minimum(np.cumsum([0, *sizes, 30_000]), 30_000)
    parts = [other.push(samples[a:b]) for a, b in itertools.pairwise(edges)]
    assert np.array_equal(np.concatenate([*parts, other.close()]), expected)
    assert other.remarks() == mix.remarks()
