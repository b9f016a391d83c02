"""LiveKit's `AgentSession` with an agent that has `EmotionAgent`, and the detector alone."""

import asyncio
import importlib.util

import pytest
import soundfile

if importlib.util.find_spec("livekit") is None or importlib.util.find_spec("livekit.agents") is None:
    pytest.skip("livekit-agents is not installed (extra livekit)", allow_module_level=True)

from livekit import rtc
from livekit.agents import Agent, AgentSession, stt
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.voice.io import AudioInput

from sed import EmotionDiarizer
from sed.agents.livekit import EmotionAgent, EmotionDetector

RATE = 16_000


@pytest.fixture(scope="module")
def diarizer():
    return EmotionDiarizer()


@pytest.fixture(scope="module")
def expected(diarizer):
    samples, _ = soundfile.read("tests/data/emodb_15_angry_1.flac", dtype="float32")
    stream = diarizer.stream(1.0)
    return [*stream.push(samples), *stream.close()]


def frames(size=320):
    samples, _ = soundfile.read("tests/data/emodb_15_angry_1.flac", dtype="int16")
    parts = (samples[i : i + size] for i in range(0, len(samples), size))
    return [rtc.AudioFrame(part.tobytes(), RATE, 1, len(part)) for part in parts]


async def audio():
    for frame in frames():
        yield frame
        await asyncio.sleep(0)


class Microphone(AudioInput):
    """Gives the frames of the recording, then waits as a silent track does."""

    def __init__(self):
        super().__init__(label="recording")
        self._frames = audio()

    async def __anext__(self):
        try:
            return await self._frames.__anext__()
        except StopAsyncIteration:
            await asyncio.Event().wait()


class CountingSTT(stt.STT):
    """A recogniser that transcribes the number of samples it received."""

    def __init__(self):
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))
        self.samples = 0

    async def _recognize_impl(self, buffer, *, language=None, conn_options=None):
        raise NotImplementedError

    def stream(self, *, language=None, conn_options=DEFAULT_API_CONNECT_OPTIONS):
        recogniser = self

        class Stream(stt.RecognizeStream):
            async def _run(self):
                async for frame in self._input_ch:
                    if isinstance(frame, rtc.AudioFrame):
                        recogniser.samples += frame.samples_per_channel

        return Stream(stt=self, conn_options=conn_options)


@pytest.mark.slow
def test_a_session_calls_the_agent_with_every_event(diarizer, expected):
    class Assistant(EmotionAgent, Agent):
        def __init__(self):
            super().__init__(instructions="")
            self.emotions = EmotionDetector(diarizer)
            self.found = []

        async def on_emotion(self, event):
            self.found.append(event)

    async def talk():
        agent, recogniser = Assistant(), CountingSTT()
        async with AgentSession(stt=recogniser) as session:
            session.input.audio = Microphone()
            await session.start(agent)
            for _ in range(200):
                if agent.found and agent.found[-1].time >= 2.5:
                    break
                await asyncio.sleep(0.05)
        return agent.found, recogniser.samples

    found, samples = asyncio.run(talk())
    before_end = [event for event in expected if event.time <= 2.5]
    assert found[: len(before_end)] == before_end and len(before_end) > 2  # LiveKit adds silence at the end
    assert samples >= sum(frame.samples_per_channel for frame in frames())  # the recogniser got it all


@pytest.mark.slow
def test_a_tap_passes_frames_on_and_emits_all_events(diarizer, expected):
    async def listen():
        detector, found = EmotionDetector(diarizer), []
        detector.on("emotion", found.append)
        passed = [bytes(frame.data) async for frame in detector.tap(audio())]
        return passed, found

    passed, found = asyncio.run(listen())
    assert passed == [bytes(frame.data) for frame in frames()] and found == expected


@pytest.mark.slow
def test_events_of_a_track(diarizer, expected):
    async def collect():
        return [event async for event in EmotionDetector(diarizer).events(audio())]

    assert asyncio.run(collect()) == expected


@pytest.mark.slow
def test_audio_that_fails_raises_its_error(diarizer):
    async def broken():
        yield frames()[0]
        raise ConnectionError("the room is gone")

    async def collect():
        return [event async for event in EmotionDetector(diarizer).events(broken())]

    with pytest.raises(ConnectionError, match="the room is gone"):
        asyncio.run(collect())
