"""One connection of a live client: frames of audio in, events out, following PROTOCOL.md.

Two tasks per client. The reader checks messages and fills a bounded queue (`Intake`). It never waits for the queue:
pings are interleaved with the messages, and clients disconnect if pings are not answered; a client that sends too far
ahead is rejected instead. The worker takes chunks from the queue, processes them in the hub's threads and sends the
results; a client that does not read its events blocks only its own worker, and is disconnected after `send_timeout`.

The state of the stream is a `LiveStream`. If its client asked for that, it outlives a lost connection (`Resumption`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from starlette.websockets import WebSocket

from sed.errors import OptionError, SedError
from sed.server.address import client_address
from sed.server.channel import Channel, GoneError
from sed.server.guard import token_matches
from sed.server.hub import Hub
from sed.server.intake import Intake
from sed.server.live_stream import LiveStream
from sed.server.protocol import (
    CLOSE_CODES,
    NORMAL_CLOSE,
    ProtocolError,
    Resume,
    Start,
    dump,
    error_message,
    parse_text,
)
from sed.server.resumption import Resumable

log = logging.getLogger("sed.server")

START_TIMEOUT = 10.0  # seconds for the first message, so that idle connections are closed soon
MAX_OPENING = 64  # connections before their first message; if there are more, the oldest is aborted
DELIBERATE = (1000, 1001, 1005)  # close codes of a client that has finished, left the page, or called close()


class Session:
    """Serves one WebSocket from accept to close; `abort` aborts its connection."""

    def __init__(self, hub: Hub, socket: WebSocket, authorized: bool, abort: Callable[[], None]) -> None:
        self._hub = hub
        self._options = hub.options
        self._channel = Channel(socket, abort, hub.options.send_timeout, hub.metrics)
        self._authorized = authorized
        self._started = asyncio.Event()
        self._live: LiveStream | None = None
        self._resumable: Resumable | None = None
        self._sent = 0  # messages of the stream that the client has
        self._job: asyncio.Future[Any] | None = None
        self._admitted = False
        self._message_after_end = False  # whether a message arrived after the end
        self._displaced = asyncio.Event()
        self._released = asyncio.Event()

    async def run(self) -> None:
        """Serve the client until it is done; nothing that the client does raises an exception."""
        await self._channel.socket.accept()
        opening = self._hub.opening
        opening[self] = self._channel.abort
        if len(opening) > MAX_OPENING:
            opening.pop(next(iter(opening)))()
        problem: BaseException | None = GoneError()
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._work())]
        displaced = asyncio.create_task(self._displaced.wait())
        try:
            problem = await self._problem_of(tasks[0], tasks[1], displaced)
            await self._stop([*tasks, displaced])
            self._release(problem)
            await self._finish(problem)
        finally:
            await self._stop([*tasks, displaced])
            self._release(problem)

    async def _problem_of(
        self, reader: asyncio.Task[None], worker: asyncio.Task[None], displaced: asyncio.Task[Any]
    ) -> BaseException | None:
        """Wait for the end of the stream, or of its connection; returns what ended it, or None."""
        await asyncio.wait([reader, worker, displaced], return_when=asyncio.FIRST_COMPLETED)
        if reader.done() and reader.exception() is None:  # no more input, but results are pending
            await asyncio.wait([worker, displaced], return_when=asyncio.FIRST_COMPLETED)
        problem = next((e for task in (reader, worker) if task.done() and (e := task.exception())), None)
        if worker.done() and problem is None and self._resumable is not None:
            timeout = self._options.send_timeout  # the client closes first, once it has everything
            await asyncio.wait([reader, displaced], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if displaced.done():
            self._channel.abort()
            return GoneError()
        return problem

    def _release(self, problem: BaseException | None) -> None:
        """Free the client slot, and keep the stream if the client may want to resume it."""
        self._hub.opening.pop(self, None)
        self._hub.metrics.clients -= self._admitted
        self._admitted = False
        entry, self._resumable, self._live = self._resumable, None, None
        if entry is not None:
            if self._channel.close_code not in DELIBERATE and _may_be_resumed_after(problem):
                self._hub.resumption.keep(entry)
            else:
                self._hub.resumption.drop(entry)
        self._released.set()

    async def displace(self) -> None:
        """End this connection, because its client resumes the stream on another one."""
        self._displaced.set()
        await self._released.wait()

    async def _stop(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
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
            await self._channel.close(NORMAL_CLOSE)
        elif isinstance(problem, ProtocolError):
            await self._reject(problem)
        elif isinstance(problem, SedError):
            await self._reject(ProtocolError("bad_message", str(problem)))
        elif not isinstance(problem, GoneError) and not self._hub.stopping.is_set():
            log.error("a live stream failed", exc_info=problem)
            await self._reject(ProtocolError("internal", "the server failed on this stream; see its log"))

    async def _reject(self, problem: ProtocolError) -> None:
        self._hub.metrics.errors[problem.code] += 1
        try:
            await self._channel.send(dump(error_message(problem.code, str(problem), problem.retry_after)))
        except GoneError:
            return
        await self._channel.close(CLOSE_CODES[problem.code])

    # Input

    async def _read(self) -> None:
        """Read to the end of the audio and beyond. Returns when the client disconnects after the end, else raises."""
        while self._live is None or not self._live.intake.ended:
            message = await self._receive()
            text = message.get("text")
            first = None if text is None else parse_text(text)
            if first is not None and self._live is not None:
                raise ProtocolError("bad_message", "a start that is not the first message: expected audio")
            if isinstance(first, Resume):
                await self._resume(first)
                continue
            live = self._live or await self._start(first or Start())
            if time.monotonic() - live.opened > self._options.max_seconds + self._options.idle_timeout:
                raise ProtocolError("too_long", f"connected for over {self._options.max_seconds:g} s")
            if self._resumable is not None and first is None:
                self._hub.resumption.confirm(self._resumable)
            if text is None:
                live.intake.put(message.get("bytes") or b"")
            elif first is None:
                live.intake.end()
        await self._read_on(self._live.intake)

    async def _read_on(self, intake: Intake) -> None:
        """Read after the end, so that pings are answered. Results are sent before errors are reported."""
        while (await self._channel.receive())["type"] != "websocket.disconnect":
            self._message_after_end = True
            await asyncio.sleep(intake.too_early())  # limits the cost of a flood

    async def _receive(self) -> Any:
        timeout = self._options.idle_timeout
        if self._live is None:
            timeout = min(timeout, START_TIMEOUT)
        try:
            message = await asyncio.wait_for(self._channel.receive(), timeout)
        except asyncio.TimeoutError:
            raise ProtocolError("idle", f"no message for {timeout:g} s: expected audio or an end") from None
        if message["type"] == "websocket.disconnect":
            raise GoneError
        return message

    async def _start(self, start: Start) -> LiveStream:
        self._authorize(start.token)
        self._admit()
        try:
            options = {"refine": True} if start.refine else {}
            stream = await self._in_pool(partial(self._hub.make_stream, start.latency, **options))
        except OptionError as error:
            raise ProtocolError("bad_message", str(error)) from None
        self._hub.metrics.streams += 1
        resumable = start.resume and self._options.resume_seconds > 0
        live = LiveStream(start, stream, Intake(self._options, start.sample_rate), resumable)
        if resumable:
            self._attach(Resumable(live, client_address(self._channel.socket.scope, self._options)))
        await self._begin(live)
        return live

    async def _resume(self, resume: Resume) -> None:
        self._authorize(resume.token)
        entry = await self._hub.resumption.take(resume.stream)
        if entry is None:
            raise ProtocolError("gone", "this stream is not kept (any more): expected a start")
        self._attach(entry)
        outbox = entry.live.outbox
        if not outbox.first <= resume.received <= outbox.end:
            found = f"{resume.received} messages received"
            raise ProtocolError(
                "gone", f"{found}: expected {outbox.first} to {outbox.end}; please start anew"
            )
        self._admit()
        entry.address = client_address(self._channel.socket.scope, self._options)
        self._sent = resume.received
        await self._begin(entry.live)

    def _attach(self, entry: Resumable) -> None:
        self._resumable = entry
        entry.displace = self.displace

    async def _begin(self, live: LiveStream) -> None:
        """Send ``ready``, and start the worker."""
        self._live = live
        token = None if self._resumable is None else self._hub.resumption.issue(self._resumable)
        await self._channel.send(dump(live.ready(self._options, token)))
        self._started.set()

    def _authorize(self, token: str | None) -> None:
        if not self._authorized and not token_matches(token, self._options):
            found = "wrong token" if token else "no token"
            raise ProtocolError("unauthorized", f"{found}: expected the server's in Authorization or start")

    def _admit(self) -> None:
        """Occupy a client slot. Raises `ProtocolError` if there is none."""
        self._hub.check_capacity()
        self._hub.opening.pop(self, None)
        self._admitted = True
        self._hub.metrics.clients += 1

    # Output

    async def _work(self) -> None:
        await self._started.wait()
        live = self._live
        assert live is not None
        await self._flush(live)
        while chunk := await live.intake.next():
            seconds = live.intake.seconds(chunk)
            self._hub.metrics.audio_seconds += seconds
            await self._step(live, live.process, chunk, audio=seconds)
        while not live.finished:
            if live.at_end and self._message_after_end:
                found = "a message after the end: expected none (all results are sent)"
                raise ProtocolError("bad_message", found)
            await self._step(live, live.finish)

    async def _step(
        self, live: LiveStream, work: Callable[..., None], *args: Any, audio: float = 0.0
    ) -> None:
        """Run a step of the stream and send its messages, which remain in the outbox if this is cancelled."""
        await self._in_pool(work, *args, audio=audio)
        await self._flush(live)

    async def _flush(self, live: LiveStream) -> None:
        self._hub.metrics.events += live.take_events()
        while self._sent < live.outbox.end:
            await self._channel.send(live.outbox[self._sent])
            self._sent += 1
        live.outbox.trim(self._sent)

    async def _in_pool(self, work: Callable[..., Any], *args: Any, audio: float = 0.0) -> Any:
        """Run `work` in a thread; if this is cancelled, `_stop` waits for `_job`."""
        self._job = self._hub.submit(work, *args, audio=audio)
        return await asyncio.shield(self._job)


def _may_be_resumed_after(problem: BaseException | None) -> bool:
    """Whether a stream can go on after `problem`; None: all messages are sent, but may not have arrived."""
    if isinstance(problem, ProtocolError):  # after `retry_after`: a resume for which there is no capacity now
        return problem.code == "idle" or problem.retry_after is not None
    return problem is None or isinstance(problem, GoneError)
