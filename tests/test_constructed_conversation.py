"""The whole pipeline on conversations of known content: each emotion of each speaker is a tone."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.accuracy import accuracy
from sed.simulation.conversation import ConversationOptions, Utterance, simulate_conversation

RATE, HOP = 16_000, 320
LABELS = ("neutral", "happy", "angry", "sad")
DRY = ConversationOptions(duration=60, room=0, noise=None, lines={"wide": 1})


def frequency(speaker, emotion):
    """A multiple of 50 Hz: a whole number of periods in a frame, so that tones do not mix."""
    return 1000 * (speaker + 1) + 200 * LABELS.index(emotion)


def tone(hertz, seconds):
    return (0.1 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


class ToneTagger:
    """Gives the emotion whose tones are loudest in each frame."""

    labels = LABELS
    frame_rate = 50
    window = 80_000

    def posteriors(self, waves):
        frames = -(-waves.shape[1] // HOP)
        padded = np.zeros((len(waves), frames * HOP), np.float32)
        padded[:, : waves.shape[1]] = waves
        power = np.abs(np.fft.rfft(padded.reshape(len(waves), frames, HOP), axis=-1)) ** 2
        bins = [[frequency(speaker, emotion) // 50 for speaker in range(4)] for emotion in LABELS]
        power_of_label = np.stack([power[..., own].sum(-1) for own in bins], -1) + 1e-3
        return (power_of_label / power_of_label.sum(-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def conversation():
    speakers = {
        f"speaker{n}": [Utterance(e, tone(frequency(n, e), s)) for e in LABELS for s in (1.0, 2.0, 3.0, 5.0)]
        for n in range(3)
    }
    return simulate_conversation(speakers, 4, DRY)


def rates(reference, result):
    return {name: s.errors / s.total for name, s in accuracy.measure(reference, result).items()}


def test_emotions_with_reference_turns(conversation):
    from sed import EmotionDiarizer
    from sed.speakers import ReferenceTurns

    samples, reference = conversation
    diarizer = EmotionDiarizer(tagger=ToneTagger())
    found = rates(reference, diarizer((samples, RATE), turns=ReferenceTurns(reference)))
    assert found["der"] < 0.01, "the turns are the reference: only rounding to frames is left"
    assert found["joint"] < 0.06 and found["eder"] < 0.06, "overlap and changes within words are left"


def test_error_rates_of_the_reference_and_of_the_baseline(conversation):
    _, reference = conversation
    assert set(rates(reference, reference).values()) == {0.0}
    found = rates(reference, accuracy.baseline(reference))
    length = {label: sum(s.duration for s in reference if s.emotion == label) for label in LABELS}
    emotional = 1 - length["neutral"] / sum(length.values())
    assert found["eder_speech"] == pytest.approx(emotional, abs=0.04)
    spoken = [sum(s.duration for s in reference if s.speaker == name) for name in reference.speaker_names]
    assert found["der"] == pytest.approx(1 - max(spoken) / sum(spoken), abs=1e-6)
    assert found["joint"] > found["der"]


def test_error_of_a_shift_is_its_length(conversation):
    _, reference = conversation
    shifted = replace(
        reference,
        duration=reference.duration + 0.1,
        segments=[replace(s, start=s.start + 0.1, end=s.end + 0.1) for s in reference],
    )
    found = accuracy.measure(reference, shifted)
    assert 0 < found["der"].errors <= 2 * 0.1 * len(reference) + 1e-6
    assert found["der_collar"].errors == pytest.approx(0, abs=1e-9)


def test_interval_contains_the_pooled_rate():
    rate, (low, high) = accuracy.pooled([accuracy.Score(1, 10), accuracy.Score(3, 10), accuracy.Score(2, 20)])
    assert rate == pytest.approx(0.15) and low < rate < high
