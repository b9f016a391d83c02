"""`Outgoing`: the audio that a client sends, at a pace that the server accepts, over one connection or several."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import Any

import numpy as np

from sed.audio.stream import MAX_AMPLITUDE
from sed.errors import AudioError
from sed.server.limits import Bucket

MESSAGE_SECONDS = 0.1  # seconds of audio in one message
RESIDUE = 0.05  # seconds of audio that the server's resampler may buffer
MARGIN = 0.9  # fraction of the server's limits that the client uses, because two clocks never agree
Blocks = Iterable[np.ndarray] | AsyncIterable[np.ndarray]
_END = object()


class Outgoing:
    """Sends `blocks` at a sample rate of `rate` Hz; with `keep`, what the server may not have is sent again.

    all_sent: whether the end of the audio was sent, on the current connection.
    """

    def __init__(self, blocks: Blocks, rate: int, keep: bool) -> None:
        self._rate = rate
        self._keep = keep
        self._blocks = _iterate_async(blocks)
        self._reading: asyncio.Task[Any] | None = None  # continues while there is no connection
        self._complete = False  # whether all blocks were read
        self._parts: deque[np.ndarray] = deque()  # one message each, from sample number `_first` on
        self._first = 0
        self._next = 0  # index of the first part that is not sent
        self._sent = 0  # samples
        self._processed = 0.0  # seconds, by the server
        self._progress = asyncio.Event()
        self._bucket: Bucket | None = None
        self.all_sent = False

    @property
    def response_due(self) -> bool:
        """Whether the server has audio to process, so that a message is due."""
        return self.all_sent or self._sent / self._rate - self._processed > 1.0

    def record_progress(self, processed: float) -> None:
        """Record how many seconds the server has processed: they need not be sent again."""
        self._processed = processed
        self._progress.set()
        if self._keep:
            self._forget(int(processed * self._rate))

    def resume_at(self, sample: int) -> None:
        """Continue with `sample`, the first that the server does not have. Raises `ValueError` if it is not kept."""
        if not self._first <= sample <= self._first + sum(map(len, self._parts)):
            raise ValueError(f"sample {sample}: expected {self._first} or later")
        self._next, self._sent, self.all_sent = 0, self._first, False
        while self._sent < sample:
            part, left = self._parts[self._next], sample - self._sent
            if len(part) > left:  # the server has only the beginning of it
                self._parts[self._next] = part[:left]
                self._parts.insert(self._next + 1, part[left:])
            self._sent += min(left, len(part))
            self._next += 1

    async def send(self, socket: Any, limits: dict[str, Any], ended: bool) -> None:
        """Send the rest of the audio to `socket`, and the end if the server has not `ended` yet."""
        if self._bucket is None:
            self._bucket = Bucket(MARGIN * limits["max_rate"], MARGIN * limits["burst"], time.monotonic())
        size = max(1, min(int(MESSAGE_SECONDS * self._rate), limits["max_message"] // 2))
        waiting = MARGIN * limits.get("max_waiting", math.inf)
        while True:
            while self._next < len(self._parts):
                await self._send_next(socket, waiting, self._bucket)
            if self._complete:
                break
            await self._read(size)
        if not ended:
            await socket.send('{"type": "end"}')
        self.all_sent = True

    async def _send_next(self, socket: Any, waiting: float, bucket: Bucket) -> None:
        seconds = len(self._parts[self._next]) / self._rate
        if early := bucket.take(seconds, time.monotonic()):
            await asyncio.sleep(early)
        while RESIDUE < self._sent / self._rate - self._processed > waiting - seconds:
            self._progress.clear()
            await self._progress.wait()
        part = self._parts[self._next]  # by now, its index may be another one
        await socket.send(part.astype("<i2").tobytes())
        self._sent += len(part)
        self._next += 1
        if not self._keep:
            self._forget(self._sent)

    def _forget(self, sample: int) -> None:
        """Forget the sent parts before `sample`."""
        while self._next and self._first + len(self._parts[0]) <= sample:
            self._first += len(self._parts.popleft())
            self._next -= 1

    async def _read(self, size: int) -> None:
        """Read the next block; if this is cancelled, reading goes on, and nothing is lost."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._next_block())
        block = await asyncio.shield(self._reading)
        self._reading = None
        if block is _END:
            self._complete = True
            return
        samples = as_int16(block)
        self._parts.extend(samples[first : first + size] for first in range(0, len(samples), size))

    async def _next_block(self) -> Any:
        return await anext(self._blocks, _END)

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
            if not self._reading.cancelled():
                self._reading.exception()
        await self._blocks.aclose()


async def _iterate_async(blocks: Blocks) -> AsyncGenerator[np.ndarray, None]:
    if isinstance(blocks, AsyncIterable):
        async for block in blocks:
            yield block
        return
    iterator, end = iter(blocks), object()

    def next_block() -> Any:
        return next(iterator, end)

    while (block := await asyncio.to_thread(next_block)) is not end:
        yield block


def as_int16(block: np.ndarray) -> np.ndarray:
    """Convert ``(n,)`` float (full scale 1, clipped) or int16 samples to int16. Raises `AudioError`.

    >>> as_int16(np.array([0.5, 2.0], np.float32))
    array([16384, 32767], dtype=int16)
    """
    block = np.asarray(block)
    if block.ndim != 1 or not (block.dtype == np.int16 or np.issubdtype(block.dtype, np.floating)):
        raise AudioError(f"a block of {block.dtype} {block.shape}: expected float or int16, one axis")
    if block.dtype == np.int16:
        return block
    if not np.isfinite(block).all():
        raise AudioError("a block with samples that are not finite: expected no NaN and no infinity")
    if len(block) and (peak := np.abs(block).max()) > MAX_AMPLITUDE:
        raise AudioError(f"a block with a sample of {peak:g}: expected a full scale of 1, or int16")
    return np.clip(np.round(block * 32768), -32768, 32767).astype(np.int16)
