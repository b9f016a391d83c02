"""One live client: frames of audio in, events out, and every rule of PROTOCOL.md kept.

Two tasks a client. The reader checks messages and fills a short queue (`Intake`); when that is full it stops
reading, and the network holds the client back. The worker takes pieces of the queue, has them processed in
the hub's threads, and sends what came out; a client that does not read its events stops its own worker only,
and is dropped after `send_timeout`.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from sed.errors import OptionError, SedError
from sed.grid import SAMPLE_RATE, samples_to_seconds
from sed.server.hub import Hub, Stream
from sed.server.intake import Intake, decode, level
from sed.server.protocol import (
    CLOSE_CODES,
    NORMAL_CLOSE,
    ProtocolError,
    Start,
    dump,
    error_message,
    event_message,
    parse_text,
)
from sed.streaming import Event

log = logging.getLogger("sed.server")

START_TIMEOUT = 10.0  # seconds for the first message, so that a silent stranger frees its place soon
GRACE = 12.0  # seconds after which a closed connection is cut, whatever its peer does
TOLD = ("max_rate", "burst", "max_seconds", "max_message", "idle_timeout")  # limits that ``ready`` tells


class _GoneError(Exception):
    """The client has disconnected, or no longer reads."""


@dataclass
class _Listener:
    """A stream with what stands before it; its methods run in the hub's threads."""

    start: Start
    stream: Stream
    intake: Intake
    resampler: Any = None
    heard: int = 0  # samples at 16 kHz that the stream has had

    def push(self, piece: bytes) -> list[Event]:
        """Hear a piece of s16le samples."""
        samples = decode(piece)
        return self._hear(self.resampler.resample_chunk(samples) if self.resampler else samples)

    def close(self) -> list[Event]:
        """Hear what the resampler still holds, and end."""
        rest = np.zeros(0, np.float32)
        events = self._hear(self.resampler.resample_chunk(rest, last=True)) if self.resampler else []
        return [*events, *self.stream.close()]

    def _hear(self, samples: np.ndarray) -> list[Event]:
        self.heard += len(samples)
        return list(self.stream.push(samples)) if len(samples) else []


