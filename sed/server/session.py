"""One live client: frames of audio in, events out, and every rule of PROTOCOL.md kept.

Two tasks per client. The reader checks messages and fills a bounded queue (`Intake`). It never waits for the queue:
pings stand between the messages, and a client whose pings are not answered hangs up; one that sends too far ahead is
refused instead. The worker takes pieces of the queue, has them processed in the hub's threads, and sends what came
out; a client that does not read its events stops its own worker only, and is dropped after `send_timeout`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from sed.errors import OptionError, SedError
from sed.grid import SAMPLE_RATE, samples_to_seconds
from sed.server.guard import token_matches
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
MAX_OPENING = 64  # connections before their first message; where there are more, the oldest is cut
RETRY_AFTER = 10.0  # seconds after which a client that found no room may try again
STATED = ("max_rate", "max_seconds", "max_message", "idle_timeout")  # options that ``ready`` states


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
        self._admitted = False
        self._surplus = False  # whether a message came after the end

    async def run(self) -> None:
        """Serve the client to its end; never raises for anything that the client does."""
        await self._socket.accept()
        opening = self._hub.opening
        opening[self] = self._abort
        if len(opening) > MAX_OPENING:
            opening.pop(next(iter(opening)))()
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._work())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if (
                tasks[0].done() and tasks[0].exception() is None
            ):  # nothing more can come, but the results are due
                await asyncio.wait(tasks)
            problem = next(
                (e for t in tasks if t.done() and not t.cancelled() and (e := t.exception())), None
            )
            await self._stop(tasks)
            await self._finish(problem)
        finally:
            await self._stop(tasks)
            self._hub.opening.pop(self, None)
            self._hub.metrics.clients -= self._admitted
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
            await self._send(error_message(problem.code, str(problem), problem.retry_after))
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
        """Read to the end of the audio, and on. Returns when the client has gone after that; else it raises."""
        ended = False
        while not ended:
            message = await self._receive()
            if time.monotonic() - self._opened > self._options.max_seconds + self._options.idle_timeout:
                raise ProtocolError("too_long", f"connected for over {self._options.max_seconds:g} s")
            text = message.get("text")
            start = None if text is None else parse_text(text)
            if start is not None and self._listener is not None:
                raise ProtocolError("bad_message", "a start that is not the first message: expected audio")
            listener = self._listener or await self._begin(start or Start())
            if text is None:
                listener.intake.put(message.get("bytes") or b"")
            elif start is None:
                listener.intake.end()
                ended = True
        await self._read_on(listener.intake)

    async def _read_on(self, intake: Intake) -> None:
        """Read after the end, so that pings are answered. Whatever comes, and goes, the results are sent first."""
        while (await self._socket.receive())["type"] != "websocket.disconnect":
            self._surplus = True
            await asyncio.sleep(intake.too_early())  # what a flood may cost

    async def _receive(self) -> Any:
        timeout = self._options.idle_timeout
        if self._listener is None:
            timeout = min(timeout, START_TIMEOUT)
        try:
            message = await asyncio.wait_for(self._socket.receive(), timeout)
        except asyncio.TimeoutError:
            raise ProtocolError("idle", f"nothing came for {timeout:g} s: expected audio or an end") from None
        if message["type"] == "websocket.disconnect":
            raise _GoneError
        return message

    async def _begin(self, start: Start) -> _Listener:
        if not self._authorized and not token_matches(start.token, self._options):
            what = "a wrong token" if start.token else "no token"
            raise ProtocolError("unauthorized", f"{what}: expected the server's in Authorization or start")
        self._admit()
        try:
            stream = await self._in_pool(self._hub.make_stream, start.latency)
        except OptionError as error:
            raise ProtocolError("bad_message", str(error)) from None
        intake = Intake(self._options, start.sample_rate)
        self._listener = _Listener(start, stream, intake)
        if start.sample_rate != SAMPLE_RATE:
            import soxr

            self._listener.resampler = soxr.ResampleStream(start.sample_rate, SAMPLE_RATE, 1, "float32")
        await self._send(
            {
                "type": "ready",
                "sample_rate": start.sample_rate,
                "latency": start.latency,
                "labels": list(stream.labels),
                "limits": {name: getattr(self._options, name) for name in STATED}
                | {"burst": intake.burst, "max_waiting": intake.max_waiting},
            }
        )
        self._begun.set()
        return self._listener

    def _admit(self) -> None:
        """Take a place. Raises `ProtocolError` where there is none, or where all together would fall behind."""
        metrics, load = self._hub.metrics, self._hub.load
        if metrics.clients >= self._options.max_clients:
            found = f"{metrics.clients} streams are open: expected fewer than {self._options.max_clients}"
            raise ProtocolError("too_many", f"{found}; try again later", RETRY_AFTER)
        if not load.fits(metrics.clients):
            need = f"a stream needs {load.cost:.2g} of a processor, and {load.capacity:.2g} are there for all"
            found = f"{metrics.clients} streams are open and one more would not keep up"
            raise ProtocolError("overload", f"{found} ({need}); try again later", RETRY_AFTER)
        self._hub.opening.pop(self, None)
        self._admitted = True
        metrics.clients += 1
        metrics.streams += 1

    # What goes out

    async def _work(self) -> None:
        await self._begun.wait()
        listener = self._listener
        assert listener is not None
        while piece := await listener.intake.next():
            seconds = listener.intake.seconds(piece)
            events = await self._in_pool(listener.push, piece, audio=seconds)
            self._hub.metrics.audio_seconds += seconds
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
        if self._surplus:
            raise ProtocolError(
                "bad_message", "a message after the end: expected none (all results are sent)"
            )
        await self._send({"type": "end", "time": samples_to_seconds(listener.heard)})

    async def _in_pool(self, work: Callable[..., Any], *args: Any, audio: float = 0.0) -> Any:
        """Run `work` in a thread; cancelling this leaves `_job` for `_stop` to wait for."""
        self._job = self._hub.submit(work, *args, audio=audio)
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
