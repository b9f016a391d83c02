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
from sed.simulation.simulated_speaker import Talker
from sed.simulation.speech_pieces import speech_level

RATE = 16_000
WINDOW = 160  # 10 ms: a whole number of periods of every multiple of 100 Hz
EMOTIONS = ("neutral", "happy", "sad", "angry")
DRY = ConversationOptions(room=0, noise=None, lines={"wide": 1})


def tone(frequency, seconds=2.0):
    return (0.1 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def tone_people(count, emotions=EMOTIONS):
    """Everybody and every emotion has a frequency of its own, so the audio itself tells the truth."""
    frequencies = {
        (f"person{n}", emotion): 1000 * (n + 1) + 200 * k
        for n in range(count)
        for k, emotion in enumerate(emotions)
    }
    people = {}
    for (name, emotion), frequency in frequencies.items():
        people.setdefault(name, []).extend(Utterance(emotion, tone(frequency, s)) for s in (1.5, 2.0, 4.0))
    return people, frequencies


def heard(samples, frequency):
    """Amplitude of `frequency` in each 10 ms, ``(windows,)``."""
    count = len(samples) // WINDOW
    time = np.arange(count * WINDOW) / RATE
    turned = samples[: count * WINDOW] * np.exp(-2j * np.pi * frequency * time)
    return 2 * np.abs(turned.reshape(count, WINDOW).mean(1))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_reference_says_what_is_in_the_audio(count):
    people, frequencies = tone_people(count)
    samples, reference = simulate_conversation(people, 7, replace(DRY, duration=60))
    found = wanted = 0
    for (name, emotion), frequency in frequencies.items():
        audible = heard(samples, frequency) > 0.01
        said = np.zeros(len(audible), bool)
        sure = np.ones(len(audible), bool)
        for segment in reference:
            start, end = segment.start * RATE / WINDOW, segment.end * RATE / WINDOW
            sure[max(0, int(start) - 2) : int(start) + 3] = sure[max(0, int(end) - 2) : int(end) + 3] = False
            if (segment.speaker, segment.emotion) == (name, emotion):
                said[math.ceil(start) : int(end)] = True
        assert not (audible & ~said & sure).any(), f"{name} is {emotion} where the reference does not say so"
        silent = said & ~audible & sure
        runs = [sum(1 for _ in group) for value, group in itertools.groupby(silent) if value]
        # 0.3 s, and the 10 ms fades on both sides
        assert max(runs, default=0) <= 32, "the reference may close silences under 0.3 s only"
        found += (said & sure & audible).sum()
        wanted += (said & sure).sum()
    assert found > 0.9 * wanted


def test_edges_are_exact_to_the_sample():
    """With one short utterance a turn and nothing else, the energy's edges are the reference's."""
    people = {"a": [Utterance("neutral", np.full(16_000, 0.1, np.float32))]}
    options = replace(
        DRY, duration=20, emotions={}, neutral_turns=1, neutral_turn=(0.9, 0.0), hold_pause=(0.8, 0.0)
    )
    samples, reference = simulate_conversation(people, 0, options)
    loud = np.flatnonzero(np.diff(np.concatenate([[0], samples != 0, [0]])))
    starts, ends = loud[::2], loud[1::2]
    assert len(reference) == len(starts) >= 5
    for segment, start, end in zip(reference, starts, ends, strict=True):
        # The first and last sample of a faded sound are zero.
        assert round(segment.start * RATE) == start - 1 and round(segment.end * RATE) == end + 1


def test_same_seed_same_bytes_other_seed_other_conversation():
    people, _ = tone_people(3)
    first, again = (simulate_conversation(people, 5) for _ in range(2))
    assert first[0].tobytes() == again[0].tobytes() and first[1] == again[1]
    assert simulate_conversation(people, 6)[1] != first[1]
    assert simulate_conversation(people, np.random.default_rng(5))[0].tobytes() == first[0].tobytes()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 4), duration=st.floats(1, 40))