class Session:
    """Serves one WebSocket from accept to close; `abort` cuts its connection."""

    def __init__(self, hub: Hub, socket: WebSocket, authorized: bool, abort: Callable[[], None]) -> None:
        self._hub = hub
        self._options = hub.options
        self._socket = socket
        self._authorized = authorized
        self._abort = abort
        self._opened = time.monotonic()
        self._begun = asyncio.Event()
        self._listener: _Listener | None = None
        self._job: asyncio.Future[Any] | None = None

    async def run(self) -> None:
        """Serve the client to its end; never raises for anything that the client does."""
        await self._socket.accept()
        metrics = self._hub.metrics
        if metrics.clients >= self._options.max_clients:
            await self._refuse(ProtocolError("too_many", f"{metrics.clients} clients are connected already"))
            return
        metrics.clients += 1
        metrics.streams += 1
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._work())]
        try:
            # The reader ends by an exception only, so the first to be done decides.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            problem = next(
                (e for t in tasks if t.done() and not t.cancelled() and (e := t.exception())), None
            )
            await self._stop(tasks)
            await self._finish(problem)
        finally:
            await self._stop(tasks)
            metrics.clients -= 1
            self._listener = None

    async def _stop(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """End the tasks and wait for a piece that is still in a thread, so that a place stands for work."""
        pending = {task for task in tasks if not task.done()}
        while pending:  # before Python 3.12, wait_for swallows a cancellation that meets its result
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=0.1)
        for task in tasks:  # the second to fail has nothing to add
            if not task.cancelled():
                task.exception()
        if self._job is not None and not self._job.done():
            await asyncio.wait([self._job])

    async def _finish(self, problem: BaseException | None) -> None:
        if problem is None:
            await self._close(NORMAL_CLOSE)
        elif isinstance(problem, ProtocolError):
            await self._refuse(problem)
        elif isinstance(problem, SedError):
            await self._refuse(ProtocolError("bad_message", str(problem)))
        elif not isinstance(problem, _GoneError) and not self._hub.stopping.is_set():
            log.error("a live stream failed", exc_info=problem)
            await self._refuse(
                ProtocolError("internal", "the server failed on this stream; its log says more")
            )

    async def _refuse(self, problem: ProtocolError) -> None:
        self._hub.metrics.errors[problem.code] += 1
        try:
            await self._send(error_message(problem.code, str(problem)))
        except _GoneError:
            return
        await self._close(CLOSE_CODES[problem.code])

    async def _close(self, code: int) -> None:
        """Say goodbye; a peer that leaves that unread would keep the connection, so it is cut later."""
        asyncio.get_running_loop().call_later(GRACE, self._abort)
        try:
            await asyncio.wait_for(self._socket.close(code), self._options.send_timeout)
        except (asyncio.TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
            self._abort()

    # What comes in

    async def _read(self) -> None:
        ended = False
        while True:
            message = await self._receive(None if ended else self._options.idle_timeout)
            if ended:
                raise ProtocolError("bad_message", "a message after the end: expected none")
            if time.monotonic() - self._opened > self._options.max_seconds + self._options.idle_timeout:
                raise ProtocolError("too_long", f"connected for over {self._options.max_seconds:g} s")
            text = message.get("text")
            start = None if text is None else parse_text(text)
            if start is not None and self._listener is not None:
                raise ProtocolError("bad_message", "a start that is not the first message: expected audio")
            listener = self._listener or await self._begin(start or Start())
            if text is None:
                await listener.intake.put(message.get("bytes") or b"")
            elif start is None:
                listener.intake.end()
                ended = True

    async def _receive(self, timeout: float | None) -> Any:
        if timeout is not None and self._listener is None:
            timeout = min(timeout, START_TIMEOUT)
        try:
            message = await asyncio.wait_for(self._socket.receive(), timeout)
        except asyncio.TimeoutError:
            raise ProtocolError("idle", f"nothing came for {timeout:g} s: expected audio or an end") from None
        if message["type"] == "websocket.disconnect":
            raise _GoneError
        return message

    async def _begin(self, start: Start) -> _Listener:
        token = self._options.token
        shown = (start.token or "").encode()
        if token is not None and not self._authorized and not hmac.compare_digest(shown, token.encode()):
            what = "a wrong token" if start.token else "no token"
            raise ProtocolError("unauthorized", f"{what}: expected the server's in Authorization or start")
        try:
            stream = await self._in_pool(self._hub.make_stream, start.latency)
        except OptionError as error:
            raise ProtocolError("bad_message", str(error)) from None
        self._listener = _Listener(start, stream, Intake(self._options, start.sample_rate))
        if start.sample_rate != SAMPLE_RATE:
            import soxr

            self._listener.resampler = soxr.ResampleStream(start.sample_rate, SAMPLE_RATE, 1, "float32")
        await self._send(
            {
                "type": "ready",
                "sample_rate": start.sample_rate,
                "latency": start.latency,
                "labels": list(stream.labels),
                "limits": {name: getattr(self._options, name) for name in TOLD},
            }
        )
        self._begun.set()
        return self._listener

    # What goes out

    async def _work(self) -> None:
        await self._begun.wait()
        listener = self._listener
        assert listener is not None
        while piece := await listener.intake.next():
            events = await self._in_pool(listener.push, piece)
            self._hub.metrics.audio_seconds += listener.intake.seconds(piece)
            await self._report(events)
            await self._send(
                {
                    "type": "progress",
                    "time": samples_to_seconds(listener.heard),
                    "settled": listener.stream.settled,
                    "waiting": listener.intake.waiting,
                    "level": level(piece),
                    "probabilities": {k: round(p, 4) for k, p in listener.stream.current.items()} or None,
                }
            )
        await self._report(await self._in_pool(listener.close))
        await self._send({"type": "end", "time": samples_to_seconds(listener.heard)})

    async def _in_pool(self, work: Callable[..., Any], *args: Any) -> Any:
        """Run `work` in a thread; cancelling this leaves `_job` for `_stop` to wait for."""
        self._job = self._hub.submit(work, *args)
        return await asyncio.shield(self._job)

    async def _report(self, events: Sequence[Event]) -> None:
        self._hub.metrics.events += len(events)
        for event in events:
            await self._send(event_message(event))

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            await asyncio.wait_for(self._socket.send_text(dump(message)), self._options.send_timeout)
        except asyncio.TimeoutError:
            log.warning("a client left its events unread for %g s: dropped", self._options.send_timeout)
            self._hub.metrics.errors["overload"] += 1
            self._abort()
            raise _GoneError from None
        except (WebSocketDisconnect, RuntimeError, OSError):  # Starlette: RuntimeError once it is closed
            raise _GoneError from None
