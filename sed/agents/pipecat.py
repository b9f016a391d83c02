"""`EmotionProcessor` for Pipecat: audio frames pass through it, and `EmotionFrame`s are added.

    pipeline = Pipeline([transport.input(), EmotionProcessor(), stt, ...])

Needs pipecat-ai, the extra ``pipecat``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from sed.agents.feed import EmotionFeed
from sed.errors import MissingDependencyError, SedError, install_hint
from sed.pipeline import EmotionDiarizer
from sed.result import Segment
from sed.streaming import Event

try:
    from pipecat.frames.frames import (
        CancelFrame,
        EndFrame,
        Frame,
        InputAudioRawFrame,
        StopFrame,
        SystemFrame,
    )
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
except ImportError as error:
    raise MissingDependencyError(f"sed.agents.pipecat needs pipecat-ai: {install_hint('pipecat')}") from error


@dataclass
class EmotionFrame(SystemFrame):
    """One update of one segment of a user's speech. A system frame: an interruption does not discard it.

    `event` is as in `StreamingDiarizer`: a later event with the same ``id`` replaces this one unless it is ``final``.
    `user_id` is that of the audio's `UserAudioRawFrame`, or empty.
    """

    event: Event = field(default_factory=lambda: Event(0, None, False, 0.0, 0.0))
    user_id: str = ""

    @property
    def segment(self) -> Segment | None:
        """The segment with its speaker, emotion and probabilities; None if it was taken back."""
        return self.event.segment

    @property
    def emotion(self) -> str | None:
        """The emotion of the segment."""
        return None if self.segment is None else self.segment.emotion


class EmotionProcessor(FrameProcessor):  # type: ignore[misc]
    """Pushes an `EmotionFrame` downstream for each event; all frames pass through unchanged and undelayed.

    diarizer: the models, which several processors may share; None: `EmotionDiarizer()`, loaded at the first audio.
        ``EmotionDiarizer(diarizer="none")`` takes each user for one speaker, which is cheaper.
    latency: seconds from a sound to its final label, 0.5 to 5.
    provisional: whether to push events that are not final, too, which come about every 0.5 s while a user speaks.

    Each user of a transport with several (`UserAudioRawFrame`) has an own stream. At the end of the pipeline the last
    frames precede its `EndFrame`. A stream that fails pushes an error upstream and leaves the pipeline running.
    """

    def __init__(
        self,
        diarizer: EmotionDiarizer | None = None,
        *,
        latency: float = 1.0,
        provisional: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if diarizer is not None:
            diarizer.stream(latency)  # raises an error now rather than at the first audio
        self._diarizer = diarizer
        self._latency = latency
        self._provisional = provisional
        self._loading = asyncio.Lock()
        self._feeds: dict[str, tuple[EmotionFeed, asyncio.Task[None]]] = {}

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take the audio of input frames; push every frame on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, EndFrame | StopFrame):
            await self._finish()
        elif isinstance(frame, CancelFrame):
            await self._cancel()
        await self.push_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame) and direction is FrameDirection.DOWNSTREAM:
            feed = await self._feed(getattr(frame, "user_id", ""))
            feed.push(frame.audio, frame.sample_rate, frame.num_channels)

    async def cleanup(self) -> None:
        """Stop the streams that still run."""
        await self._cancel()
        await super().cleanup()

    async def _feed(self, user: str) -> EmotionFeed:
        if user not in self._feeds:
            async with self._loading:
                if self._diarizer is None:
                    self._diarizer = await asyncio.to_thread(EmotionDiarizer)
            feed = EmotionFeed(self._diarizer, self._latency)
            self._feeds[user] = (
                feed,
                self.create_task(self._forward(feed, user), f"emotions of {user or 'the user'}"),
            )
        return self._feeds[user][0]

    async def _forward(self, feed: EmotionFeed, user: str) -> None:
        try:
            async for event in feed:
                if event.final or self._provisional:
                    await self.push_frame(EmotionFrame(event, user))
        except SedError as error:
            await self.push_error(str(error), exception=error)

    async def _finish(self) -> None:
        """Process the rest of the audio and push the last events."""
        feeds, self._feeds = list(self._feeds.values()), {}
        for feed, _ in feeds:
            feed.end()
        await asyncio.gather(*(task for _, task in feeds))

    async def _cancel(self) -> None:
        feeds, self._feeds = list(self._feeds.values()), {}
        for _, task in feeds:
            await self.cancel_task(task)