def test_any_conversation_is_sound(seed, count, duration):
    people, _ = tone_people(count)
    options = ConversationOptions(duration=duration, room=0, backchannels=0.5)
    samples, reference = simulate_conversation(people, seed, options, uri="talk")
    assert reference.uri == "talk" and reference.labels == ("neutral", "happy", "angry", "sad")
    assert samples.dtype == np.float32 and np.abs(samples).max() <= 1
    assert round(reference.duration * RATE) == len(samples) >= duration * RATE
    assert reference.speaker_names == tuple(people)
    for name in people:
        own = [segment for segment in reference if segment.speaker == name]
        assert all(a.end <= b.start for a, b in itertools.pairwise(own)), "nobody talks over himself"
    assert max(segment.end for segment in reference) <= reference.duration


def turns_of(options, count, seed=0):
    utterances = [Utterance(e, tone(1000, s)) for e in EMOTIONS for s in np.linspace(1, 6, 8)]
    talker = Talker("person0", utterances, options, np.random.default_rng(seed))
    for _ in range(count):
        yield talker.turn()


def test_events_have_the_statistics_of_zed():
    options = replace(DRY, neutral_turns=0)
    shares, lengths, emotional, total = {}, [], 0, 0
    for sounds, pieces in turns_of(options, 1500):
        changes = [(e, list(g)) for e, g in itertools.groupby(pieces, key=lambda piece: piece[2])]
        name = "".join("n" if emotion == "neutral" else "e" for emotion, _ in changes)
        shares[name] = shares.get(name, 0) + 1 / 1500
        for emotion, group in changes:
            if emotion != "neutral":
                lengths.append((group[-1][1] - group[0][0]) / RATE)
                emotional += lengths[-1]
        total += len(sounds) / RATE
    wanted = {"ne": 94 / 180, "en": 35 / 180, "e": 30 / 180, "nen": 21 / 180}
    assert shares.keys() == wanted.keys()
    assert all(shares[name] == pytest.approx(wanted[name], abs=0.04) for name in wanted), shares
    assert np.median(lengths) == pytest.approx(2.64, abs=0.35)
    assert emotional / total == pytest.approx(0.588, abs=0.06)


def test_emotions_follow_their_weights_and_persist():
    begun, kept, before = {}, 0, None
    for _, pieces in turns_of(replace(DRY, emotions={"sad": 3, "angry": 1}), 1200):
        first, last = pieces[0][2], pieces[-1][2]
        for emotion in {piece[2] for piece in pieces} - {"neutral"}:
            if first == "neutral":
                begun[emotion] = begun.get(emotion, 0) + 1
        if before not in (None, "neutral"):
            assert first in ("neutral", before), (
                "an emotion goes on or is over; it does not turn into another"
            )
            kept += first == before
        before = last
    assert begun["sad"] / (begun["sad"] + begun["angry"]) == pytest.approx(0.75, abs=0.05)
    assert kept > 100


def test_turn_taking_is_that_of_real_talk(monkeypatch):
    turns = []
    say = Talker.say

    def listen(self, at, sound, pieces):
        turns.append((self.name, at / RATE, (at + len(sound)) / RATE))
        say(self, at, sound, pieces)

    monkeypatch.setattr(Talker, "say", listen)
    people, _ = tone_people(3)
    options = replace(DRY, duration=2500, backchannels=0)
    simulate_conversation(people, 1, options)
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
    assert np.mean(back) == pytest.approx(2 / 3, abs=0.07), "talk goes back and forth"


def test_nobody_begins_before_he_has_finished(monkeypatch):
    say = Talker.say

    def listen(self, at, sound, pieces):
        assert at >= self.end
        say(self, at, sound, pieces)

    monkeypatch.setattr(Talker, "say", listen)
    people, _ = tone_people(2)
    simulate_conversation(people, 1, replace(DRY, duration=1500, backchannels=1, offset=(-1.0, 0.5)))


def test_backchannels_overlap_the_turn_they_answer():
    people, _ = tone_people(2)
    quiet = replace(DRY, duration=300, offset=(0.5, 0.0), lapse=0)
    overlaps = []
    for share in (0.0, 1.0):
        _, reference = simulate_conversation(people, 2, replace(quiet, backchannels=share))
        segments = list(reference)
        overlaps.append(sum(a.end > b.start for a, b in itertools.pairwise(segments)))
    assert overlaps[0] == 0 and overlaps[1] > 10


