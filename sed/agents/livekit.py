"""LiveKit Agents: `EmotionAgent` adds emotions to an agent, `EmotionDetector` to any stream of audio frames.

    class Assistant(EmotionAgent, Agent):
        async def on_emotion(self, event): ...

Needs livekit-agents, the extra ``livekit``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from sed.agents.feed import EmotionFeed
from sed.errors import MissingDependencyError, SedError, install_hint
from sed.pipeline import EmotionDiarizer
from sed.streaming import Event

try:
    from livekit import rtc
except ImportError as error:
    raise MissingDependencyError(
        f"sed.agents.livekit needs livekit-agents: {install_hint('livekit')}"
    ) from error

logger = logging.getLogger("sed")


class EmotionDetector(rtc.EventEmitter[str]):  # type: ignore[misc]
    """Emits ``emotion`` with an `Event` for each update of a segment, ``error`` with a `SedError` if a stream fails.

    diarizer: the models, which several detectors may share; None: `EmotionDiarizer()`, loaded at the first audio.
        ``EmotionDiarizer(diarizer="none")`` takes the participant for one speaker, which is cheaper.
    latency: seconds from a sound to its final label, 0.5 to 5.
    """

    def __init__(self, diarizer: EmotionDiarizer | None = None, *, latency: float = 1.0) -> None:
        super().__init__()
        if diarizer is not None:
            diarizer.stream(latency)  # raises an error now rather than at the first audio
        self._diarizer = diarizer
        self._latency = latency

    async def tap(self, audio: AsyncIterable[rtc.AudioFrame]) -> AsyncIterator[rtc.AudioFrame]:
        """The frames of `audio`, unchanged and undelayed, while their emotions are emitted.

        The last events are emitted after the last frame, before this ends; if it is closed earlier, none follow.
        """
        feed: EmotionFeed | None = None
        task: asyncio.Task[None] | None = None
        try:
            async for frame in audio:
                if feed is None:
                    if self._diarizer is None:
                        self._diarizer = await asyncio.to_thread(EmotionDiarizer)
                    feed = EmotionFeed(self._diarizer, self._latency)
                    task = asyncio.create_task(self._emit_all(feed))
                feed.push(bytes(frame.data), frame.sample_rate, frame.num_channels)
                yield frame
            if feed is not None and task is not None:
                feed.end()
                await task
        finally:
            if task is not None:
                task.cancel()

    async def events(self, audio: AsyncIterable[Any]) -> AsyncIterator[Event]:
        """The events of `audio`, an `rtc.AudioStream` or any iterable of audio frames; raises as `EmotionFeed` does."""
        if self._diarizer is None:
            self._diarizer = await asyncio.to_thread(EmotionDiarizer)
        feed = EmotionFeed(self._diarizer, self._latency)

        async def pump() -> None:
            try:
                async for item in audio:
                    frame = getattr(item, "frame", item)  # an AudioStream has its frames in events
                    feed.push(bytes(frame.data), frame.sample_rate, frame.num_channels)
            finally:
                feed.end()

        task = asyncio.create_task(pump())
        try:
            async for event in feed:
                yield event
            await task  # raises what the audio raised
        finally:
            task.cancel()

    async def _emit_all(self, feed: EmotionFeed) -> None:
        try:
            async for event in feed:
                self.emit("emotion", event)
        except SedError as error:
            logger.warning("emotions of this participant end: %s", error)
            self.emit("error", error)


class EmotionAgent:
    """To be put before `livekit.agents.Agent`: its audio goes through `emotions` on the way to speech recognition.

    Override `on_emotion`, or set `emotions` to a detector with other models before the session starts.
    """

    emotions: EmotionDetector | None = None

    async def on_emotion(self, event: Event) -> None:
        """Called for every event, in order; does nothing by itself."""

    async def stt_node(self, audio: AsyncIterable[rtc.AudioFrame], model_settings: Any) -> AsyncIterator[Any]:
        """As the next class has it, with the emotions of the audio."""
        if self.emotions is None:
            self.emotions = EmotionDetector()
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self.emotions.on("emotion", queue.put_nowait)
        task = asyncio.create_task(self._deliver(queue))
        try:
            found = super().stt_node(self.emotions.tap(audio), model_settings)  # type: ignore[misc]
            found = await found if asyncio.iscoroutine(found) else found
            if found is not None:
                async for event in found:
                    yield event
            await queue.join()
        finally:
            self.emotions.off("emotion", queue.put_nowait)
            task.cancel()

    async def _deliver(self, queue: asyncio.Queue[Event]) -> None:
        while True:
            event = await queue.get()
            try:
                await self.on_emotion(event)
            except Exception:
                logger.exception("on_emotion failed")
            finally:
                queue.task_done()
