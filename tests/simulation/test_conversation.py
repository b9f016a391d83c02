import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.errors import OptionError
from sed.simulation.conversation import ConversationOptions, Utterance, simulate_conversation
from sed.simulation.simulated_speaker import SimulatedSpeaker
from sed.simulation.speech_pieces import speech_level

RATE = 16_000
WINDOW = 160  # 10 ms: a whole number of periods of every multiple of 100 Hz
EMOTIONS = ("neutral", "happy", "sad", "angry")
DRY = ConversationOptions(room=0, noise=None, lines={"wide": 1})


def tone(frequency, seconds=2.0):
    return (0.1 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def tone_speakers(count, emotions=EMOTIONS):
    """Utterances by speaker, with one frequency per speaker and emotion, so that the audio identifies both."""
    frequencies = {
        (f"speaker{n}", emotion): 1000 * (n + 1) + 200 * k
        for n in range(count)
        for k, emotion in enumerate(emotions)
    }
    speakers = {}
    for (name, emotion), frequency in frequencies.items():
        speakers.setdefault(name, []).extend(Utterance(emotion, tone(frequency, s)) for s in (1.5, 2.0, 4.0))
    return speakers, frequencies


def amplitudes(samples, frequency):
    """The amplitude of `frequency` in each window of 10 ms, ``(windows,)``."""
    count = len(samples) // WINDOW
    time = np.arange(count * WINDOW) / RATE
    shifted = samples[: count * WINDOW] * np.exp(-2j * np.pi * frequency * time)
    return 2 * np.abs(shifted.reshape(count, WINDOW).mean(1))


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3, 4])
def test_reference_matches_the_audio(count):
    speakers, frequencies = tone_speakers(count)
    samples, reference = simulate_conversation(speakers, 7, replace(DRY, duration=60))
    found = expected = 0
    for (name, emotion), frequency in frequencies.items():
        audible = amplitudes(samples, frequency) > 0.01
        labelled = np.zeros(len(audible), bool)
        away_from_edges = np.ones(len(audible), bool)
        for segment in reference:
            start, end = segment.start * RATE / WINDOW, segment.end * RATE / WINDOW
            for edge in (int(start), int(end)):
                away_from_edges[max(0, edge - 2) : edge + 3] = False
            if (segment.speaker, segment.emotion) == (name, emotion):
                labelled[math.ceil(start) : int(end)] = True
        missed = audible & ~labelled & away_from_edges
        assert not missed.any(), f"{name} is {emotion}, but the reference is not"
        silent = labelled & ~audible & away_from_edges
        runs = [sum(1 for _ in group) for value, group in itertools.groupby(silent) if value]
        # 0.3 s, and the fades of 10 ms on both sides
        assert max(runs, default=0) <= 32, "the reference closes only silences under 0.3 s"
        found += (labelled & away_from_edges & audible).sum()
        expected += (labelled & away_from_edges).sum()
    assert found > 0.9 * expected


def test_edges_are_exact_to_the_sample():
    """With one short utterance per turn and nothing else, segments start and end with the energy."""
    speakers = {"a": [Utterance("neutral", np.full(16_000, 0.1, np.float32))]}
    options = replace(
        DRY, duration=20, emotions={}, neutral_turns=1, neutral_turn=(0.9, 0.0), hold_pause=(0.8, 0.0)
    )
    samples, reference = simulate_conversation(speakers, 0, options)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], samples != 0, [0]])))
    starts, ends = edges[::2], edges[1::2]
    assert len(reference) == len(starts) >= 5
    for segment, start, end in zip(reference, starts, ends, strict=True):
        # The first and last sample of a fade_ends sound are zero.
        assert round(segment.start * RATE) == start - 1 and round(segment.end * RATE) == end + 1


@pytest.mark.slow
def test_conversations_depend_on_the_seed_only():
    speakers, _ = tone_speakers(3)
    first, second = (simulate_conversation(speakers, 5) for _ in range(2))
    assert first[0].tobytes() == second[0].tobytes() and first[1] == second[1]
    assert simulate_conversation(speakers, 6)[1] != first[1]
    assert simulate_conversation(speakers, np.random.default_rng(5))[0].tobytes() == first[0].tobytes()


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 4), duration=st.floats(1, 40))
def test_properties_of_random_conversations(seed, count, duration):
    speakers, _ = tone_speakers(count)
    options = ConversationOptions(duration=duration, room=0, backchannels=0.5)
    samples, reference = simulate_conversation(speakers, seed, options, uri="talk")
    assert reference.uri == "talk" and reference.labels == ("neutral", "happy", "angry", "sad")
    assert samples.dtype == np.float32 and np.abs(samples).max() <= 1
    assert round(reference.duration * RATE) == len(samples) >= duration * RATE
    assert reference.speaker_names == tuple(speakers)
    for name in speakers:
        own = [segment for segment in reference if segment.speaker == name]
        assert all(a.end <= b.start for a, b in itertools.pairwise(own)), (
            "segments of one speaker do not overlap"
        )
    assert max(segment.end for segment in reference) <= reference.duration


