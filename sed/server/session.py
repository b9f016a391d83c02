"""One live client: frames of audio in, events out, following PROTOCOL.md.

Two tasks per client. The reader checks messages and fills a bounded queue (`Intake`). It never waits for the queue:
pings are interleaved with the messages, and clients disconnect if pings are not answered; a client that sends too far
ahead is rejected instead. The worker takes chunks from the queue, processes them in the hub's threads and sends the
results; a client that does not read its events blocks only its own worker, and is disconnected after `send_timeout`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
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
    parse_text,
    ready_message,
)
from sed.streaming import Event
from sed.streaming.messages import event_message, refined_message, relabel_message

log = logging.getLogger("sed.server")

START_TIMEOUT = 10.0  # seconds for the first message, so that idle connections are closed soon
GRACE = 12.0  # seconds after which a closed connection is aborted, whatever its peer does
MAX_OPENING = 64  # connections before their first message; if there are more, the oldest is aborted
RETRY_AFTER = 10.0  # seconds after which a client that was rejected for lack of capacity may retry
REPORTED_OPTIONS = ("max_rate", "max_seconds", "max_message", "idle_timeout")  # reported in ``ready``


class _GoneError(Exception):
    """The client has disconnected or stopped reading."""


@dataclass
class _LiveStream:
    """A stream with its queue and resampler; its methods run in the hub's threads."""

    start: Start
    stream: Stream
    intake: Intake
    resampler: Any = None
    samples: int = 0  # samples at 16 kHz that the stream has processed

    def push(self, chunk: bytes) -> list[Event]:
        """Process a chunk of s16le samples."""
        samples = decode(chunk)
        return self._process(self.resampler.resample_chunk(samples) if self.resampler else samples)

    def close(self) -> list[Event]:
        """Process the rest in the resampler, and close the stream."""
        rest = np.zeros(0, np.float32)
        events = self._process(self.resampler.resample_chunk(rest, last=True)) if self.resampler else []
        return [*events, *self.stream.close()]

    def _process(self, samples: np.ndarray) -> list[Event]:
        self.samples += len(samples)
        return list(self.stream.push(samples)) if len(samples) else []


