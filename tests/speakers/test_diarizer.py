"""The default diarizer: synthetic audio with simulated networks, then real audio, block sizes and edge cases."""

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
from sed.speakers.diarizer import DiarizationOptions, cluster_speech_runs
from sed.speakers.embedding import SpeakerEmbedding
from sed.speakers.speech_runs import (
    SpeechRun,
    SpeechRunOptions,
    find_speech_runs,
    frames_to_embed,
    overlapping_pairs,
)
from sed.speech.segmentation import LOCAL_SPEAKERS, Segmentation

TONES = np.array([400.0, 1_100.0, 2_300.0, 4_100.0])  # frequency of each speaker in Hz


class ToneSegmentation(Segmentation):
    """Detects tones: the local speakers are the tones of a window in order of first appearance."""

    def __init__(self) -> None:
        pass

    def activities(self, waves: np.ndarray) -> np.ndarray:
        found = np.zeros((len(waves), waves.shape[1] // HOP, LOCAL_SPEAKERS), np.float32)
        time = np.arange(HOP) / 16_000
        filters = np.exp(-2j * np.pi * TONES[:, None] * time)
        for row, wave in enumerate(waves):
            strength = np.abs(wave.reshape(-1, HOP) @ filters.T) / HOP * 2
            present = strength > 0.1
            order = sorted(np.flatnonzero(present.any(0)), key=lambda tone: present[:, tone].argmax())
            for column, tone in enumerate(order[:LOCAL_SPEAKERS]):
                found[row, :, column] = present[:, tone]
        return found


class ToneEmbedding(SpeakerEmbedding):
    """The mean spectrum as the embedding, which has one direction for each tone."""

    dimension = 80

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, features: np.ndarray) -> np.ndarray:
        self.seconds += len(features) / 100
        power = np.exp(np.asarray(features, np.float64)).mean(0)
        return (power / np.linalg.norm(power)).astype(np.float32)


def synthesise(turns, seconds: float) -> np.ndarray:
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


def test_synthetic_turns_are_found(tones):
    turns = diarize(tones, synthesise(TURNS, 33.3))
    assert turns.names == ("spk00", "spk01", "spk02", "spk03")
    expected = np.zeros((frame_count(round(33.3 * 16_000)), 4), bool)
    for column, tone in enumerate((2, 0, 1, 3)):  # in order of appearance
        for _, start, end in (turn for turn in TURNS if turn[0] == tone):
            expected[round(start * 50) : round(end * 50), column] = True
    wrong = (turns.active != expected).sum()
    assert wrong <= 4, f"{wrong} frames differ (at most the frames partly filled by a tone may)"


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(seconds=st.floats(0, 40), seed=st.integers(0, 999))
def test_the_result_does_not_depend_on_the_block_sizes(tones, seconds, seed):
    audio = synthesise(TURNS, seconds)
    rng = np.random.default_rng(seed)
    expected = diarize(tones, audio)
    found = diarize(tones, audio, np.sort(rng.integers(0, len(audio) + 1, rng.integers(1, 8))))
    assert found.names == expected.names
    np.testing.assert_array_equal(found.active, expected.active)
    assert len(found.active) == frame_count(len(audio))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_recording():
    embedding = ToneEmbedding()
    session = SegmentationDiarizer(segmentation=ToneSegmentation(), embedding=embedding).begin()
    minute = synthesise(TURNS, 60)
    for _ in range(5):
        session.push(minute)
    assert len(session._stream._audio) <= 30 * 16_000
    assert len(session._features._chunks) <= 80, "features of old windows are not dropped"
    runs = session.speech_runs
    assert sum(len(run.bits) + run.vector.nbytes for run in runs) / 300 < 1_000, "bytes per second"
    overhead = sum(
        sys.getsizeof(part) for run in runs for part in (run, run.bits, run.vector, run.start, run.end)
    )
    overhead -= sum(run.vector.nbytes for run in runs)
    assert overhead / len(runs) < 350, "bytes per run without its embedding"
    assert not any(hasattr(run, "__dict__") for run in runs)
    speech = 5 * sum(end - start for _, start, end in TURNS)
    assert embedding.seconds < speech, "speech is embedded more than once"


@pytest.mark.slow
def test_the_result_of_a_real_meeting_does_not_depend_on_the_block_sizes(real, meeting):
    expected = diarize(real, meeting)
    assert len(expected.active) == frame_count(len(meeting)) and len(expected.names) >= 1
    found = diarize(real, meeting, [1, 16_000, 160_001, 333_333])
    assert found.names == expected.names
    np.testing.assert_array_equal(found.active, expected.active)
    np.testing.assert_array_equal(diarize(real, meeting).active, expected.active)


def test_a_real_dialogue(real, data):
    """Utterances of two speakers in alternation."""
    order = [(15, "neutral"), (16, "neutral"), (15, "happy"), (16, "angry"), (16, "happy"), (15, "sad")]
    parts, truth = [], []
    for speaker, emotion in order:
        samples, _ = sf.read(data / f"emodb_{speaker}_{emotion}_1.flac", dtype="float32")
        samples = samples[: len(samples) // HOP * HOP]
        parts += [samples, np.zeros(20 * HOP, np.float32)]
        truth += [speaker] * (len(samples) // HOP) + [0] * 20
    turns = diarize(real, np.concatenate(parts))
    truth = np.array(truth)
    assert len(turns.names) == 2
    assert turns.active[truth == 15, 0].mean() > 0.8 and turns.active[truth == 16, 1].mean() > 0.8
    assert turns.active[truth == 15, 1].mean() < 0.1 and turns.active[truth == 16, 0].mean() < 0.1


@pytest.mark.slow
def test_a_single_speaker_and_bounds_on_the_number_of_speakers(data, meeting):
    neutral = sf.read(data / "emodb_16_neutral_1.flac", dtype="float32")[0]
    assert len(diarize(SegmentationDiarizer(), np.tile(neutral, 4)).names) == 1
    for speakers in (1, 2):
        assert len(diarize(SegmentationDiarizer(speakers=speakers), meeting).names) == speakers
    assert len(diarize(SegmentationDiarizer(max_speakers=1), meeting).names) == 1
    found = diarize(SegmentationDiarizer(speakers=40), meeting)
    assert 1 <= len(found.names) <= 40, "more speakers than there are embeddings"


@pytest.mark.parametrize("samples", [0, 1, 16, 320, 16_000, 160_001, 480_000])
def test_silence_dc_offsets_and_very_short_recordings_have_no_turns(real, samples):
    for audio in (np.zeros(samples, np.float32), np.full(samples, 0.5, np.float32)):
        turns = diarize(real, audio)
        assert turns.active.shape == (frame_count(samples), 0) and turns.names == ()


def test_noise_is_not_a_speaker(real):
    noise = 0.1 * np.random.default_rng(0).normal(size=20 * 16_000).astype(np.float32)
    assert diarize(real, noise).active.mean() < 0.05 if diarize(real, noise).names else True


def test_speech_runs_end_at_long_pauses_and_where_a_window_sees_a_change():
    options = SpeechRunOptions(min_pause=0.2, min_run=0.3)
    active, cuts = np.zeros(100, bool), np.zeros(100, bool)
    active[5:20] = active[25:40] = active[60:70] = active[90:] = True  # pauses of 5, 20 and 20 frames
    assert find_speech_runs(active, active, cuts, options) == [(5, 40), (60, 70), (90, 100)]
    cuts[[10, 25, 65]] = True  # the first and the last would leave less than 0.3 s
    assert find_speech_runs(active, active, cuts, options) == [(5, 25), (25, 40), (60, 70), (90, 100)]
    assert find_speech_runs(np.zeros(100, bool), active, cuts, options) == []


def test_a_long_run_is_cut_where_the_activity_is_lowest():
    active, activity, options = np.ones(500, bool), np.full(500, 0.9), SpeechRunOptions(max_run=4.0)
    activity[193:198] = 0.6
    found = find_speech_runs(active, activity, np.zeros(500, bool), options)
    assert found[0] == (0, 195) and found[-1][1] == 500
    assert all(50 <= end - start <= 200 for start, end in found)
    assert [start for start, _ in found[1:]] == [end for _, end in found[:-1]]


def test_clean_speech_is_embedded_first():
    active = np.zeros((500, 3), bool)
    active[100:300, 0] = True
    active[200:260, 1] = True
    options = SpeechRunOptions(max_embed_seconds=2.0, target_embed_seconds=1.5, min_clean_seconds=0.8)
    frames, seconds = frames_to_embed(active, 0, 100, 300, options)
    assert seconds == 2.0 and set(frames) == set(range(100, 200))
    frames, seconds = frames_to_embed(active, 1, 200, 260, options)  # no clean speech
    assert seconds == 0 and set(frames) == set(range(200, 260))
    frames, seconds = frames_to_embed(active, 0, 180, 250, options)  # 20 clean frames, and overlapped speech
    assert seconds == 0 and set(frames) == set(range(180, 250))
    active[400:405, 2] = True
    assert len(frames_to_embed(active, 2, 400, 405, options)[0]) == 0


def make_run(start, length, vector=None, seconds=0.0, track=0):
    vector = None if vector is None else np.array(vector, np.float32)
    return SpeechRun.from_active(start, np.ones(length, bool), track, vector, seconds)


def test_overlapping_pairs_overlap_for_long_and_for_most_of_the_shorter_run():
    assert overlapping_pairs([make_run(0, 100), make_run(60, 100)]).tolist() == []  # 40 of 100 frames
    assert overlapping_pairs([make_run(0, 100), make_run(60, 50)]).tolist() == [[0, 1]]
    assert overlapping_pairs([make_run(0, 100), make_run(60, 20)]).tolist() == []  # too short


def test_a_run_without_embedding_has_the_speaker_of_the_nearest_run_of_its_track():
    one, two = [1.0, 0.0], [0.0, 1.0]
    runs = [
        make_run(0, 100, one, 2.0, 0),
        make_run(200, 100, two, 2.0, 0),
        make_run(150, 5, track=0),
        make_run(310, 5, track=0),
        make_run(50, 5, track=3),
    ]
    speakers = cluster_speech_runs(runs, ClusteringOptions())
    assert speakers[0] != speakers[1] and speakers[3] == speakers[1]
    assert speakers[2] == speakers[1], "the nearer start"
    assert speakers[4] == -1
    assert cluster_speech_runs([make_run(0, 5)], ClusteringOptions()).tolist() == [-1]
    assert len(cluster_speech_runs([], ClusteringOptions())) == 0


def test_invalid_options_are_rejected():
    for numbers in [(0, None, None), (None, -1, None), (None, None, 0), (None, 3, 2), (2, 1, None)]:
        with pytest.raises(OptionError, match="expected"):
            speaker_bounds(*numbers)
    assert speaker_bounds(None, None, None) == (1, None)
    with pytest.raises(OptionError, match="multiple of"):
        SegmentationDiarizer(options=DiarizationOptions(step=2.55))
