"""Pipecat's own test pipeline with `EmotionProcessor` in it."""

import asyncio
import importlib.util

import pytest
import soundfile

if importlib.util.find_spec("pipecat") is None:
    pytest.skip("pipecat-ai is not installed (extra pipecat)", allow_module_level=True)

from pipecat.frames.frames import ErrorFrame, InputAudioRawFrame, TextFrame, UserAudioRawFrame
from pipecat.tests.utils import SleepFrame, run_test

from sed import EmotionDiarizer
from sed.agents.pipecat import EmotionFrame, EmotionProcessor
from sed.errors import OptionError

RATE = 16_000


@pytest.fixture(scope="module")
def diarizer():
    return EmotionDiarizer()


def frames_of(path, kind=InputAudioRawFrame, **fields):
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    return [
        kind(audio=samples[i : i + 320].tobytes(), sample_rate=RATE, num_channels=1, **fields)
        for i in range(0, len(samples), 320)
    ]


def expected(diarizer, path, final_only=False):
    samples, _ = soundfile.read(path, dtype="float32")
    stream = diarizer.stream(1.0)
    return [e for e in (*stream.push(samples), *stream.close()) if e.final or not final_only]


def run(processor, frames):
    down, up = asyncio.run(run_test(processor, frames_to_send=frames))
    return [f for f in down if isinstance(f, EmotionFrame)], down, up


@pytest.mark.slow
def test_emotion_frames_are_the_events_of_a_stream(diarizer, data):
    frames = frames_of(data / "emodb_15_angry_1.flac")
    found, down, _ = run(EmotionProcessor(diarizer), [*frames, SleepFrame(0.5), TextFrame("and text")])
    assert [f.event for f in found] == expected(diarizer, data / "emodb_15_angry_1.flac")
    assert [f for f in down if isinstance(f, InputAudioRawFrame)] == frames  # unchanged
    assert found[-1].event.final and found[-1].emotion in diarizer.labels
    assert any(isinstance(f, TextFrame) for f in down)


@pytest.mark.slow
def test_each_user_has_an_own_stream_and_only_final_events(diarizer, data):
    paths = {"ann": data / "emodb_15_angry_1.flac", "bob": data / "emodb_15_sad_1.flac"}
    frames = [frames_of(path, UserAudioRawFrame, user_id=user) for user, path in paths.items()]
    mixed = [frame for pair in zip(*frames, strict=False) for frame in pair]
    short = len(mixed) // 2 * 320
    found, *_ = run(EmotionProcessor(diarizer, provisional=False), mixed)
    for user, path in paths.items():
        samples, _ = soundfile.read(path, dtype="float32")
        stream = diarizer.stream(1.0)
        events = [e for e in (*stream.push(samples[:short]), *stream.close()) if e.final]
        assert [f.event for f in found if f.user_id == user] == events and events


@pytest.mark.slow
def test_bad_audio_is_an_error_and_the_pipeline_goes_on(diarizer):
    frames = [
        InputAudioRawFrame(audio=b"123", sample_rate=RATE, num_channels=1),
        SleepFrame(0.2),
        TextFrame("on"),
    ]
    found, down, up = run(EmotionProcessor(diarizer), frames)
    assert not found and any(isinstance(f, TextFrame) for f in down)
    (error,) = [f for f in up if isinstance(f, ErrorFrame)]
    assert "3 bytes of 1 channels at 16000 Hz: expected whole 16-bit samples" in error.error


def test_options_are_checked_at_once(diarizer):
    with pytest.raises(OptionError, match="a latency of 9 s"):
        EmotionProcessor(diarizer, latency=9)