class Session:
    """Serves one WebSocket from accept to close; `abort` aborts its connection."""

    def __init__(self, hub: Hub, socket: WebSocket, authorized: bool, abort: Callable[[], None]) -> None:
        self._hub = hub
        self._options = hub.options
        self._socket = socket
        self._authorized = authorized
        self._abort = abort
        self._opened = time.monotonic()
        self._started = asyncio.Event()
        self._live: _LiveStream | None = None
        self._job: asyncio.Future[Any] | None = None
        self._admitted = False
        self._message_after_end = False  # whether a message arrived after the end

    async def run(self) -> None:
        """Serve the client until it is done; nothing that the client does raises an exception."""
        await self._socket.accept()
        opening = self._hub.opening
        opening[self] = self._abort
        if len(opening) > MAX_OPENING:
            opening.pop(next(iter(opening)))()
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._work())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done() and tasks[0].exception() is None:  # no more input, but results are pending
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
            self._live = None

    async def _stop(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Cancel the tasks and wait for a chunk that is still in a thread, so that the slot is free only then."""
        pending = {task for task in tasks if not task.done()}
        while pending:  # before Python 3.12, wait_for swallows a cancellation that coincides with its result
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=0.1)
        for task in tasks:  # retrieve the exception, so that asyncio does not log it
            if not task.cancelled():
                task.exception()
        if self._job is not None and not self._job.done():
            await asyncio.wait([self._job])

    async def _finish(self, problem: BaseException | None) -> None:
        if problem is None:
            await self._close(NORMAL_CLOSE)
        elif isinstance(problem, ProtocolError):
            await self._reject(problem)
        elif isinstance(problem, SedError):
            await self._reject(ProtocolError("bad_message", str(problem)))
        elif not isinstance(problem, _GoneError) and not self._hub.stopping.is_set():
            log.error("a live stream failed", exc_info=problem)
            await self._reject(ProtocolError("internal", "the server failed on this stream; see its log"))

    async def _reject(self, problem: ProtocolError) -> None:
        self._hub.metrics.errors[problem.code] += 1
        try:
            await self._send(error_message(problem.code, str(problem), problem.retry_after))
        except _GoneError:
            return
        await self._close(CLOSE_CODES[problem.code])

    async def _close(self, code: int) -> None:
        """Close the connection; abort it later, because a peer that does not read would keep it open."""
        asyncio.get_running_loop().call_later(GRACE, self._abort)
        try:
            await asyncio.wait_for(self._socket.close(code), self._options.send_timeout)
        except (asyncio.TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
            self._abort()

    # Input

    async def _read(self) -> None:
        """Read to the end of the audio and beyond. Returns when the client disconnects after the end, else raises."""
        ended = False
        while not ended:
            message = await self._receive()
            if time.monotonic() - self._opened > self._options.max_seconds + self._options.idle_timeout:
                raise ProtocolError("too_long", f"connected for over {self._options.max_seconds:g} s")
            text = message.get("text")
            start = None if text is None else parse_text(text)
            if start is not None and self._live is not None:
                raise ProtocolError("bad_message", "a start that is not the first message: expected audio")
            live = self._live or await self._start(start or Start())
            if text is None:
                live.intake.put(message.get("bytes") or b"")
            elif start is None:
                live.intake.end()
                ended = True
        await self._read_on(live.intake)

    async def _read_on(self, intake: Intake) -> None:
        """Read after the end, so that pings are answered. Results are sent before errors are reported."""
        while (await self._socket.receive())["type"] != "websocket.disconnect":
            self._message_after_end = True
            await asyncio.sleep(intake.too_early())  # limits the cost of a flood

    async def _receive(self) -> Any:
        timeout = self._options.idle_timeout
        if self._live is None:
            timeout = min(timeout, START_TIMEOUT)
        try:
            message = await asyncio.wait_for(self._socket.receive(), timeout)
        except asyncio.TimeoutError:
            raise ProtocolError("idle", f"no message for {timeout:g} s: expected audio or an end") from None
        if message["type"] == "websocket.disconnect":
            raise _GoneError
        return message

    async def _start(self, start: Start) -> _LiveStream:
        if not self._authorized and not token_matches(start.token, self._options):
            found = "wrong token" if start.token else "no token"
            raise ProtocolError("unauthorized", f"{found}: expected the server's in Authorization or start")
        self._admit()
        try:
            options = {"refine": True} if start.refine else {}
            stream = await self._in_pool(partial(self._hub.make_stream, start.latency, **options))
        except OptionError as error:
            raise ProtocolError("bad_message", str(error)) from None
        intake = Intake(self._options, start.sample_rate)
        self._live = _LiveStream(start, stream, intake)
        if start.sample_rate != SAMPLE_RATE:
            import soxr

            self._live.resampler = soxr.ResampleStream(start.sample_rate, SAMPLE_RATE, 1, "float32")
        limits = {name: getattr(self._options, name) for name in REPORTED_OPTIONS}
        limits |= {"burst": intake.burst, "max_waiting": intake.max_waiting}
        await self._send(ready_message(start, stream, limits))
        self._started.set()
        return self._live

    def _admit(self) -> None:
        """Occupy a slot. Raises `ProtocolError` if there is none, or if the streams would fall behind real time."""
        metrics, load = self._hub.metrics, self._hub.load
        if metrics.clients >= self._options.max_clients:
            found = f"{metrics.clients} streams are open: expected fewer than {self._options.max_clients}"
            raise ProtocolError("too_many", f"{found}; try again later", RETRY_AFTER)
        if not load.fits(metrics.clients):
            need = f"a stream needs {load.cost:.2g} CPUs, and {load.capacity:.2g} are available for all"
            found = f"{metrics.clients} streams are open and one more would not keep up"
            raise ProtocolError("overload", f"{found} ({need}); try again later", RETRY_AFTER)
        self._hub.opening.pop(self, None)
        self._admitted = True
        metrics.clients += 1
        metrics.streams += 1

    # Output

    async def _work(self) -> None:
        await self._started.wait()
        live = self._live
        assert live is not None
        while chunk := await live.intake.next():
            seconds = live.intake.seconds(chunk)
            events = await self._in_pool(live.push, chunk, audio=seconds)
            self._hub.metrics.audio_seconds += seconds
            await self._report(events)
            await self._send(
                {
                    "type": "progress",
                    "time": samples_to_seconds(live.samples),
                    "settled": live.stream.settled,
                    "waiting": live.intake.waiting,
                    "level": level(chunk),
                    "probabilities": {k: round(p, 4) for k, p in live.stream.current.items()} or None,
                }
            )
        await self._report(await self._in_pool(live.close))
        if live.start.refine:
            result = await self._in_pool(live.stream.refined)  # type: ignore[attr-defined]
            await self._send(refined_message(result))
        if self._message_after_end:
            raise ProtocolError(
                "bad_message", "a message after the end: expected none (all results are sent)"
            )
        await self._send({"type": "end", "time": samples_to_seconds(live.samples)})

    async def _in_pool(self, work: Callable[..., Any], *args: Any, audio: float = 0.0) -> Any:
        """Run `work` in a thread; if this is cancelled, `_stop` waits for `_job`."""
        self._job = self._hub.submit(work, *args, audio=audio)
        return await asyncio.shield(self._job)

    async def _report(self, events: Sequence[Event]) -> None:
        self._hub.metrics.events += len(events)
        for event in events:
            await self._send(event_message(event))
        live = self._live
        if live is not None and live.start.relabel:
            for relabel in live.stream.take_relabels():  # type: ignore[attr-defined]
                await self._send(relabel_message(relabel))

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            await asyncio.wait_for(self._socket.send_text(dump(message)), self._options.send_timeout)
        except asyncio.TimeoutError:
            log.warning("a client did not read its events for %g s: disconnected", self._options.send_timeout)
            self._hub.metrics.errors["overload"] += 1
            self._abort()
            raise _GoneError from None
        except (WebSocketDisconnect, RuntimeError, OSError):  # Starlette: RuntimeError once it is closed
            raise _GoneError from None