def turns_of(options, count, seed=0):
    utterances = [Utterance(e, tone(1000, s)) for e in EMOTIONS for s in np.linspace(1, 6, 8)]
    speaker = SimulatedSpeaker("speaker0", utterances, options, np.random.default_rng(seed))
    for _ in range(count):
        yield speaker.next_turn()


def test_events_have_the_statistics_of_zed():
    options = replace(DRY, neutral_turns=0)
    shares, lengths, emotional, total = {}, [], 0, 0
    for samples, pieces in turns_of(options, 1500):
        changes = [(e, list(g)) for e, g in itertools.groupby(pieces, key=lambda piece: piece[2])]
        name = "".join("n" if emotion == "neutral" else "e" for emotion, _ in changes)
        shares[name] = shares.get(name, 0) + 1 / 1500
        for emotion, group in changes:
            if emotion != "neutral":
                lengths.append((group[-1][1] - group[0][0]) / RATE)
                emotional += lengths[-1]
        total += len(samples) / RATE
    expected = {"ne": 94 / 180, "en": 35 / 180, "e": 30 / 180, "nen": 21 / 180}
    assert shares.keys() == expected.keys()
    assert all(shares[name] == pytest.approx(expected[name], abs=0.04) for name in expected), shares
    assert np.median(lengths) == pytest.approx(2.64, abs=0.35)
    assert emotional / total == pytest.approx(0.588, abs=0.06)


def test_emotions_follow_their_weights_and_persist():
    started, continued, previous = {}, 0, None
    for _, pieces in turns_of(replace(DRY, emotions={"sad": 3, "angry": 1}), 1200):
        first, last = pieces[0][2], pieces[-1][2]
        for emotion in {piece[2] for piece in pieces} - {"neutral"}:
            if first == "neutral":
                started[emotion] = started.get(emotion, 0) + 1
        if previous not in (None, "neutral"):
            assert first in ("neutral", previous), "an emotion does not change into another one"
            continued += first == previous
        previous = last
    assert started["sad"] / (started["sad"] + started["angry"]) == pytest.approx(0.75, abs=0.05)
    assert continued > 100


@pytest.mark.slow
def test_turn_taking_has_the_statistics_of_real_conversations(monkeypatch):
    turns = []
    add_speech = SimulatedSpeaker.add_speech

    def record(self, start, samples, pieces):
        turns.append((self.name, start / RATE, (start + len(samples)) / RATE))
        add_speech(self, start, samples, pieces)

    monkeypatch.setattr(SimulatedSpeaker, "add_speech", record)
    speakers, _ = tone_speakers(3)
    options = replace(DRY, duration=2500, backchannels=0)
    simulate_conversation(speakers, 1, options)
    pairs = list(itertools.pairwise(turns))
    offsets = np.array([b[1] - a[2] for a, b in pairs if a[0] != b[0]])
    assert len(offsets) > 300
    assert 0.1 < np.median(offsets) < 0.4
    assert 0.25 < (offsets < 0).mean() < 0.45
    assert -options.longest_overlap - 1e-9 <= offsets.min() < -1
    holds = [b[1] - a[2] for a, b in pairs if a[0] == b[0]]
    assert len(holds) / len(pairs) == pytest.approx(options.hold, abs=0.05)
    assert np.median(holds) == pytest.approx(0.7, abs=0.1)
    back = [
        a[0] == c[0] for a, b, c in zip(turns, turns[1:], turns[2:], strict=False) if a[0] != b[0] != c[0]
    ]
    assert np.mean(back) == pytest.approx(2 / 3, abs=0.07), (
        "the previous speaker is twice as likely as the other one"
    )


@pytest.mark.slow
def test_speech_of_one_speaker_does_not_overlap(monkeypatch):
    add_speech = SimulatedSpeaker.add_speech

    def check(self, start, samples, pieces):
        assert start >= self.end
        add_speech(self, start, samples, pieces)

    monkeypatch.setattr(SimulatedSpeaker, "add_speech", check)
    speakers, _ = tone_speakers(2)
    simulate_conversation(speakers, 1, replace(DRY, duration=1500, backchannels=1, offset=(-1.0, 0.5)))


def test_backchannels_overlap_turns():
    speakers, _ = tone_speakers(2)
    options = replace(DRY, duration=300, offset=(0.5, 0.0), lapse=0)
    overlaps = []
    for share in (0.0, 1.0):
        _, reference = simulate_conversation(speakers, 2, replace(options, backchannels=share))
        segments = list(reference)
        overlaps.append(sum(a.end > b.start for a, b in itertools.pairwise(segments)))
    assert overlaps[0] == 0 and overlaps[1] > 10


