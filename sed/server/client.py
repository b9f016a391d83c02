"""An asyncio client of `sed-serve`: blocks of audio in, `Event`s out as they arrive.

>>> async def main():
...     async for event in stream("ws://127.0.0.1:8765/stream", blocks, sample_rate=48000):
...         if event.final:
...             print(event.segment)
>>> asyncio.run(main())  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from sed.audio.stream import MAX_AMPLITUDE
from sed.errors import AudioError, FormatError, MissingDependencyError, SedError, install_hint
from sed.grid import SAMPLE_RATE
from sed.result import Segment
from sed.server.limits import Bucket
from sed.streaming import Event, Relabel

MESSAGE_SECONDS = 0.1  # seconds of audio in one message
SILENCE_TIMEOUT = 60.0  # seconds for which a server with audio to process may send nothing
CLOSE_TIMEOUT = 2.0  # seconds for the closing handshake
OPEN_TIMEOUT = 20.0  # seconds for the server to send ``ready``
REQUIRED_LIMITS = ("max_rate", "burst", "max_message")  # limits that ``ready`` must contain
RESIDUE = 0.05  # seconds of audio that the server's resampler may buffer
MARGIN = 0.9  # fraction of the server's limits that the client uses, because two clocks never agree


class ServerError(SedError):
    """The server rejected the client or failed: `code` is the error code, the text one sentence.

    The code is one of the protocol's (PROTOCOL.md), or ``unreachable`` (no server, or no response), ``closed`` (the
    server closed the connection) or ``foreign`` (the server is not sed-serve). `retry_after` is the number of
    seconds after which a retry may succeed (with ``too_many`` and ``overload``), or None.
    """

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


async def stream(
    url: str,
    blocks: Iterable[np.ndarray] | AsyncIterable[np.ndarray],
    sample_rate: int = SAMPLE_RATE,
    *,
    latency: float = 1.0,
    token: str | None = None,
    on_ready: Callable[[dict[str, Any]], None] | None = None,
    on_progress: Callable[[dict[str, Any]], None] | None = None,
    on_relabel: Callable[[Relabel], None] | None = None,
    on_refined: Callable[[list[Segment]], None] | None = None,
) -> AsyncIterator[Event]:
    """Send `blocks` to the server at `url` (``ws://host:port/stream``) and yield its events.

    blocks: ``(n,)`` float32 (full scale 1) or int16 arrays of any length, mono; a plain iterable is read in
        a thread, so it may block (a microphone). Audio is paced to what the server accepts and processes.
    sample_rate: of the blocks, in Hz; the server resamples.
    latency: seconds from audio to its final label.
    token: the server's secret, if it has one.
    on_ready, on_progress: called with the messages of these types (labels and limits; time, settled, level
        in dB, current probabilities).
    on_relabel: called when a speaker has turned out to be another one.
    on_refined: called after the last event with the segments of the refined result.

    Raises `ServerError` if the server rejects the client or fails, `AudioError` on a block of another type or shape,
    and `MissingDependencyError` without the package websockets.
    """
    try:
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
    except ImportError as error:
        raise MissingDependencyError(
            f"the client needs the package websockets: {install_hint('serve')}"
        ) from error
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        # No ping timeout: older servers do not answer pings while they are busy. `SILENCE_TIMEOUT` replaces it.
        socket = await connect(
            url,
            additional_headers=headers,
            compression=None,
            ping_timeout=None,
            close_timeout=CLOSE_TIMEOUT,
            max_size=1 << 24,  # a refined result of hours
            max_queue=64,
        )
    except (OSError, InvalidHandshake, InvalidURI, asyncio.TimeoutError) as error:
        raise ServerError("unreachable", f"{url} cannot be reached: {error}") from error
    async with socket:
        sender: asyncio.Task[None] | None = None
        try:
            start = {"type": "start", "sample_rate": sample_rate, "latency": latency}
            start |= {"relabel": True} if on_relabel else {}
            start |= {"refine": True} if on_refined else {}
            await socket.send(json.dumps(start, default=lambda number: number.item()))  # a numpy number
            ready = _checked(await asyncio.wait_for(socket.recv(), OPEN_TIMEOUT))
            if not isinstance(limits := ready.get("limits"), dict) or not {*REQUIRED_LIMITS} <= limits.keys():
                raise _not_sed_serve(f"a first message of type {ready['type']!r}")
            if on_ready:
                on_ready(ready)
            sent = _Sent()
            sender = asyncio.create_task(_send(socket, blocks, sample_rate, limits, sent))
            while (message := await _next(socket, sender, sent))["type"] != "end":
                if message["type"] == "segment":
                    yield _event(message)
                elif message["type"] == "relabel" and on_relabel:
                    on_relabel(_relabel(message))
                elif message["type"] == "refined" and on_refined:
                    on_refined(_segments(message))
                elif message["type"] == "progress":
                    sent.record_progress(message["time"])
                    if on_progress:
                        on_progress(message)
        except ConnectionClosed as error:
            raise ServerError("closed", f"{url} has closed the connection: {error}") from error
        except asyncio.TimeoutError as error:
            raise ServerError("unreachable", f"{url} has not answered for a long time") from error
        finally:
            if sender is not None:
                sender.cancel()
                await asyncio.wait([sender])


@dataclass
class _Sent:
    """State of the sender: seconds sent, seconds processed by the server, and whether all audio is sent."""

    seconds: float = 0.0
    processed: float = 0.0
    all: bool = False
    _progress: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def response_due(self) -> bool:
        """Whether the server has audio to process, so that a message is due."""
        return self.all or self.seconds - self.processed > 1.0

    def record_progress(self, processed: float) -> None:
        """Record how many seconds the server has processed."""
        self.processed = processed
        self._progress.set()

    async def wait_for_room(self, seconds: float, limit: float) -> None:
        """Wait until `seconds` more leave at most `limit` seconds unprocessed, or everything is processed."""
        while RESIDUE < self.seconds - self.processed > limit - seconds:
            self._progress.clear()
            await self._progress.wait()


async def _next(socket: Any, sender: asyncio.Task[None], sent: _Sent) -> dict[str, Any]:
    """The next message; an exception raised while reading the blocks is raised here.

    Raises `ServerError` on an error message, and `asyncio.TimeoutError` if a response is due and none arrives.
    """
    receiver = asyncio.ensure_future(socket.recv())
    try:
        while not receiver.done():
            running = {receiver} if sender.done() else {receiver, sender}
            response_due = sent.response_due
            done, _ = await asyncio.wait(
                running, timeout=SILENCE_TIMEOUT, return_when=asyncio.FIRST_COMPLETED
            )
            failed = sender.exception() if sender.done() else None
            if failed is not None and not _is_closed(
                failed
            ):  # closed: the server's last message has the reason
                raise failed
            if not done and response_due:
                raise asyncio.TimeoutError
        return _checked(receiver.result())
    finally:
        receiver.cancel()


def _checked(text: str | bytes) -> dict[str, Any]:
    try:
        message = json.loads(text)
        if message["type"] == "error":
            raise ServerError(message["code"], message["message"], message.get("retry_after"))
        _ = message["time"] if message["type"] == "progress" else None
    except (ValueError, KeyError, TypeError):
        raise _not_sed_serve(repr(text[:40])) from None
    return message


def _not_sed_serve(found: str) -> ServerError:
    return ServerError("foreign", f"found {found}, expected a message of sed-serve's protocol")


def _is_closed(error: BaseException) -> bool:
    from websockets.exceptions import ConnectionClosed

    return isinstance(error, ConnectionClosed)


async def _send(
    socket: Any,
    blocks: Iterable[np.ndarray] | AsyncIterable[np.ndarray],
    rate: int,
    limits: dict[str, Any],
    sent: _Sent,
) -> None:
    waiting = MARGIN * limits.get("max_waiting", math.inf)
    bucket = Bucket(MARGIN * limits["max_rate"], MARGIN * limits["burst"], time.monotonic())
    size = max(1, min(int(MESSAGE_SECONDS * rate), limits["max_message"] // 2))
    async for block in _iterate_async(blocks):
        samples = as_int16(block)
        for first in range(0, len(samples), size):
            part = samples[first : first + size]
            if early := bucket.take(len(part) / rate, time.monotonic()):
                await asyncio.sleep(early)
            await sent.wait_for_room(len(part) / rate, waiting)
            await socket.send(part.astype("<i2").tobytes())
            sent.seconds += len(part) / rate
    await socket.send('{"type": "end"}')
    sent.all = True


async def _iterate_async(
    blocks: Iterable[np.ndarray] | AsyncIterable[np.ndarray],
) -> AsyncIterator[np.ndarray]:
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


def _event(message: dict[str, Any]) -> Event:
    """The event of a message; unknown keys of a segment, which a newer server may add, are ignored."""
    try:
        row = message["segment"]
        segment = None if row is None else _segment(row)
        return Event(message["id"], segment, message["final"], message["time"], message["settled"])
    except (KeyError, TypeError, FormatError):
        raise _not_sed_serve(repr(json.dumps(message)[:60])) from None


def _segment(row: dict[str, Any]) -> Segment:
    return Segment(**{f.name: row[f.name] for f in fields(Segment) if f.name in row})


def _segments(message: dict[str, Any]) -> list[Segment]:
    try:
        return [_segment(row) for row in message["segments"]]
    except (KeyError, TypeError, FormatError):
        raise _not_sed_serve(repr(json.dumps(message)[:60])) from None


def _relabel(message: dict[str, Any]) -> Relabel:
    try:
        return Relabel(message["from"], message["to"], message["time"])
    except KeyError:
        raise _not_sed_serve(repr(json.dumps(message)[:60])) from None
