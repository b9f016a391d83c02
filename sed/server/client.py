"""An asyncio client of `sed-serve`: blocks of audio in, `Event`s out as they arrive.

>>> async def main():
...     async for event in stream("ws://127.0.0.1:8765/stream", blocks, sample_rate=48000):
...         if event.final:
...             print(event.segment)
>>> asyncio.run(main())  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import fields
from typing import Any

from sed.errors import FormatError, MissingDependencyError, SedError, install_hint
from sed.grid import SAMPLE_RATE
from sed.result import Segment
from sed.server.outgoing import Blocks, Outgoing
from sed.streaming import Event, Relabel

SILENCE_TIMEOUT = 60.0  # seconds for which a server with audio to process may send nothing
CLOSE_TIMEOUT = 2.0  # seconds for the closing handshake
OPEN_TIMEOUT = 20.0  # seconds for the server to send ``ready``
REQUIRED_LIMITS = ("max_rate", "burst", "max_message")  # limits that ``ready`` must contain
LOST = ("closed", "unreachable", "idle")  # error codes after which a stream may be resumed
RETRY_DELAYS = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds before each attempt; the last one repeats
FINISHED, ABANDONED = 1000, 4000  # close codes: the server forgets the stream; it keeps it


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
    blocks: Blocks,
    sample_rate: int = SAMPLE_RATE,
    *,
    latency: float = 1.0,
    token: str | None = None,
    on_ready: Callable[[dict[str, Any]], None] | None = None,
    on_progress: Callable[[dict[str, Any]], None] | None = None,
    on_relabel: Callable[[Relabel], None] | None = None,
    on_refined: Callable[[list[Segment]], None] | None = None,
    reconnect: float = 0.0,
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

    reconnect: seconds for which a lost connection is restored, if the server keeps the stream for so long: events and
        audio then go on as if it had never been lost. Blocks are not read meanwhile. 0: it is an error at once.

    Raises `ServerError` if the server rejects the client or fails, `AudioError` on a block of another type or shape,
    and `MissingDependencyError` without the package websockets.
    """
    start = {"type": "start", "sample_rate": sample_rate, "latency": latency}
    start |= {"relabel": True} if on_relabel else {}
    start |= {"refine": True} if on_refined else {}
    start |= {"resume": True} if reconnect else {}
    link = _Link(url, token, start, reconnect)
    audio = Outgoing(blocks, sample_rate, keep=reconnect > 0)
    try:
        async with contextlib.aclosing(link.messages(audio)) as messages:
            async for message in messages:
                if message["type"] == "segment":
                    yield _event(message)
                elif message["type"] == "ready" and on_ready:
                    on_ready(message)
                elif message["type"] == "relabel" and on_relabel:
                    on_relabel(_relabel(message))
                elif message["type"] == "refined" and on_refined:
                    on_refined(_segments(message))
                elif message["type"] == "progress" and on_progress:
                    on_progress(message)
    finally:
        await audio.close()


class _Link:
    """The messages of one stream over its connections; a lost one is restored within `reconnect` seconds."""

    def __init__(self, url: str, token: str | None, start: dict[str, Any], reconnect: float) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._first = start
        self._reconnect = reconnect
        self._token: str | None = None  # for the next resume
        self._received = 0  # messages after ``ready``

    async def messages(self, audio: Outgoing) -> AsyncGenerator[dict[str, Any], None]:
        """All messages in order, from the first ``ready`` to the one before ``end``. Raises as `stream` does."""
        deadline, attempt = math.inf, 0
        while True:
            try:
                async with contextlib.aclosing(self._messages_of_connection(audio)) as messages:
                    async for message in messages:
                        deadline = math.inf
                        if message["type"] != "ready":
                            attempt = 0
                            yield message
                        elif self._first["type"] == "start":
                            yield message
                return
            except ServerError as error:
                may_return = error.code in LOST or error.retry_after is not None
                if self._token is None or not may_return or time.monotonic() > deadline:
                    raise
                deadline = min(deadline, time.monotonic() + self._reconnect)
                delay = error.retry_after or RETRY_DELAYS[min(attempt, len(RETRY_DELAYS) - 1)]
                attempt += 1
                await asyncio.sleep(min(delay, max(0.0, deadline - time.monotonic())))
                self._first = {"type": "resume", "stream": self._token, "received": self._received}

    async def _messages_of_connection(self, audio: Outgoing) -> AsyncGenerator[dict[str, Any], None]:
        """The messages of one connection."""
        from websockets.exceptions import ConnectionClosed

        socket = await self._connect()
        sender: asyncio.Task[None] | None = None
        close_code = (
            ABANDONED  # the server keeps the stream, unless everything has arrived or the caller stops
        )
        try:
            await socket.send(json.dumps(self._first, default=lambda number: number.item()))  # a numpy number
            ready = _checked(await asyncio.wait_for(socket.recv(), OPEN_TIMEOUT))
            if not isinstance(limits := ready.get("limits"), dict) or not {*REQUIRED_LIMITS} <= limits.keys():
                raise _not_sed_serve(f"a first message of type {ready['type']!r}")
            ended = self._resumed_at(ready, audio)
            yield ready
            sender = asyncio.create_task(audio.send(socket, limits, ended))
            while (message := await _next(socket, sender, audio))["type"] != "end":
                self._received += 1
                if message["type"] == "progress":
                    audio.record_progress(message["time"])
                yield message
            close_code = FINISHED
        except GeneratorExit:
            close_code = FINISHED
            raise
        except ConnectionClosed as error:
            raise ServerError("closed", f"{self._url} has closed the connection: {error}") from error
        except asyncio.TimeoutError as error:
            raise ServerError("unreachable", f"{self._url} has not answered for a long time") from error
        finally:
            if sender is not None:
                sender.cancel()
                await asyncio.wait([sender])
            await socket.close(close_code)

    def _resumed_at(self, ready: dict[str, Any], audio: Outgoing) -> bool:
        """Note how the stream can be resumed; returns whether the server has the end of the audio."""
        try:
            resume = ready.get("resume") or {}
            self._token = resume.get("stream")
            audio.resume_at(resume.get("samples", 0))
            return bool(resume.get("ended", False))
        except (AttributeError, TypeError, ValueError):
            raise _not_sed_serve(f"a message ready with resume={ready.get('resume')!r:.60}") from None

    async def _connect(self) -> Any:
        try:
            from websockets.asyncio.client import connect
            from websockets.exceptions import InvalidHandshake, InvalidURI
        except ImportError as error:
            raise MissingDependencyError(
                f"the client needs the package websockets: {install_hint('serve')}"
            ) from error
        try:
            # No ping timeout: older servers do not answer pings while they are busy. `SILENCE_TIMEOUT` replaces it.
            return await connect(
                self._url,
                additional_headers=self._headers,
                compression=None,
                ping_timeout=None,
                close_timeout=CLOSE_TIMEOUT,
                max_size=1 << 24,  # a refined result of hours
                max_queue=64,
            )
        except (OSError, InvalidHandshake, InvalidURI, asyncio.TimeoutError) as error:
            raise ServerError("unreachable", f"{self._url} cannot be reached: {error}") from error


async def _next(socket: Any, sender: asyncio.Task[None], audio: Outgoing) -> dict[str, Any]:
    """The next message; an exception raised while reading the blocks is raised here.

    Raises `ServerError` on an error message, and `asyncio.TimeoutError` if a response is due and none arrives.
    """
    receiver = asyncio.ensure_future(socket.recv())
    try:
        while not receiver.done():
            running = {receiver} if sender.done() else {receiver, sender}
            response_due = audio.response_due
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
