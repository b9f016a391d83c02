"""`EmotionFeed`: one live stream beside an event loop. 16-bit audio in at any rate, `Event`s out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import numpy as np

from sed.audio import Resampler
from sed.errors import AudioError, SedError
from sed.pipeline import EmotionDiarizer
from sed.streaming import Event

MAX_WAITING = 10.0  # seconds of audio that may wait to be processed


class EmotionFeed:
    """Processes audio in a thread while the event loop goes on. Iterating gives the events until the audio has ended.

    `push` never waits. Iterating raises `AudioError` on unusable audio, and `SedError` if more than `MAX_WAITING`
    seconds of audio wait because this machine is too slow; later audio is ignored then.

    >>> async def count(samples):
    ...     feed = EmotionFeed(EmotionDiarizer())
    ...     feed.push(np.zeros(samples, np.int16).tobytes(), 16_000, 1)
    ...     feed.end()
    ...     return [event async for event in feed], feed.time
    >>> asyncio.run(count(16_000))  # silence
    ([], 1.0)
    """

    def __init__(self, diarizer: EmotionDiarizer, latency: float = 1.0) -> None:
        self._stream = diarizer.stream(latency)
        self._resampler: Resampler | None = None
        self._layout = (0, 0)
        self._waiting: deque[tuple[bytes, int, int]] = deque()
        self._seconds = 0.0  # of the audio that waits
        self._ended = False
        self._problem: SedError | None = None
        self._wake = asyncio.Event()

    @property
    def time(self) -> float:
        """Seconds of audio processed so far."""
        return self._stream.time

    def push(self, pcm: bytes, rate: int, channels: int) -> None:
        """Take interleaved signed 16-bit samples of the machine's byte order; channels are averaged."""
        if self._ended or self._problem is not None:
            return
        if channels < 1 or rate < 1 or len(pcm) % (2 * channels):
            self._problem = AudioError(
                f"{len(pcm)} bytes of {channels} channels at {rate} Hz: expected whole 16-bit samples"
            )
        elif self._seconds > MAX_WAITING:
            self._problem = SedError(
                f"the emotion stream is {self._seconds:.0f} s behind its audio and stops: expected a faster machine"
            )
        else:
            self._waiting.append((pcm, rate, channels))
            self._seconds += len(pcm) / (2 * channels * rate)
        self._wake.set()

    def end(self) -> None:
        """No more audio follows: iterating gives the rest of the events."""
        self._ended = True
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            await self._wake.wait()
            self._wake.clear()
            parts, self._seconds = list(self._waiting), 0.0
            self._waiting.clear()
            for event in await asyncio.to_thread(self._process, parts):
                yield event
            if self._problem is not None:
                raise self._problem
            if self._ended and not self._waiting:
                for event in await asyncio.to_thread(self._close):
                    yield event
                return

    def _process(self, parts: list[tuple[bytes, int, int]]) -> list[Event]:
        events: list[Event] = []
        for pcm, rate, channels in parts:
            if (rate, channels) != self._layout:
                events += self._flush()
                self._resampler, self._layout = Resampler(rate), (rate, channels)
            samples = (
                np.frombuffer(pcm, np.int16).reshape(-1, channels).mean(1, dtype=np.float32, keepdims=True)
            )
            assert self._resampler is not None
            events += self._stream.push(self._resampler.push(samples / np.float32(32768))[:, 0])
        return events

    def _flush(self) -> list[Event]:
        """Process what the resampler still holds."""
        return [] if self._resampler is None else self._stream.push(self._resampler.close()[:, 0])

    def _close(self) -> list[Event]:
        return [*self._flush(), *self._stream.close()]