def test_levels_are_equalised_or_partly_kept():
    speakers = {
        "a": [Utterance("neutral", 0.01 * tone(500)), Utterance("angry", 3 * tone(900))],
        "b": [Utterance("neutral", 5 * tone(2000))],
    }

    def level(name, emotion, options):
        options = replace(options, duration=60, offset=(0.5, 0.0))
        samples, reference = simulate_conversation(speakers, 3, options)
        parts = [s for s in reference if (s.speaker, s.emotion) == (name, emotion) and s.duration > 1]
        speech = [samples[round(s.start * RATE) : round(s.end * RATE)] for s in parts]
        return speech_level(np.concatenate(speech))

    equal = replace(DRY, level=-20, level_spread=0, loudness_kept=0, backchannels=0, emotions={"angry": 1})
    for name, emotion in (("a", "neutral"), ("a", "angry"), ("b", "neutral")):
        assert level(name, emotion, equal) == pytest.approx(-20, abs=0.3)
    kept = replace(equal, loudness_kept=0.5)
    assert level("a", "angry", kept) - level("a", "neutral", kept) == pytest.approx(10, abs=0.5)


def test_noise_has_the_given_signal_to_noise_ratio():
    speakers, _ = tone_speakers(2)
    options = replace(DRY, noise=(20, 20), level=-26, duration=30)
    samples, reference = simulate_conversation(speakers, 4, options)
    silent = samples[: round(min(s.start for s in reference) * RATE)]
    assert 10 * np.log10((silent**2).mean()) == pytest.approx(-46, abs=1.5)


def test_room_and_line_do_not_change_the_reference():
    speakers, _ = tone_speakers(2)
    dry = simulate_conversation(speakers, 8, replace(DRY, duration=10))
    for other in (replace(DRY, duration=10, room=1), replace(DRY, duration=10, lines={"telephone": 1})):
        samples, reference = simulate_conversation(speakers, 8, other)
        assert reference == dry[1]
        assert not np.allclose(samples, dry[0], atol=1e-3)


def test_speakers_only_have_emotions_of_their_utterances():
    speakers, _ = tone_speakers(2)
    speakers["speaker0"] = [u for u in speakers["speaker0"] if u.emotion != "sad"]
    speakers["speaker1"] = [u for u in speakers["speaker1"] if u.emotion == "neutral"]
    _, reference = simulate_conversation(speakers, 1, replace(DRY, duration=200))
    found = {(segment.speaker, segment.emotion) for segment in reference}
    assert ("speaker0", "happy") in found and ("speaker0", "sad") not in found
    assert {emotion for name, emotion in found if name == "speaker1"} == {"neutral"}


@pytest.mark.parametrize(
    ("speakers", "message"),
    [
        ({}, "found no speakers, expected at least one"),
        ({"a": []}, "speaker a has no audible neutral utterance"),
        ({"a": [Utterance("neutral", np.zeros(16_000, np.float32))]}, "no audible neutral"),
        ({"a": [Utterance("angry", tone(500))]}, "no audible neutral"),
    ],
)
def test_invalid_speakers_raise(speakers, message):
    with pytest.raises(OptionError, match=message):
        simulate_conversation(speakers, 0)


@pytest.mark.parametrize(
    ("invalid", "message"),
    [
        ({"duration": 0}, "duration 0: expected seconds above 0"),
        ({"duration": math.nan}, "duration nan"),
        ({"patterns": {"ne": (1, ())}}, "expected ne, en, e and nen"),
        ({"hold": 1.5}, "hold is 1.5: expected 0 to 1"),
        ({"lines": {"tin can": 1}}, r"lines \['tin can'\]: expected some of wide, telephone, opus"),
    ],
)
def test_invalid_options_raise(invalid, message):
    with pytest.raises(OptionError, match=message):
        ConversationOptions(**invalid)


def test_reference_matches_real_speech(data):
    speakers = {}
    for name in ("15", "16"):
        speakers[name] = [
            Utterance(emotion, soundfile.read(data / f"emodb_{name}_{emotion}_1.flac", dtype="float32")[0])
            for emotion in EMOTIONS
        ]
    samples, reference = simulate_conversation(speakers, 1, replace(DRY, duration=40))
    outside = np.ones(len(samples), bool)
    inside = np.zeros(len(samples), bool)
    for segment in reference:
        outside[round(segment.start * RATE) : round(segment.end * RATE)] = False
        inside[round(segment.start * RATE) : round(segment.end * RATE)] = True
    power = samples.astype(np.float64) ** 2
    assert power[outside].sum() < 1e-3 * power.sum()
    assert power[inside].mean() > 300 * power[outside].mean()
    assert {segment.emotion for segment in reference} >= {"neutral"}
