"""The default diarizer: constructed truth with networks made for it, then real audio, cuts and odd input."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.errors import OptionError
from sed.grid import HOP, frame_count
from sed.speakers import SegmentationDiarizer
from sed.speakers.bounds import speaker_bounds
from sed.speakers.clustering import ClusteringOptions
from sed.speakers.diarizer import DiarizationOptions, name_stretches
from sed.speakers.embedding import SpeakerEmbedding
from sed.speakers.stretches import Stretch, StretchOptions, frames_to_embed, pairs_at_once, stretches_of
from sed.speech.segmentation import LOCAL_SPEAKERS, Segmentation

TONES = np.array([400.0, 1_100.0, 2_300.0, 4_100.0])  # a speaker each


class ToneSegmentation(Segmentation):
    """Hears tones: the local speakers are the tones of a window in order of first appearance."""

    def __init__(self) -> None:
        pass

    def active(self, waves: np.ndarray) -> np.ndarray:
        found = np.zeros((len(waves), waves.shape[1] // HOP, LOCAL_SPEAKERS), bool)
        time = np.arange(HOP) / 16_000
        filters = np.exp(-2j * np.pi * TONES[:, None] * time)
        for row, wave in enumerate(waves):
            strength = np.abs(wave.reshape(-1, HOP) @ filters.T) / HOP * 2
            heard = strength > 0.1
            order = sorted(np.flatnonzero(heard.any(0)), key=lambda tone: heard[:, tone].argmax())
            for column, tone in enumerate(order[:LOCAL_SPEAKERS]):
                found[row, :, column] = heard[:, tone]
        return found


class ToneEmbedding(SpeakerEmbedding):
    """The spectrum as the voice: one direction a tone."""

    dimension = 80

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, features: np.ndarray) -> np.ndarray:
        self.seconds += len(features) / 100
        power = np.exp(np.asarray(features, np.float64)).mean(0)
        return (power / np.linalg.norm(power)).astype(np.float32)


def converse(turns, seconds: float) -> np.ndarray:
    """Audio of `turns` (tone, start, end in seconds)."""
    time = np.arange(round(seconds * 16_000)) / 16_000
    audio = np.zeros(len(time), np.float32)
    for tone, start, end in turns:
        audio += np.where((time >= start) & (time < end), 0.4 * np.sin(2 * np.pi * TONES[tone] * time), 0)
    return audio.astype(np.float32)


def diarize(diarizer, audio, cuts=()):
    session = diarizer.begin()
    for part in np.split(audio, list(cuts)):
        session.push(part)
    return session.close()


@pytest.fixture(scope="module")
def tones():
    return SegmentationDiarizer(segmentation=ToneSegmentation(), embedding=ToneEmbedding())


@pytest.fixture(scope="module")
def real():
    return SegmentationDiarizer()


@pytest.fixture(scope="module")
def meeting(data):
    return sf.read(data / "ami_trn00.flac", dtype="float32")[0]


TURNS = [(2, 1.0, 4.0), (0, 4.4, 9.0), (2, 8.0, 13.0), (1, 13.5, 17.0), (3, 16.0, 22.0), (0, 25.0, 31.0)]


def test_who_speaks_when_comes_out_exactly(tones):
    turns = diarize(tones, converse(TURNS, 33.3))
    assert turns.names == ("spk00", "spk01", "spk02", "spk03")
    expected = np.zeros((frame_count(round(33.3 * 16_000)), 4), bool)
    for column, tone in enumerate((2, 0, 1, 3)):  # in order of appearance
        for _, start, end in (turn for turn in TURNS if turn[0] == tone):
            expected[round(start * 50) : round(end * 50), column] = True
    wrong = (turns.active != expected).sum()
    assert wrong <= 4, f"{wrong} frames differ (frames half filled by a tone's edge)"


@settings(max_examples=15, deadline=None)
@given(seconds=st.floats(0, 40), seed=st.integers(0, 999))
def test_the_cuts_change_nothing(tones, seconds, seed):
    audio = converse(TURNS, seconds)
    rng = np.random.default_rng(seed)
    expected = diarize(tones, audio)
    found = diarize(tones, audio, np.sort(rng.integers(0, len(audio) + 1, rng.integers(1, 8))))
    assert found.names == expected.names
    np.testing.assert_array_equal(found.active, expected.active)
    assert len(found.active) == frame_count(len(audio))


def test_memory_does_not_grow_with_the_recording():
    embedding = ToneEmbedding()
    session = SegmentationDiarizer(segmentation=ToneSegmentation(), embedding=embedding).begin()
    minute = converse(TURNS, 60)
    for _ in range(5):
        session.push(minute)
    assert len(session._stream._audio) <= 30 * 16_000
    assert len(session._features._chunks) <= 80, "features of old windows are kept"
    kept = sum(len(s.bits) + s.vector.nbytes for s in session.stretches)
    assert kept / 300 < 1_000, "bytes a second"
    beside = sum(
        sys.getsizeof(part) for s in session.stretches for part in (s, s.bits, s.vector, s.start, s.end)
    )
    beside -= sum(s.vector.nbytes for s in session.stretches)
    assert beside / len(session.stretches) < 350, "bytes a stretch beside its voice"
    assert not any(hasattr(s, "__dict__") for s in session.stretches)
    spoken = 5 * sum(end - start for _, start, end in TURNS)
    assert embedding.seconds < spoken, "speech is embedded more than once"


def test_real_meeting_is_the_same_in_every_cut(real, meeting):
    expected = diarize(real, meeting)
    assert len(expected.active) == frame_count(len(meeting)) and len(expected.names) >= 1
    found = diarize(real, meeting, [1, 16_000, 160_001, 333_333])
    assert found.names == expected.names
    np.testing.assert_array_equal(found.active, expected.active)
    np.testing.assert_array_equal(diarize(real, meeting).active, expected.active)


def test_a_real_conversation_of_two(real, data):
    """Utterances of two people in turn: who is who must come out, frame by frame."""
    order = [(15, "neutral"), (16, "neutral"), (15, "happy"), (16, "angry"), (16, "happy"), (15, "sad")]
    parts, who = [], []
    for speaker, emotion in order:
        samples, _ = sf.read(data / f"emodb_{speaker}_{emotion}_1.flac", dtype="float32")
        samples = samples[: len(samples) // HOP * HOP]
        parts += [samples, np.zeros(20 * HOP, np.float32)]
        who += [speaker] * (len(samples) // HOP) + [0] * 20
    turns = diarize(real, np.concatenate(parts))
    who = np.array(who)
    assert len(turns.names) == 2
    assert turns.active[who == 15, 0].mean() > 0.8 and turns.active[who == 16, 1].mean() > 0.8
    assert turns.active[who == 15, 1].mean() < 0.1 and turns.active[who == 16, 0].mean() < 0.1


def test_one_person_is_one_person_and_the_bounds_hold(data, meeting):
    parts = [sf.read(data / f"emodb_16_{how}_1.flac", dtype="float32")[0] for how in ("neutral", "neutral")]
    alone = np.concatenate([*parts, *parts])
    assert len(diarize(SegmentationDiarizer(), alone).names) == 1
    for wanted in (1, 2):
        assert len(diarize(SegmentationDiarizer(speakers=wanted), meeting).names) == wanted
    assert len(diarize(SegmentationDiarizer(max_speakers=1), meeting).names) == 1
    found = diarize(SegmentationDiarizer(speakers=40), meeting)
    assert 1 <= len(found.names) <= 40, "more people than voices"


@pytest.mark.parametrize("samples", [0, 1, 16, 320, 16_000, 160_001, 480_000])
def test_silence_offsets_and_the_shortest_recordings_have_no_turns(real, samples):
    for audio in (np.zeros(samples, np.float32), np.full(samples, 0.5, np.float32)):
        turns = diarize(real, audio)
        assert turns.active.shape == (frame_count(samples), 0) and turns.names == ()


def test_noise_is_nobody(real):
    noise = 0.1 * np.random.default_rng(0).normal(size=20 * 16_000).astype(np.float32)
    assert diarize(real, noise).active.mean() < 0.05 if diarize(real, noise).names else True


def test_stretches_end_at_long_pauses_and_stay_in_touch_with_the_tile():
    options = StretchOptions(pause=0.2)
    talk = np.zeros(100, bool)
    talk[5:20] = talk[25:40] = talk[60:70] = talk[90:] = True  # pauses of 5, 20 and 20 frames
    assert stretches_of(talk, slice(0, 100), options) == [(5, 40), (60, 70), (90, 100)]
    assert stretches_of(talk, slice(30, 80), options) == [(5, 40), (60, 70)]
    assert stretches_of(talk, slice(41, 59), options) == []


def test_clean_speech_is_embedded_first():
    active = np.zeros((500, 3), bool)
    active[100:300, 0] = True
    active[200:260, 1] = True
    tile, options = slice(0, 500), StretchOptions(embed_at_most=2.0, embed_enough=1.5, clean_at_least=0.8)
    frames, seconds = frames_to_embed(active, 0, 100, 300, tile, options)
    assert seconds == 2.0 and set(frames) == set(range(100, 200))
    frames, seconds = frames_to_embed(active, 1, 200, 260, tile, options)  # never alone
    assert seconds == 0 and set(frames) == set(range(200, 260))
    frames, seconds = frames_to_embed(
        active, 0, 100, 300, slice(290, 500), options
    )  # 10 frames, and more beyond
    assert set(range(290, 300)) <= set(frames) and len(frames) == 75 and seconds == 1.5
    active[:, 2] = False
    active[400:405, 2] = True
    assert len(frames_to_embed(active, 2, 400, 405, tile, options)[0]) == 0


def stretch(start, length, vector=None, seconds=0.0, voice=(0, 0)):
    vector = None if vector is None else np.array(vector, np.float32)
    return Stretch.of(start, np.ones(length, bool), voice, vector, seconds)


def test_pairs_must_overlap_for_long_and_for_the_most_part():
    assert pairs_at_once([stretch(0, 100), stretch(60, 100)]).tolist() == []  # 40 of 100 frames
    assert pairs_at_once([stretch(0, 100), stretch(60, 50)]).tolist() == [[0, 1]]
    assert pairs_at_once([stretch(0, 100), stretch(60, 20)]).tolist() == []  # too short to tell


def test_a_stretch_without_embedding_follows_its_voice():
    one, two = [1.0, 0.0], [0.0, 1.0]
    stretches = [
        stretch(0, 100, one, 2.0, (0, 0)),
        stretch(200, 100, two, 2.0, (0, 0)),
        stretch(150, 5, voice=(0, 0)),
        stretch(310, 5, voice=(0, 0)),
        stretch(50, 5, voice=(3, 1)),
    ]
    people = name_stretches(stretches, ClusteringOptions())
    assert people[0] != people[1] and people[3] == people[1]
    assert people[2] == people[1], "the nearer start"
    assert people[4] == -1
    assert name_stretches([stretch(0, 5)], ClusteringOptions()).tolist() == [-1]
    assert len(name_stretches([], ClusteringOptions())) == 0


def test_options_that_make_no_sense_are_refused():
    for numbers in [(0, None, None), (None, -1, None), (None, None, 0), (None, 3, 2), (2, 1, None)]:
        with pytest.raises(OptionError, match="expected"):
            speaker_bounds(*numbers)
    assert speaker_bounds(None, None, None) == (1, None)
    with pytest.raises(OptionError, match="multiple of"):
        SegmentationDiarizer(options=DiarizationOptions(step=2.54))
