"""Reference turns, a single speaker, short windows with other detectors, and the creation of diarizers by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import sed
from sed.errors import MissingDependencyError, ModelError, OptionError
from sed.grid import HOP, frame_count
from sed.result import Diarization, Segment
from sed.speakers import (
    OneSpeaker,
    ReferenceTurns,
    SegmentationDiarizer,
    VoiceActivityDiarizer,
    make_diarizer,
)
from sed.speakers.factory import DETECTORS, DIARIZERS, make_detector
from sed.speech.webrtc import WebRtcDetector


def diarize(diarizer, audio, cuts=()):
    session = diarizer.begin()
    for part in np.split(audio, list(cuts)):
        session.push(part)
    return session.close()


@pytest.fixture(scope="module")
def dialogue(data):
    """Utterances of two speakers, and the speaker of each frame (0: silence)."""
    parts, truth = [], []
    for speaker, emotion in [(16, "neutral"), (15, "neutral"), (15, "happy"), (16, "happy"), (16, "sad")]:
        samples, _ = sf.read(data / f"emodb_{speaker}_{emotion}_1.flac", dtype="float32")
        samples = samples[: len(samples) // HOP * HOP]
        parts += [samples, np.zeros(30 * HOP, np.float32)]
        truth += [speaker] * (len(samples) // HOP) + [0] * 30
    return np.concatenate(parts), np.array(truth)


def test_reference_turns_have_the_names_of_the_reference():
    reference = Diarization(
        "call",
        9.0,
        [
            Segment(0.5, 1.0, "Zoë", "sad"),
            Segment(1.0, 2.0, "Zoë", "angry"),
            Segment(0.9, 3.009, "agent"),
            Segment(2.5, 9.0, "Zoë"),
            Segment(5.0, 6.0, "late"),
        ],
    )
    turns = diarize(ReferenceTurns(reference), np.zeros(3 * 16_000 + 100, np.float32), [7, 40_000])
    assert turns.names == ("Zoë", "agent"), "a speaker after the end is dropped"
    expected = np.zeros((151, 2), bool)
    expected[25:100, 0] = expected[125:, 0] = expected[45:150, 1] = True
    np.testing.assert_array_equal(turns.active, expected)


def test_segments_without_a_speaker_belong_to_one_speaker():
    turns = diarize(
        ReferenceTurns(Diarization("x", 1.0, [Segment(0.2, 0.4, emotion="sad")])), np.zeros(16_000)
    )
    assert turns.names == ("spk00",) and turns.active.sum() == 10
    assert diarize(ReferenceTurns(Diarization("x", 1.0, [])), np.zeros(16_000)).active.shape == (50, 0)


@pytest.mark.parametrize("vad", DETECTORS)
def test_one_speaker_has_all_speech(vad, dialogue):
    audio, truth = dialogue
    turns = diarize(make_diarizer("none", vad=vad), audio, [1_000, 99_999])
    assert turns.names == ("spk00",) and len(turns.active) == frame_count(len(audio))
    assert turns.active[truth > 0].mean() > 0.8
    assert diarize(make_diarizer("none", vad=vad), np.zeros(50_000, np.float32)).names == ()


@pytest.mark.slow
def test_short_windows_distinguish_two_speakers(dialogue):
    audio, truth = dialogue
    diarizer = VoiceActivityDiarizer(WebRtcDetector(), speakers=2)
    turns = diarize(diarizer, audio)
    assert len(turns.names) == 2 and turns.active.sum(1).max() == 1
    assert turns.active[truth == 16, 0].mean() > 0.7 and turns.active[truth == 15, 1].mean() > 0.7
    for cuts in ([3, 50_001], list(range(0, len(audio), 7_001))):
        np.testing.assert_array_equal(diarize(diarizer, audio, cuts).active, turns.active)
    assert diarize(VoiceActivityDiarizer(WebRtcDetector(), speakers=1), audio).names == ("spk00",)


@pytest.mark.parametrize("samples", [0, 1, 16, 320, 16_000])
def test_short_windows_on_very_short_recordings(samples):
    turns = diarize(VoiceActivityDiarizer(WebRtcDetector()), np.zeros(samples, np.float32))
    assert turns.active.shape == (frame_count(samples), 0)


@pytest.mark.slow
def test_names_create_the_right_diarizers():
    assert isinstance(make_diarizer(), SegmentationDiarizer)
    assert isinstance(make_diarizer(vad="segmentation", speakers=2), SegmentationDiarizer)
    assert isinstance(make_diarizer(vad="webrtc"), VoiceActivityDiarizer)
    assert isinstance(make_diarizer("none"), OneSpeaker)
    assert make_diarizer(max_speakers=3).bounds == (1, 3)
    assert make_diarizer(vad="webrtc", speakers=3).bounds == (3, 3)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"name": "pyanote"}, "expected one of " + ", ".join(DIARIZERS)),
        ({"vad": "rnn"}, "expected one of " + ", ".join(DETECTORS)),
        ({"threads": 0}, "0 threads"),
        ({"speakers": 0}, "speakers is 0"),
        ({"min_speakers": 4, "max_speakers": 2}, "min <= max"),
        ({"name": "none", "speakers": 2}, "expected 1 speaker at most"),
        ({"name": "none", "model": "x.onnx"}, "takes no model"),
        ({"name": "pyannote", "vad": "silero"}, "its pipeline detects speech itself"),
        ({"vad": "webrtc", "model": "x.onnx"}, "one or the other"),
        ({"name": "none:x.onnx"}, "takes no model"),
        ({"name": "segmentation:"}, "one model after the colon"),
        ({"name": "segmentation:x.onnx", "model": "y.onnx"}, "one model after the colon"),
        ({"name": "magic:x.onnx"}, "diarizer 'magic': expected one of"),
    ],
)
def test_invalid_arguments_are_rejected(arguments, text):
    with pytest.raises(OptionError, match=text):
        make_diarizer(**arguments)


def test_a_model_may_follow_the_name(tmp_path):
    bundled = next((Path(sed.__file__).parent / "models").glob("segmentation.onnx"))
    assert isinstance(make_diarizer(f"segmentation:{bundled}"), SegmentationDiarizer)
    with pytest.raises(ModelError, match=r"none.onnx"):
        make_diarizer(f"segmentation:{tmp_path}/none.onnx")


def test_an_unknown_detector_is_rejected():
    with pytest.raises(OptionError, match="'energy'"):
        make_detector("energy")


def test_missing_pyannote_raises_an_error(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyannote.audio", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'speech-emotion-diarization\[pyannote\]'"):
        make_diarizer("pyannote")