def test_levels_are_equal_or_as_told():
    people = {
        "a": [Utterance("neutral", 0.01 * tone(500)), Utterance("angry", 3 * tone(900))],
        "b": [Utterance("neutral", 5 * tone(2000))],
    }

    def level(name, emotion, options):
        samples, reference = simulate_conversation(
            people, 3, replace(options, duration=60, offset=(0.5, 0.0))
        )
        parts = [s for s in reference if (s.speaker, s.emotion) == (name, emotion) and s.duration > 1]
        sounds = [samples[round(s.start * RATE) : round(s.end * RATE)] for s in parts]
        return speech_level(np.concatenate(sounds))

    equal = replace(DRY, level=-20, level_spread=0, loudness_kept=0, backchannels=0, emotions={"angry": 1})
    for name, emotion in (("a", "neutral"), ("a", "angry"), ("b", "neutral")):
        assert level(name, emotion, equal) == pytest.approx(-20, abs=0.3)
    kept = replace(equal, loudness_kept=0.5)
    assert level("a", "angry", kept) - level("a", "neutral", kept) == pytest.approx(10, abs=0.5)


def test_noise_has_the_wanted_distance_from_the_speech():
    people, _ = tone_people(2)
    options = replace(DRY, noise=(20, 20), level=-26, duration=30)
    samples, reference = simulate_conversation(people, 4, options)
    silent = samples[: round(min(s.start for s in reference) * RATE)]
    assert 10 * np.log10((silent**2).mean()) == pytest.approx(-46, abs=1.5)


def test_room_and_line_leave_the_reference_alone():
    people, _ = tone_people(2)
    dry = simulate_conversation(people, 8, replace(DRY, duration=10))
    for other in (replace(DRY, duration=10, room=1), replace(DRY, duration=10, lines={"telephone": 1})):
        samples, reference = simulate_conversation(people, 8, other)
        assert reference == dry[1]
        assert not np.allclose(samples, dry[0], atol=1e-3)


def test_nobody_shows_an_emotion_that_he_has_not_acted():
    people, _ = tone_people(2)
    people["person0"] = [u for u in people["person0"] if u.emotion != "sad"]
    people["person1"] = [u for u in people["person1"] if u.emotion == "neutral"]
    _, reference = simulate_conversation(people, 1, replace(DRY, duration=200))
    shown = {(segment.speaker, segment.emotion) for segment in reference}
    assert ("person0", "happy") in shown and ("person0", "sad") not in shown
    assert {emotion for name, emotion in shown if name == "person1"} == {"neutral"}


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ({}, "a conversation of nobody"),
        ({"a": []}, "speaker a has no audible neutral utterance"),
        ({"a": [Utterance("neutral", np.zeros(16_000, np.float32))]}, "no audible neutral"),
        ({"a": [Utterance("angry", tone(500))]}, "no audible neutral"),
    ],
)
def test_impossible_casts_are_refused(people, message):
    with pytest.raises(OptionError, match=message):
        simulate_conversation(people, 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"duration": 0}, "duration 0: expected seconds above 0"),
        ({"duration": math.nan}, "duration nan"),
        ({"patterns": {"ne": (1, ())}}, "expected ne, en, e and nen"),
        ({"hold": 1.5}, "hold is 1.5: expected 0 to 1"),
        ({"lines": {"tin can": 1}}, r"lines \['tin can'\]: expected some of wide, telephone, opus"),
    ],
)
def test_senseless_options_are_refused(wrong, message):
    with pytest.raises(OptionError, match=message):
        ConversationOptions(**wrong)


def test_real_speech_is_where_the_reference_says(data):
    people = {}
    for name in ("15", "16"):
        people[name] = [
            Utterance(emotion, soundfile.read(data / f"emodb_{name}_{emotion}_1.flac", dtype="float32")[0])
            for emotion in EMOTIONS
        ]
    samples, reference = simulate_conversation(people, 1, replace(DRY, duration=40))
    outside = np.ones(len(samples), bool)
    inside = np.zeros(len(samples), bool)
    for segment in reference:
        outside[round(segment.start * RATE) : round(segment.end * RATE)] = False
        inside[round(segment.start * RATE) : round(segment.end * RATE)] = True
    power = samples.astype(np.float64) ** 2
    assert power[outside].sum() < 1e-3 * power.sum()
    assert power[inside].mean() > 300 * power[outside].mean()
    assert {segment.emotion for segment in reference} >= {"neutral"}
