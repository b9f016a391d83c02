"""A feed gives the events of a stream, whatever the rate, channels and pieces of its audio."""

import asyncio
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from sed import EmotionDiarizer, SedError
from sed.agents import feed as feeds
from sed.agents.feed import EmotionFeed


@pytest.fixture(scope="module")
def diarizer():
    return EmotionDiarizer()


def events_of(diarizer, parts):
    async def collect():
        feed = EmotionFeed(diarizer)
        for part in parts:
            feed.push(*part)
            await asyncio.sleep(0)
        feed.end()
        return [event async for event in feed], feed.time

    return asyncio.run(collect())


@pytest.mark.slow
def test_events_are_those_of_the_stream_in_stereo_and_pieces(diarizer, data):
    samples, rate = soundfile.read(data / "emodb_15_angry_1.flac", dtype="int16")
    stream = diarizer.stream(1.0)
    expected = [*stream.push(samples / np.float32(32768)), *stream.close()]
    stereo = np.repeat(samples[:, None], 2, 1)
    parts = [(stereo[i : i + 777].tobytes(), rate, 2) for i in range(0, len(stereo), 777)]
    found, time = events_of(diarizer, parts)
    assert found == expected and expected and time == len(samples) / rate


@pytest.mark.slow
def test_another_rate_is_resampled_and_may_change(diarizer, data, tmp_path):
    samples, _ = soundfile.read(data / "emodb_15_angry_1.flac", dtype="int16")
    low = samples[::2]  # 8 kHz with aliases: only the time matters
    found, time = events_of(diarizer, [(low.tobytes(), 8000, 1), (samples.tobytes(), 16000, 1)])
    assert time == pytest.approx(2 * len(samples) / 16000, abs=1e-4)
    assert found and found[-1].final


@pytest.mark.slow
def test_a_machine_that_is_too_slow_is_an_error(diarizer, monkeypatch):
    monkeypatch.setattr(feeds, "MAX_WAITING", 0.5)
    second = (np.zeros(16000, np.int16).tobytes(), 16000, 1)

    async def flood():
        feed = EmotionFeed(diarizer)
        for _ in range(3):
            feed.push(*second)
        return [event async for event in feed]

    with pytest.raises(SedError, match="is 1 s behind its audio and stops"):
        asyncio.run(flood())


@pytest.mark.parametrize(("module", "package"), [("pipecat", "pipecat-ai"), ("livekit", "livekit-agents")])
def test_a_missing_framework_is_named(module, package):
    code = f"import sys; sys.modules['{module}'] = None\n"
    code += f"try:\n import sed.agents.{module}\nexcept ImportError as e: print(e)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    expected = f"sed.agents.{module} needs {package}: pip install 'speech-emotion-diarization[{module}]'"
    assert found.strip() == expected
